"""The figures of a running process, from whatever measures in it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agentperf_runtime import AsyncPerformanceMonitor, LiveKpis, PerformanceProfiler, RequestStats
from agentperf_runtime.kpis import DEFINITIONS
from agentperf_runtime.middleware.requests import Counts, Key, Request


def test_nothing_measured_yet() -> None:
    kpis = LiveKpis().get_kpis()
    assert set(kpis) == set(DEFINITIONS)
    assert (kpis["of"], kpis["count"], kpis["tokens_each"]) == ("request", 0, 0.0)
    assert kpis["peak_rss_bytes"] > 5_000_000


def test_requests_come_first() -> None:
    requests, profiler = RequestStats(), PerformanceProfiler(sampling=False)
    live = LiveKpis(requests, profiler)
    with profiler.profile_operation("writer", "draft") as metric:
        metric.tokens_used += 10
    assert (live.get_kpis()["of"], live.get_kpis()["tokens_each"]) == ("operation", 10)
    for status in (200, 500):
        requests.begin("GET", "http")
        key = Key("GET", "/", status)
        requests.end(Request(key, 0.2, 0.1, failed=status == 500, disconnected=False, scheme="http", error=""))
        requests.count(key, Counts(queries=1, tokens=50, stall=0.0))
    kpis = live.get_kpis()
    assert (kpis["of"], kpis["count"], kpis["failed"], kpis["concurrency_most"]) == ("request", 2, 1, 1)
    assert kpis["response_p95_seconds"] == pytest.approx(0.2)
    assert (kpis["input_tokens"], kpis["tokens_each"]) == (100, 50)


def test_concurrency_and_lag_of_the_monitor() -> None:
    monitor = AsyncPerformanceMonitor()
    live = LiveKpis(monitor)

    async def work(hold: float) -> None:
        async with monitor.monitor_async_operation("work"):
            await asyncio.sleep(0.05)
            time.sleep(hold)
            await asyncio.sleep(0.1)

    async def main() -> None:
        await asyncio.gather(work(0.0), work(0.12), work(0.0))

    asyncio.run(main())
    kpis = live.get_kpis()
    assert (kpis["count"], kpis["concurrency_most"]) == (3, 3)
    assert kpis["response_p50_seconds"] >= 0.05
    assert kpis["loop_lag_seconds"] >= 0.03
    assert 0 < kpis["throughput"] < 100


def test_the_page_defines_what_the_program_does() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == DEFINITIONS


def test_what_the_process_used(tmp_path: Path) -> None:
    live = LiveKpis()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert 0 < live.get_kpis()["cpu_utilization"] <= 4
    assert live.get_kpis()["written_bytes"] >= 0


def test_what_failed_has_ended_too() -> None:
    monitor = AsyncPerformanceMonitor()
    live = LiveKpis(monitor)

    async def fails() -> None:
        async with monitor.monitor_async_operation("work"):
            await asyncio.sleep(0.02)
            raise ValueError

    async def main() -> None:
        await asyncio.gather(fails(), fails(), return_exceptions=True)
        task = monitor.create_task(fails(), "never begun")
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(main())
    kpis = live.get_kpis()
    assert (kpis["of"], kpis["count"], kpis["failed"]) == ("operation", 2, 2)
    assert kpis["response_p50_seconds"] >= 0.015


def test_throughput_is_over_the_time_in_which_was_counted() -> None:
    profiler = PerformanceProfiler(sampling=False)
    for _ in range(5):
        with profiler.profile_operation("writer", "draft"):
            time.sleep(0.002)
    kpis = LiveKpis(profiler).get_kpis()
    assert 0 < kpis["throughput"] <= 500
    assert 0 < kpis["concurrency"] <= 1


FORK = """
import asyncio, os, sys, time
from agentperf_runtime import AsyncPerformanceMonitor, LiveKpis
monitor = AsyncPerformanceMonitor()
live = LiveKpis(monitor)
until = time.process_time() + 0.05
while time.process_time() < until:
    pass

async def main():
    async with monitor.monitor_async_operation("parent's"):
        pass
    async with monitor.monitor_async_operation("parent's, that goes on"):
        pid = os.fork()
        if pid == 0:  # what is left of a loop after a fork is nothing to go on with
            report, kpis = monitor.get_concurrency_report(), live.get_kpis()
            is_new = report["operation_stats"] == {} and report["current_active_tasks"] == 0 and kpis["count"] == 0
            is_sane = kpis["cpu_utilization"] >= 0 and kpis["written_bytes"] >= 0
            os._exit(0 if is_new and is_sane else print(report, kpis, file=sys.stderr) or 1)
    return pid

pid = asyncio.run(main())
report = monitor.get_concurrency_report()
kpis = live.get_kpis()
assert kpis["count"] == 2 and report["current_active_tasks"] == 0
sys.exit(os.waitpid(pid, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_anew() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "runtime")}
    done = subprocess.run([sys.executable, "-c", FORK], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
