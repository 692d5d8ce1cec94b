from __future__ import annotations

import pytest

from agentperf_runtime.budgets import MEASURES, Budget, budget_of, parse_budget, shown, verdicts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p95<200ms", Budget("p95", 0.2, strict=True)),
        ("p95 <= 200 ms", Budget("p95", 0.2)),
        ("p99<1.5s", Budget("p99", 1.5, strict=True)),
        ("mean<0.25", Budget("mean", 0.25, strict=True)),
        ("median<=50us", Budget("p50", 50e-6)),
        ("error_rate<1%", Budget("error-rate", 0.01, strict=True)),
        ("error-rate<=0.01", Budget("error-rate", 0.01)),
        ("throughput>100", Budget("throughput", 100, lowest=True, strict=True)),
        ("throughput>=90/min", Budget("throughput", 1.5, lowest=True)),
        ("memory_per_request<50MB", Budget("memory-per-request", 50 * 2**20, strict=True)),
        ("tokens-per-request<=4k", Budget("tokens-per-request", 4000)),
        ("max-stall<100ms", Budget("max-stall", 0.1, strict=True)),
    ],
)
def test_budgets_are_read(text: str, expected: Budget) -> None:
    budget = parse_budget(text)
    assert budget._replace(limit=0) == expected._replace(limit=0)
    assert budget.limit == pytest.approx(expected.limit)
    again = parse_budget(str(budget))
    assert (again.measure, again.lowest, again.strict) == (budget.measure, budget.lowest, budget.strict)
    assert again.limit == pytest.approx(budget.limit)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("p95", "'p95' is no budget: write one as 'p95<200ms'"),
        ("p95<", "is no budget"),
        ("p95<fast", "'fast' is no budget of p95: write it as '200ms'"),
        ("p95<200lightyears", "p95 has no unit 'lightyears', known are ns, us, µs, ms, s, min"),
        ("p95>200ms", "p95 must be below its limit"),
        ("throughput<5", "throughput must be above its limit"),
        ("troughput>1", "there is no budget for 'troughput', did you mean throughput"),
        ("colour<3", "there is no budget for 'colour', known are p50"),
        ("p95<-1s", "'-1s' is no budget of p95"),
        ("p95<nan", "'nan' is no budget of p95"),
    ],
)
def test_what_is_no_budget_is_told(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("(", "\\(")):
        parse_budget(text)


def test_the_names_of_the_guidelines() -> None:
    assert budget_of("api_response_time_p95", 1.0) == Budget("p95", 1.0)
    assert budget_of("memory_per_request", 50) == Budget("memory-per-request", 50 * 2**20)
    assert budget_of("tokens_per_request", 1000) == Budget("tokens-per-request", 1000)


@pytest.mark.parametrize("limit", [True, None, [1], float("inf"), float("nan"), -3])
def test_settings_that_are_no_quantities(limit: float) -> None:
    with pytest.raises(ValueError, match="budget of p95"):
        budget_of("p95", limit)


def test_the_limit_itself() -> None:
    assert not parse_budget("p95<200ms").is_kept(0.2)
    assert parse_budget("p95<=200ms").is_kept(0.2)
    assert not parse_budget("throughput>10").is_kept(10)
    assert parse_budget("throughput>=10").is_kept(10)


def test_verdicts_of_what_was_measured() -> None:
    budgets = [parse_budget(text) for text in ("p95<200ms", "throughput>10", "max-stall<1s")]
    found = verdicts(budgets, {"p95": 0.25, "throughput": 12.0})
    assert [(str(each.budget), each.measured, each.kept) for each in found] == [
        ("p95<200ms", 0.25, False),
        ("throughput>10/s", 12.0, True),
    ]


def test_every_measure_is_shown_with_its_unit() -> None:
    assert {measure: shown(measure, 1.5) for measure in MEASURES if not measure.startswith("p")} == {
        "mean": "1.5s",
        "max": "1.5s",
        "error-rate": "150%",
        "throughput": "1.5/s",
        "queries-per-request": "1.5",
        "tokens-per-request": "1.5",
        "memory-per-request": "1.431e-06MB",
        "max-stall": "1.5s",
    }
