"""What the charts of a report are drawn from."""

from __future__ import annotations

import pytest
from pages import sample
from trace_builder import TraceBuilder

from agentperf_lint.checklist.series import Overview, overview_of
from agentperf_lint.checklist.trace import read_traces

SITE = ("/srv/app.py", 3, "f")


def overview(tmp_path, *traces: TraceBuilder) -> Overview:
    files = [str(trace.write(tmp_path / f"{number}.trace")) for number, trace in enumerate(traces)]
    return overview_of(read_traces(files))


def test_nothing_is_known_of_an_empty_trace(tmp_path):
    (tmp_path / "empty").write_text("")
    assert overview_of(read_traces([str(tmp_path / "empty")])) == Overview()


def test_samples_become_lag_busy_time_and_memory(tmp_path):
    trace = TraceBuilder()
    for lag, busy, rss in ((1, 40, 10), (5, 100, 30), (2, 25, 20), (1, 500, 20)):
        trace.pause(100)
        sample(trace, lag=lag, busy=busy, rss=rss)
    found = overview(tmp_path, trace)
    assert found.lag.step == pytest.approx(0.1)
    assert found.lag.values == (0.001, 0.005, 0.002, 0.001)
    assert found.busy.values == (None, 1.0, 0.25, 1.0)  # never busier than always
    assert found.memory.values == (10, 30, 20, 20)


def test_memory_is_that_of_all_processes(tmp_path):
    short, long = TraceBuilder(pid=1), TraceBuilder(pid=2)
    for trace, samples in ((short, 2), (long, 8)):
        for _ in range(samples):
            trace.pause(100)
            sample(trace, lag=1, rss=100 * trace.records[0]["pid"])
    values = overview(tmp_path, short, long).memory.values
    assert values == (300.0, 300.0, 200.0, 200.0, 200.0, 200.0, 200.0, 200.0)


def test_processes_without_samples_do_not_matter(tmp_path):
    silent, sampled = TraceBuilder(pid=1), TraceBuilder(pid=2)
    silent.op("sql", "select 1", SITE)
    sampled.pause(10)
    sample(sampled, lag=1, rss=7)
    assert overview(tmp_path, silent, sampled).memory.values == (7.0,)


def test_tasks_that_nobody_ended_are_open_until_they_did_something_last(tmp_path):
    trace = TraceBuilder()
    trace.root()
    for _ in range(3):
        task = trace.root("task", "handle")
        trace.op("sql", "select 1", SITE, ms=10, root=task)
        trace.pause(90)
    assert max(overview(tmp_path, trace).open_roots.values) == 2


def test_roots_that_are_open_at_once(tmp_path):
    trace = TraceBuilder()
    first = trace.root()
    trace.pause(100)
    second = trace.root()
    trace.pause(100)
    trace.end_root(first)
    trace.pause(200)
    trace.end_root(second)
    last = trace.root()
    trace.pause(100)
    trace.end_root(last)
    values = overview(tmp_path, trace).open_roots.values
    assert len(values) == 120
    assert [values[index] for index in (0, 23, 25, 47, 50, 94, 119)] == [1, 1, 2, 2, 1, 1, 1]
    assert max(value or 0 for value in values) == 2


def test_a_root_that_never_ended_lasts_as_long_as_the_trace(tmp_path):
    trace = TraceBuilder()
    trace.root()
    trace.op("sql", "select 1", SITE, ms=100)
    assert set(overview(tmp_path, trace).open_roots.values) == {1}


def test_a_rotation_does_not_make_two_roots_of_one(tmp_path):
    before, after = TraceBuilder(), TraceBuilder()
    before.root()
    before.pause(10)
    sample(before, lag=1, rss=1)
    after.root()
    after.pause(100)
    after.end_root(1)
    assert max(overview(tmp_path, before, after).open_roots.values) == 1


def test_costs_are_added_up_by_name_without_sleeps(tmp_path):
    trace = TraceBuilder()
    for number in range(3):
        root = trace.root(name=f"GET /items/{number}")
        trace.op("sql", "select 1", SITE, ms=10, root=root)
        trace.op("http", "GET http://api/", SITE, ms=20, root=root)
        trace.sleep(1000, root=root)
        trace.end_root(root, "GET /items/{id}")
    trace.op("sql", "select 1", SITE, ms=5, root=0)
    costs = overview(tmp_path, trace).costs
    assert [(cost.name, cost.roots, cost.operations, cost.seconds) for cost in costs] == [
        ("request GET /items/{id}", 3, 6, 0.09),
        ("outside of roots", 1, 1, 0.005),
    ]


def test_only_the_dearest_roots_are_listed(tmp_path):
    trace = TraceBuilder()
    for number in range(30):
        root = trace.root(name=f"task {number:02}")
        trace.op("sql", "select 1", SITE, ms=1 + number, root=root)
    costs = overview(tmp_path, trace).costs
    assert [cost.name[-2:] for cost in costs] == [f"{number}" for number in range(29, 19, -1)]
