"""Budgets of the configuration against traces, profiles and load tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trace_builder import MS, TraceBuilder

from agentperf_lint.checklist.budgets import Judged, judge
from agentperf_lint.checklist.items import BudgetEvidence, Item
from agentperf_lint.checklist.loads import LoadError, read_loads
from agentperf_lint.checklist.profiles import Operation, Profile
from agentperf_lint.checklist.trace import Trace, read_traces
from agentperf_lint.config import Config, ConfigError, budgets_of, load_config
from agentperf_runtime.histograms import Histogram

SITE = ("/app/a.py", 3, "f")


def judged(trace: Trace | None = None, *, profiles: Any = (), loads: Any = (), **budgets: Any) -> Judged:
    names = {name.replace("__", "."): limit for name, limit in budgets.items()}
    return judge(budgets_of(Config(budgets=names)), trace or Trace(), profiles, loads, "")


def evidence_of(item: Item) -> BudgetEvidence:
    (evidence,) = item.evidence
    assert isinstance(evidence, BudgetEvidence)
    return evidence


def found(judgement: Judged) -> list[tuple[str, str, float]]:
    return [(each.budget, each.scope, round(each.measured, 2)) for each in map(evidence_of, judgement.items)]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Nine requests of 10 ms with a query each, and one of 500 ms with 20 queries, a stall and a model that failed."""
    builder = TraceBuilder()
    for _ in range(9):
        root = builder.root(name="GET /fast")
        builder.op("sql", "select 1", SITE, ms=10, root=root)
        builder.end_root(root, outcome="200")
    root = builder.root(name="GET /slow")
    for number in range(20):
        builder.op("sql", "select ?", SITE, ms=20, root=root, params=number)
    builder.records.append(
        {"type": "stall", "start": int(builder.now * MS), "duration": 80 * MS, "root": root, "site": 0}
    )
    builder.op("llm", "model", SITE, ms=100, root=root, input_tokens=900, output_tokens=300)
    builder.end_root(root, outcome="503")
    return read_traces([str(builder.write(tmp_path / "t.trace"))])


def test_what_is_kept_is_silent(trace: Trace) -> None:
    kept = judged(
        trace, p50="20ms", max="1s", error_rate="10%", queries_per_request=20, tokens_per_request=1200, max_stall="80ms"
    )
    assert kept == Judged()


def test_what_is_exceeded_is_an_item(trace: Trace) -> None:
    exceeded = judged(
        trace, p95="200ms", mean="50ms", error_rate="5%", queries_per_request=19, tokens_per_request=1000,
        max_stall="50ms", throughput=1_000,
    )  # fmt: skip
    assert found(exceeded) == [
        ("p95<=200ms", "", 0.5),
        ("mean<=50ms", "", 0.06),
        ("error-rate<=5%", "", 0.1),
        ("queries-per-request<=19", "", 20),
        ("tokens-per-request<=1000", "", 1200),
        ("max-stall<=50ms", "", 0.08),
        ("throughput>=1000/s", "", 16.86),
    ]
    p95 = exceeded.items[0]
    assert (p95.code, p95.kind, p95.status, p95.severity) == ("APL505", "budget", "observed", "high")
    assert p95.message == (
        "p95 is 502.1ms, the budget is p95<=200ms (trace, 1 of 10 are beyond it): "
        "see the other items for what it goes into"
    )
    assert (p95.operations, p95.total_seconds, p95.worst_seconds) == (1, pytest.approx(0.3021), pytest.approx(0.3021))


def test_budgets_of_some_requests(trace: Trace) -> None:
    scoped = judged(trace, **{"GET /f*": {"p95": "5ms"}, "request GET /slow": {"queries-per-request": 5}})
    assert found(scoped) == [("p95<=5ms", "GET /f*", 0.01), ("queries-per-request<=5", "request GET /slow", 20)]
    assert scoped.items[0].operations == 9
    assert scoped.items[0].root_names == ("GET /f*",)


def test_a_budget_for_which_nothing_was_measured_is_told(trace: Trace) -> None:
    untold = judged(trace, memory_per_request="1MB", **{"GET /none": {"p95": 1}})
    assert untold.items == ()
    assert untold.notes == (
        "nothing was measured for the budget memory-per-request<=1MB",
        "nothing was measured for the budget p95<=1s of GET /none",
    )


def test_a_child_root_counts_for_the_request_around_it(tmp_path: Path) -> None:
    builder = TraceBuilder()
    builder.root("script", "main")
    request = builder.root(parent=1)
    builder.op("sql", "select 1", SITE, root=request)
    builder.end_root(request)
    units = judged(read_traces([str(builder.write(tmp_path / "t"))]), queries_per_request=0)
    assert found(units) == [("queries-per-request<=0", "", 1)]


def histogram(*values: float) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def test_budgets_of_operations_of_a_profile() -> None:
    operation = Operation(
        "writer:draft", 2, 1, 3.0, 1.0, 2.0, histogram(1.0, 2.0), tokens=3_000, memory=40 * 2**20
    )  # fmt: skip
    profile = Profile("p", "agentperf", 10.0, operations=(operation,))
    scoped = {"writer:*": {"p95": "1.5s", "error-rate": "10%", "tokens-per-request": 2_000}}
    exceeded = judged(profiles=[profile], memory_per_request="10MB", tokens_per_request=1_000, **scoped)
    assert found(exceeded) == [
        ("memory-per-request<=10MB", "", 20 * 2**20),
        ("tokens-per-request<=1000", "", 1_500),
        ("p95<=1.5s", "writer:*", 2.0),
        ("error-rate<=10%", "writer:*", 0.5),
    ]
    assert evidence_of(exceeded.items[0]).source == "profile of writer:draft"


def load_file(path: Path, **changes: Any) -> Path:
    document = {
        "type": "agentperf-load",
        "version": 1,
        "target": "shop:order",
        "arrival": "closed",
        "users": 5,
        "rate": None,
        "ramp_up_seconds": 0.0,
        "started": 1_000.0,
        "duration_seconds": 2.0,
        "results": {
            "total_requests": 4, "successful_requests": 3, "failed_requests": 1, "error_rate": 0.25,
            "throughput_rps": 2.0, "response_time": {"min": 0.1},
        },
        "duration": histogram(0.1, 0.2, 0.3, 0.9).to_json(),
        "errors": [{"error": "TimeoutError", "count": 1}],
        "series": [],
        "budgets": [],
        **changes,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_what_is_beyond_a_budget_is_added_up(tmp_path: Path) -> None:
    """Each request by what it took too long, not all of them by what the worst did."""
    times = histogram(*[0.1] * 90, *[0.3] * 9, 2.0)
    loads = read_loads([str(load_file(tmp_path / "load.json", duration=times.to_json()))])
    (item,) = judged(loads=loads, max="200ms").items
    assert item.operations == 10
    assert item.total_seconds == pytest.approx(9 * 0.1 + 1.8, rel=0.05)


def test_budgets_of_a_load_test(tmp_path: Path) -> None:
    loads = read_loads([str(load_file(tmp_path / "load.json"))])
    exceeded = judged(loads=loads, p95="500ms", throughput=10, error_rate="1%", **{"shop:*": {"p50": "100ms"}})
    assert found(exceeded) == [
        ("p95<=500ms", "", 0.9),
        ("throughput>=10/s", "", 2.0),
        ("error-rate<=1%", "", 0.25),
        ("p50<=100ms", "shop:*", pytest.approx(0.2, rel=0.01)),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is not the result of a load test"),
        ("[]", "is not the result of a load test"),
        ('{"type": "agentperf-load"}', "is not the result of a load test"),
    ],
)
def test_what_is_no_load_test_is_told(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "load.json").write_text(content)
    with pytest.raises(LoadError, match=problem):
        read_loads([str(tmp_path / "load.json")])
    with pytest.raises(LoadError, match="cannot be read"):
        read_loads([str(tmp_path / "none")])
    with pytest.raises(LoadError, match="holds 'agentperf-profile'"):
        read_loads([str(load_file(tmp_path / "other", type="agentperf-profile"))])


CONFIGURATION = """\
[project]
name = "shop"

[tool.agentperf-lint.budgets]
api_response_time_p95 = 0.2  # seconds
tokens_per_request = 2000

[tool.agentperf-lint.budgets."GET /slow"]
queries-per-request = 5
"""


def report(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", "report", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_the_report_points_to_where_the_budget_is_set(tmp_path: Path, trace: Trace) -> None:
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION)
    ended = report(tmp_path, "--trace", "t.trace", "--format", "json")
    assert ended.returncode == 1, ended.stderr
    items = [item for item in json.loads(ended.stdout)["items"] if item["kind"] == "budget"]
    assert {(item["path"], item["line"], item["evidence"][0]["budget"]) for item in items} == {
        ("pyproject.toml", 5, "p95<=200ms"),
        ("pyproject.toml", 9, "queries-per-request<=5"),
    }


def test_a_load_test_alone_makes_a_report(tmp_path: Path) -> None:
    load_file(tmp_path / "load.json")
    ended = report(tmp_path, "--load", "load.json")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == (
        "Nothing found\n"
        "4 requests by 5 users to shop:order in 2.00 s (1 failed)\n"
        "2.0 per second, 199.9 ms p50, 900.0 ms p95, 900.0 ms p99, 900.0 ms at worst\n"
    )
    (tmp_path / "pyproject.toml").write_text(CONFIGURATION)
    for output_format in ("full", "json", "html", "sarif", "github", "gitlab", "junit", "markdown"):
        ended = report(tmp_path, "--load", "load.json", "--format", output_format)
        assert ended.returncode == 1, ended.stderr
        assert "p95" in ended.stdout


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('p95 = "fast"', "agentperf-lint.budgets.p95: 'fast' is no budget of p95: write it as '200ms'"),
        ("p59x = 1", "agentperf-lint.budgets.p59x: there is no budget for 'p59x'"),
        ("p95 = [1]", "agentperf-lint.budgets"),
        ('"GET /" = { p95 = "1 parsec" }', """agentperf-lint.budgets."GET /".p95: '1 parsec': p95 has no unit"""),
    ],
)
def test_wrong_budgets_are_told(tmp_path: Path, setting: str, problem: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.agentperf-lint.budgets]\n{setting}\n")
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path)
    assert problem in str(error.value)
