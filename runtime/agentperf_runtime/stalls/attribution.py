"""From the samples of one step to the places that held the loop, each with its share of the time.

Samples are not counted but weighed, with the time since the one before: C code that keeps the interpreter's lock is
seen once, when it lets go, for all that it took.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from agentperf_runtime.stalls.stacks import Place

_RUNS_KEPT = 2000
SURE_SAMPLES = 3  # in a row at one line: not by chance


@dataclass(slots=True)
class Run:
    """Samples in a row at one line. `began` on `perf_counter`; `weight` and, of it, what was seen `late`: seconds.

    `task`: whatever stands for the asyncio task that ran.
    """

    place: Place
    task: object
    began: float
    weight: float = 0.0
    late: float = 0.0
    samples: int = 0

    @property
    def line(self) -> Hashable:
        return self.place.owner, self.place.line, self.place.importing

    @property
    def function(self) -> Hashable:
        return self.place.owner, self.place.importing


class Share(NamedTuple):
    """One place's part of a step: from `began` on, `duration` seconds; `samples` of its function were taken."""

    place: Place
    task: object
    began: float
    duration: float
    samples: int
    late: bool


class Samples:
    """The samples of one step, in order."""

    def __init__(self, started: float) -> None:
        self.last = started
        self.count = 0
        self._runs: list[Run] = []

    def add(self, now: float, place: Place, task: object, excluded: float, late: bool) -> None:
        """A sample at `now` that stands for the time since the last one, without `excluded` seconds of it."""
        weight = max(now - self.last - excluded, 0.0)
        run = self._run_at(place, task)
        run.weight += weight
        run.late += weight if late else 0.0
        run.samples += 1
        self.last = now
        self.count += 1

    def _run_at(self, place: Place, task: object) -> Run:
        new = Run(place, task, self.last)
        if self._runs and self._runs[-1].line == new.line:
            return self._runs[-1]
        if len(self._runs) >= _RUNS_KEPT:
            return next((run for run in self._runs if run.line == new.line), self._runs[-1])
        self._runs.append(new)
        return new

    def shares(self, duration: float, limit: float) -> list[Share]:
        """What each place took of the step's `duration` (seconds), the largest first.

        Places under `limit` are not worth telling apart: their time is added to the largest one's.
        """
        if not self._runs:
            return []
        groups = sorted(map(_Group, _grouped(self._runs, limit)), key=lambda group: -group.weight)
        # The first one in the application, if it was not just passed by: what a call returned is freed outside.
        main = next((group for group in groups if group.is_sure), groups[0])
        total = sum(group.weight for group in groups)
        scale = min(1.0, duration / total) if total > 0 else 0.0
        others = [group for group in groups if group is not main and group.is_sure and group.weight * scale > limit]
        shares = [group.share(group.weight * scale) for group in others]
        return [main.share(duration - sum(share.duration for share in shares)), *shares]


def _grouped(runs: list[Run], limit: float) -> Iterable[list[Run]]:
    """Runs by line where the line was held on its own, otherwise by function.

    A loop over several lines shows up at all of them in turn: that is one place, the line that took the most of it.
    Two blocking calls one after the other are two.
    """
    weights: dict[Hashable, float] = defaultdict(float)
    held: dict[Hashable, float] = defaultdict(float)
    for run in runs:
        weights[run.line] += run.weight
        if run.weight > limit and (run.samples >= SURE_SAMPLES or run.late * 2 > run.weight):
            held[run.line] += run.weight
    on_their_own = {line for line, weight in held.items() if weight * 3 >= weights[line] * 2 > 0}
    # The rest of a function belongs to its line that was held, the one that took the most.
    heaviest: dict[Hashable, Hashable] = {}
    for run in sorted(runs, key=lambda run: weights[run.line]):
        if run.line in on_their_own:
            heaviest[run.function] = run.line
    groups: dict[Hashable, list[Run]] = defaultdict(list)
    for run in runs:
        own = run.line if run.line in on_their_own else heaviest.get(run.function, run.function)
        groups[own].append(run)
    return groups.values()


class _Group:
    """Runs that are one place."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self.weight = sum(run.weight for run in runs)
        self._samples = sum(run.samples for run in runs)

    @property
    def is_sure(self) -> bool:
        """Whether it is in the application, or outside for more than a moment."""
        return self._runs[0].place.code is not None or self._samples >= SURE_SAMPLES

    def share(self, duration: float) -> Share:
        lines: dict[Hashable, float] = defaultdict(float)
        for run in self._runs:
            lines[run.line] += run.weight
        heaviest = max(self._runs, key=lambda run: (lines[run.line], run.weight))
        late = sum(run.late for run in self._runs) * 2 > self.weight
        return Share(heaviest.place, heaviest.task, self._runs[0].began, duration, self._samples, late)
