"""Findings and observations that mean the same place become one item."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scenes import App, repeated
from trace_builder import TraceBuilder

from agentperf_lint.analysis.run import analyze
from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.items import Checklist, StaticEvidence
from agentperf_lint.checklist.sources import line_digest
from agentperf_lint.checklist.trace import read_traces
from agentperf_lint.config import Config, TraceSettings

BLOCKING = """
import time
import sqlite3


def pause():
    time.sleep(0.2)  # sleep


async def handler():
    pause()  # call


async def lookup(conn: sqlite3.Connection):
    return conn.execute("select 1 + 1")  # query
"""
LOOP = """
import sqlite3


def report(conn: sqlite3.Connection, ids):
    for id in ids:  # loop
        conn.execute("select name from users where id = ?", (id,))  # call
"""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")


def checked(trace: TraceBuilder, tmp_path: Path, **options) -> Checklist:
    """The checklist of `trace` and what the linter finds in the directory."""
    file = trace.write(tmp_path / "t.trace")
    findings = analyze([tmp_path], Config(min_confidence="possible"), root=tmp_path, jobs=1).findings
    return build_checklist(read_traces([str(file)]), TraceSettings(), findings=findings, **options)


def test_a_loop_that_the_trace_saw_is_confirmed(tmp_path):
    app = App(tmp_path, LOOP)
    (item,) = checked(repeated(20, app.frame("call", "report")), tmp_path).items
    assert (item.status, item.code, item.kind, item.path) == ("confirmed", "APL501", "n_plus_one", "app.py")
    static = item.evidence[1]
    assert isinstance(static, StaticEvidence)
    assert (static.code, static.line) == ("APL201", app.line("call"))


def test_a_stall_keeps_its_kind_and_gets_the_chain(tmp_path):
    app = App(tmp_path, BLOCKING)
    trace = TraceBuilder()
    trace.root()
    trace.stall(200, app.frame("sleep", "pause"), app.frame("call", "handler"))
    confirmed, suspected = checked(trace, tmp_path).items
    assert (confirmed.status, confirmed.kind, confirmed.line) == ("confirmed", "stall", app.line("sleep"))
    static = next(each for each in confirmed.evidence if isinstance(each, StaticEvidence))
    assert (static.code, static.line, len(static.chain)) == ("APL101", app.line("call"), 2)
    assert "asyncio.sleep" in confirmed.remedy
    assert confirmed.message.endswith(confirmed.remedy)
    assert (suspected.status, suspected.line) == ("suspected", app.line("query"))


def test_what_was_not_seen_is_suspected_and_comes_last(tmp_path):
    app = App(tmp_path, LOOP)
    App(tmp_path, BLOCKING, "other.py")
    checklist = checked(repeated(20, app.frame("call", "report")), tmp_path)
    assert [item.status for item in checklist.items] == ["confirmed", "suspected", "suspected"]
    assert {item.kind for item in checklist.items[1:]} == {"blocking"}
    assert (checklist.summary.confirmed, checklist.summary.observed, checklist.summary.suspected) == (1, 0, 2)


def test_possible_findings_are_joined_but_not_shown_alone(tmp_path):
    source = LOOP.replace("conn: sqlite3.Connection", "thing")
    app = App(tmp_path, source)
    nothing = TraceBuilder()
    nothing.root()
    assert [item.status for item in checked(nothing, tmp_path, min_confidence="definite").items] == []
    (item,) = checked(repeated(20, app.frame("call", "report")), tmp_path, min_confidence="definite").items
    assert item.status in {"confirmed", "observed"}


def test_another_family_is_not_joined(tmp_path):
    app = App(tmp_path, BLOCKING)
    first, *others = checked(repeated(20, app.frame("call", "handler")), tmp_path).items
    assert (first.kind, first.status) == ("n_plus_one", "observed")
    assert {item.status for item in others} == {"suspected"}


def test_a_call_over_several_lines(tmp_path):
    app = App(
        tmp_path,
        """
        import sqlite3

        def report(conn: sqlite3.Connection, ids):
            for id in ids:
                conn.execute(
                    "select name from users where id = ?",
                    (id,),  # call
                )
        """,
    )
    (item,) = checked(repeated(20, app.frame("call", "report")), tmp_path).items
    assert item.status == "confirmed"


def test_refuted_blocking_comes_last_and_says_why(tmp_path):
    app = App(tmp_path, BLOCKING)
    trace = TraceBuilder()
    trace.records.append({"type": "sample", "time": 5, "iterations": 100})
    trace.root()
    for number in range(50):
        trace.op("sql", f"select c{number} from t", app.frame("query", "lookup"), params=number + 1, ms=0.02, thread=1)
    checklist = checked(trace, tmp_path)
    refuted = checklist.items[-1]
    assert (refuted.line, refuted.refuted) == (app.line("query"), True)
    assert "ran 50 operations" in refuted.reason
    assert not checklist.items[0].refuted
    assert not checklist.has_observations()


def test_nothing_is_refuted_where_the_loop_was_not_watched_or_did_wait(tmp_path):
    app = App(tmp_path, BLOCKING)
    for watched, ms in ((False, 0.02), (True, 5)):
        trace = TraceBuilder()
        if watched:
            trace.records.append({"type": "sample", "time": 5, "iterations": 100})
        trace.root()
        for number in range(50):
            trace.op("sql", f"select c{number} from t", app.frame("query", "lookup"), params=number + 1, ms=ms)
        assert not any(item.refuted for item in checked(trace, tmp_path).items)


def test_loops_of_one_element_are_refuted(tmp_path):
    app = App(tmp_path, LOOP)
    trace = TraceBuilder()
    for number in range(40):
        trace.op("sql", "select ?", app.frame("call", "report"), params=number + 1, root=trace.root())
    (item,) = checked(trace, tmp_path).items
    assert item.refuted
    assert item.reason == "it ran in 40 roots, never more than 1 times in one"


def test_containers_are_mapped(tmp_path):
    app = App(tmp_path / "src", LOOP)
    trace = repeated(20, ("/app/app.py", app.line("call"), "report"))
    (item,) = checked(trace, tmp_path, mappings=[("/app", "src")]).items
    assert (item.status, item.path, item.loop.line) == ("confirmed", "src/app.py", app.line("loop"))


def test_paths_are_found_by_their_ends(tmp_path):
    app = App(tmp_path / "src" / "shop", LOOP)
    trace = repeated(20, ("/usr/lib/python3/site-packages/shop/app.py", app.line("call"), "report"))
    (item,) = checked(trace, tmp_path, bases=[str(tmp_path / "src")]).items
    assert (item.status, item.path) == ("confirmed", "src/shop/app.py")


def test_missing_files_are_told(tmp_path):
    checklist = checked(repeated(20, ("/nowhere/x.py", 3, "f")), tmp_path)
    assert any("source not found, judged by the trace alone: /nowhere/x.py" in note for note in checklist.notes)


def edited(app: App, trace: TraceBuilder, *, hints: bool) -> None:
    """Moves the code of `app` three lines down after it was traced."""
    if hints:
        for record in trace.records:
            if record["type"] == "site":
                record["first_line"] = next(n for n, line in enumerate(app.lines, 1) if line.startswith("def "))
                record["digest"] = line_digest(app.lines[record["line"] - 1])
    app.path.write_text("# one\n# two\n# three\n" + app.path.read_text())


@pytest.mark.parametrize("hints", [True, False])
def test_edits_since_the_trace_are_followed(tmp_path, hints):
    app = App(tmp_path, LOOP)
    trace = repeated(20, app.frame("call", "report"))
    edited(app, trace, hints=hints)
    checklist = checked(trace, tmp_path)
    assert checklist.items[0].status == "confirmed"
    assert any("changed since they were traced" in note for note in checklist.notes)
    if hints:
        assert checklist.items[0].line == app.line("call") + 3
        assert checklist.items[0].loop.line == app.line("loop") + 3


def test_files_that_did_not_change_are_not_told(tmp_path):
    app = App(tmp_path, LOOP)
    os.utime(app.path, (1, 1))
    notes = checked(repeated(20, app.frame("call", "report")), tmp_path).notes
    assert notes == ()


def test_a_stall_in_the_body_of_a_with_is_what_was_opened_there(tmp_path):
    app = App(
        tmp_path,
        """
        async def load(path, other):
            with open(path) as stream:  # open
                for line in stream:
                    print(line)  # read
            with open(other) as stream:  # other
                return 1
        """,
    )
    trace = TraceBuilder()
    trace.root()
    trace.stall(300, app.frame("read", "load"))
    confirmed, suspected = checked(trace, tmp_path).items
    assert (confirmed.status, confirmed.line) == ("confirmed", app.line("read"))
    assert [each.line for each in confirmed.evidence if isinstance(each, StaticEvidence)] == [app.line("open")]
    assert (suspected.status, suspected.line) == ("suspected", app.line("other"))
