"""When the operations of an item ran, root by root, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from agentperf_lint.checklist.items import BottleneckEvidence, ClusterEvidence, Item
from agentperf_lint.checklist.observed import Scene, shown_place
from agentperf_lint.checklist.stalls import holder, least_stall
from agentperf_lint.checklist.statements import meaning_of
from agentperf_lint.checklist.trace import NANOSECONDS, Piece, Statement

_LANES = 8
_TICKS = 200  # in one lane
_TICKS_OF_ALL = 20_000  # what a page can carry
_MICROSECOND = 1_000  # nanoseconds
_EDGES = [mantissa * 10**power for power in range(3, 13) for mantissa in (1, 2, 5)]  # 1 us to 5,000 s

Occurrence = tuple[int, int]  # start and duration in nanoseconds


class Lane(msgspec.Struct, frozen=True):
    """What happened in one root: number and seconds of all, and `starts` and `durations` of those that are shown.

    Starts are microseconds since the root began, durations microseconds.
    """

    name: str
    operations: int
    seconds: float
    starts: tuple[int, ...]
    durations: tuple[int, ...]


class Durations(msgspec.Struct, frozen=True):
    """How long they took, in seconds: `counts[i]` took `edges[i]` or longer, but less than the next edge."""

    operations: int
    median: float
    most: float  # 95 of 100 took no longer
    longest: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Timeline(msgspec.Struct, frozen=True):
    """The roots that an item cost most, worst first (none when the page is full), and the durations in all of them."""

    lanes: tuple[Lane, ...]
    durations: Durations


class _Rooted:
    """What happened at one item's place, by piece and root."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int], list[Occurrence]] = defaultdict(list)
        self.pieces: dict[int, Piece] = {}

    def add(self, piece: Piece, root: int, start: int, duration: int) -> None:
        self.pieces[id(piece)] = piece
        self.found[id(piece), root].append((start, duration))


def timelines_of(items: Sequence[Item], scene: Scene, *, ticks: int = _TICKS_OF_ALL) -> list[Timeline | None]:
    """The timeline of each item; None where the trace has nothing. The first items get up to `ticks` ticks together."""
    collected = [_Rooted() for _ in items]
    for piece in scene.trace.pieces:
        _collect_operations(piece, scene, items, collected)
        _collect_stalls(piece, scene, items, collected)
    timelines: list[Timeline | None] = []
    for each in collected:
        if not each.found:
            timelines.append(None)
            continue
        lanes = _lanes(each) if ticks > 0 else ()
        ticks -= sum(len(lane.starts) for lane in lanes)
        timelines.append(Timeline(lanes, _durations(each)))
    return timelines


def _collect_operations(piece: Piece, scene: Scene, items: Sequence[Item], collected: Sequence[_Rooted]) -> None:
    columns = piece.operations
    meant = _by_statement_and_site(piece, scene, items)
    if not meant:
        return
    for index, pair in enumerate(zip(columns.statement, columns.site)):
        for item in meant.get(pair, ()):
            collected[item].add(piece, columns.root[index], columns.start[index], columns.duration[index])


def _by_statement_and_site(piece: Piece, scene: Scene, items: Sequence[Item]) -> dict[tuple[int, int], list[int]]:
    """Which items speak of which operations."""
    at: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        for path, line in {(item.path, item.line), *_other_places(item)}:
            at[path, line].append(index)
    meant: dict[tuple[int, int], list[int]] = {}
    for number, site in set(zip(piece.operations.statement, piece.operations.site)):
        statement = piece.statements.get(number)
        if statement is None or site == 0:
            continue
        place = shown_place(scene.site_frame(piece, site))
        found = [index for index in at.get((place.path, place.line), ()) if _speaks_of(items[index], statement)]
        if found:
            meant[number, site] = found
    return meant


def _other_places(item: Item) -> Iterable[tuple[str, int]]:
    for evidence in item.evidence:
        if isinstance(evidence, ClusterEvidence):
            yield from ((place.path, place.line) for place in evidence.other_places)


def _speaks_of(item: Item, statement: Statement) -> bool:
    return any(
        evidence.operation == statement.kind
        and meaning_of(evidence.operation, evidence.statement).fingerprint
        == meaning_of(statement.kind, statement.text).fingerprint
        for evidence in item.evidence
        if isinstance(evidence, (ClusterEvidence, BottleneckEvidence))
    )


def _collect_stalls(piece: Piece, scene: Scene, items: Sequence[Item], collected: Sequence[_Rooted]) -> None:
    at: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        if item.kind in {"stall", "cold_import"}:
            at[item.kind, item.path, item.function].append(index)
    if not at:
        return
    least = least_stall(scene, piece)
    for stall in piece.stalls.values():
        if stall.duration < least:
            continue
        frame, in_library = holder(scene, piece, stall)
        place = shown_place(frame)
        kind = "cold_import" if stall.reason == "import" else "stall"
        for index in at.get((kind, place.path, place.function), ()):
            if in_library or items[index].line == place.line:
                collected[index].add(piece, stall.root, stall.start, stall.duration)
                break


def _lanes(rooted: _Rooted) -> tuple[Lane, ...]:
    seconds: Callable[[tuple[int, int]], float] = lambda key: sum(took for _, took in rooted.found[key])  # noqa: E731
    worst = sorted(rooted.found, key=seconds, reverse=True)[:_LANES]
    return tuple(_lane(rooted.pieces[piece], root, rooted.found[piece, root]) for piece, root in worst)


def _lane(piece: Piece, root: int, occurrences: list[Occurrence]) -> Lane:
    occurrences.sort()
    known = piece.roots.get(root)
    begin = min(known.start if known else occurrences[0][0], occurrences[0][0])
    shown = _thinned(occurrences)
    return Lane(
        name=piece.root_name(root) or "outside of roots",
        operations=len(occurrences),
        seconds=round(sum(took for _, took in occurrences) / NANOSECONDS, 6),
        starts=tuple((start - begin) // _MICROSECOND for start, _ in shown),
        durations=tuple(took // _MICROSECOND for _, took in shown),
    )


def _thinned(occurrences: Sequence[Occurrence]) -> Sequence[Occurrence]:
    """Of each few in a row the longest, so that what stands out stays."""
    few = -(-len(occurrences) // _TICKS)
    if few <= 1:
        return occurrences
    parts = (occurrences[first : first + few] for first in range(0, len(occurrences), few))
    return [max(part, key=lambda occurrence: occurrence[1]) for part in parts]


def _durations(rooted: _Rooted) -> Durations:
    took = sorted(duration for each in rooted.found.values() for _, duration in each)
    below = [bisect_left(took, edge) for edge in _EDGES]
    edges = [0, *_EDGES]
    counts = [after - before for before, after in zip([0, *below], [*below, len(took)])]
    held = [index for index, count in enumerate(counts) if count]
    filled = slice(held[0], held[-1] + 1)
    return Durations(
        operations=len(took),
        median=_quantile(took, 0.5),
        most=_quantile(took, 0.95),
        longest=took[-1] / NANOSECONDS,
        edges=tuple(edge / NANOSECONDS for edge in edges[filled]),
        counts=tuple(counts[filled]),
    )


def _quantile(sorted_nanoseconds: Sequence[int], share: float) -> float:
    """The smallest duration, in seconds, that at least `share` of them do not exceed."""
    rank = -int(-share * len(sorted_nanoseconds) // 1)
    return sorted_nanoseconds[max(0, rank - 1)] / NANOSECONDS
