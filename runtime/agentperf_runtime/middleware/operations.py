"""What each request makes, counted while the trace is written: recording an operation costs nothing more.

The writer's thread shows what it takes from the recorder's queue, in order. A request that has ended puts a mark there:
what comes behind it (background tasks) is not of the request.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from agentperf_runtime.middleware.requests import Counts, Key, RequestStats

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.scopes import Root

_QUERIES = frozenset({"sql", "redis", "mongo"})
_TALLIES = 10_000
"""Requests that are counted at once. Those that ended are among them: a stall is reported when the loop goes on."""

_SERVED_AT_ONCE, _UNCLAIMED = 16, 100


class Mark(NamedTuple):
    """A request has ended at `end` (ns of `time.perf_counter_ns`); `stats` want to know what it made."""

    root: Root
    stats: RequestStats
    key: Key
    end: int


class _Tally:
    """What one request has made so far. `told`: who knows it already, because it has ended.

    `start` and `end` are in ns, 0 until then; `stalls` has durations by start.
    """

    __slots__ = ("end", "queries", "stalls", "start", "tokens", "told")

    def __init__(self) -> None:
        self.queries = self.tokens = 0
        self.stalls: dict[int, int] = {}
        self.start = self.end = 0
        self.told: list[tuple[RequestStats, Key]] = []

    def had(self, stall: dict[str, Any]) -> bool:
        """Whether `stall` lies within the request, which has ended; the loop's step began before the request did."""
        middle: int = stall["start"] + stall["duration"] // 2
        return self.start <= middle < self.end


class OperationCounter:
    """Sees what the writer takes from the queue, on the writer's thread. Never raises.

    A stall may be told of the task that serves the request, which began before it: `_served` has the requests of such
    roots, `_unclaimed` the stalls of which none is known yet.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._tallies: dict[int, _Tally] = {}
        self._served: dict[int, deque[_Tally]] = {}
        self._unclaimed: deque[dict[str, Any]] = deque(maxlen=_UNCLAIMED)

    def finish(self, root: Root, stats: RequestStats, key: Key, end: int) -> None:
        """The request `root` has ended: `stats` are told what it made once the writer has come so far."""
        self._recorder.put(Mark(root, stats, key, end))

    def __call__(self, entry: Any) -> None:
        """Count an entry of the queue."""
        try:
            if entry.__class__ is tuple:
                self._operation(entry[0], entry[8].root, entry[11])
            elif entry.__class__ is Mark:
                self._end(entry)
            elif isinstance(entry, dict) and entry.get("type") == "stall":
                self._stall(entry)
        except Exception:
            self._recorder.errors += 1

    def _operation(self, kind: str, root: Root, tokens: tuple[int, int, int] | None) -> None:
        if kind not in _QUERIES and tokens is None:
            return
        tally = self._tally(root)
        if tally is None or tally.told:
            return
        if kind in _QUERIES:
            tally.queries += 1
        if tokens is not None:
            tally.tokens += tokens[0] + tokens[1]

    def _tally(self, root: Root) -> _Tally | None:
        """That of the request that `root` is, or is a part of."""
        serial = root.serial if root.kind == "request" else root.parent
        if not serial:
            return None
        tally = self._tallies.get(serial)
        if tally is None:
            tally = _Tally()
            _put(self._tallies, serial, tally)
        return tally

    def _end(self, mark: Mark) -> None:
        root = mark.root
        tally = self._tally(root)
        if tally is None:
            return
        if not tally.told:
            tally.start, tally.end = root.start, mark.end
            if root.parent not in self._served:
                _put(self._served, root.parent, deque(maxlen=_SERVED_AT_ONCE))
            self._served[root.parent].append(tally)
        tally.told.append((mark.stats, mark.key))
        mark.stats.count(mark.key, Counts(tally.queries, tally.tokens, sum(tally.stalls.values()) / 1e9))
        for line in [line for line in self._unclaimed if line["root"].serial == root.parent]:
            if tally.had(line):
                self._unclaimed.remove(line)
                _add_stall(tally, line)

    def _stall(self, line: dict[str, Any]) -> None:
        root = line["root"]
        if not hasattr(root, "serial"):
            return
        tally = self._tally(root) if root.kind == "request" else self._serving(root, line)
        if tally is None:
            self._unclaimed.append(line)
        elif not tally.end or tally.had(line):
            _add_stall(tally, line)

    def _serving(self, root: Root, stall: dict[str, Any]) -> _Tally | None:
        """The request that the task `root` served then, or that `root` is a part of."""
        for tally in self._served.get(root.serial, ()):
            if tally.had(stall):
                return tally
        return self._tallies.get(root.parent)


def _put(kept: dict[int, Any], key: int, value: Any) -> None:
    """Add `value`, and drop what was added first when there is too much."""
    if len(kept) >= _TALLIES:
        del kept[next(iter(kept))]
    kept[key] = value


def _add_stall(tally: _Tally, line: dict[str, Any]) -> None:
    start, duration = line["start"], line["duration"]
    more = duration - tally.stalls.get(start, 0)  # a record of a stall that went on is replaced
    tally.stalls[start] = duration
    for stats, key in tally.told:
        stats.add_stall(key, more / 1e9)


def active_counter() -> OperationCounter | None:
    """The counter of the tracer that runs, which is given one when it has none; None without a tracer."""
    module: Any = sys.modules.get("agentperf_runtime.tracer")  # whoever traces has loaded it
    tracer = module.active() if module is not None else None
    if tracer is None:
        return None
    recorder: Recorder = tracer.recorder
    observer = recorder.observer
    if observer is None:
        observer = recorder.observer = OperationCounter(recorder)
    return observer


def present_root() -> Root | None:
    """The request that the tracer sees here, None where it sees none or does not record it."""
    module: Any = sys.modules.get("agentperf_runtime.scopes")
    scope = module.current.get() if module is not None else None
    if scope is None or scope.root.kind != "request" or not scope.root.sampled:
        return None
    root: Root = scope.root
    return root
