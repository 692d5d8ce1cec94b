"""What the traced processes did over time, thinned out to what a chart can show."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from agentperf_lint.checklist.trace import NANOSECONDS, SLEEP, Piece, Sample, Trace

_SLICES = 120
_DEAREST_ROOTS = 10
_ROUNDING = 1e-6  # slices: times since 1970 are no more exact than that


class Series(msgspec.Struct, frozen=True):
    """One value for each slice of `step` seconds since the first process began; None where nothing is known."""

    step: float = 0.0
    values: tuple[float | None, ...] = ()


class RootCost(msgspec.Struct, frozen=True):
    """The roots of one name: how many, their operations (sleeps left out), and the seconds that these took together."""

    name: str
    roots: int
    operations: int
    seconds: float


class Overview(msgspec.Struct, frozen=True):
    """The run as a whole.

    `lag` is the longest step of any event loop (seconds), `busy` the share of the time in which the loops worked
    (0 to 1, the mean of the processes), `memory` the resident bytes of all processes, `open_roots` the most roots
    that were open at once. `costs` has the dearest roots first.
    """

    lag: Series = Series()
    busy: Series = Series()
    memory: Series = Series()
    open_roots: Series = Series()
    costs: tuple[RootCost, ...] = ()


def overview_of(trace: Trace) -> Overview:
    """The charts of `trace`; those of which it tells nothing are empty."""
    lag, busy, memory = _sampled(trace)
    return Overview(lag, busy, memory, _open_roots(trace), _costs(trace))


class _Axis:
    """Slices of the traced time; times are seconds since 1970."""

    def __init__(self, trace: Trace, slices: int) -> None:
        self.begin = min(piece.header.wall_start for piece in trace.pieces)
        self.slices = slices
        self.step = trace.wall_seconds / slices

    def at(self, time: float) -> int:
        """The slice that begins with `time` or holds it."""
        return self._within(math.floor((time - self.begin) / self.step))

    def up_to(self, time: float) -> int:
        """The slice that ends with `time` or holds it: a sample speaks of what was before it."""
        return self._within(math.ceil((time - self.begin) / self.step - _ROUNDING) - 1)

    def _within(self, index: int) -> int:
        return min(self.slices - 1, max(0, index))

    def series(self, values: Iterable[float | None]) -> Series:
        return Series(round(self.step, 6), tuple(None if value is None else round(value, 6) for value in values))


def _sampled(trace: Trace) -> tuple[Series, Series, Series]:
    samples: dict[int, list[tuple[float, Sample, float]]] = defaultdict(list)  # by process: end, sample, seconds
    for piece in trace.pieces:
        if piece.samples:
            samples[piece.header.pid].extend(_with_intervals(piece))
    most = max(map(len, samples.values()), default=0)
    if most == 0 or trace.wall_seconds <= 0:
        return Series(), Series(), Series()
    axis = _Axis(trace, min(_SLICES, most))
    lag: list[float | None] = [None] * axis.slices
    worked = [0.0] * axis.slices
    watched = [0.0] * axis.slices
    for each in samples.values():
        for time, sample, interval in each:
            index = axis.up_to(time)
            lag[index] = max(lag[index] or 0.0, sample.lag / NANOSECONDS)
            if interval > 0:
                worked[index] += min(sample.busy / NANOSECONDS, interval)
                watched[index] += interval
    busy = (work / time if time else None for work, time in zip(worked, watched))
    return axis.series(lag), axis.series(busy), axis.series(_memory(axis, samples.values()))


def _with_intervals(piece: Piece) -> Iterable[tuple[float, Sample, float]]:
    """Each sample, when it was taken, and the seconds since the one before: 0 for the first, which is unknown."""
    ordered = sorted(piece.samples, key=lambda sample: sample.time)
    start = piece.header.wall_start
    yield start + ordered[0].time / NANOSECONDS, ordered[0], 0.0
    for before, sample in pairwise(ordered):
        yield start + sample.time / NANOSECONDS, sample, (sample.time - before.time) / NANOSECONDS


def _memory(axis: _Axis, processes: Iterable[Sequence[tuple[float, Sample, float]]]) -> list[float | None]:
    """The sum over the processes; each keeps its last value up to its next sample."""
    total: list[float | None] = [None] * axis.slices
    for samples in processes:
        largest: dict[int, float] = {}
        for time, sample, _ in samples:
            index = axis.up_to(time)
            largest[index] = max(largest.get(index, 0.0), sample.rss)
        held = 0.0
        for index in range(min(largest), max(largest) + 1):
            held = largest.get(index, held)
            total[index] = (total[index] or 0.0) + held
    return total if any(total) else []


def _open_roots(trace: Trace) -> Series:
    spans = _spans_of_roots(trace)
    if not spans or trace.wall_seconds <= 0:
        return Series()
    axis = _Axis(trace, _SLICES)
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (max(begin, end), -1)))
    most: list[float | None] = []
    count = 0
    for time, change in changes:
        index = axis.at(time)
        most.extend([count] * (index + 1 - len(most)))
        count += change
        most[index] = max(most[index] or 0, count)
    most.extend([count] * (axis.slices - len(most)))
    return axis.series(most)


def _spans_of_roots(trace: Trace) -> list[tuple[float, float]]:
    """When each root was open; one that a rotation cut in two is one.

    Of one without an end what it did last is taken for that if it is a task: servers have one for each connection or
    request. Others last as long as the trace.
    """
    spans: dict[tuple[int, int], tuple[float, float]] = {}
    for piece in trace.pieces:
        start = piece.header.wall_start
        last = _last_of_tasks(piece)
        for number, root in piece.roots.items():
            begin = start + root.start / NANOSECONDS
            end = start + last.get(number, piece.end_of(number)) / NANOSECONDS
            key = (piece.header.pid, number)
            held = spans.get(key, (begin, end))
            spans[key] = (min(held[0], begin), max(held[1], end))
    return list(spans.values())


def _last_of_tasks(piece: Piece) -> dict[int, int]:
    """When each task that has no end did something last."""
    last = {
        number: root.start
        for number, root in piece.roots.items()
        if root.kind == "task" and number not in piece.root_ends
    }
    if last:
        columns = piece.operations
        for number, start, duration in zip(columns.root, columns.start, columns.duration):
            if number in last:
                last[number] = max(last[number], start + duration)
    return last


def _costs(trace: Trace) -> tuple[RootCost, ...]:
    roots: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    seconds: dict[str, float] = defaultdict(float)
    for piece in trace.pieces:
        for root, (count, duration) in _totals_of(piece).items():
            name = piece.root_name(root) or "outside of roots"
            roots[name] += 1
            operations[name] += count
            seconds[name] += duration / NANOSECONDS
    dearest = sorted(seconds, key=lambda name: (-seconds[name], name))[:_DEAREST_ROOTS]
    return tuple(RootCost(name, roots[name], operations[name], round(seconds[name], 6)) for name in dearest)


def _totals_of(piece: Piece) -> dict[int, tuple[int, int]]:
    """Number and nanoseconds of the operations of each root, without sleeps."""
    columns = piece.operations
    asleep = {number for number, statement in piece.statements.items() if statement.kind == SLEEP}
    counts: dict[int, int] = defaultdict(int)
    durations: dict[int, int] = defaultdict(int)
    for root, statement, duration in zip(columns.root, columns.statement, columns.duration):
        if statement not in asleep:
            counts[root] += 1
            durations[root] += duration
    return {root: (count, durations[root]) for root, count in counts.items()}
