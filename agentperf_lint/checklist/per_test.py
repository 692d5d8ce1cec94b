"""What a trace of a test session shows, test by test."""

from __future__ import annotations

import fnmatch
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.items import Item
from agentperf_lint.checklist.sources import plain_name, shown_path
from agentperf_lint.checklist.trace import Operations, Piece, RootEnd, Stall, Trace
from agentperf_lint.checklist.units import QUERIES
from agentperf_lint.config import TraceSettings
from agentperf_runtime.budgets import Budget

_UP_TO_THE_TEST = frozenset({"error-rate", "throughput"})


class ItemOfTest(msgspec.Struct, frozen=True):
    """An item that one test shows."""

    test: str
    item: Item


class Counted(msgspec.Struct, frozen=True):
    """A statement and how often it was run at a place."""

    count: int
    statement: str
    path: str
    line: int
    function: str


def items_of_tests(
    trace: Trace,
    settings: TraceSettings,
    kinds: Collection[str],
    allowed: Mapping[str, Sequence[str]],
    bases: Sequence[str] = (),
    budgets: Sequence[Budget] = (),
    config_file: str = "",
) -> list[ItemOfTest]:
    """Items of the `kinds`, by test; `allowed` are for each test the patterns of what it may do.

    `budgets` are for the requests of each test. How many there are in a second, and how many of them are meant to fail,
    is up to the test: of these budgets nothing is said.
    """
    judged = [budget for budget in budgets if budget.measure not in _UP_TO_THE_TEST]
    found = []
    for piece in trace.pieces:
        for test, part in _parts(piece):
            items = build_checklist(Trace([part]), settings, bases=bases, budgets=judged, config_file=config_file).items
            patterns = allowed.get(test, ())
            found += [
                ItemOfTest(test, item) for item in items if item.kind in kinds and not _is_allowed(item, patterns)
            ]
    return found


def queries_between(piece: Piece, start: int, end: int, allowed: Sequence[str]) -> list[Counted]:
    """Queries that began from `start` to `end` (ns since the piece's clock), the most frequent first."""
    operations = piece.operations
    counts: Counter[tuple[int, int]] = Counter()
    # Operations are recorded when they end: going backwards, those before the start are at the beginning.
    for index in range(len(operations) - 1, -1, -1):
        began = operations.start[index]
        if began + operations.duration[index] < start:
            break
        if start <= began <= end and piece.statements[operations.statement[index]].kind in QUERIES:
            counts[operations.statement[index], operations.site[index]] += 1
    counted = [_counted(piece, statement, site, count) for (statement, site), count in counts.most_common()]
    return [each for each in counted if not _matches(allowed, each.statement, f"{each.path}:{each.function}")]


def _counted(piece: Piece, statement: int, site: int, count: int) -> Counted:
    frames = piece.frames_of(site)
    path, line, function = frames[0][0] if frames and frames[0] else ("", 0, "")
    return Counted(count, piece.statements[statement].text, shown_path(path), line, plain_name(function))


def _parts(piece: Piece) -> Iterator[tuple[str, Piece]]:
    """The tests that ran in `piece`, one after the other, each with what happened meanwhile, wherever it did."""
    tests = sorted(
        (root.start, piece.root_ends[root.id].end, root.name)
        for root in piece.roots.values()
        if root.kind == "test" and root.id in piece.root_ends
    )
    starts = [start for start, _, _ in tests]

    def test_at(time: int) -> int:
        index = bisect_right(starts, time) - 1
        return index if index >= 0 and time <= tests[index][1] else -1

    chosen: list[list[int]] = [[] for _ in tests]
    for index, time in enumerate(piece.operations.start):
        test = test_at(time)
        if test >= 0:
            chosen[test].append(index)
    stalls: list[dict[int, Stall]] = [{} for _ in tests]
    for start, stall in piece.stalls.items():
        test = test_at(start)
        if test >= 0:
            stalls[test][start] = stall
    ends: list[dict[int, RootEnd]] = [{} for _ in tests]
    for number, end in piece.root_ends.items():
        test = test_at(piece.roots[number].start) if number in piece.roots else -1
        if test >= 0:
            ends[test][number] = end
    for (_, _, name), indexes, held, ended in zip(tests, chosen, stalls, ends):
        if indexes or held or len(ended) > 1:  # than the test itself
            operations = _selected(piece.operations, indexes)
            yield name, msgspec.structs.replace(piece, operations=operations, stalls=held, root_ends=ended)


def _selected(operations: Operations, indexes: Iterable[int]) -> Operations:
    wanted = list(indexes)
    columns = {name: getattr(operations, name) for name in Operations.__struct_fields__}
    return Operations(**{name: [column[index] for index in wanted] for name, column in columns.items()})


def _is_allowed(item: Item, patterns: Sequence[str]) -> bool:
    statements = [text for each in item.evidence if (text := getattr(each, "statement", ""))]
    return _matches(patterns, item.kind, f"{item.path}:{item.function}", *statements)


def _matches(patterns: Sequence[str], *texts: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns for text in texts)
