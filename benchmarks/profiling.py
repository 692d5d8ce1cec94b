"""What profiling costs, beside other profilers, on the same loads, in turns.

Every profiler measures a process of its own, which runs the same number of units of a load without and with it, round
by round, the profilers in turns. What is compared are the two figures of one round of one process.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks import pages
from benchmarks.corpus import HERE
from benchmarks.profile_loads import LOADS, TOOLS

RESULTS = HERE / "results" / "profiling.md"
SCRIPT = HERE / "profile_loads.py"
RUNTIME = HERE.parent / "runtime"
UNITS = {"requests": 300, "computing": 120}
TITLES = {
    "requests": "requests of asyncio, 20 at a time, of two operations and about 1 ms of computing each",
    "computing": "operations of about 3 ms of computing",
}
NAMES = {
    "nothing": "not profiled",
    "operations": "agentperf, sampling=False",
    "sampling": "agentperf",
    "cprofile": "cProfile",
}
_SAMPLING_AT_MOST = 1.01  # times the run
_WARM_UP = 2  # rounds


class Round(NamedTuple):
    """Seconds of processor time and of wall time, without and with the profiler."""

    processor: float
    wall: float
    profiled_processor: float
    profiled_wall: float


@dataclass
class Contestant:
    """A process that runs a load with and without a profiler."""

    tool: str
    process: subprocess.Popen[str]
    rounds: list[Round] = field(default_factory=list)

    def run(self, units: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{units}\n")
        self.process.stdin.flush()
        self.rounds.append(Round(*map(float, self.process.stdout.readline().split())))


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(RUNTIME)}


def _started(tool: str, load: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), tool, load],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(),
    )


def measure(load: str, rounds: int) -> list[Contestant]:
    contestants = [Contestant(tool, _started(tool, load)) for tool in TOOLS]
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


def run_costs(rounds: int) -> list[str]:
    """A table for each load."""
    lines: list[str] = []
    for load in LOADS:
        lines += [
            f"## {UNITS[load]} {TITLES[load]}\n",
            "| | processor, ms | times the run, processor | times the run, wall |",
            "|---|--:|--:|--:|",
            *map(_row, measure(load, rounds)),
            "",
        ]
    return lines


def _row(contestant: Contestant) -> str:
    processor = median(each.profiled_processor for each in contestant.rounds)
    ratio = median(each.profiled_processor / each.processor for each in contestant.rounds)
    wall = median(each.profiled_wall / each.wall for each in contestant.rounds)
    return f"| {NAMES.get(contestant.tool, contestant.tool)} | {processor * 1000:.1f} | {ratio:.3f} | {wall:.3f} |"


def operation_costs() -> list[str]:
    """A table of what one operation adds."""
    shown = subprocess.run(
        [sys.executable, str(SCRIPT), "operations"], check=True, capture_output=True, text=True, env=_environment()
    )
    costs: dict[str, dict[str, float]] = json.loads(shown.stdout)
    columns = ["added", "added with sampling"]
    return [
        "## Microseconds for one operation\n",
        f"| | {' | '.join(columns)} |",
        "|---|--:|--:|",
        *(
            f"| {name} | " + " | ".join(f"{cost[each]:.1f}" if each in cost else "" for each in columns) + " |"
            for name, cost in costs.items()
        ),
    ]


def table(rounds: int) -> str:
    load = " ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    lines = [
        "# Cost of profiling\n",
        "Written by `python -m benchmarks.profiling`: do not edit.\n",
        f"{os.cpu_count()} processors, CPython {platform.python_version()}, {platform.platform(terse=True)}, load"
        f" average {load}; pyinstrument {importlib.metadata.version('pyinstrument')}. Medians of {rounds} rounds;"
        " each factor is within a round of one process. agentperf and pyinstrument take a sample every 10 ms, cProfile"
        f" follows every call. Aim for agentperf: {_SAMPLING_AT_MOST} times the run, at most.\n",
        *run_costs(rounds),
        *operation_costs(),
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 20)
    options = parser.parse_args(arguments)
    text = table(options.rounds)
    pages.write(text, options.output)


if __name__ == "__main__":
    main()
