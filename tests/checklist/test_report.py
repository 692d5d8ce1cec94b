"""`agentperf-lint report` through a real subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from scenes import App, repeated
from trace_builder import TraceBuilder

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text(encoding="utf-8"))
SOURCE = """
import sqlite3
import time


def report(conn: sqlite3.Connection, ids):
    for id in ids:  # loop
        conn.execute("select name from users where id = ?", (id,))  # call


async def wait():
    time.sleep(0.1)  # sleep
"""


@pytest.fixture(autouse=True)
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "AGENTPERF_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    app = App(tmp_path, SOURCE)
    os.utime(app.path, (1, 1))
    trace = repeated(20, app.frame("call", "report"), ms=2)
    trace.stall(300, app.frame("loop", "report"))
    trace.op("sql", "select count(*) from users", app.frame("sleep", "wait"), ms=700)
    trace.write(tmp_path / "run.trace")
    return app


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", "report", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=120,
    )


def test_json_is_as_documented(app):
    done = run("--trace", "run.trace", "--format", "json", ".")
    assert (done.returncode, done.stderr) == (1, "")
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    found = [(item["kind"], item["status"], item["path"], item["line"]) for item in report["items"]]
    assert found == [
        ("bottleneck", "observed", "app.py", app.line("sleep")),
        ("stall", "observed", "app.py", app.line("loop")),
        ("n_plus_one", "confirmed", "app.py", app.line("call")),
        ("blocking", "suspected", "app.py", app.line("sleep")),
    ]
    assert report["summary"]["operations"] == 21
    assert report["summary"]["wall_seconds"] == pytest.approx(1.043, abs=0.01)


def test_without_source_nothing_is_suspected():
    report = json.loads(run("--trace", "run.trace", "--format", "json").stdout)
    assert {item["status"] for item in report["items"]} == {"observed"}
    assert not Path(".agentperf_cache").exists()


def test_output_goes_to_a_file(tmp_path):
    done = run("--trace", "run.trace", "--format", "json", "-o", "r.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(json.loads((tmp_path / "r.json").read_text())["items"]) == 3
    done = run("--trace", "run.trace", "-o", str(tmp_path / "no" / "r.json"))
    assert done.returncode == 2
    assert "No such file" in done.stderr


def test_html_goes_to_a_file_or_to_standard_output(tmp_path):
    assert run("--trace", "run.trace", "--format", "html", "-o", "r.html", ".").returncode == 1
    done = run("--trace", "run.trace", "--format", "html", ".")
    assert done.returncode == 1
    assert done.stdout == (tmp_path / "r.html").read_text()
    assert done.stdout.startswith("<!doctype html>")
    assert '"status":"confirmed"' in done.stdout


def test_missing_and_unreadable_traces_exit_with_2(tmp_path):
    assert run("--trace", "none").returncode == 2
    assert "trace 'none' does not exist" in run("--trace", "none").stderr
    assert run("--trace", str(tmp_path)).returncode == 2
    assert run().returncode == 2


def test_an_empty_trace_is_told(tmp_path):
    (tmp_path / "empty").write_text("")
    done = run("--trace", "empty")
    assert done.returncode == 0
    assert "Nothing found" in done.stdout
    assert "no operations were recorded: nothing is known" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (("--top", "1"), ["bottleneck"]),
        (("--only", "confirmed", "."), ["n_plus_one"]),
        (("--only", "suspected", "."), ["blocking"]),
        (("--min-operations", "21"), ["bottleneck", "stall"]),
        (("--detector", "gap"), ["bottleneck", "stall", "n_plus_one"]),
    ],
)
def test_options(arguments, kinds):
    report = json.loads(run("--trace", "run.trace", "--format", "json", *arguments).stdout)
    assert [item["kind"] for item in report["items"]] == kinds


def test_exit_codes(tmp_path):
    assert run("--trace", "run.trace", "--exit-zero").returncode == 0
    nothing = TraceBuilder()
    nothing.root()
    nothing.write(tmp_path / "quiet.trace")
    assert run("--trace", "quiet.trace", ".").returncode == 0  # suspected ones are `check`'s business
    assert run("--trace", "run.trace", "--map", "nonsense").returncode == 2


def test_configuration(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        "[tool.agentperf-lint.trace]\nmin-operations = 21\nslow-operation = 1\nignore = ['app.py:report']\n"
    )
    assert json.loads(run("--trace", "run.trace", "--format", "json").stdout)["items"] == []
    assert len(json.loads(run("--trace", "run.trace", "--format", "json", "--isolated").stdout)["items"]) == 3
    (tmp_path / "pyproject.toml").write_text("[tool.agentperf-lint.trace]\nmin-operation = 21\n")
    done = run("--trace", "run.trace")
    assert done.returncode == 2
    assert "did you mean 'min-operations'?" in done.stderr


def test_text_says_it_all(app):
    done = run("--trace", "run.trace", ".")
    assert done.returncode == 1
    head, _, rest = done.stdout.partition("\n\n")
    assert head.splitlines() == [
        "1 item confirmed, 2 items observed, 1 item suspected",
        "1.04 s traced, 21 operations, 1 root, 1 process",
        "event loop late by 300.0 ms at most",
    ]
    worst, _, items = rest.partition("\n\n")
    assert [line.split()[0] for line in worst.splitlines()] == ["700.0", "300.0", "40.0"]
    assert f"N+1 app.py:{app.line('call')} report" in worst
    for part in (
        f"app.py:{app.line('call')} APL501 confirmed 20 times the same query in one root, once per element",
        f"  loop  for at app.py:{app.line('loop')} in report",
        "  cost  40.0 ms in 20 operations, 1 root; worst 40.0 ms;",
        "  asked select name from users where id = ?",
        "  check APL201 ",
        f"  stack report at app.py:{app.line('loop')}",
    ):
        assert part in items
    assert "\x1b" not in done.stdout


def test_colour_is_asked_for_and_refused():
    assert "\x1b[" in run("--trace", "run.trace", FORCE_COLOR="1").stdout
    assert "\x1b" not in run("--trace", "run.trace", FORCE_COLOR="1", NO_COLOR="1").stdout


def test_other_encodings_get_plain_bars():
    done = run("--trace", "run.trace", PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "############" in done.stdout


def test_control_characters_of_a_trace_do_not_reach_the_terminal(tmp_path):
    trace = repeated(9, ("/x/\x1b[31m.py", 3, "f\x07"), text="select \x1b]0;x\x07 from t where a = ?")
    trace.root(name="\x1b[2J")
    trace.write(tmp_path / "bad.trace", end='{"type": "\\u001b[1m"}\n')
    done = run("--trace", "bad.trace")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def group_titles(*arguments: str) -> list[str]:
    lines = run("--trace", "run.trace", ".", *arguments).stdout.splitlines()
    return [line for before, line, after in zip(lines, lines[1:], lines[2:]) if before == after == ""]


def test_items_are_grouped(app):
    assert group_titles("--group-by", "file") == ["app.py  4 items, 1.04 s"]
    assert group_titles("--group-by", "rule") == [
        "APL504 slow-operation  1 item, 700.0 ms",
        "APL503 event-loop-stall  1 item, 300.0 ms",
        "APL501 n-plus-one-cluster  1 item, 40.0 ms",
        "APL101 blocking-sleep-in-async  1 item",
    ]
    assert group_titles("--group-by", "root") == ["request GET /  3 items, 1.04 s", "no root  1 item"]
    assert run("--trace", "run.trace", "--group-by", "file", "--format", "json").returncode == 2


def test_figures_of_requests_come_first(tmp_path):
    trace = TraceBuilder()
    for length in (40, 60, 100):
        root = trace.root()
        trace.op("llm", "POST gpt", ("/x.py", 1, "f"), root=root, ms=length, input_tokens=1000, output_tokens=9)
        trace.end_root(root, outcome="503" if length == 100 else "200")
    trace.write(tmp_path / "requests.trace")
    assert run("--trace", "requests.trace").stdout.splitlines()[2:] == [
        "3 requests ended (1 failed): 60.1 ms p50, 100.1 ms p95, 100.1 ms at worst",
        "15.0 requests per second, 1.0 at once on average, 1 at most",
        "3,000 tokens in, 27 out (1,009 for each request)",
    ]
    report = json.loads(run("--trace", "requests.trace", "--format", "json").stdout)
    jsonschema.validate(report, SCHEMA)
    assert report["summary"]["kpis"]["response_p95_seconds"] == pytest.approx(0.1001)


def test_items_tell_of_how_many_roots_they_are(app, tmp_path):
    trace = TraceBuilder()
    for number in range(4):
        root = trace.root(name="GET /a" if number else "GET /b")
        for row in range(10 if number < 2 else 1):
            trace.op("sql", "select a from t where id = ?", app.frame("call", "report"), root=root, params=row + 1)
    trace.write(tmp_path / "roots.trace")
    (item,) = json.loads(run("--trace", "roots.trace", "--format", "json").stdout)["items"]
    assert (item["roots"], item["of_roots"]) == (2, 4)
    assert sorted(item["root_names"]) == ["request GET /a", "request GET /b"]
