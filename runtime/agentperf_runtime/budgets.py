"""Performance budgets: what a measurement may be at most, or must be at least."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

SECONDS, SHARE, RATE, BYTES, COUNT = "seconds", "share", "per second", "bytes", "count"

MEASURES: Mapping[str, str] = {
    **dict.fromkeys(("p50", "p75", "p90", "p95", "p99", "p999", "mean", "max"), SECONDS),
    "error-rate": SHARE,
    "throughput": RATE,
    "queries-per-request": COUNT,
    "tokens-per-request": COUNT,
    "memory-per-request": BYTES,
    "max-stall": SECONDS,
}
"""What a budget can be set for, and its unit. The first ones are response times."""

_OTHER_NAMES = {"median": "p50", "min-throughput": "throughput", "p99.9": "p999"}
_RESPONSE_TIME = ("api-response-time-", "response-time-")

_UNITS: Mapping[str, Mapping[str, float]] = {
    SECONDS: {"": 1, "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60},
    SHARE: {"": 1, "%": 0.01},
    RATE: {"": 1, "/s": 1, "rps": 1, "/min": 1 / 60},
    BYTES: {
        "": 1 << 20,
        "B": 1,
        "KB": 1 << 10,
        "KiB": 1 << 10,
        "MB": 1 << 20,
        "MiB": 1 << 20,
        "GB": 1 << 30,
        "GiB": 1 << 30,
    },
    COUNT: {"": 1, "k": 1000, "K": 1000},
}

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([^\s0-9.]*)\Z")
_BUDGET = re.compile(r"\s*([A-Za-z][\w. -]*?)\s*(<=|>=|<|>)\s*(.+?)\s*\Z")


class Budget(NamedTuple):
    """`measure` is one of MEASURES and `limit` in its unit; `scope` is a pattern of request or operation names, ""
    for all of them together. `lowest`: the limit is the least that is allowed. `strict`: the limit itself is too much.
    """

    measure: str
    limit: float
    scope: str = ""
    lowest: bool = False
    strict: bool = False

    def is_kept(self, measured: float) -> bool:
        """Whether a measurement, in the measure's unit, stays within the budget."""
        if measured == self.limit:
            return not self.strict
        return (measured > self.limit) == self.lowest

    def is_for(self, *names: str) -> bool:
        """Whether it is set for something that has one of `names`, or for all."""
        return not self.scope or any(name == self.scope or fnmatchcase(name, self.scope) for name in names)

    def __str__(self) -> str:
        """As `parse_budget` reads it."""
        comparator = (">" if self.lowest else "<") + ("" if self.strict else "=")
        return f"{self.measure}{comparator}{shown(self.measure, self.limit)}"


class Verdict(NamedTuple):
    """A budget, what was measured, and whether that is within it."""

    budget: Budget
    measured: float
    kept: bool


def parse_budget(text: str, scope: str = "") -> Budget:
    """The budget of a line such as `p95<200ms`, `error-rate<=1%` or `throughput>100`.

    Raises ValueError that says what is wrong.
    """
    match = _BUDGET.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no budget: write one as 'p95<200ms'")
    name, comparator, limit = match.groups()
    budget = budget_of(name, limit, scope)
    if budget.lowest != comparator.startswith(">"):
        raise ValueError(f"{text!r}: {budget.measure} must be {'above' if budget.lowest else 'below'} its limit")
    return budget._replace(strict=len(comparator) == 1)


def budget_of(name: str, limit: str | float, scope: str = "") -> Budget:
    """The budget of a setting: `budget_of("p95", "200ms")`, `budget_of("tokens_per_request", 1000)`.

    Without a unit times are seconds, memory is in MB (2**20 bytes), and a rate of errors is a share of 1. Raises
    ValueError that says what is wrong.
    """
    measure = measure_of(name)
    return Budget(measure, _quantity(measure, limit), scope, lowest=measure == "throughput")


def verdicts(budgets: Iterable[Budget], measured: Mapping[str, float]) -> list[Verdict]:
    """One for each budget whose measure is among the measured ones, by name and in its unit."""
    return [
        Verdict(budget, measured[budget.measure], budget.is_kept(measured[budget.measure]))
        for budget in budgets
        if budget.measure in measured
    ]


def shown(measure: str, value: float) -> str:
    """A value for people, with its unit: `1.25s`, `200ms`, `2.5%`, `12MB`, `100/s`, `1000`."""
    unit = MEASURES[measure]
    if unit == SECONDS:
        return f"{value:.4g}s" if value >= 1 else f"{value * 1000:.4g}ms"
    if unit == SHARE:
        return f"{value * 100:.4g}%"
    if unit == BYTES:
        return f"{value / (1 << 20):.4g}MB"
    return f"{value:.6g}/s" if unit == RATE else f"{value:.10g}"


def measure_of(name: str) -> str:
    """The measure that a setting names: `p95` for `api_response_time_p95`. Raises ValueError for none."""
    measure = name.strip().lower().replace("_", "-").replace(" ", "-")
    for prefix in _RESPONSE_TIME:
        measure = measure.removeprefix(prefix)
    measure = _OTHER_NAMES.get(measure, measure)
    if measure in MEASURES:
        return measure
    close = difflib.get_close_matches(measure, MEASURES, 1)
    hint = f", did you mean {close[0]}?" if close else f", known are {', '.join(MEASURES)}"
    raise ValueError(f"there is no budget for {name!r}{hint}")


def _quantity(measure: str, limit: str | float) -> float:
    units = _UNITS[MEASURES[measure]]
    if isinstance(limit, bool) or not isinstance(limit, (str, int, float)):
        raise ValueError(f"the budget of {measure} must be a number or a text such as {_example(measure)!r}")
    match = _QUANTITY.match(limit.strip() if isinstance(limit, str) else repr(float(limit)))
    if match is None:
        raise ValueError(f"{limit!r} is no budget of {measure}: write it as {_example(measure)!r}")
    number, unit = match.groups()
    if unit not in units:
        known = ", ".join(each for each in units if each) or "none"
        raise ValueError(f"{limit!r}: {measure} has no unit {unit!r}, known are {known}")
    return float(number) * units[unit]


def _example(measure: str) -> str:
    return {SECONDS: "200ms", SHARE: "1%", RATE: "100/s", BYTES: "50MB", COUNT: "20"}[MEASURES[measure]]
