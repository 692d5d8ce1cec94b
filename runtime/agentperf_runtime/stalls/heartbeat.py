"""Times the steps of a loop that has no selector (uvloop), by asking it now and then whether it still answers."""

from __future__ import annotations

from _thread import get_ident, get_native_id
from contextvars import Context
from time import perf_counter
from types import CodeType, FrameType
from typing import Any

from agentperf_runtime.stalls.timing import Figures, StepEnded


class Heartbeat:
    """Times steps to within an interval between two looks, and their ends exactly.

    Where the innermost function of the loop's thread is `idle`, the loop is waiting in C and nothing is asked. Where
    it is not, a callback is handed to the loop: the step lasts until that runs. An idle loop answers at once.
    """

    def __init__(self, loop: Any, idle: CodeType | None, step_ended: StepEnded, limit: float) -> None:
        self._loop = loop
        self._idle = idle
        self._step_ended = step_ended
        self._limit = limit
        self._started = 0.0
        self._asked = False
        self._seen = self._before = perf_counter()
        self._busy = 0.0
        self._longest = 0.0
        self.thread: tuple[int, int] | None = None
        """Identifier and native identifier of the loop's thread, once known."""

    def started(self) -> float:
        """When the running step began (seconds on `perf_counter`), 0.0 while the loop waits."""
        return self._started

    def is_waiting(self, frame: FrameType | None) -> bool:
        """Whether the loop waits for events when `frame` is the innermost one of its thread."""
        return not self._asked and frame is not None and frame.f_code is self._idle

    def look(self, waiting: bool, earliest: float, latest: float, now: float) -> float:
        """Take note that the loop was found `waiting` or not at `now`. Returns when its step began, 0.0 for none.

        A step that is seen for the first time began between the last look and this one, and, when that is later or
        earlier, between `earliest` and `latest`.
        """
        if self._asked:
            return self._started
        self._before, self._seen = self._seen, now
        self._started = 0.0
        if waiting:
            return 0.0
        self._started = started = (max(self._before, earliest) + max(self._before, latest)) / 2
        self._asked = True
        try:
            self._loop.call_soon_threadsafe(self._answer, context=Context())
        except RuntimeError:  # closed meanwhile
            self.forget()
        return started

    def _answer(self) -> None:
        """Runs in the loop, and so after the step that was asked about."""
        if self.thread is None:
            self.thread = get_ident(), get_native_id()
        self._finish()

    def leave(self) -> None:
        """The loop ends, and its last step with it."""
        self._finish()

    def _finish(self) -> None:
        started, now = self._started, perf_counter()
        self._asked, self._started, self._seen = False, 0.0, now
        if not started:
            return
        took = now - started
        # Short steps are seen by chance, each with a probability of its length over the interval between two looks.
        self._busy += now - self._before
        self._longest = max(self._longest, took)
        if took > self._limit:
            self._step_ended(started, now)

    def forget(self) -> None:
        """Whatever was running is not this process's."""
        self._asked, self._started, self._seen = False, 0.0, perf_counter()

    def take_figures(self, now: float) -> Figures:
        """As of `timed_select`; the waits are not known."""
        busy, self._busy = self._busy, 0.0
        longest, self._longest = self._longest, 0.0
        return Figures(0, busy, longest)

    def call_back(self, flag: bool) -> None:
        """Nothing to do: a loop with a heartbeat is looked at all the time."""
