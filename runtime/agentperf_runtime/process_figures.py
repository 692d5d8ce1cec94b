"""What the operating system says of the process: resident memory, processor time, reading and writing."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

MEGABYTE = 1 << 20
_STATM, _IO = "/proc/self/statm", "/proc/self/io"
_LONGEST_LINE = 128  # bytes
_STATM_FIELDS = 7
_SHORTEST_INTERVAL = 0.01  # seconds; processor time over less than this says nothing

_process: Any = None


def resident_bytes() -> int:
    """Resident memory, 0 where it cannot be had cheaply. Keeps no file open."""
    try:
        with open(_STATM, "rb") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def now_resident_bytes() -> int:
    """The same wherever it can be had: psutil is asked where the system has no file that tells."""
    return resident_bytes() or _quietly(_resident_by_psutil)


def close_own(file: int, ending: str) -> None:
    """Close a descriptor that was kept open, unless its number is somebody else's file by now.

    `ending` is that of the name of the file that it was opened for.
    """
    try:
        if os.readlink(f"/proc/self/fd/{file}").endswith(ending):
            os.close(file)
    except OSError:
        pass


def transferred_bytes() -> tuple[int, int]:
    """Bytes that the process read from storage and wrote there since it began; zeros where they cannot be had cheaply.

    What the system's cache answers is not counted, nor are sockets.
    """
    try:
        with open(_IO, "rb") as stream:
            fields = dict(line.split(b": ") for line in stream.read().splitlines())
        return int(fields[b"read_bytes"]), int(fields[b"write_bytes"])
    except (OSError, ValueError, KeyError):
        return 0, 0


def now_transferred_bytes() -> tuple[int, int]:
    """The same wherever it can be had, from psutil if need be."""
    found = transferred_bytes()
    return found if any(found) else (_quietly(_read_by_psutil), _quietly(_written_by_psutil))


class ResidentMemory:
    """Reads how much memory of the process is resident. Costs 1 µs on Linux; elsewhere psutil is asked."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._page_bytes = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        self._read: Callable[[], int] = self._from_statm if os.path.exists(_STATM) else _resident_by_psutil

    def read(self) -> int:
        """Bytes; 0 where they cannot be had."""
        try:
            return self._read()
        except Exception:
            return 0

    def _from_statm(self) -> int:
        for _ in range(2):
            if self._file is None:
                self._file = os.open(_STATM, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fields = os.pread(self._file, _LONGEST_LINE, 0).split()
                if len(fields) == _STATM_FIELDS:
                    return int(fields[1]) * self._page_bytes
            except (OSError, ValueError):
                pass
            self._file = None  # the application closed all descriptors, and the number is another file's by now
        return 0

    def after_fork(self) -> None:
        """In a forked child: the open file tells of the parent."""
        self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            close_own(file, "/statm")


class ProcessorShare:
    """Processor time of the process, in per cent of one processor, over the time between two readings."""

    def __init__(self) -> None:
        self._time = 0.0
        self._used = 0.0
        self._percent = 0.0

    def read(self, now: float, used: float) -> float:
        """The share since the reading before, 0 for the first. `now`: on `perf_counter`; `used`: `process_time`."""
        elapsed = now - self._time
        if elapsed < _SHORTEST_INTERVAL:
            return self._percent
        if self._time:
            self._percent = 100 * max(0.0, used - self._used) / elapsed
        self._time, self._used = now, used
        return self._percent


def share_between(seconds: float, used: float) -> float:
    """Per cent of one processor. `used`: processor seconds."""
    return 100 * used / seconds if seconds > 0 else 0.0


def peak_resident_bytes(now: int) -> int:
    """The most memory that was ever resident, at least the `now` bytes that are known; 0 where it cannot be had."""
    try:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return max(now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
    except ImportError:
        return max(now, _quietly(_peak_by_psutil))


def _psutil_process() -> Any:
    global _process
    if _process is None or _process.pid != os.getpid():
        _process = importlib.import_module("psutil").Process()
    return _process


def _resident_by_psutil() -> int:
    return int(_psutil_process().memory_info().rss)


def _peak_by_psutil() -> int:
    return int(getattr(_psutil_process().memory_info(), "peak_wset", 0))


def _read_by_psutil() -> int:
    return int(_psutil_process().io_counters().read_bytes)


def _written_by_psutil() -> int:
    return int(_psutil_process().io_counters().write_bytes)


def _quietly(read: Callable[[], int]) -> int:
    """What `read` gives, 0 where psutil or what it asks for is missing."""
    try:
        return read()
    except Exception:
        return 0
