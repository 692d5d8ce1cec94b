"""Requests and other units of work that ended: what each took, asked, and was held up by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import msgspec

from agentperf_lint.checklist.trace import NANOSECONDS, REQUEST, Piece, RootEnd, Trace, units_of

QUERIES = frozenset({"sql", "redis", "mongo"})
"""Kinds of operations that count as queries."""

WEBSOCKET = "websocket"
_SERVER_ERROR = 500

Key = tuple[int, int]  # process and root


class Unit(msgspec.Struct, frozen=True):
    """One that ended: `start` and `end` in seconds since 1970; `failed` raised or was answered with 5xx."""

    key: Key
    kind: str
    name: str
    start: float
    end: float
    failed: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def is_request(self) -> bool:
        return self.kind == REQUEST


class Spending(msgspec.Struct):
    """What the units did, by key: queries, tokens (in and out), and the longest stall in seconds."""

    queries: Counter[Key] = Counter()
    tokens: Counter[Key] = Counter()
    stalls: dict[Key, float] = {}


def ended_units(trace: Trace) -> list[Unit]:
    """The units of work of `trace` that ended."""
    units = units_of(trace)
    return [unit for piece in trace.pieces for unit in _ended(piece, units)]


def spending_of(trace: Trace) -> Spending:
    """What happened below each unit. Costs as much as reading every operation once more."""
    spending = Spending(Counter(), Counter(), defaultdict(float))
    units = units_of(trace)
    parents = {(piece.header.pid, root.id): root.parent for piece in trace.pieces for root in piece.roots.values()}
    for piece in trace.pieces:
        pid, columns = piece.header.pid, piece.operations
        queries = {number for number, each in piece.statements.items() if each.kind in QUERIES}
        for (root, statement), count in Counter(zip(columns.root, columns.statement)).items():
            if statement in queries:
                spending.queries[_unit_around((pid, root), units, parents)] += count
        for root, taken, given in zip(columns.root, columns.input_tokens, columns.output_tokens):
            if taken or given:
                spending.tokens[_unit_around((pid, root), units, parents)] += taken + given
        for stall in piece.stalls.values():
            key = _unit_around((pid, stall.root), units, parents)
            spending.stalls[key] = max(spending.stalls[key], stall.duration / NANOSECONDS)
    return spending


def _unit_around(key: Key, units: set[Key], parents: dict[Key, int]) -> Key:
    """The unit that `key` belongs to, itself when there is none."""
    around, seen = key, set[Key]()
    while around not in units and around in parents and around not in seen:
        seen.add(around)
        around = (around[0], parents[around])
    return around if around in units else key


def _ended(piece: Piece, units: set[Key]) -> Iterator[Unit]:
    began = piece.header.wall_start
    for number, end in piece.root_ends.items():
        root, key = piece.roots.get(number), (piece.header.pid, number)
        if root is not None and end.end >= root.start and key in units:
            start, last = began + root.start / NANOSECONDS, began + end.end / NANOSECONDS
            yield Unit(key, root.kind, end.name or root.name, start, last, _failed(end))


def _failed(end: RootEnd) -> bool:
    if isinstance(end.outcome, int):
        return end.outcome >= _SERVER_ERROR
    return end.outcome == "error" or (end.outcome.isdecimal() and int(end.outcome) >= _SERVER_ERROR)
