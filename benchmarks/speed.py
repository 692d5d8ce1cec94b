"""Wall time and peak memory beside other linters, on the same files, in turns, medians of several runs.

Each contestant is started as a user starts it: one process, from nothing. "cold" has no cache, "warm" the cache of
an unchanged tree, "one file changed" the cache of a tree in which one file of median size was edited since.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks import tools
from benchmarks.corpus import CORPUS, HERE, LARGE, fetch, lines_and_files, tree_of

RESULTS = HERE / "results" / "speed.md"
BOUNDS = HERE / "speed_bounds.md"  # written by hand: what the times are made of
SLOW_LINTERS_UP_TO = 200_000  # lines; flake8-async takes 20 minutes for a million
_MEBIBYTE = 1 << 20
_SAMPLING_SECONDS = 0.02


@dataclass
class Contestant:
    """One way to run one linter on one tree. `prepare` brings its cache into the state that is measured."""

    name: str
    command: list[str]
    prepare: Callable[[], None] = lambda: None
    seconds: list[float] = field(default_factory=list)
    processor_seconds: float = 0.0
    tree_bytes: int = 0
    process_bytes: int = 0
    failed: str = ""
    slow: bool = False

    @property
    def median(self) -> float:
        return median(self.seconds)


def measure(contestants: list[Contestant], runs: int) -> None:
    """Run all contestants in turns, `runs` times, and once more each with its memory and processor time watched.

    Of a slow one the watched run is the only one.
    """
    for contestant in contestants:
        seconds = _watch(contestant)
        if contestant.slow:
            contestant.seconds.append(seconds)
    quick = [contestant for contestant in contestants if not contestant.slow]
    for turn in range(runs):
        first = turn % len(quick)
        for contestant in quick[first:] + quick[:first]:
            contestant.prepare()
            with _started(contestant) as (process, begun):
                process.wait()
                contestant.seconds.append(time.perf_counter() - begun)


@contextmanager
def _started(contestant: Contestant) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The process of `contestant`, and the time just before it was started."""
    begun = time.perf_counter()
    with subprocess.Popen(
        contestant.command,
        cwd=CORPUS,  # always the same: findings are cached with their paths relative to it
        env=tools.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process, begun
    if process.returncode:
        contestant.failed = f"ended with {process.returncode}"


def _run(contestant: Contestant) -> None:
    with _started(contestant) as (process, _):
        process.wait()


def _watch(contestant: Contestant) -> float:
    """Run once, noting memory peaks and processor time; returns the seconds that it took."""
    contestant.prepare()
    with _started(contestant) as (process, begun):
        ended = threading.Event()
        watcher = threading.Thread(target=_sample, args=(contestant, process.pid, ended))
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
    contestant.processor_seconds = usage.ru_utime + usage.ru_stime
    contestant.process_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return seconds


def _sample(contestant: Contestant, pid: int, ended: threading.Event) -> None:
    """Keep the largest sum of resident memory over the process and its children (shared pages count in each)."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return
    while not ended.wait(_SAMPLING_SECONDS):
        total = sum(map(_resident_bytes, [process, *_children(process)]))
        contestant.tree_bytes = max(contestant.tree_bytes, total)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def contestants_for(tree: Path, scratch: Path, edited: Path, with_slow: bool) -> list[Contestant]:
    cold, warm, changed = (scratch / name for name in ("cold", "warm", "changed"))

    def ours(cache: Path) -> list[str]:
        return tools.agentperf_lint("--cache-dir", cache, "--output-format", "json", tree)

    # The other turns edit a file, so the warm cache has to be brought up to date each time.
    bring_up_to_date = Contestant("", ours(warm))
    contestants = [
        Contestant("agentperf-lint, cold", ours(cold), lambda: shutil.rmtree(cold, ignore_errors=True)),
        Contestant("agentperf-lint, warm", ours(warm), lambda: _run(bring_up_to_date)),
        Contestant("agentperf-lint, one file changed", ours(changed), lambda: _edit(edited)),
        Contestant("ruff", tools.ruff(tree, "--select", "ASYNC,PERF")),
    ]
    _run(contestants[2])
    evloop_lint = tools.evloop_lint(tree)
    if evloop_lint:
        contestants.append(Contestant("evloop-lint", evloop_lint, slow=True))
    if with_slow:
        contestants.append(Contestant("flake8-async", tools.flake8_async(tree), slow=True))
    return contestants


def _file_of_median_size(tree: Path) -> Path:
    files = sorted((file.stat().st_size, file) for file in tree.rglob("*.py"))
    return files[len(files) // 2][1]


_EDIT = b"\n# edited by the benchmark: "


def _edit(file: Path) -> None:
    content = file.read_bytes().partition(_EDIT)[0]
    file.write_bytes(content + _EDIT + str(time.time_ns()).encode() + b"\n")


def _restore(file: Path) -> None:
    file.write_bytes(file.read_bytes().partition(_EDIT)[0])


def table(package: str, contestants: list[Contestant]) -> str:
    lines, files = lines_and_files(tree_of(package))
    base = next(contestant for contestant in contestants if contestant.name == "ruff")
    rows = [
        f"## {package} {LARGE[package]}: {lines:,} lines, {files:,} files\n",
        "| linter | median s | fastest to slowest s | times ruff | processor s"
        " | memory MiB, largest process | memory MiB, sum |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for contestant in contestants:
        note = f" ({contestant.failed})" if contestant.failed else ""
        rows.append(
            f"| {contestant.name}{note} | {contestant.median:.2f}"
            f" | {min(contestant.seconds):.2f} to {max(contestant.seconds):.2f}"
            f" | {contestant.median / base.median:.1f} | {contestant.processor_seconds:.2f}"
            f" | {contestant.process_bytes // _MEBIBYTE} | {contestant.tree_bytes // _MEBIBYTE} |"
        )
    return "\n".join(rows) + "\n\n" + _aims(contestants, base) + "\n"


def _aims(contestants: list[Contestant], base: Contestant) -> str:
    times = {contestant.name: contestant.median for contestant in contestants}
    cold, warm, changed = (contestant.median for contestant in contestants[:3])
    sentences = [
        f"cold {cold / base.median:.1f} times ruff (aim: at most 8)",
        f"warm {warm - base.median:+.2f} s against ruff (aim: at most +0.2 s)",
        f"one file changed {changed:.2f} s (aim: under 1.5 s)",
        f"peak memory {contestants[0].tree_bytes // _MEBIBYTE} MiB (aim: under 600 MB)",
    ]
    for slow, factor in (("flake8-async", 200), ("evloop-lint", 20)):
        if slow in times:
            sentences.append(f"cold {times[slow] / cold:.0f} times faster than {slow} (aim: {factor})")
    return "".join(f"- {sentence}\n" for sentence in sentences)


def heading(runs: int) -> str:
    versions = "\n".join(
        f"- {name}: {tools.version_of(tools.peer(command))}"
        for name, command in (("ruff", "ruff"), ("flake8-async", "flake8"), ("evloop-lint", "evloop-lint"))
    )
    return (
        "# Speed\n\n"
        "Written by `python -m benchmarks.speed`: do not edit.\n\n"
        f"Medians of {runs} runs, all linters in turns over the same files (slow ones once),"
        f" on {os.cpu_count()} processors"
        f" ({_processor()}, load average {os.getloadavg()[0]:.1f} at the start), {platform.python_implementation()}"
        f" {platform.python_version()}. Processor seconds (of all processes; they vary less on a busy machine) and"
        " memory come from a run of its own; the sum of memory counts pages that processes share once for each."
        " ruff runs with `check --no-cache --isolated --select ASYNC,PERF`, flake8-async with"
        " `flake8 --isolated --select ASYNC`.\n\n"
        f"{versions}\n\n"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, help="take wheels from here instead of downloading them")
    parser.add_argument("--runs", type=int, default=5, help="runs of each linter (default: 5)")
    parser.add_argument("--only", action="append", choices=sorted(LARGE), help="measure this package only")
    parser.add_argument("--slow", action="store_true", help="run flake8-async on large trees too (20 minutes a run)")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    packages = options.only or list(LARGE)
    fetch({package: LARGE[package] for package in packages}, options.wheels)
    sections = [heading(options.runs)]
    for package in packages:
        tree = tree_of(package)
        with_slow = options.slow or lines_and_files(tree)[0] <= SLOW_LINTERS_UP_TO
        edited = _file_of_median_size(tree)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                contestants = contestants_for(tree, Path(scratch), edited, with_slow)
                measure(contestants, options.runs)
            finally:
                _restore(edited)
        sections.append(table(package, contestants))
        print(sections[-1], flush=True)
    sections.append(BOUNDS.read_text(encoding="utf-8"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
