"""What it costs to look where memory goes: `MemoryOptimizer` beside bare tracemalloc and pympler's SummaryTracker.

One process; the ways take turns, round by round. What is compared are the figures of one run.
"""

from __future__ import annotations

import gc
import json
import platform
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import process_time

from pympler.tracker import SummaryTracker

from agentperf_runtime import MemoryOptimizer
from benchmarks import pages
from benchmarks.corpus import HERE

RESULTS = HERE / "results" / "memory.md"
_KEPT = 100_000  # objects that are there already


class _Row:
    def __init__(self, number: int) -> None:
        self.number = number
        self.name = f"row {number}"


def _work() -> None:
    """Something that allocates as services do: rows, dictionaries, text."""
    for number in range(200):
        rows = [_Row(each) for each in range(50)]
        text = json.dumps([{"number": row.number + number, "name": row.name} for row in rows])
        json.loads(text)


@contextmanager
def _optimizer() -> Iterator[Callable[[], object]]:
    with MemoryOptimizer() as optimizer:
        yield optimizer.growth


@contextmanager
def _bare_tracemalloc() -> Iterator[Callable[[], object]]:
    tracemalloc.start(1)
    before = tracemalloc.take_snapshot()
    try:
        yield lambda: tracemalloc.take_snapshot().compare_to(before, "lineno")
    finally:
        tracemalloc.stop()


@contextmanager
def _pympler() -> Iterator[Callable[[], object]]:
    tracker = SummaryTracker()
    yield tracker.diff


@contextmanager
def _nothing() -> Iterator[Callable[[], object]]:
    yield lambda: None


WAYS = {
    "nothing": _nothing,
    "MemoryOptimizer, recording (4 frames)": _optimizer,
    "tracemalloc, 1 frame, by line": _bare_tracemalloc,
    "pympler SummaryTracker, by type": _pympler,
}


def measured(rounds: int) -> dict[str, tuple[float, float]]:
    """For each way the seconds of processor time of the work, and of one report after it."""
    kept = [_Row(number) for number in range(_KEPT)]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            gc.collect()
            with way() as report:
                begun = process_time()
                _work()
                worked = process_time()
                report()
                times[name].append((worked - begun, process_time() - worked))
    del kept
    return {name: (median(a for a, _ in each), median(b for _, b in each)) for name, each in times.items()}


def table(rounds: int) -> str:
    found = measured(rounds)
    without = found["nothing"][0]
    lines = [
        "# Cost of looking where memory goes\n",
        "Written by `python -m benchmarks.memory`: do not edit.\n",
        f"CPython {platform.python_version()}, {pages.machine()}. Medians of {rounds} rounds in which the ways take"
        " turns; processor time."
        f" {_KEPT:,} objects were there before. The work does nothing but make objects, and write and read JSON.\n",
        "| | the work, times that without | one report, ms |",
        "|---|--:|--:|",
    ]
    lines += [f"| {name} | {work / without:.2f} | {report * 1000:.1f} |" for name, (work, report) in found.items()]
    lines.append(
        "\nMemoryOptimizer and tracemalloc know lines; bare tracemalloc that of the library where one allocates."
        " pympler looks at all objects when it is asked, and costs nothing else."
    )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 7)
    options = parser.parse_args(arguments)
    text = table(options.rounds)
    pages.write(text, options.output)


if __name__ == "__main__":
    main()
