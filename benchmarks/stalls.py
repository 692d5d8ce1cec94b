"""What it costs to watch event loops for stalls, beside other tools, on the same loads, in turns.

Every tool watches a process of its own, which runs the same number of units of a load without and with it, round by
round, the tools in turns. What is compared are the two figures of one round of one process; only a tool that cannot be
stopped again is compared with the process that nothing watches.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import pages
from benchmarks.corpus import CORPUS, HERE
from benchmarks.stall_loads import LOADS, TOOLS

RESULTS = HERE / "results" / "stalls.md"
SCRIPT = HERE / "stall_loads.py"
RUNTIME = HERE.parent / "runtime"
PACKAGES = ["aiohttp", "blockbuster", "aiocop"]
UNITS = {"awaits": 40_000, "queries": 4_000, "application": 200}
TITLES = {
    "awaits": "iterations of the loop that do nothing",
    "queries": "short SQLite queries on the loop",
    "application": "requests to an aiohttp application, server and client in one process",
}
NAMES = {"nothing": "not watched", "debug": "asyncio's debug mode"}
_ADDED_AT_MOST = 0.15  # microseconds for an iteration
_RATIO_AT_MOST = 1.02  # for an application
_WARM_UP = 2  # rounds
_NEVER_STOP = {"aiocop"}


class Round(NamedTuple):
    """Seconds of processor time and of wall time, not watched and watched."""

    processor: float
    wall: float
    watched_processor: float
    watched_wall: float


@dataclass
class Contestant:
    """A process that runs a load with and without a tool."""

    tool: str
    process: subprocess.Popen[str]
    rounds: list[Round] = field(default_factory=list)

    def run(self, units: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{units}\n")
        self.process.stdin.flush()
        self.rounds.append(Round(*map(float, self.process.stdout.readline().split())))


def peer_environment(python: str) -> str:
    """The interpreter of an environment of `python` that has the tools that are compared."""
    version = _output(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
    directory = CORPUS / f"stalls-{version}"
    own = str(directory / "bin" / "python")
    if not Path(own).exists():
        subprocess.run([python, "-m", "venv", str(directory)], check=True)
        pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        if subprocess.run(pip, check=False).returncode:
            shutil.rmtree(directory)
            raise RuntimeError(f"{', '.join(PACKAGES)} cannot be installed for {python}")
    return own


def measure(python: str, load: str, rounds: int) -> list[Contestant]:
    contestants = [Contestant(tool, _started(python, tool, load)) for tool in TOOLS]
    try:
        for turn in range(rounds + _WARM_UP):
            first = turn % len(contestants)
            for contestant in contestants[first:] + contestants[:first]:
                contestant.run(UNITS[load])
    finally:
        for contestant in contestants:
            contestant.process.communicate()
    for contestant in contestants:
        del contestant.rounds[:_WARM_UP]
    return contestants


def _started(python: str, tool: str, load: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(RUNTIME)}
    return subprocess.Popen(
        [python, str(SCRIPT), tool, load],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


def table(python: str, rounds: int) -> str:
    """The tables for one interpreter."""
    own = peer_environment(python)
    sections = [f"## CPython {_output(own, '-c', 'import platform; print(platform.python_version())')}\n"]
    for load in LOADS:
        contestants = measure(own, load, rounds)
        sections.append(
            f"{UNITS[load]:,} {TITLES[load]}:\n\n"
            "| | processor us | added us | ratio | ratio of wall time |\n|---|--:|--:|--:|--:|"
        )
        sections += [_row(contestant, contestants[0], UNITS[load]) for contestant in contestants]
        sections.append("")
    return "\n".join(sections)


def _row(contestant: Contestant, unwatched: Contestant, units: int) -> str:
    without = unwatched if contestant.tool in _NEVER_STOP else contestant
    rounds = list(zip(without.rounds, contestant.rounds))
    added = median(with_.watched_processor - base.processor for base, with_ in rounds)
    ratio = median(with_.watched_processor / base.processor for base, with_ in rounds)
    wall = median(with_.watched_wall / base.wall for base, with_ in rounds)
    processor = median(each.watched_processor for each in contestant.rounds)
    return (
        f"| {NAMES.get(contestant.tool, contestant.tool)} | {processor / units * 1e6:.2f} | {added / units * 1e6:+.2f}"
        f" | {ratio:.3f} | {wall:.3f} |"
    )


def heading(python: str, rounds: int) -> str:
    own = peer_environment(python)
    listed = dict(line.split("==") for line in _output(own, "-m", "pip", "freeze").splitlines() if "==" in line)
    versions = ", ".join(f"{package} {listed.get(package, 'of unknown version')}" for package in PACKAGES)
    return (
        "# Cost of watching for stalls\n\n"
        "Written by `python -m benchmarks.stalls`: do not edit.\n\n"
        f"{os.cpu_count()} processors, {platform.platform(terse=True)}; {versions}. Medians of {rounds} rounds, per"
        f" iteration, query and request; what is added is added within a round of one process (for aiocop, which cannot"
        f" be stopped, to the process that is not watched). Aims: at most"
        f" {_ADDED_AT_MOST} us for an iteration, {_RATIO_AT_MOST} for an application. blockbuster is told that what"
        " blocks here may.\n"
    )


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 30)
    parser.add_argument("--python", action="append", help="an interpreter to measure with (default: this one)")
    options = parser.parse_args(arguments)
    pythons = options.python or [sys.executable]
    text = "\n".join([heading(pythons[0], options.rounds), *(table(python, options.rounds) for python in pythons)])
    pages.write(text, options.output)


if __name__ == "__main__":
    main()
