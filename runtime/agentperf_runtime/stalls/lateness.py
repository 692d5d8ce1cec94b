"""Why the watchdog looked later than it wanted to, and whose fault that is."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from time import process_time

from agentperf_runtime.stalls.running import RunningLoop
from agentperf_runtime.stalls.scheduling import Reading, ThreadSchedule


class Lateness:
    """Judges delays of the watchdog's thread by what the operating system's scheduler tells."""

    def __init__(self, native_id: int, limit: float) -> None:
        self._schedule = ThreadSchedule(native_id)
        self._limit = limit
        self.remember()

    def close(self) -> None:
        self._schedule.close()

    def remember(self) -> None:
        """What the thread had used until now, when it looks."""
        self._process = process_time()
        self._last: Reading | None = self._schedule.read()  # lets go of the interpreter's lock, and may wait for it

    def judge(self, loops: Iterable[RunningLoop], planned: float, now: float) -> bool:
        """Find out why the thread, which wanted to look at `planned`, looks `now`.

        Returns whether it waited for the interpreter's lock. Loops that kept it are marked so. When the whole process
        was stopped, or when another thread than the loop's kept the lock, the time is excluded from the loop's step.
        Where nothing is known, it is the loop's.
        """
        late = now - planned
        interval = sys.getswitchinterval()
        for running in loops:
            running.kept_lock = False
        if late < max(self._limit / 4, 2 * interval):
            return False
        own = self._schedule.read()
        if own is None or self._last is None:
            for running in loops:
                running.kept_lock = True
            return True
        # A thread that waits for the lock wakes up once in each switch interval.
        waited = (own.slices - self._last.slices) * interval
        if waited + own.delayed - self._last.delayed < late / 2:
            if late > 2 * self._limit:  # less is nothing that anybody does: the host of a virtual machine was busy
                for running in loops:
                    running.exclude(planned, now)
            return False
        used = process_time() - self._process
        for running in loops:
            _judge_loop(running, planned, now, used)
        return waited > late / 4


def _judge_loop(running: RunningLoop, planned: float, now: float, used: float) -> None:
    """Whether the loop's thread kept the lock, or others, which `used` the processor (seconds, all threads together).

    On a busy machine they used it for a part of that time only, and waited for it the rest.
    """
    late = now - planned
    reading = running.schedule.read()
    if reading is None or running.last is None:
        running.kept_lock = True
        return
    ran = reading.running - running.last.running
    delayed = reading.delayed - running.last.delayed
    others = used - ran
    if ran < late / 4 and others > max(late / 8, 2 * ran):
        running.exclude(planned, now)
    else:
        running.kept_lock = delayed < late / 2
