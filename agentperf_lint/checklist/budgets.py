"""Holds what was measured against the budgets of the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from agentperf_lint.checklist.items import BudgetEvidence, Item
from agentperf_lint.checklist.kpis import percentile
from agentperf_lint.checklist.loads import Load
from agentperf_lint.checklist.observed import item_at
from agentperf_lint.checklist.profiles import Operation, Profile
from agentperf_lint.checklist.trace import Frame, Trace
from agentperf_lint.checklist.units import WEBSOCKET, Spending, Unit, ended_units, spending_of
from agentperf_runtime.budgets import MEASURES, SECONDS, Budget, measure_of, shown
from agentperf_runtime.histograms import Histogram

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1.0}
_APART = (WEBSOCKET, "test")  # whose length is not a response time
_TABLE = re.compile(r"\s*\[(?P<name>.*)\]\s*(?:#.*)?\Z")
_OF_SPENDING = frozenset({"queries-per-request", "tokens-per-request", "max-stall"})


class Measurement(msgspec.Struct, frozen=True):
    """What one source says of a budget's measure: its value, how much was measured, how much of that is over.

    `excess` are the seconds beyond the limit that all of it took together, where the measure is a time.
    """

    source: str
    value: float
    count: int
    over: int = 0
    excess: float = 0.0


class Judged(msgspec.Struct, frozen=True):
    """Items of the budgets that were exceeded, and what to tell about those that nothing was measured for."""

    items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()


def judge(
    budgets: Sequence[Budget], trace: Trace, profiles: Sequence[Profile], loads: Sequence[Load], config_file: str
) -> Judged:
    """Each budget against each source that measures it."""
    if not budgets:
        return Judged()
    units = ended_units(trace)
    has_spending = any(budget.measure in _OF_SPENDING for budget in budgets)
    spending = spending_of(trace) if has_spending else Spending()
    lines = _Lines(config_file)
    items, notes = [], []
    for budget in budgets:
        measured = [
            *_of_units(budget, units, spending),
            *_of_profiles(budget, profiles),
            *_of_loads(budget, loads),
        ]
        if not measured:
            notes.append(f"nothing was measured for the budget {budget}{_of_scope(budget)}")
        items += [_item(budget, each, lines.frame(budget)) for each in measured if not budget.is_kept(each.value)]
    return Judged(tuple(items), tuple(notes))


def _of_scope(budget: Budget) -> str:
    return f" of {budget.scope}" if budget.scope else ""


def _of_units(budget: Budget, units: Sequence[Unit], spending: Spending) -> Iterator[Measurement]:
    if budget.scope:
        chosen = [unit for unit in units if budget.is_for(unit.name, f"{unit.kind} {unit.name}")]
    else:
        chosen = [unit for unit in units if unit.is_request] or [unit for unit in units if unit.kind not in _APART]
    if not chosen:
        return
    measure = budget.measure
    if measure == "error-rate":
        failed = sum(unit.failed for unit in chosen)
        yield Measurement("trace", failed / len(chosen), len(chosen), failed)
    elif measure == "throughput":
        wall = max(unit.end for unit in chosen) - min(unit.start for unit in chosen)
        if wall > 0 and len(chosen) > 1:
            yield Measurement("trace", len(chosen) / wall, len(chosen))
    elif measure == "max-stall":
        known = {unit.key for unit in chosen}
        stalls = [each for key, each in spending.stalls.items() if key in known or not budget.scope]
        yield _of_values("trace", budget, stalls or [0.0], max)
    elif measure in ("queries-per-request", "tokens-per-request"):
        counts = spending.queries if measure == "queries-per-request" else spending.tokens
        yield _of_values("trace", budget, [float(counts[unit.key]) for unit in chosen], max)
    elif measure != "memory-per-request":
        yield _of_values("trace", budget, [unit.seconds for unit in chosen], _statistic(measure))


def _statistic(measure: str) -> Callable[[list[float]], float]:
    if measure == "mean":
        return lambda values: sum(values) / len(values)
    return lambda values: percentile(sorted(values), QUANTILES[measure])


def _of_values(
    source: str, budget: Budget, values: list[float], statistic: Callable[[list[float]], float]
) -> Measurement:
    over = [value for value in values if not budget.is_kept(value)]
    excess = sum(value - budget.limit for value in over) if MEASURES[budget.measure] == SECONDS else 0.0
    return Measurement(source, statistic(values), len(values), len(over), excess)


def _of_profiles(budget: Budget, profiles: Iterable[Profile]) -> Iterator[Measurement]:
    """Operations of the name; of all of them only what is counted per execution: they need not be requests."""
    for profile in profiles:
        for operation in profile.operations:
            if not budget.is_for(operation.name):
                continue
            value = _of_operation(budget.measure, operation, bool(budget.scope))
            if value is not None and operation.executions:
                source = f"profile of {operation.name}"
                yield _of_histogram(source, budget, value, operation.duration, operation.executions)


def _of_operation(measure: str, operation: Operation, is_named: bool) -> float | None:
    executions = max(1, operation.executions)
    if measure == "memory-per-request":
        return max(0.0, operation.memory / executions)
    if measure == "tokens-per-request":
        return operation.tokens / executions
    if not is_named:
        return None
    if measure == "error-rate":
        return operation.failed / executions
    return _of_times(measure, operation.duration)


def _of_times(measure: str, times: Histogram) -> float | None:
    if measure == "mean":
        return times.mean
    return times.quantile(QUANTILES[measure]) if measure in QUANTILES else None


def _of_histogram(source: str, budget: Budget, value: float, times: Histogram, count: int) -> Measurement:
    if budget.measure != "mean" and budget.measure not in QUANTILES:
        return Measurement(source, value, count)
    over = round(times.share_above(budget.limit) * times.count)
    return Measurement(source, value, count, over, times.excess_above(budget.limit))


def _of_loads(budget: Budget, loads: Iterable[Load]) -> Iterator[Measurement]:
    for load in loads:
        if not budget.is_for(load.run.target):
            continue
        values: Mapping[str, float] = {"error-rate": load.run.error_rate, "throughput": load.run.throughput}
        value = values.get(budget.measure, _of_times(budget.measure, load.duration))
        if value is not None and load.run.requests:
            yield _of_histogram(f"load test of {load.run.target}", budget, value, load.duration, load.run.requests)


def _item(budget: Budget, measured: Measurement, frame: Frame) -> Item:
    evidence = BudgetEvidence(
        budget=str(budget),
        scope=budget.scope,
        measure=budget.measure,
        measured=measured.value,
        limit=budget.limit,
        unit=MEASURES[budget.measure],
        source=measured.source,
    )
    over = f", {measured.over:,} of {measured.count:,} are beyond it" if measured.over else ""
    value = shown(budget.measure, measured.value)
    return item_at(
        "budget",
        frame,
        what=f"{budget.measure}{_of_scope(budget)} is {value}, the budget is {budget} ({measured.source}{over})",
        remedy="see the other items for what it goes into",
        evidence=(evidence,),
        severity="high",
        operations=measured.over or measured.count,
        root_names=(budget.scope,) if budget.scope else (),
        total_seconds=measured.excess,
        worst_seconds=max(0.0, measured.value - budget.limit) if MEASURES[budget.measure] == SECONDS else 0.0,
    )


class _Lines:
    """Finds where the configuration sets a budget."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: list[str] = []
        if file:
            try:
                with open(file, encoding="utf-8") as stream:
                    self._lines = stream.read().splitlines()
            except (OSError, UnicodeDecodeError):
                self._file = ""

    def frame(self, budget: Budget) -> Frame:
        table, inside = "", 1 if self._file else 0
        for number, line in enumerate(self._lines, 1):
            header = _TABLE.match(line)
            if header is not None:
                table = header["name"]
                inside = number if "budgets" in table and inside <= 1 else inside
            elif "budgets" in table and _sets(line, budget) and (not budget.scope or budget.scope in table + line):
                return self._file, number, "<module>"
        return self._file, inside, "<module>"


def _sets(line: str, budget: Budget) -> bool:
    name = line.partition("=")[0].strip().strip("\"'")
    try:
        return name == budget.scope != "" or measure_of(name) == budget.measure
    except ValueError:
        return False
