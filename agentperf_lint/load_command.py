"""`agentperf-lint load`: calls a function or a URL many times, and holds what was measured against budgets."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

from agentperf_lint.config import Settings, budgets_of
from agentperf_lint.render.base import plural
from agentperf_lint.render.load import LiveDisplay, write_load
from agentperf_runtime.budgets import Budget, Verdict, parse_budget, verdicts
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.load import LoadResult, LoadTester
from agentperf_runtime.load.targets import THREADS

if TYPE_CHECKING:
    from agentperf_runtime.load.arrivals import Arrivals
    from agentperf_runtime.load.targets import TestFunction

VERSION = 1
"""Of the document that `document` makes."""

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z/]*)\Z")
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_RATES = {"": 1.0, "/s": 1.0, "rps": 1.0, "/min": 1 / 60, "/m": 1 / 60, "/h": 1 / 3600}
_QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
_MEASURED = (*_QUANTILES, "mean", "max", "error-rate", "throughput")
_BETWEEN_SECONDS = 0.25
_PATIENCE_SECONDS = 0.2


class LoadTestError(Exception):
    """The target cannot be called, or the options make no test."""


class LoadOptions(NamedTuple):
    """What the command line says. Times are in seconds, `rate` in requests per second."""

    target: str
    users: int
    requests: int | None
    ramp_up: float
    duration: float | None
    rate: float | None
    arrivals: Arrivals
    seed: int
    max_in_flight: int
    timeout: float | None
    grace: float
    budgets: tuple[Budget, ...]


class LoadRun(NamedTuple):
    """A load test that has ended, in time or interrupted."""

    options: LoadOptions
    result: LoadResult
    verdicts: list[Verdict]

    @property
    def passes(self) -> bool:
        """Whether a request succeeded and all budgets are kept; budgets say nothing of a test without requests."""
        return self.result["successful_requests"] > 0 and all(verdict.kept for verdict in self.verdicts)


def seconds_of(text: str) -> float:
    """`30s`, `500ms`, `2m`, `1h` or `30` in seconds. Raises ValueError for anything else."""
    return _quantity(text, _SECONDS, "a time such as 30s, 500ms or 2m")


def rate_of(text: str) -> float:
    """`100/s`, `90/min` or `100` in requests per second. Raises ValueError for anything else."""
    return _quantity(text, _RATES, "a rate such as 100/s or 90/min")


def budget_of_load(text: str) -> Budget:
    """The budget of a load test, such as `p95<200ms`. Raises ValueError for what it does not measure."""
    budget = parse_budget(text)
    if budget.measure not in _MEASURED:
        raise ValueError(f"a load test does not measure {budget.measure}, but {', '.join(_MEASURED)}")
    return budget


def budgets_for(target: str, config: Settings) -> tuple[Budget, ...]:
    """The budgets of the configuration that a load test of `target` can check."""
    return tuple(budget for budget in budgets_of(config) if budget.measure in _MEASURED and budget.is_for(target))


def run_load(options: LoadOptions, progress: TextIO) -> LoadRun:
    """Run the test, and show how it goes where `progress` is a terminal; Ctrl-C ends it early.

    Raises LoadTestError.
    """
    target = options.target if _is_url(options.target) else imported(options.target)
    try:
        result = asyncio.run(_run(target, options, progress))
    except (ImportError, TypeError, ValueError) as error:
        raise LoadTestError(str(error)) from error
    return LoadRun(options, result, verdicts(options.budgets, measured(result)))


def write_run(run: LoadRun, output_format: str, stream: TextIO) -> None:
    """Write the test as text (`full`) or as `json`. Raises OSError."""
    if output_format == "json":
        stream.write(json.dumps(document(run), indent=2) + "\n")
        return
    options = run.options
    model = "closed model" if options.rate is None else f"open model, {options.rate:g} requests/s, {options.arrivals}"
    ramp_up = f", ramp-up {options.ramp_up:g} s" if options.ramp_up else ""
    write_load(f"{options.target}: {plural(options.users, 'user')}, {model}{ramp_up}", run.result, run.verdicts, stream)


def measured(result: LoadResult) -> dict[str, float]:
    """What budgets can be set for."""
    times = Histogram.from_json(result["histogram"])
    return {
        **{name: times.quantile(share) for name, share in _QUANTILES.items()},
        "mean": times.mean,
        "max": times.most,
        "error-rate": result["error_rate"],
        "throughput": result["throughput_rps"],
    }


def document(run: LoadRun) -> dict[str, Any]:
    """The test as one JSON document, which `docs/load.md` describes."""
    results: dict[str, Any] = dict(run.result)
    apart = {name: results.pop(name) for name in ("errors", "series", "histogram", "started", "duration_seconds")}
    return {
        "type": "agentperf-load",
        "version": VERSION,
        "target": run.options.target,
        "arrival": "closed" if run.options.rate is None else "open",
        "users": run.options.users,
        "rate": run.options.rate,
        "ramp_up_seconds": run.options.ramp_up,
        "started": apart["started"],
        "duration_seconds": apart["duration_seconds"],
        "results": results,
        "duration": apart["histogram"],
        "errors": apart["errors"],
        "series": apart["series"],
        "budgets": [
            {"budget": str(verdict.budget), "measured": verdict.measured, "kept": verdict.kept}
            for verdict in run.verdicts
        ],
    }


def threads_run_on() -> bool:
    """Whether threads are still in a call that took too long, or was interrupted."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(THREADS)]
    patience = time.monotonic() + _PATIENCE_SECONDS
    for thread in threads:
        thread.join(max(0.0, patience - time.monotonic()))
    return any(thread.is_alive() for thread in threads)


def imported(target: str) -> TestFunction:
    """The function of `module:function`, the module taken from the working directory first. Raises LoadTestError."""
    name, colon, path = target.partition(":")
    if not colon or not name or not path:
        raise LoadTestError(f"{target!r} is neither module:function nor a URL")
    if (directory := os.getcwd()) not in sys.path:
        sys.path.insert(0, directory)
    found = _module(name)
    for attribute in path.split("."):
        if not hasattr(found, attribute):
            raise LoadTestError(f"module {name!r} has no {path!r}")
        found = getattr(found, attribute)
    if not callable(found):
        raise LoadTestError(f"{target} is no function, but of type {type(found).__name__}")
    function: TestFunction = found
    return function


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise LoadTestError(f"there is no module {name!r}") from error
        raise LoadTestError(f"module {name!r} cannot be imported: {error}") from error
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise LoadTestError(f"module {name!r} cannot be imported: {said}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Where `error` was raised; a syntax error says so itself."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or isinstance(error, SyntaxError):
        return ""
    return f" ({os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno})"


async def _run(target: TestFunction | str, options: LoadOptions, progress: TextIO) -> LoadResult:
    tester = LoadTester(keep_results=0)
    with _interruptible(tester), LiveDisplay(progress) as display:
        shown = asyncio.create_task(_show(tester, display)) if display.is_shown else None
        try:
            return await tester.run_load_test(
                target, options.users, options.requests, options.ramp_up, duration=options.duration,
                arrival_rate=options.rate, arrivals=options.arrivals, seed=options.seed,
                max_in_flight=options.max_in_flight, timeout=options.timeout, grace=options.grace,
            )  # fmt: skip
        finally:
            if shown is not None:
                shown.cancel()


async def _show(tester: LoadTester, display: LiveDisplay) -> None:
    while True:
        await asyncio.sleep(_BETWEEN_SECONDS)
        display.update(tester.progress())


class _interruptible:  # noqa: N801  # read as a description: `with _interruptible(tester)`
    """The first Ctrl-C in the block ends the test, the second one the program."""

    def __init__(self, tester: LoadTester) -> None:
        self._tester = tester
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *error: object) -> Literal[False]:
        signal.signal(signal.SIGINT, self._before)
        return False

    def _interrupt(self, number: int, frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._tester.stop()


def _is_url(target: str) -> bool:
    return "://" in target


def _quantity(text: str, units: Mapping[str, float], expected: str) -> float:
    match = _QUANTITY.match(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not {expected}")
    return float(match[1]) * units[match[2]]
