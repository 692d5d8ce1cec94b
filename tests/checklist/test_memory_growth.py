"""Processes that grow and grow."""

from __future__ import annotations

from pathlib import Path

import pytest
from trace_builder import MS, TraceBuilder

from agentperf_lint.checklist.items import MemoryEvidence
from agentperf_lint.checklist.memory import memory_items
from agentperf_lint.checklist.trace import Trace, read_traces

MEGABYTE = 1 << 20


def sampled(tmp_path: Path, megabytes: list[float]) -> Trace:
    trace = TraceBuilder(pid=7, argv=["/srv/app/main.py", "--port", "1"])
    for second, size in enumerate(megabytes):
        trace.records.append({"type": "sample", "time": second * 1000 * MS, "rss": int(size * MEGABYTE)})
    return read_traces([str(trace.write(tmp_path / "t.trace"))])


def test_a_process_that_grows(tmp_path: Path) -> None:
    (item,) = memory_items(sampled(tmp_path, [100 + second for second in range(100)]))
    assert (item.code, item.kind, item.path) == ("APL506", "memory", "")
    assert item.message.startswith("main.py (7) grew from 112 to 187 MB in 75 s: ")
    (evidence,) = item.evidence
    assert isinstance(evidence, MemoryEvidence)
    assert (evidence.pid, evidence.seconds) == (7, 75.0)


@pytest.mark.parametrize(
    "megabytes",
    [
        [],
        [100 + second for second in range(20)],  # too short to tell
        [100.0] * 100,
        [100 + 3 * second for second in range(25)] + [175.0] * 75,  # warms up, and stays
        [100 + (second % 50) for second in range(100)],  # a sawtooth: a cache that is cleared
        [100 + second / 5 for second in range(100)],  # 15 MB
        [1_000 + second for second in range(100)],  # less than a fifth
        [100 + second for second in range(75)] + [100.0] * 25,  # given back
    ],
)
def test_processes_that_do_not(tmp_path: Path, megabytes: list[float]) -> None:
    assert memory_items(sampled(tmp_path, megabytes)) == []
