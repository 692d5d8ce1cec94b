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
        self._last: Reading | None = None
        self._process = process_time()

    def close(self) -> None:
        self._schedule.close()

    def remember(self) -> None:
        """Before the thread goes to sleep: what it had used until then."""
        self._last = self._schedule.read()
        self._process = process_time()

    def waited_for_lock(self, loops: Iterable[RunningLoop], planned: float, now: float) -> bool:
        """Whether the thread, which wanted to look at `planned`, waited for the interpreter's lock until `now`.

        When the whole process was stopped, or when another thread than a loop's kept the lock, the time is excluded
        from the loop's step. Where nothing is known, it is the loop's.
        """
        late = now - planned
        interval = sys.getswitchinterval()
        if late < max(self._limit / 4, 2 * interval):
            return False
        own = self._schedule.read()
        if own is None or self._last is None:
            return True
        # A thread that waits for the lock wakes up once in each switch interval.
        if (own.slices - self._last.slices) * interval < late / 2:
            if own.delayed - self._last.delayed < late / 2:
                for running in loops:
                    running.exclude(planned, now)
            return False
        used = process_time() - self._process
        for running in loops:
            if _is_innocent(running, late, used):
                running.exclude(planned, now)
        return True


def _is_innocent(running: RunningLoop, late: float, used: float) -> bool:
    """Whether the loop's thread did nothing for most of `late` seconds, while others `used` the processor."""
    reading = running.schedule.read()
    if reading is None or running.last is None:
        return False
    ran = reading.running - running.last.running
    delayed = reading.delayed - running.last.delayed
    return ran + delayed < late / 2 <= used - ran
