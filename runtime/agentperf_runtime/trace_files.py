"""The files of a process's trace: text goes in, and reaches the disk whatever becomes of the process meanwhile."""

from __future__ import annotations

import os

_SENT_AT_ONCE = 1 << 18
"""Bytes that are collected before they are written, at most, unless writing fails."""

_MOST_FILES = 10_000

_STANDARD_ERROR = 2


class TraceFiles:
    """Writes into `path` or, where another process has that one, into `path.<pid>.<n>`; the last `keep` files stay.

    What cannot be written (a full disk) is kept and tried again. Descriptors are written to without a buffer in
    between, which a fork would copy. None of the methods is safe to call from two threads at once.
    """

    def __init__(self, path: str, keep: int) -> None:
        self._path = path
        self._keep = keep
        self._names: list[str] = []
        self._descriptor = -1
        self._identity = (0, 0)
        self._pending = bytearray()
        self.size = 0

    @property
    def name(self) -> str:
        """The path of the present file, "" before the first."""
        return self._names[-1] if self._names else ""

    def open_next(self) -> None:
        """Begin a file, and delete the oldest when there are too many. Raises OSError."""
        name, descriptor = self._claim()
        self.close()
        self._names.append(name)
        self._use(descriptor)
        self.size = 0
        while len(self._names) > self._keep:
            os.unlink(self._names.pop(0))

    def add(self, text: str) -> None:
        """Add a line (without its end)."""
        self._pending += text.encode()
        self._pending += b"\n"
        self.size += len(text) + 1

    def send(self, at_least: int = 0) -> None:
        """Write what was added, if it is more than `at_least` bytes. Raises OSError; what was not written is kept."""
        if len(self._pending) <= at_least:
            return
        if not self._is_ours():
            self._use(_opened(self._names[-1]))
        while self._pending:
            written = os.write(self._descriptor, self._pending)
            del self._pending[:written]

    def send_if_much(self) -> None:
        """`send` when it is worth a call of the system. Never raises: whoever sends the rest is told."""
        try:
            self.send(_SENT_AT_ONCE)
        except OSError:
            pass

    @property
    def pending(self) -> int:
        """Bytes that were not written yet."""
        return len(self._pending)

    def close(self) -> None:
        """Close the file; what was not written yet stays pending. Raises OSError."""
        if self._descriptor >= 0 and self._is_ours():
            os.close(self._descriptor)
        self._descriptor = -1

    def _use(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self._identity = (status.st_dev, status.st_ino)

    def _is_ours(self) -> bool:
        """Whether the descriptor is still that of the file: daemons close what they know nothing of."""
        try:
            status = os.fstat(self._descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def _claim(self) -> tuple[str, int]:
        """A file that nobody has, and its descriptor."""
        for number in range(_MOST_FILES):
            name = f"{self._path}.{os.getpid()}.{number}" if number or self._names else self._path
            try:
                return name, _opened(name, os.O_EXCL)
            except FileExistsError:
                continue
        raise FileExistsError(f"{self._path} has too many files of this process")


def _opened(name: str, flags: int = 0) -> int:
    """A descriptor to append to the file `name`, of which children inherit nothing."""
    flags |= getattr(os, "O_BINARY", 0) | os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(name, flags, 0o600)
    if descriptor > _STANDARD_ERROR or os.name != "posix":
        return descriptor
    # The application was started without one of its standard streams: that place stays free.
    import fcntl

    higher = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _STANDARD_ERROR + 1)
    os.close(descriptor)
    return higher
