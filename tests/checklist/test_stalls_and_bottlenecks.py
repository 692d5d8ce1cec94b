"""Stalls are added up by the application's line; slow operations are told alone or with what they belong to."""

from __future__ import annotations

import pytest
from scenes import App, items_of, kinds, repeated
from trace_builder import TraceBuilder

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.trace import read_traces
from agentperf_lint.config import TraceSettings

SOURCE = """
async def work():
    time.sleep(0.15)  # call
"""
LIBRARY = ("/usr/lib/python3/site-packages/x/y.py", 7, "inner")


@pytest.fixture
def app(tmp_path):
    return App(tmp_path, SOURCE)


def test_stalls_of_one_line_are_one_item(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for milliseconds in (150, 200, 160):
        trace.stall(milliseconds, app.frame("call", "work"))
    (item,) = items_of(tmp_path, trace)
    assert (item.code, item.kind, item.line, item.operations) == ("APL503", "stall", app.line("call"), 3)
    assert (item.total_seconds, item.worst_seconds) == (pytest.approx(0.51), pytest.approx(0.2))
    assert "holds the event loop 3 times, 0.20 s at worst" in item.message
    assert item.evidence[0].sampled == 3


def test_collections_of_garbage_are_no_line_s_fault(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    for milliseconds in (150, 250):
        trace.stall(milliseconds, app.frame("call", "work"), reason="gc")
    checklist = build_checklist(read_traces([str(trace.write(tmp_path / "t"))]), TraceSettings())
    assert not checklist.items
    assert any("garbage collector held an event loop 2 times, 0.25 s" in note for note in checklist.notes)


def test_the_innermost_application_frame_counts(tmp_path, app):
    trace = TraceBuilder(prefixes=["/opt/lib/"])
    trace.root()
    frames = [LIBRARY, ("/opt/lib/z.py", 3, "z"), app.frame("call", "work"), (str(app.path), 1, "<module>")]
    trace.stall(300, *frames, site=0)
    (item,) = items_of(tmp_path, trace)
    assert kinds([item]) == [("stall", "app.py", app.line("call"))]
    assert len(item.evidence[0].stack) == 4


def test_stalls_of_libraries_are_kept_by_function(tmp_path):
    trace = TraceBuilder()
    trace.root()
    for line in (7, 9):
        trace.stall(300, (LIBRARY[0], line, "inner"), site=0)
    (item,) = items_of(tmp_path, trace)
    assert "in library: inner()" in item.message
    assert (item.operations, item.severity) == (2, "low")


@pytest.mark.parametrize(
    ("stalls", "found"), [([60], 0), ([99], 0), ([101], 1), ([60, 60], 1), ([40, 40], 0), ([40, 60], 0)]
)
def test_single_short_stalls_are_the_machine(tmp_path, app, stalls, found):
    trace = TraceBuilder()
    trace.root()
    for milliseconds in stalls:
        trace.stall(milliseconds, app.frame("call", "work"))
    checklist = build_checklist(read_traces([str(trace.write(tmp_path / "t"))]), TraceSettings())
    assert len(checklist.items) == found
    left_out = any("single stalls under twice the limit were left out" in note for note in checklist.notes)
    assert left_out == (max(stalls) >= 50 and not found)


def test_the_limit_is_configurable(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.stall(150, app.frame("call", "work"))
    assert items_of(tmp_path, trace, stall_limit=0.2) == []
    assert items_of(tmp_path, trace, stall_limit=0.1) == []
    trace.records[0]["stall_limit"] = 200_000_000
    assert items_of(tmp_path, trace) == []
    assert len(items_of(tmp_path, trace, stall_limit=0.05)) == 1


def test_still_blocked(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.stall(60, app.frame("call", "work"), ongoing=True)
    (item,) = items_of(tmp_path, trace)
    assert "still blocked when the trace ended" in item.message
    assert item.evidence[0].ongoing == 1


def test_seen_too_late(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.stall(700, app.frame("call", "work"), confidence="after")
    (item,) = items_of(tmp_path, trace)
    assert "seen only once it had let go" in item.message
    assert item.severity == "high"


def test_cold_imports_are_told_apart(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.stall(300, app.frame("call", "work"), reason="import")
    (item,) = items_of(tmp_path, trace)
    assert (item.code, item.kind, item.severity) == ("APL507", "cold_import", "low")


def test_imports_and_libraries_before_the_first_request_are_only_noted(tmp_path, app):
    trace = TraceBuilder()
    trace.root("task", "Server.serve")
    trace.stall(300, app.frame("call", "work"), reason="import")
    trace.stall(100, LIBRARY, site=0)
    trace.root("request", "GET /")
    trace.stall(200, app.frame("call", "work"), reason="import", root=2)
    checklist = build_checklist(read_traces([str(trace.write(tmp_path / "out.trace"))]), TraceSettings())
    assert [(item.kind, item.operations) for item in checklist.items] == [("cold_import", 1)]
    assert "imports and libraries held an event loop for 0.40 s before the first request came" in checklist.notes


def test_imports_of_a_worker_that_no_request_reached_are_its_start(tmp_path, app):
    busy, idle = TraceBuilder(pid=1), TraceBuilder(pid=2)
    busy.root("request", "GET /")
    idle.root("task", "Server.serve")
    idle.stall(300, app.frame("call", "work"), reason="import")
    files = [str(trace.write(tmp_path / name)) for trace, name in ((busy, "out.trace"), (idle, "out.trace.2.1"))]
    assert build_checklist(read_traces(files), TraceSettings()).items == ()


def test_a_cold_import_of_a_library_is_told_at_the_module_that_imports(tmp_path):
    trace = TraceBuilder(prefixes=["/lib/"])
    trace.root()
    machinery = ("<frozen importlib._bootstrap>", 488, "_call_with_frames_removed")
    trace.stall(300, machinery, ("/lib/server/auto.py", 13, "<module>"), machinery, reason="import", site=0)
    (item,) = items_of(tmp_path, trace)
    assert (item.path, item.line) == ("/lib/server/auto.py", 13)
    assert [place.path for place in item.evidence[0].stack] == ["/lib/server/auto.py"]


def test_comments_silence_stalls(tmp_path):
    app = App(tmp_path, SOURCE.replace("# call", "# agentperf: ignore  # call"))
    trace = TraceBuilder()
    trace.root()
    trace.stall(300, app.frame("call", "work"))
    assert items_of(tmp_path, trace) == []


def test_a_process_that_runs_as_long_as_the_program_is_supervised(tmp_path, app):
    trace = TraceBuilder()
    trace.root("script", "main")
    trace.op("subprocess", "python", app.frame("call", "work"), ms=9_900)
    assert items_of(tmp_path, trace) == []
    trace.pause(5_000)
    trace.op("sql", "select ?", app.frame("call", "work"))
    assert [item.kind for item in items_of(tmp_path, trace)] == ["bottleneck"]


def test_one_slow_operation(tmp_path, app):
    trace = TraceBuilder()
    root = trace.root(name="GET /dashboard")
    trace.op("sql", "select ?", app.frame("call", "work"), ms=10)
    trace.op("sql", "select count(*) from t", app.frame("call", "work"), ms=800)
    trace.op("sql", "select count(*) from t", app.frame("call", "work"), ms=2)
    trace.end_root(root)
    (item,) = items_of(tmp_path, trace)
    assert (item.code, item.kind, item.operations) == ("APL504", "bottleneck", 1)
    assert item.worst_seconds == pytest.approx(0.8)
    evidence = item.evidence[0]
    assert (evidence.operations, evidence.slow, evidence.root_name) == (2, 1, "request GET /dashboard")
    assert evidence.root_share == pytest.approx(0.985, abs=0.01)
    assert items_of(tmp_path, trace, slow_operation=1.0) == []


@pytest.mark.parametrize(
    ("kind", "text", "ms", "found"),
    [
        ("sleep", "asyncio.sleep", 5000, 0),
        ("redis", "BLPOP", 5000, 0),
        ("redis", "XREADGROUP", 5000, 0),
        ("redis", "GET", 600, 1),
        ("llm", "chat m", 3000, 0),
        ("llm", "chat m", 6000, 1),
        ("http", "GET http://api/slow", 600, 1),
        ("subprocess", "git", 600, 0),
    ],
)
def test_what_is_slow_depends_on_what_it_is(tmp_path, app, kind, text, ms, found):
    assert len(items_of(tmp_path, repeated(1, app.frame("call", "work"), kind=kind, text=text, ms=ms))) == found


def test_slow_operations_of_a_cluster_are_its_evidence(tmp_path):
    app = App(tmp_path, "def f(conn, ids):\n    for id in ids:\n        conn.execute('select ?', (id,))  # call\n")
    (item,) = items_of(tmp_path, repeated(10, app.frame("call", "f"), ms=600))
    assert item.kind == "n_plus_one"
    assert [type(each).__name__ for each in item.evidence] == ["ClusterEvidence", "BottleneckEvidence"]


def test_slow_operations_that_hold_the_loop_are_its_evidence(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.op("sql", "select ?", app.frame("call", "work"), ms=800, thread=1)
    trace.stall(800, app.frame("call", "work"))
    (item,) = items_of(tmp_path, trace)
    assert (item.kind, len(item.evidence)) == ("stall", 2)


def test_items_are_ranked_by_what_they_cost(tmp_path, app):
    trace = TraceBuilder()
    trace.root()
    trace.stall(200, app.frame("call", "work"))
    trace.op("sql", "select count(*) from t", (str(app.path), 1, "work"), ms=900)
    trace.stall(400, (str(app.path), 3, "other"))
    assert [item.kind for item in items_of(tmp_path, trace)] == ["bottleneck", "stall", "stall"]
    assert [round(item.total_seconds, 1) for item in items_of(tmp_path, trace)] == [0.9, 0.4, 0.2]
