"""Items that are known already, through a real subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scenes import App, repeated
from trace_builder import TraceBuilder

SOURCE = """
import sqlite3
import time


def report(conn: sqlite3.Connection, ids):
    for id in ids:
        conn.execute("select name from users where id = ?", (id,))  # call


async def wait():
    time.sleep(0.1)  # sleep
"""
FILE = ".agentperf-baseline.json"


@pytest.fixture(autouse=True)
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    app = App(tmp_path, SOURCE)
    os.utime(app.path, (1, 1))
    traced(app).write(tmp_path / "run.trace")
    return app


def traced(app: App, times: int = 20) -> TraceBuilder:
    trace = repeated(times, app.frame("call", "report"), ms=2)
    trace.op("sql", "select count(*) from users", app.frame("sleep", "wait"), ms=700)
    return trace


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)


def report(*arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = run("report", ".", "--trace", "run.trace", "--format", "json", *arguments)
    return done, json.loads(done.stdout)


def codes() -> list[str]:
    return sorted(entry["code"] for entry in json.loads(Path(FILE).read_text())["entries"])


def test_known_items_are_left_out(app):
    done = run("report", ".", "--trace", "run.trace", "--write-baseline", FILE)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Wrote 2 items to {FILE}\n"
    assert codes() == ["APL501", "APL504"]
    done, checklist = report("--baseline", FILE)
    assert (done.returncode, done.stderr) == (0, "")
    assert [item["status"] for item in checklist["items"]] == ["suspected"]
    assert (checklist["summary"]["confirmed"], checklist["summary"]["suspected"]) == (0, 1)
    assert checklist["notes"][-1] == "left out because the baseline knows them: 2"


def test_items_stay_known_when_lines_move_and_other_places_are_new(app, tmp_path):
    run("report", "--trace", "run.trace", "--write-baseline", FILE)
    moved = App(tmp_path, "# one\n# two\n" + SOURCE.replace("    conn.execute", "\tconn.execute"))
    os.utime(moved.path, (1, 1))
    trace = traced(moved)
    trace.stall(900, moved.frame("sleep", "wait"))
    trace.write(tmp_path / "run.trace")
    done, checklist = report("--baseline", FILE)
    assert done.returncode == 1
    assert [item["kind"] for item in checklist["items"] if item["status"] != "suspected"] == ["stall"]


def test_expired_entries_are_told_when_the_function_ran(app, tmp_path):
    run("report", "--trace", "run.trace", "--write-baseline", FILE)
    traced(app, times=1).write(tmp_path / "run.trace")
    done, _ = report("--baseline", FILE)
    assert done.stderr.startswith("1 entry of the baseline no longer occurs: app.py APL501 'conn.execute(")


def test_entries_of_what_did_not_run_are_not_told(app, tmp_path):
    run("report", "--trace", "run.trace", "--write-baseline", FILE)
    quiet = TraceBuilder()
    quiet.op("sql", "select count(*) from users", app.frame("sleep", "wait"), root=quiet.root(), ms=700)
    quiet.write(tmp_path / "run.trace")
    assert report("--baseline", FILE)[0].stderr == ""
    app.path.write_text(app.path.read_text().replace("where id = ?", "where key = ?"))
    assert "no longer occurs" in report("--baseline", FILE)[0].stderr


def test_one_file_serves_check_and_report():
    assert run("baseline", ".").returncode == 0
    known = codes()
    assert known == ["APL101", "APL201"]
    run("report", ".", "--trace", "run.trace", "--write-baseline", FILE)
    assert codes() == sorted([*known, "APL501", "APL504"])
    done = run("baseline", ".")
    assert (done.returncode, done.stderr) == (0, f"Wrote 2 findings to {FILE}\n")
    assert codes() == sorted([*known, "APL501", "APL504"])
    done = run("check", ".", "--baseline", FILE)
    assert (done.returncode, "no longer" in done.stderr) == (0, False)
    run("baseline", ".", "--prune")
    assert codes() == sorted([*known, "APL501", "APL504"])
    done, checklist = report("--baseline", FILE)
    assert (done.returncode, done.stderr, checklist["items"]) == (0, "", [])


def test_a_missing_baseline_is_an_error():
    done = run("report", "--trace", "run.trace", "--baseline", "none.json")
    assert done.returncode == 2
    assert "baseline none.json does not exist" in done.stderr
