"""How busy the event loops were in the last second."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from agentperf_runtime.stalls.records import LoopSample, nanoseconds
from agentperf_runtime.stalls.running import RunningLoop
from agentperf_runtime.stalls.timing import Figures

_EVERY = 1.0  # seconds
_KEPT = 10_000


class Activity:
    """Sums up the figures of the loops that run and of those that have left since the last sample."""

    def __init__(self, now: float) -> None:
        self._sampled = now
        self._left: deque[Figures] = deque(maxlen=_KEPT)

    def has_left(self, running: RunningLoop, now: float) -> None:
        self._left.append(running.figures(now))

    def sample(self, loops: Iterable[RunningLoop], now: float, due: bool = False) -> LoopSample | None:
        """The sample of the last second; None before that is over (unless `due`) and when no loop did anything."""
        if now - self._sampled < _EVERY and not due:
            return None
        self._sampled = now
        figures = [running.figures(now) for running in loops]
        while self._left:
            figures.append(self._left.popleft())
        busy = sum(each.busy for each in figures)
        longest = max((each.longest for each in figures), default=0.0)
        if busy <= 0:
            return None
        waits = sum(each.waits for each in figures)
        return LoopSample(nanoseconds(now), waits, nanoseconds(busy), nanoseconds(longest))
