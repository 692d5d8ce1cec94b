"""What the operating system says of a thread: how long it ran, and how long it waited for a processor.

Linux tells in /proc/self/task/<id>/schedstat: three numbers, nanoseconds on a processor, nanoseconds runnable but
waiting for one, and how often it was given one. Elsewhere nothing is known and nothing is subtracted.
"""

from __future__ import annotations

import os
from time import perf_counter
from typing import NamedTuple

from agentperf_runtime.process_figures import close_own

_LONGEST_LINE = 96  # bytes
_KEPT_OPEN = 64


class Reading(NamedTuple):
    """`time` on `perf_counter`; seconds `running` and `delayed` and the number of `slices` since the thread began."""

    time: float
    running: float
    delayed: float
    slices: int


class ThreadSchedule:
    """Reads the figures of one thread of this process, of any thread. Costs about 1 µs."""

    def __init__(self, native_id: int) -> None:
        self._path = f"/proc/self/task/{native_id}/schedstat"
        self._file: int | None = None
        self._unknown = False

    def read(self) -> Reading | None:
        """The figures so far; None where the system does not keep them."""
        if self._unknown:
            return None
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDONLY)
            running, delayed, slices = map(int, os.pread(self._file, _LONGEST_LINE, 0).split())
        except (AttributeError, OSError, ValueError):
            self._unknown = True  # no such file, or another one: the application closed all descriptors
            return None
        if not slices:
            self._unknown = True  # a kernel that counts nothing
            return None
        return Reading(perf_counter(), running / 1e9, delayed / 1e9, slices)

    def close(self) -> None:
        file, self._file, self._unknown = self._file, None, True
        if file is not None:
            close_own(file, "/schedstat")


class Schedules:
    """The schedules of the threads in which loops run, kept open: a program may run a thousand loops one by one.

    What is open is for threads that live, since programs count their own descriptors: those of others are closed when
    the next thread comes.
    """

    def __init__(self) -> None:
        self._known: dict[int, ThreadSchedule] = {}

    def of(self, native_id: int) -> ThreadSchedule:
        known = self._known.get(native_id)
        if known is not None:
            return known
        for ended in [each for each, schedule in list(self._known.items()) if schedule.read() is None]:
            self._known.pop(ended).close()
        if len(self._known) >= _KEPT_OPEN:
            self._known.pop(next(iter(self._known))).close()
        return self._known.setdefault(native_id, ThreadSchedule(native_id))

    def close(self) -> None:
        while self._known:
            self._known.popitem()[1].close()


def delay_between(before: Reading | None, after: Reading | None, started: float, ended: float) -> float:
    """Seconds of the time from `started` to `ended` in which a thread waited for a processor.

    `before` was read some time before `started`: what it waited is taken to be spread evenly.
    """
    if before is None or after is None:
        return 0.0
    delayed = after.delayed - before.delayed
    window = max(after.time, ended) - min(before.time, started)
    share = (ended - started) / window if window > 0 else 1.0
    return min(max(delayed * share, 0.0), ended - started)
