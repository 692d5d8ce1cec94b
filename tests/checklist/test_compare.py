"""Two runs side by side, through a real subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from scenes import App
from trace_builder import MS, TraceBuilder

from agentperf_lint.checklist.compare import Figures, verdict_of

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "comparison.schema.json").read_text(encoding="utf-8"))
SOURCE = """
def report(conn, ids):
    for id in ids:
        conn.execute("select name from users where id = ?", (id,))  # query


def total(conn):
    return conn.execute("select sum(price) from orders")  # sum


async def render(page):
    return page.html()  # held
"""


@pytest.fixture(autouse=True)
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_REPOSITORY", "CI_PROJECT_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    app = App(tmp_path, SOURCE)
    os.utime(app.path, (1, 1))
    return app


def memory(first: float, last: float, seconds: int = 100) -> Run:
    """A trace of a process whose memory goes from `first` to `last` MB."""
    run = Run(App(Path.cwd(), SOURCE))
    for second in range(seconds):
        size = int((first + (last - first) * second / (seconds - 1)) * 2**20)
        run.trace.records.append({"type": "sample", "time": second * 1000 * MS, "rss": size})
    return run


class Run:
    """A trace of requests, each of which asks `queries` times for `query_ms`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.trace = TraceBuilder()

    def requests(
        self, count: int, *, queries: int = 0, query_ms: float = 2, sum_ms: float = 0, name: str = "GET /"
    ) -> Run:
        for _ in range(count):
            root = self.trace.root(name=name)
            for number in range(queries):
                query = "select name from users where id = ?"
                self.trace.op(
                    "sql", query, self.app.frame("query", "report"), root=root, params=number + 1, ms=query_ms
                )
            if sum_ms:
                self.trace.op(
                    "sql", "select sum(price) from orders", self.app.frame("sum", "total"), root=root, ms=sum_ms
                )
            self.trace.end_root(root, outcome="200")
        return self

    def stalls(self, *milliseconds: float) -> Run:
        for each in milliseconds:
            self.trace.stall(each, self.app.frame("held", "render"), root=1)
        return self


def run(before: Run, after: Run, *arguments: str) -> subprocess.CompletedProcess[str]:
    before.trace.write(Path("before.trace"))
    after.trace.write(Path("after.trace"))
    command = [sys.executable, "-m", "agentperf_lint", "report", "--compare", "before.trace", "after.trace", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


def compared(before: Run, after: Run, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    done = run(before, after, "--format", "json", *arguments)
    assert done.stderr == ""
    comparison = json.loads(done.stdout)
    jsonschema.validate(comparison, SCHEMA)
    assert comparison["regressions"] == sum(change["is_regression"] for change in comparison["changes"])
    return done.returncode, comparison["changes"]


def verdicts(before: Run, after: Run, *arguments: str) -> tuple[int, list[tuple[str, str]]]:
    code, changes = compared(before, after, *arguments)
    return code, [(change["verdict"], change["kind"]) for change in changes]


def test_runs_of_different_length_compare(app):
    code, (change,) = compared(Run(app).requests(3, queries=20), Run(app).requests(12, queries=20))
    assert (code, change["verdict"]) == (0, "same")
    assert change["before"] == pytest.approx(
        {"roots": 3, "operations_per_root": 20, "seconds_per_root": 0.04, "worst_seconds": 0.04, "bytes_per_second": 0}
    )
    assert change["after"] == pytest.approx({**change["before"], "roots": 12})


def test_another_mix_of_requests_is_no_improvement(app):
    after = Run(app).requests(2, queries=20).requests(30, name="GET /health")
    assert verdicts(Run(app).requests(4, queries=20), after) == (0, [("same", "n_plus_one")])


def test_what_happens_in_a_script_is_told_by_all_that_it_does(app):
    def served(count: int) -> Run:
        run = Run(app)
        run.trace.root("script", "main")
        run.stalls(*[100] * count)
        return run.requests(count)

    code, (change,) = compared(served(4), served(12))
    assert (code, change["verdict"]) == (0, "same")
    assert [change[side]["roots"] for side in ("before", "after")] == [4, 12]


def test_worse_and_better(app):
    few, many = (lambda: Run(app).requests(4, queries=20)), (lambda: Run(app).requests(4, queries=40))
    code, (change,) = compared(few(), many())
    assert (code, change["verdict"], change["is_regression"]) == (1, "worse", True)
    assert change["after"]["seconds_per_root"] == pytest.approx(0.08)
    assert verdicts(many(), few()) == (0, [("better", "n_plus_one")])
    assert run(few(), many(), "--exit-zero").returncode == 0


def test_the_budget(app, tmp_path):
    before, after = Run(app).requests(4, queries=20, query_ms=10), Run(app).requests(4, queries=20, query_ms=13)
    assert verdicts(before, after)[0] == 1
    assert verdicts(before, after, "--max-regression", "35%") == (0, [("worse", "n_plus_one")])
    assert verdicts(before, after, "--max-regression", "0.25")[0] == 1
    (tmp_path / "pyproject.toml").write_text("[tool.agentperf-lint.trace]\nmax-regression = 0.5\n")
    assert verdicts(before, after)[0] == 0


def test_memory_that_grows_faster():
    assert verdicts(memory(100, 100), memory(100, 300)) == (1, [("new", "memory")])
    assert verdicts(memory(100, 100), memory(100, 160)) == (0, [("new", "memory")])  # may have been just below before
    assert verdicts(memory(100, 300), memory(100, 100)) == (0, [("fixed", "memory")])
    assert verdicts(memory(100, 300), memory(100, 500, 200)) == (0, [("same", "memory")])
    assert verdicts(memory(100, 300), memory(100, 500)) == (1, [("worse", "memory")])
    _, (change,) = compared(memory(100, 300), memory(100, 300))
    assert change["before"]["bytes_per_second"] == pytest.approx(200 / 99 * 2**20, rel=0.05)


def test_memory_has_figures_of_its_own_and_no_file():
    text = run(memory(100, 100), memory(100, 300)).stdout
    assert "new     no line of the application APL506 " in text
    assert "MB grown per second          - -> 2.02\n" in text
    assert "per root" not in text.partition("APL506")[2]
    table = run(memory(100, 100), memory(100, 300), "--format", "markdown").stdout
    assert (
        "| **new** | APL506 memory-growth | no line of the application | - → 2.02 MB grown per second |  |  |" in table
    )


def test_milliseconds_are_noise_but_operations_are_not(app):
    fast = Run(app).requests(4, queries=20, query_ms=0.1)
    assert verdicts(fast, Run(app).requests(4, queries=20, query_ms=0.5)) == (0, [("same", "n_plus_one")])
    assert verdicts(fast, Run(app).requests(4, queries=40, query_ms=0.1)) == (1, [("worse", "n_plus_one")])


def test_a_new_repetition_fails_however_fast_it_is(app):
    before, after = Run(app).requests(4), Run(app).requests(4, queries=20, query_ms=0.1)
    assert verdicts(before, after) == (1, [("new", "n_plus_one")])


def test_a_rare_stall_is_new_but_no_regression(app):
    before = Run(app).requests(100)
    assert verdicts(before, Run(app).requests(100).stalls(120)) == (0, [("new", "stall")])
    assert verdicts(before, Run(app).requests(5).stalls(120)) == (1, [("new", "stall")])


def test_fixed_and_not_run(app):
    before = Run(app).requests(4, queries=20)
    assert verdicts(before, Run(app).requests(4, queries=1)) == (0, [("fixed", "n_plus_one")])
    assert verdicts(before, Run(app).requests(4)) == (0, [("not_run", "n_plus_one")])
    assert verdicts(Run(app).requests(4).stalls(500), Run(app).requests(4)) == (0, [("fixed", "stall")])


@pytest.mark.parametrize(("before", "after"), [(5, 6), (6, 5)])
def test_one_more_or_less_at_the_threshold_is_neither_new_nor_fixed(app, before, after):
    code, (change,) = compared(Run(app).requests(4, queries=before), Run(app).requests(4, queries=after))
    assert change["verdict"] in ("worse", "better")  # by one operation
    assert code == 0


def test_just_over_the_limit_of_slow_operations_is_not_new(app):
    before, after = Run(app).requests(4, sum_ms=480), Run(app).requests(4, sum_ms=510)
    assert verdicts(before, after) == (0, [("same", "bottleneck")])


def test_regressions_come_first(app):
    before = Run(app).requests(4, queries=40, sum_ms=600)
    after = Run(app).requests(4, queries=10, sum_ms=900).stalls(900)
    assert verdicts(before, after) == (1, [("new", "stall"), ("worse", "bottleneck"), ("better", "n_plus_one")])


def test_items_are_found_again_when_lines_and_files_move(app, tmp_path):
    before = Run(app).requests(4, queries=20, sum_ms=600)
    moved = App(tmp_path, "import os\n" + SOURCE, name="orders/api.py")
    os.utime(moved.path, (1, 1))
    assert [each for each, _ in verdicts(before, Run(moved).requests(4, queries=20, sum_ms=600))[1]] == ["same"] * 2


def test_text_and_markdown_say_it_with_figures(app):
    before, after = Run(app).requests(4, queries=20), Run(app).requests(4, queries=40)
    done = run(before, after)
    assert done.returncode == 1
    assert done.stdout.startswith("1 regression: 1 worse\nbefore  ")
    for part in (
        f"worse   app.py:{app.line('query')} APL501 40 times the same query",
        "operations per root       20.0 -> 40.0",
        "seconds per root       40.0 ms -> 80.0 ms",
        "regression: more than 20% over what it was",
    ):
        assert part in done.stdout
    text = run(before, after, "--format", "markdown").stdout
    assert text.startswith("<!-- agentperf-lint -->\n## agentperf-lint: 1 regression: 1 worse\n")
    assert "| **worse** | APL501 n-plus-one-cluster |" in text
    assert "| 40.0 ms → 80.0 ms | 20.0 → 40.0 | 40.0 ms → 80.0 ms |" in text


def test_nothing_in_either(app):
    done = run(Run(app).requests(1), Run(app).requests(1))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Nothing found in either run")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--trace", "before.trace"),
        ("--format", "sarif"),
        ("--top", "1"),
        ("--baseline", "x"),
        ("--max-regression", "a lot"),
        ("--max-regression", "-5%"),
        ("--max-regression", "nan"),
    ],
)
def test_what_does_not_go_together(app, arguments):
    assert run(Run(app), Run(app), *arguments).returncode == 2


def test_a_missing_trace(app, tmp_path):
    command = [sys.executable, "-m", "agentperf_lint", "report", "--compare", "none", "after.trace"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "trace 'none' does not exist" in done.stderr


def test_noise_is_absolute_for_small_and_relative_for_large_costs():
    def of(seconds: float) -> Figures:
        return Figures(1, 1, seconds, seconds)

    assert verdict_of("stall", of(0.001), of(0.0105)) == "same"
    assert verdict_of("stall", of(0.001), of(0.012)) == "worse"
    assert verdict_of("stall", of(10), of(10.9)) == "same"
    assert verdict_of("stall", of(10), of(8.9)) == "better"
