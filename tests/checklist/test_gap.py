"""The detector that knows nothing but timestamps."""

from __future__ import annotations

import pytest
from scenes import items_of, repeated
from trace_builder import TraceBuilder

from agentperf_runtime.optimization_checker import gap_clusters

SITE = ("/app/a.py", 3, "f")


@pytest.mark.parametrize(
    ("timestamps", "sizes"),
    [
        ([], []),
        ([number / 100 for number in range(10)], []),
        ([number / 100 for number in range(11)], [11]),
        (list(range(20)), []),
        ([*(number / 100 for number in range(6)), *(9 + number / 100 for number in range(7))], [6, 7]),
        ([*(number / 100 for number in range(5)), *(9 + number / 100 for number in range(7))], [7]),
    ],
)
def test_clusters(timestamps, sizes):
    assert [len(cluster) for cluster in gap_clusters(reversed(timestamps))] == sizes


def test_it_can_be_chosen(tmp_path):
    trace = repeated(5, SITE, text="select c from t")
    for number in range(9):
        trace.op("sql", f"select c{number} from t", SITE, params=number)
    assert items_of(tmp_path, trace) == []
    (item,) = items_of(tmp_path, trace, detector="gap")
    assert (item.kind, item.operations, item.evidence[0].clusters) == ("n_plus_one", 14, 1)
    assert (item.path, item.line) == ("/app/a.py", 3)


def test_without_clusters_there_is_nothing(tmp_path):
    trace = TraceBuilder()
    trace.root()
    for number in range(20):
        trace.op("sql", "select ?", SITE, params=number)
        trace.sleep(200)
    assert items_of(tmp_path, trace, detector="gap") == []
