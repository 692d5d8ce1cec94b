"""One event loop that runs, and the step that it is in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

from agentperf_runtime.stalls.attribution import Samples
from agentperf_runtime.stalls.heartbeat import Heartbeat
from agentperf_runtime.stalls.scheduling import Reading, ThreadSchedule
from agentperf_runtime.stalls.timing import Figures, TimedSelect, timed_select

_KEPT = 1000
_EXCLUDED_KEPT = 16


class EndedStep(NamedTuple):
    """A step over the limit. `started`, `ended`: seconds on `perf_counter`; `reading`: of its thread, at its end."""

    started: float
    ended: float
    reading: Reading | None


class Step:
    """A step that lasts. `before`: what its thread had run and waited for at or before its start."""

    def __init__(self, started: float, before: Reading | None) -> None:
        self.started = started
        self.before = before
        self.samples = Samples(started)
        self.told_at = 0.0
        """Age in seconds at which it was last reported as ongoing."""


class RunningLoop:
    """A loop that runs in the thread `thread`, with what times its steps.

    Made and ended by the loop's thread, looked at by the watchdog's. Nothing here takes a lock: what both use is
    written in one operation.
    """

    def __init__(
        self, loop: Any, thread: int, schedule: ThreadSchedule, limit: float, wake: Callable[[], None]
    ) -> None:
        self.loop = loop
        self.thread = thread
        self.timer: TimedSelect | Heartbeat
        self.schedule = schedule
        self.ended: deque[EndedStep] = deque(maxlen=_KEPT)
        self._excluded: deque[tuple[float, float]] = deque(maxlen=_EXCLUDED_KEPT)
        self.last = schedule.read()
        self.step: Step | None = None
        self.gone = False
        self.kept_lock = False
        """Whether the watchdog, when it looked last, had been waiting because of this loop's thread."""
        self._limit = limit
        self._wake = wake
        self._unannounced = False
        self.unwrap: Callable[[], None] = _nothing
        """Takes the timer off the loop."""

    def time_selector(self, selector: Any, started: float) -> bool:
        """Time it by its selector, which may not be possible. `started`: of the running step, 0.0 if it waits."""
        replaced = vars(selector).get("select")
        timer = timed_select(selector.select, self._limit, started, self._step_ended, self._wake)
        try:
            selector.select = timer.select
        except AttributeError:
            return False
        self.timer = timer

        def unwrap() -> None:
            if vars(selector).get("select") is not timer.select:
                return  # wrapped once more by somebody else, who goes on calling it
            if replaced is None:
                del selector.select
            else:
                selector.select = replaced

        self.unwrap = unwrap
        return True

    def time_answers(self, idle: CodeType | None, unannounced: bool) -> None:
        """Time it by how soon it answers. `idle`: the innermost function of its thread while it waits, if known.

        `unannounced`: nobody will say when it ends.
        """
        self.timer = Heartbeat(self.loop, idle, self._step_ended, self._limit)
        self._unannounced = unannounced

    def check(self) -> None:
        """Notice that the loop has ended, where nobody says so."""
        if self._unannounced and not self.loop.is_running():
            self.timer.forget()
            self.gone = True

    def leave(self) -> None:
        """The loop stops running, or is not watched any more."""
        self.timer.leave()
        self.unwrap()
        self.gone = True

    def forget(self, schedule: ThreadSchedule) -> None:
        """This is a forked child, in which the loop's thread has another `schedule`: what ran was the parent's."""
        self.timer.forget()
        self.schedule = schedule
        self.last = schedule.read()
        self.ended.clear()
        self.step = None

    def find_thread(self, heart: Heartbeat) -> None:
        """Of a loop that ran already when it was found the thread is known once it has answered."""
        if not self.thread and heart.thread is not None:
            self.thread, native_id = heart.thread
            self.schedule = ThreadSchedule(native_id)

    def step_since(self, started: float) -> Step:
        """The step that began at `started`: the one that is known, or a new one."""
        if self.step is None or self.step.started != started:
            self.step = Step(started, self.last)
        return self.step

    def exclude(self, first: float, last: float) -> None:
        """Count the time from `first` to `last` for nothing."""
        self._excluded.append((first, last))

    def figures(self, now: float) -> Figures:
        return self.timer.take_figures(now)

    def excluded_between(self, started: float, ended: float) -> float:
        """Seconds from `started` to `ended` that are not the loop's fault."""
        return sum(max(0.0, min(ended, last) - max(started, first)) for first, last in list(self._excluded))

    def _step_ended(self, started: float, ended: float) -> None:
        self.ended.append(EndedStep(started, ended, self.schedule.read()))


def _nothing() -> None:
    pass
