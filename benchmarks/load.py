"""Whether load tests measure what other tools measure: side by side on a server that takes a known time, in turns.

wrk is used where it is on the PATH (Debian: `apt-get install wrk`), locust where it is installed (`pip install
'agentperf-lint[bench]'`). Each tool keeps as many users busy for as long as the others; server and tool share the
machine.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from benchmarks import pages
from benchmarks.corpus import HERE

RESULTS = HERE / "results" / "load.md"
SERVER = HERE / "load_server.py"
VISITORS = HERE / "load_locust.py"
LOADS = [(100, 20), (50, 10), (20, 8)]
"""Milliseconds that an answer takes, and users."""

_PERCENTILES = """
done = function(summary, latency, requests)
  io.write(string.format("measured %d %d %d %d\\n", latency:percentile(50), latency:percentile(95),
                         summary.requests, summary.duration))
end
"""
_AIM = 0.03


class Measured(NamedTuple):
    """Response times in ms, requests per second."""

    median: float
    p95: float
    throughput: float


def agentperf(url: str, users: int, seconds: int) -> Measured:
    # Users who begin together stay together, and wait for each other's turn on the processor.
    apart = f"{url.rpartition('/')[2]}ms"
    command = [sys.executable, "-m", "agentperf_lint", "load", url, "--users", str(users), "--duration", f"{seconds}s"]
    result = json.loads(_output([*command, "--ramp-up", apart, "--format", "json"]))["results"]
    times = result["response_time"]
    return Measured(times["median"] * 1000, times["p95"] * 1000, result["throughput_rps"])


def wrk(url: str, users: int, seconds: int) -> Measured:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_PERCENTILES)
        script.flush()
        shown = _output(["wrk", "-t1", f"-c{users}", f"-d{seconds}s", "-s", script.name, url])
    found = re.search(r"measured (\d+) (\d+) (\d+) (\d+)", shown)
    assert found is not None, shown
    middle, p95, requests, microseconds = map(int, found.groups())
    return Measured(middle / 1000, p95 / 1000, requests / microseconds * 1e6)


def locust(url: str, users: int, seconds: int) -> Measured:
    command = [sys.executable, "-m", "locust", "-f", str(VISITORS), "--headless", "--json", "--only-summary"]
    command += ["-u", str(users), "-r", str(users), "-t", f"{seconds}s", "--loglevel", "ERROR"]
    (stats,) = json.loads(_output(command, LOAD_URL=url))
    times = sorted((float(took), count) for took, count in stats["response_times"].items())
    duration = stats["last_request_timestamp"] - stats["start_time"]
    return Measured(_quantile(times, 0.5), _quantile(times, 0.95), stats["num_requests"] / duration)


TOOLS: dict[str, Callable[[str, int, int], Measured]] = {"agentperf": agentperf, "wrk": wrk, "locust": locust}


def available() -> list[str]:
    """The tools that are installed."""
    has_locust = importlib.util.find_spec("locust") is not None
    return ["agentperf", *(["wrk"] if shutil.which("wrk") else []), *(["locust"] if has_locust else [])]


@contextmanager
def served() -> Iterator[str]:
    """The address of the server."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    with subprocess.Popen([sys.executable, str(SERVER), str(port)]) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server does not come up")


def measure(address: str, rounds: int, seconds: int) -> Iterator[str]:
    """A table for each load."""
    for milliseconds, users in LOADS:
        measured: defaultdict[str, list[Measured]] = defaultdict(list)
        names = available()
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                measured[name].append(TOOLS[name](f"{address}/wait/{milliseconds}", users, seconds))
        yield f"{users} users, an answer takes {milliseconds} ms:\n"
        yield "| | median ms | p95 ms | requests per second | as agentperf, by median, p95, throughput |"
        yield "|---|--:|--:|--:|--:|"
        own = _middle(measured["agentperf"])
        for name in names:
            yield _row(name, _middle(measured[name]), own)
        yield ""


def _middle(rounds: list[Measured]) -> Measured:
    return Measured(*(median(values) for values in zip(*rounds)))


def _row(name: str, each: Measured, own: Measured) -> str:
    ratios = ", ".join(f"{(mine / theirs - 1):+.1%}" for mine, theirs in zip(own, each))
    shown = "" if name == "agentperf" else ratios
    return f"| {name} | {each.median:.2f} | {each.p95:.2f} | {each.throughput:.1f} | {shown} |"


def heading(rounds: int, seconds: int) -> str:
    versions = []
    if "wrk" in available():
        versions.append(" ".join(_output(["wrk", "-v"], check=False).split()[:2]))
    for package in ("locust", "httpx", "uvicorn"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return (
        "# Load tests beside other tools\n\n"
        "Written by `python -m benchmarks.load`: do not edit.\n\n"
        f"{os.cpu_count()} processors, {platform.platform(terse=True)}, CPython {platform.python_version()};"
        f" {', '.join(versions)}. Medians of {rounds} rounds of {seconds} s, the tools in turns, server and tool on one"
        f" machine; closed model. Aim: within {_AIM:.0%} of wrk. What httpx computes is in agentperf's response times;"
        " locust rounds its own to whole milliseconds, and to two digits above 100.\n"
    )


def _quantile(times: list[tuple[float, int]], share: float) -> float:
    left = share * sum(count for _, count in times)
    for took, count in times:
        left -= count
        if left <= 0:
            return took
    return times[-1][0]


def _output(command: list[str], check: bool = True, **environment: str) -> str:
    done = subprocess.run(
        command, check=check, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 5)
    parser.add_argument("--seconds", type=int, default=8, help="of each run")
    options = parser.parse_args(arguments)
    with served() as address:
        text = "\n".join([heading(options.rounds, options.seconds), *measure(address, options.rounds, options.seconds)])
    pages.write(text, options.output)


if __name__ == "__main__":
    main()
