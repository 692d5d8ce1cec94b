"""The entries of a cache: which is worth least, and which have expired."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator, MutableMapping
from contextlib import suppress
from itertools import count
from math import inf
from typing import Any, NamedTuple, TypeVar

V = TypeVar("V")

Key = tuple[Hashable, ...]

# Found by simulation, see benchmarks/remedies.py: shorter ones forget what is popular, longer ones what has become so.
_HALF_LIFE = 15  # in calls for each entry that the cache may hold
_REMEMBERED = 2  # evicted keys whose worth is known, for each entry that the cache may hold
_RESCALE_AT = 1e150  # far from where floats end, and reached every 500 half-lives
_LEAST_COST = 1e-9  # seconds: what costs nothing still differs by how often it is wanted
_STALE_ITEMS = 64  # of heaps, besides as many as there are entries


class Outcome(NamedTuple):
    """What a computation came to: a value, or the exception that it raised instead."""

    value: Any
    error: Exception | None


class Entry:
    """An outcome that took `cost` seconds and is good until `expires`, on the cache's clock.

    `siblings` are entries that are to go together, this one included as long as it is held.
    """

    __slots__ = ("cost", "expires", "hash", "is_held", "key", "outcome", "siblings", "weight")

    def __init__(self, key: Key, outcome: Outcome, cost: float, expires: float, siblings: set[Entry] | None) -> None:
        self.key = key
        self.hash = hash(key)
        self.outcome: Outcome | None = outcome
        self.cost = max(cost, _LEAST_COST)
        self.expires = expires
        self.siblings = siblings
        self.weight = 0.0
        self.is_held = False

    @property
    def score(self) -> float:
        """Seconds that the entry saves in the time in which an access fades, but for a factor common to all."""
        return self.weight * self.cost


class Entries:
    """At most `max_size` entries; the one that goes for a new one saves the least time. Not safe under threads.

    The value of an entry is how often it was wanted, times the seconds that it took, over its age. "Times over age" is
    a rate, and the rate here is a count in which each access fades by half in 15 x `max_size` accesses of the cache:
    the combined recency and frequency of LRFU (Lee, Choi, Kim, Noh, Min, Cho, Kim: LRFU: A Spectrum of Policies that
    Subsumes the Least Recently Used and Least Frequently Used Policies, IEEE Transactions on Computers 50(12), 2001),
    times the cost. As all counts fade alike, the order of two entries changes only when one of them is accessed. So
    nothing ages: instead each access weighs a little more than the one before. A heap keeps the order; a hit only adds
    to the entry's weight, and what the heap says too low is put right when it comes to the top. Each such correction
    is paid for by a hit, so a call costs O(log n) amortised.

    Of evicted keys the hash and the weight are remembered, 2 x `max_size` of them, so that a key that comes back is
    not taken for a new one.
    """

    def __init__(self, max_size: int) -> None:
        self.evictions = 0
        self.expirations = 0
        self._max_size = max_size
        self._held: dict[Key, Entry] = {}
        self._by_score: list[tuple[float, int, Entry]] = []
        self._by_expiry: list[tuple[float, int, Entry]] = []
        self._remembered: OrderedDict[int, float] = OrderedDict()
        self._weight = 1.0  # of an access now
        self._growth: float = 2.0 ** (1 / (_HALF_LIFE * max_size))
        self._serial = count()  # entries are not compared

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._held.values())

    def find(self, key: Key, now: float) -> Entry | None:
        """The entry of `key`, accessed once more; None where there is none or it has expired."""
        entry = self._held.get(key)
        if entry is None or entry.expires <= now:
            return None
        self._age()
        entry.weight += self._weight
        return entry

    def put(self, entry: Entry, now: float) -> list[Entry]:
        """Hold the entry, which is worth more than what goes for it; what is held no more."""
        self._age()
        gone = self.expire(now)
        before = self._held.get(entry.key)
        if before is not None:
            entry.weight = before.weight
            gone.append(self.remove(before))
        entry.weight += self._weight + self._remembered.pop(entry.hash, 0.0)
        self._hold(entry)
        while len(self._held) > self._max_size and self._by_score:  # the new one is not among these
            gone += self._evict()
        heapq.heappush(self._by_score, (entry.score, next(self._serial), entry))
        if entry.expires < inf:
            heapq.heappush(self._by_expiry, (entry.expires, next(self._serial), entry))
        self._drop_stale_items()
        return gone

    def expire(self, now: float) -> list[Entry]:
        """Let go of what has expired."""
        gone = []
        while self._by_expiry and self._by_expiry[0][0] <= now:
            entry = heapq.heappop(self._by_expiry)[2]
            if entry.is_held:
                gone.append(self.remove(entry))
                self._remember(entry)
                self.expirations += 1
        return gone

    def remove(self, entry: Entry) -> Entry:
        """Let go of an entry; its places in the heaps are found when they come to the top."""
        remove_value(self._held, entry.key, entry)
        entry.is_held = False
        if entry.siblings is not None:
            entry.siblings.discard(entry)
        return entry

    def clear(self) -> list[Entry]:
        """Let go of everything; evictions and expirations stay counted."""
        held, self._held = self._held, {}
        gone = [self.remove(entry) for entry in held.values()]
        self._by_score = []
        self._by_expiry = []
        self._remembered.clear()
        return gone

    def _hold(self, entry: Entry) -> None:
        self._held[entry.key] = entry
        entry.is_held = True
        if entry.siblings is not None:
            entry.siblings.add(entry)

    def _evict(self) -> list[Entry]:
        """At most one: comparing keys may run code that uses the cache."""
        while self._by_score:
            score, _, entry = self._by_score[0]
            if not entry.is_held:
                heapq.heappop(self._by_score)
            elif entry.score > score:
                heapq.heapreplace(self._by_score, (entry.score, next(self._serial), entry))
            else:
                heapq.heappop(self._by_score)
                self._remember(entry)
                self.evictions += 1
                return [self.remove(entry)]
        return []

    def _remember(self, entry: Entry) -> None:
        self._remembered[entry.hash] = entry.weight
        if len(self._remembered) > _REMEMBERED * self._max_size:
            self._remembered.popitem(last=False)

    def _drop_stale_items(self) -> None:
        most = 2 * len(self._held) + _STALE_ITEMS
        if len(self._by_score) > most:
            self._order()
        if len(self._by_expiry) > most:
            self._by_expiry = [item for item in self._by_expiry if item[2].is_held]
            heapq.heapify(self._by_expiry)

    def _age(self) -> None:
        self._weight *= self._growth
        if self._weight > _RESCALE_AT:
            self._rescale()

    def _rescale(self) -> None:
        for entry in self._held.values():
            entry.weight /= self._weight
        for key in self._remembered:
            self._remembered[key] /= self._weight
        self._weight = 1.0
        self._order()

    def _order(self) -> None:
        self._by_score = [(entry.score, next(self._serial), entry) for entry in self._held.values()]
        heapq.heapify(self._by_score)


def remove_value(values: MutableMapping[Key, V], key: Key, value: V) -> None:
    """Remove `value`, which is there as `key` at most once, from `values`.

    Also when an argument in the key has been changed and is found no more, or cannot be hashed any more. Others that
    have been changed go, too, where that would be in the way.
    """
    try:
        is_found = values.get(key) is value
    except Exception:  # of the argument
        is_found = False
    if is_found:
        del values[key]
        return
    others = [item for item in values.items() if item[1] is not value]
    if len(others) == len(values):
        return
    values.clear()
    for each, other in others:
        with suppress(Exception):
            values[each] = other
