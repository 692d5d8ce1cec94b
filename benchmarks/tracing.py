"""What tracing costs the traced process: each recorded operation, and a whole request of a web application.

With and without take turns in one run; the ratios are within that run.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from agentperf_runtime.launch import traced_environment
from agentperf_runtime.tracer import Options
from benchmarks import pages
from benchmarks.corpus import CORPUS, HERE

RESULTS = HERE / "results" / "tracing.md"
BOUNDS = HERE / "tracing_bounds.md"  # written by hand: what the costs are made of
LOADS = HERE / "recording_loads.py"
RUNTIME = HERE.parent / "runtime"
PACKAGES = ["fastapi", "opentelemetry-sdk", "uvicorn[standard]", "sqlalchemy[asyncio]", "aiosqlite"]
AIMS = {
    "agentperf, under application code": "0.6 (3.11), 0.35 (3.12 and later)",
    "agentperf, through 9 library frames": "1.2",
}
_REQUESTS = 300


def environment_for(python: str) -> str | None:
    """The interpreter of an environment of `python` with what is compared; None where pip has it not."""
    version = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True, capture_output=True, text=True
    ).stdout.strip()
    directory = CORPUS / f"tracing-{version}"
    own = directory / "bin" / "python"
    imported = "import aiosqlite, fastapi, opentelemetry.sdk, sqlalchemy, uvicorn"
    if not own.exists():
        subprocess.run([python, "-m", "venv", str(directory)], check=True)
    if subprocess.run([str(own), "-c", imported], check=False, stderr=subprocess.DEVNULL).returncode:
        pip = [str(own), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        if subprocess.run(pip, check=False).returncode:
            shutil.rmtree(directory)
            return None
    return str(own)


def operations(python: str) -> dict[str, float]:
    """Microseconds per operation, by way of recording."""
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME)}
    shown = subprocess.run(
        [python, str(LOADS), "operations"], check=True, capture_output=True, text=True, env=environment
    )
    cost: dict[str, float] = json.loads(shown.stdout)
    return cost


def requests(python: str, rounds: int) -> tuple[float, float, float]:
    """Microseconds of processor time of one request untraced, traced, and the median of the ratios round by round."""
    with tempfile.TemporaryDirectory() as directory:
        traced = traced_environment(str(Path(directory) / "trace"), Options(), os.environ)
        commands = [python, str(LOADS), "requests"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        servers = [subprocess.Popen(commands, env=env, **pipes) for env in (dict(os.environ), traced)]  # type: ignore[call-overload]
        try:
            seconds: list[list[float]] = [[], []]
            for turn in range(rounds + 2):
                for which in (0, 1) if turn % 2 else (1, 0):
                    server = servers[which]
                    server.stdin.write(f"{_REQUESTS}\n")
                    server.stdin.flush()
                    processor, _ = map(float, server.stdout.readline().split())
                    if turn > 1:
                        seconds[which].append(processor)
        finally:
            for server in servers:
                server.communicate()
    ratio = median(with_ / without for without, with_ in zip(*seconds, strict=True))
    return median(seconds[0]) / _REQUESTS * 1e6, median(seconds[1]) / _REQUESTS * 1e6, ratio


def behind_server(
    python: str, application: str, rounds: int, options: Options | None = None
) -> tuple[float, float, float]:
    """The same for a request over HTTP to uvicorn, one after the other over one connection; all threads count."""
    with tempfile.TemporaryDirectory() as directory:
        traced = traced_environment(str(Path(directory) / "trace"), options or Options(), os.environ)
        servers = [_Server(python, application, environment) for environment in (dict(os.environ), traced)]
        try:
            seconds: list[list[float]] = [[], []]
            for turn in range(rounds + 2):
                for which in (0, 1) if turn % 2 else (1, 0):
                    used = servers[which].handle(_REQUESTS)
                    if turn > 1:
                        seconds[which].append(used)
        finally:
            for server in servers:
                server.end()
    ratio = median(with_ / without for without, with_ in zip(*seconds, strict=True))
    return median(seconds[0]) / _REQUESTS * 1e6, median(seconds[1]) / _REQUESTS * 1e6, ratio


class _Server:
    """uvicorn in a process of its own, with a connection to it."""

    def __init__(self, python: str, application: str, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [python, str(LOADS), "serve", str(port), application]
        self.process = subprocess.Popen(command, env=environment)
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        for _ in range(200):
            try:
                self.connection.connect()
                return
            except OSError:
                time.sleep(0.05)
        self.end()
        raise RuntimeError("the server did not start")

    def handle(self, requests: int) -> float:
        """Seconds of processor time that all its threads took for so many requests."""
        before = self._used()
        for number in range(requests):
            self.connection.request("GET", f"/users/{number % 1_000}")
            answer = self.connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
        return self._used() - before

    def _used(self) -> float:
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.wait()


def table(pythons: list[str], rounds: int) -> str:
    found = {python: environment_for(python) for python in pythons}
    usable = [own for own in found.values() if own is not None]
    costs = {own: operations(own) for own in usable}
    served = {
        "called as a server would, three queries": {own: requests(own, rounds) for own in usable},
        "behind uvicorn, three queries": {own: behind_server(own, "sqlite", rounds) for own in usable},
        "the same with `--sample 0.01`": {
            own: behind_server(own, "sqlite", rounds, Options(sample=0.01)) for own in usable
        },
        "behind uvicorn, SQLAlchemy's async session": {own: behind_server(own, "orm", rounds // 2) for own in usable},
    }
    versions = [_version(own) for own in usable]
    lines = [
        "# Cost of tracing\n",
        "Written by `python -m benchmarks.tracing`: do not edit.\n",
        f"{pages.machine()}."
        " Medians of rounds that take turns in one"
        " process; every figure is what recording adds to an operation that is not recorded.\n",
        "## Microseconds per recorded operation\n",
        "| | " + " | ".join(f"CPython {version}" for version in versions) + " | aim, at most |",
        "|---|" + "--:|" * (len(versions) + 1),
    ]
    for name in costs[usable[0]]:
        cells = [f"{costs[own][name]:.2f}" if name in costs[own] else "-" for own in usable]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {AIMS.get(name, '')} |")
    lines += [
        "\n## One request of FastAPI with SQLite, processor time of the whole process\n",
        "| | | untraced, us | traced, us | ratio | aim, at most |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for name, of_python in served.items():
        for own, version in zip(usable, versions, strict=True):
            without, with_, ratio = of_python[own]
            lines.append(f"| {name} | CPython {version} | {without:.0f} | {with_:.0f} | {ratio:.3f} | 1.03 |")
    return "\n".join(lines) + "\n"


def _version(python: str) -> str:
    shown = subprocess.run([python, "--version"], check=True, capture_output=True, text=True)
    return shown.stdout.split()[1]


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 30)
    parser.add_argument("--python", action="append", help="an interpreter to measure with (default: this one)")
    options = parser.parse_args(arguments)
    text = table(options.python or [sys.executable], options.rounds)
    pages.write(text + BOUNDS.read_text(encoding="utf-8"), options.output)


if __name__ == "__main__":
    main()
