"""What users felt, computed from the roots of a trace."""

from __future__ import annotations

import pytest
from trace_builder import MS, TraceBuilder

from agentperf_lint.checklist.kpis import Kpis, kpis_of, most_at_once, percentile
from agentperf_lint.checklist.trace import read_traces
from agentperf_runtime.kpis import DEFINITIONS

SITE = ("/app/a.py", 3, "f")


def figures(tmp_path, *traces: TraceBuilder) -> Kpis:
    files = [str(trace.write(tmp_path / f"t{number}")) for number, trace in enumerate(traces)]
    return kpis_of(read_traces(files))


def served(trace: TraceBuilder, *milliseconds: float, outcome: str = "200") -> TraceBuilder:
    """One request after another, each as long as it says."""
    for each in milliseconds:
        root = trace.root()
        trace.pause(each)
        trace.end_root(root, outcome=outcome)
    return trace


def test_requests_one_after_another(tmp_path):
    kpis = figures(tmp_path, served(TraceBuilder(), *range(10, 210, 10)))  # 10 to 200 ms, 2.1 s in all
    assert (kpis.of, kpis.count, kpis.failed) == ("request", 20, 0)
    assert kpis.response_p50_seconds == pytest.approx(0.1)
    assert kpis.response_p95_seconds == pytest.approx(0.19)
    assert kpis.response_worst_seconds == pytest.approx(0.2)
    assert kpis.throughput == pytest.approx(20 / 2.1)
    assert kpis.concurrency == pytest.approx(1)
    assert kpis.concurrency_most == 1


def test_requests_of_several_processes_overlap(tmp_path):
    traces = [served(TraceBuilder(pid=pid, wall_start=1000.0 + pid / 10), 100, 100) for pid in (1, 2)]
    kpis = figures(tmp_path, *traces)  # 0.1 to 0.3 s, and 0.2 to 0.4 s
    assert kpis.count == 4
    assert kpis.throughput == pytest.approx(4 / 0.3)
    assert kpis.concurrency == pytest.approx(4 / 3)
    assert kpis.concurrency_most == 2


def test_start_up_and_unfinished_requests_do_not_count(tmp_path):
    trace = TraceBuilder()
    trace.root("script", "main")
    trace.pause(5_000)
    served(trace, 50)
    trace.root()
    trace.pause(1_000)
    kpis = figures(tmp_path, trace)
    assert (kpis.count, kpis.throughput) == (1, pytest.approx(20))


def test_without_requests_tasks_are_measured(tmp_path):
    trace = TraceBuilder()
    for kind, length in (("task", 30), ("websocket", 9_000), ("agent", 70)):
        root = trace.root(kind, "work")
        trace.pause(length)
        trace.end_root(root)
    kpis = figures(tmp_path, trace)
    assert (kpis.of, kpis.count) == ("root", 2)
    assert kpis.response_worst_seconds == pytest.approx(0.07)


def test_what_encloses_other_roots_is_not_measured(tmp_path):
    trace = TraceBuilder()
    main = trace.root("task", "main")
    for _ in range(3):
        root = trace.root("agent", "run", parent=main)
        trace.pause(20)
        trace.end_root(root)
    trace.end_root(main)
    kpis = figures(tmp_path, trace)
    assert (kpis.count, kpis.concurrency_most) == (3, 1)
    assert kpis.response_worst_seconds == pytest.approx(0.02)


@pytest.mark.parametrize(("outcome", "failed"), [("ok", 0), ("404", 0), ("error", 1), ("503", 1)])
def test_failures(tmp_path, outcome, failed):
    assert figures(tmp_path, served(TraceBuilder(), 5, outcome=outcome)).failed == failed


def test_tokens_lag_and_memory(tmp_path):
    trace = TraceBuilder()
    trace.root()
    trace.op("llm", "POST gpt", SITE, input_tokens=1000, output_tokens=50)
    trace.op("llm", "POST gpt", SITE, input_tokens=500, output_tokens=25)
    for lag, rss in ((3, 70_000_000), (250, 60_000_000)):
        trace.records.append({"type": "sample", "time": 9, "lag": lag * MS, "rss": rss})
    kpis = figures(tmp_path, trace)
    assert (kpis.input_tokens, kpis.output_tokens) == (1500, 75)
    assert (kpis.loop_lag_seconds, kpis.peak_rss_bytes) == (0.25, 70_000_000)


def test_nothing(tmp_path):
    assert figures(tmp_path, TraceBuilder()) == Kpis()


def test_percentiles_are_values_that_occurred():
    assert percentile([], 0.5) == 0
    assert percentile([3.0], 0.95) == 3
    assert percentile([1.0, 2.0], 0.5) == 1
    assert percentile([1.0, 2.0], 0.95) == 2


def test_what_ends_when_another_starts_does_not_overlap_it():
    assert most_at_once([(0, 1), (1, 2), (2, 3)]) == 1
    assert most_at_once([(0, 2), (1, 3), (1.5, 1.6)]) == 3
    assert most_at_once([]) == 0


def test_what_the_processes_used(tmp_path):
    traces = []
    for pid in (1, 2):
        trace = TraceBuilder(pid=pid)
        for second in range(1, 4):
            trace.records.append(
                {"type": "sample", "time": second * 1000 * MS, "rss": 5_000_000 * pid, "cpu": second * 700 * MS,
                 "read": 1_000 * second, "written": 10 * second}
            )  # fmt: skip
        traces.append(trace)
    kpis = figures(tmp_path, *traces)
    assert kpis.cpu_utilization == pytest.approx(1.4)
    assert (kpis.read_bytes, kpis.written_bytes, kpis.peak_rss_bytes) == (4_000, 40, 10_000_000)


def test_every_figure_is_defined():
    assert set(DEFINITIONS) == set(Kpis.__struct_fields__)


def test_a_loop_is_late_by_its_stalls_at_least(tmp_path):
    trace = TraceBuilder()
    trace.root()
    trace.stall(120, ("app.py", 3, "work"))
    trace.end_root()
    assert kpis_of(read_traces([str(trace.write(tmp_path / "t"))])).loop_lag_seconds == pytest.approx(0.12)
