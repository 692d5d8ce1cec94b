"""Which operations an item speaks of, when they ran and how long they took."""

from __future__ import annotations

import pytest
from pages import checklist_of, item_named
from scenes import App
from trace_builder import TraceBuilder

from agentperf_lint.checklist.timelines import Timeline, timelines_of

SOURCE = """
async def report(conn, ids):
    for id in ids:  # loop
        await conn.execute("select name from users where id = ?", (id,))  # call
    await conn.execute("select 1")  # other


def hold():
    return 1  # stall
"""
QUERY = "select name from users where id = ?"


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return App(tmp_path, SOURCE)


def timeline_of(kind: str, trace: TraceBuilder, tmp_path, **options: int) -> Timeline:
    checklist, scene = checklist_of(trace, tmp_path / "t.trace", [])
    found = timelines_of(checklist.items, scene, **options)[checklist.items.index(item_named(checklist, kind))]
    assert found is not None
    return found


def test_lanes_are_roots_the_worst_first(app, tmp_path):
    trace = TraceBuilder()
    for number, times in enumerate((6, 8), 1):
        trace.root(name=f"GET /{number}")
        trace.pause(5)
        for element in range(times):
            trace.op("sql", QUERY, app.frame("call", "report"), params=element, ms=2, root=number)
        trace.op("sql", "select 2", app.frame("call", "report"), ms=50, root=number)
        trace.end_root(number)
    lanes = timeline_of("n_plus_one", trace, tmp_path).lanes
    assert [(lane.name, lane.operations, lane.seconds) for lane in lanes] == [
        ("request GET /2", 8, 0.016),
        ("request GET /1", 6, 0.012),
    ]
    assert lanes[1].starts[:2] == (5_000, 7_100)  # microseconds since the root began
    assert lanes[1].durations == (2_000,) * 6


def test_durations_fall_into_buckets(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    for element in range(20):
        took = 300 if element == 19 else 1.5 if element < 10 else 3
        trace.op("sql", QUERY, app.frame("call", "report"), params=element, ms=took)
    durations = timeline_of("n_plus_one", trace, tmp_path).durations
    assert (durations.operations, durations.median, durations.most, durations.longest) == (20, 0.0015, 0.003, 0.3)
    assert durations.edges == (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    assert durations.counts == (10, 9, 0, 0, 0, 0, 0, 1)


def test_statements_that_mean_the_same_are_one(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    for element in range(8):
        text = QUERY if element % 2 else "SELECT name FROM users WHERE id = $1"
        trace.op("sql", text, app.frame("call", "report"), params=element)
    assert timeline_of("n_plus_one", trace, tmp_path).durations.operations == 8


def test_what_stands_out_stays_when_a_lane_is_thinned(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    for element in range(1_000):
        trace.op("sql", QUERY, app.frame("call", "report"), params=element, ms=100 if element == 501 else 1)
    (lane,) = timeline_of("n_plus_one", trace, tmp_path).lanes
    assert lane.operations == 1_000
    assert len(lane.starts) == len(lane.durations) == 200
    assert max(lane.durations) == 100_000
    assert list(lane.starts) == sorted(lane.starts)


def test_only_the_worst_roots_have_lanes(app, tmp_path):
    trace = TraceBuilder()
    for root in range(1, 21):
        trace.root(name=f"GET /{root}")
        for element in range(6):
            trace.op("sql", QUERY, app.frame("call", "report"), params=element, ms=root, root=root)
    timeline = timeline_of("n_plus_one", trace, tmp_path)
    assert [lane.name for lane in timeline.lanes] == [f"request GET /{root}" for root in range(20, 12, -1)]
    assert timeline.durations.operations == 120


def test_stalls_have_a_timeline_too(app, tmp_path):
    trace = TraceBuilder()
    trace.root(name="GET /")
    trace.stall(200, app.frame("stall", "hold"))
    trace.stall(300, app.frame("stall", "hold"))
    timeline = timeline_of("stall", trace, tmp_path)
    assert timeline.durations.longest == 0.3
    assert timeline.lanes[0].durations == (200_000, 300_000)


def test_stalls_in_libraries_are_found_by_their_function(app, tmp_path):
    trace = TraceBuilder(prefixes=["/usr/lib/python3"])
    trace.root()
    for line in (10, 20):
        trace.stall(200, ("/usr/lib/python3/json/decoder.py", line, "decode"), site=0)
    assert timeline_of("stall", trace, tmp_path).durations.operations == 2


def test_slow_operations(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    trace.op("sql", QUERY, app.frame("call", "report"), ms=900)
    trace.op("sql", QUERY, app.frame("call", "report"), ms=1)
    assert timeline_of("bottleneck", trace, tmp_path).durations.operations == 2


def test_a_full_page_has_no_further_lanes(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    trace.stall(900, app.frame("stall", "hold"))
    for element in range(6):
        trace.op("sql", QUERY, app.frame("call", "report"), params=element)
    assert len(timeline_of("stall", trace, tmp_path, ticks=1).lanes) == 1
    full = timeline_of("n_plus_one", trace, tmp_path, ticks=1)
    assert (full.lanes, full.durations.operations) == ((), 6)


def test_suspicions_have_none(app, tmp_path):
    from findings import finding

    checklist, scene = checklist_of(TraceBuilder(), tmp_path / "t.trace", [finding(path="app.py", line=2)])
    assert timelines_of(checklist.items, scene) == [None]
