"""Operations are measured exactly, whatever runs at the same time and inside of what."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import gc
import inspect
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

from agentperf_runtime import PerformanceMetrics, PerformanceProfiler
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.process_figures import ProcessorShare, ResidentMemory
from agentperf_runtime.profiling.operations import OTHER, current

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


both_loops = pytest.mark.parametrize("run", [asyncio.run, run_uvloop])


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    with PerformanceProfiler(sampling=False) as profiler:
        yield profiler
    assert profiler.errors == 0
    assert profiler.active_profiles == {}


def burn(seconds: float) -> None:
    """Use the processor."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


def only(profiler: PerformanceProfiler, name: str = "operation") -> dict[str, Any]:
    """The operation of the saved document."""
    (found,) = (each for each in profiler.to_document()["operations"] if each["operation"] == name)
    return dict(found)


def test_a_block_is_measured(profiler: PerformanceProfiler) -> None:
    before = time.time()
    with profiler.profile_operation("agent", "operation") as metric:
        assert profiler.active_profiles == {"agent:operation": [metric]}
        assert (metric.outcome, metric.end_time) == ("active", None)
        burn(0.01)
        time.sleep(0.02)
    assert isinstance(metric, PerformanceMetrics)
    assert profiler.metrics == [metric]
    assert (metric.agent_name, metric.operation, metric.outcome) == ("agent", "operation", "completed")
    assert metric.end_time is not None
    assert before <= metric.start_time <= metric.end_time <= time.time()
    assert metric.duration >= 0.03
    assert metric.self_seconds == metric.duration
    assert 0.01 <= metric.cpu_seconds <= metric.duration - 0.02
    assert metric.memory_mb_start > 1
    assert metric.memory_mb_end > 1
    assert metric.memory_mb_peak >= max(metric.memory_mb_start, metric.memory_mb_end)
    assert metric.cpu_percent_end > 0


def test_waiting_of_synchronous_code_is_what_the_processor_did_not_do(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation"):
        burn(0.01)
        time.sleep(0.03)
    found = only(profiler)
    assert found["running_seconds"] == found["cpu_seconds"] >= 0.01
    assert found["waiting_seconds"] >= 0.03
    assert found["running_seconds"] + found["waiting_seconds"] == pytest.approx(found["total_seconds"])


def test_what_the_code_counts_is_added_up(profiler: PerformanceProfiler) -> None:
    for number in range(3):
        with profiler.profile_operation("agent", "operation") as metric:
            metric.tokens_used += 100
            metric.cache_hits += 2
            metric.cache_misses += 1
            metric.custom_metrics.update(documents=number - 1, model="large", share=float("nan"))
    found = only(profiler)
    assert (found["tokens_used"], found["cache_hits"], found["cache_misses"]) == (300, 6, 3)
    assert found["custom_metrics"] == {"documents": {"count": 3, "total": 0.0, "least": -1, "most": 1}}
    text = profiler.get_profile_stats("agent", "operation")
    assert "Tokens: 300 (100.0 per execution)" in text
    assert "Cache: 6 of 9 hit (66.7%)" in text
    assert "documents: total 0, average 0, least -1, most 1" in text


def test_functions_are_measured_as_before(profiler: PerformanceProfiler) -> None:
    @profiler.profile_operation("agent", "sync")
    def double(number: int) -> int:
        """Twice."""
        metric = profiler.current()
        assert metric is not None
        metric.tokens_used += 1
        return 2 * number

    @profiler.profile_operation("agent", "async")
    async def double_later(number: int) -> int:
        await asyncio.sleep(0)
        return double(number)

    assert double(2) == 4
    assert asyncio.run(double_later(3)) == 6
    assert (double.__name__, double.__doc__) == ("double", "Twice.")
    assert inspect.iscoroutinefunction(double_later)
    assert only(profiler, "sync")["tokens_used"] == 2
    assert only(profiler, "async")["executions"] == 1
    assert profiler.current() is None


def test_generators_are_refused(profiler: PerformanceProfiler) -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    for function in (generator, asynchronous):
        with pytest.raises(TypeError, match="is a generator: its code runs between items"):
            profiler.profile_operation("agent", "operation")(function)


def test_what_only_a_class_makes_callable_is_refused(profiler: PerformanceProfiler) -> None:
    decorate: Callable[[Any], Any] = profiler.profile_operation("agent", "operation")
    for kind in (staticmethod, classmethod, property):
        with pytest.raises(TypeError, match="belongs above profile_operation"):
            decorate(kind(burn))
    with pytest.raises(TypeError, match="decorates functions"):
        decorate(1)


def test_whatever_returns_a_coroutine_is_measured_until_that_returns(profiler: PerformanceProfiler) -> None:
    async def work(seconds: float) -> str:
        await asyncio.sleep(seconds)
        metric = profiler.current()
        assert metric is not None
        metric.tokens_used += 1
        return "done"

    class Caller:
        async def __call__(self, seconds: float) -> str:
            return await work(seconds)

    @functools.wraps(work)
    def plain(seconds: float) -> Coroutine[Any, Any, str]:
        return work(seconds)

    measured: list[Callable[[float], Coroutine[Any, Any, str]]] = [work, Caller(), plain, functools.partial(work)]
    for number, function in enumerate(measured):
        decorated = profiler.profile_operation("agent", str(number))(function)

        async def main(call: Callable[[float], Coroutine[Any, Any, str]] = decorated) -> list[str]:
            with profiler.profile_operation("agent", "around"):
                return list(await asyncio.gather(call(0.02), call(0.02)))

        assert asyncio.run(main()) == ["done", "done"]
        operation = only(profiler, str(number))
        assert operation["executions"] == operation["tokens_used"] == 2
        assert operation["total_seconds"] >= 0.03
        assert operation["running_seconds"] < operation["total_seconds"]
        assert profiler.current() is None


@both_loops
def test_concurrent_operations_do_not_disturb_each_other(profiler: PerformanceProfiler, run: Run) -> None:
    seen: list[int] = []

    async def work(number: int) -> None:
        async with profiler.profile_operation("agent", f"work {number % 2}") as metric:
            metric.tokens_used = number
            await asyncio.sleep(0.02)
            assert profiler.current() is metric
            seen.append(sum(len(each) for each in profiler.active_profiles.values()))

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(10)))

    run(main())
    assert max(seen) == 10
    for name, tokens in (("work 0", 20), ("work 1", 25)):
        found = only(profiler, name)
        assert (found["executions"], found["tokens_used"]) == (5, tokens)
        assert found["total_seconds"] >= 5 * 0.018  # timers of uvloop may be a millisecond early


@both_loops
def test_steps_of_a_coroutine_function_are_timed(profiler: PerformanceProfiler, run: Run) -> None:
    @profiler.profile_operation("agent", "operation")
    async def work() -> None:
        burn(0.01)
        await asyncio.sleep(0.03)
        time.sleep(0.02)  # holds the loop, without the processor

    async def others() -> None:
        for _ in range(10):
            burn(0.002)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(work(), others())

    run(main())
    found = only(profiler)
    assert found["running_seconds"] >= 0.03
    assert found["waiting_seconds"] >= 0.025  # a loop's timers may fire a little early
    assert 0.01 <= found["cpu_seconds"] <= found["running_seconds"] - 0.02


def test_steps_pass_everything_on(profiler: PerformanceProfiler) -> None:
    caught: list[str] = []

    @profiler.profile_operation("agent", "operation")
    async def work(future: asyncio.Future[int]) -> int:
        try:
            return await future
        except ValueError as error:
            caught.append(str(error))
            return await asyncio.sleep(0, -1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        right, wrong, never = loop.create_future(), loop.create_future(), loop.create_future()
        loop.call_soon(right.set_result, 1)
        loop.call_soon(wrong.set_exception, ValueError("no number"))
        assert await work(right) == 1
        assert await work(wrong) == -1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(work(never), 0.01)
        dropped = work(loop.create_future())
        dropped.send(None)
        dropped.close()

    asyncio.run(main())
    assert caught == ["no number"]
    found = only(profiler)
    assert (found["executions"], found["failed"], found["cancelled"]) == (4, 0, 2)


def test_failures_and_cancellations_are_told_apart(profiler: PerformanceProfiler) -> None:
    @profiler.profile_operation("agent", "operation")
    def fails() -> None:
        raise KeyError("key")

    async def waits() -> None:
        async with profiler.profile_operation("agent", "operation"):
            await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with pytest.raises(KeyError):
        fails()
    with pytest.raises(ZeroDivisionError), profiler.profile_operation("agent", "operation"):
        _ = 1 / 0
    asyncio.run(main())
    assert [metric.outcome for metric in profiler.metrics] == ["failed", "failed", "cancelled"]
    assert "Executions: 3 (2 failed, 1 cancelled)" in profiler.get_profile_stats("agent", "operation")


def test_time_inside_belongs_to_both_and_to_one_self(profiler: PerformanceProfiler) -> None:
    async def inner() -> None:
        async with profiler.profile_operation("agent", "inner"):
            await asyncio.sleep(0.03)

    async def main() -> None:
        async with profiler.profile_operation("agent", "outer"):
            await asyncio.sleep(0.02)
            await asyncio.gather(inner(), inner())  # at the same time: covers 0.03 s of the outer one, not 0.06

    asyncio.run(main())
    outer, inside = only(profiler, "outer"), only(profiler, "inner")
    assert outer["total_seconds"] >= 0.045
    assert 0.018 <= outer["self_seconds"] <= outer["total_seconds"] - 0.028
    assert inside["self_seconds"] == pytest.approx(inside["total_seconds"])


def test_nesting_reaches_into_threads(profiler: PerformanceProfiler) -> None:
    def inner() -> None:
        with profiler.profile_operation("agent", "inner"):
            time.sleep(0.03)

    async def main() -> None:
        async with profiler.profile_operation("agent", "outer"):
            await asyncio.to_thread(inner)

    asyncio.run(main())
    outer, inside = only(profiler, "outer"), only(profiler, "inner")
    assert outer["self_seconds"] <= outer["total_seconds"] - inside["total_seconds"] + 1e-6


def test_a_child_may_outlive_its_parent(profiler: PerformanceProfiler) -> None:
    async def child() -> None:
        async with profiler.profile_operation("agent", "child"):
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with profiler.profile_operation("agent", "parent") as parent:
            task = asyncio.create_task(child())
            await asyncio.sleep(0.005)
        assert parent.self_seconds < parent.duration
        await task
        assert profiler.current() is None

    asyncio.run(main())
    assert only(profiler, "child")["total_seconds"] >= 0.018


def test_threads_are_measured_at_the_same_time(profiler: PerformanceProfiler) -> None:
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with profiler.profile_operation("agent", "operation") as metric:
            barrier.wait()
            metric.tokens_used = number
            for _ in range(200):
                with profiler.profile_operation("agent", "inner"):
                    pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert only(profiler)["tokens_used"] == 6
    assert only(profiler, "inner")["executions"] == 800


def test_a_block_may_be_used_again_while_it_is_in_use(profiler: PerformanceProfiler) -> None:
    operation = profiler.profile_operation("agent", "operation")

    async def work(seconds: float) -> float:
        async with operation as metric:
            await asyncio.sleep(seconds)
        return metric.duration

    async def main() -> list[float]:
        return list(await asyncio.gather(*(work(seconds) for seconds in (0.05, 0.01, 0.03))))

    assert [took >= least for took, least in zip(asyncio.run(main()), (0.045, 0.005, 0.025), strict=True)] == [True] * 3
    with operation as outer, operation as inner:
        pass
    assert (outer.outcome, inner.outcome) == ("completed", "completed")
    assert outer.duration > inner.duration


def test_blocks_end_in_whatever_context(profiler: PerformanceProfiler) -> None:
    async def items() -> AsyncIterator[int]:
        with profiler.profile_operation("agent", "operation"):
            yield 1
            yield 2

    async def take_one(source: AsyncIterator[int]) -> int:
        return await source.__anext__()

    async def main() -> None:
        source = items()
        await asyncio.create_task(take_one(source))
        await source.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert only(profiler)["cancelled"] == 1
    with contextlib.ExitStack() as stack:
        stack.enter_context(profiler.profile_operation("agent", "operation"))
    assert only(profiler)["executions"] == 2


def test_two_profilers_do_not_disturb_each_other(profiler: PerformanceProfiler) -> None:
    other = PerformanceProfiler(sampling=False)
    with profiler.profile_operation("agent", "outer") as outer, other.profile_operation("agent", "between") as between:
        assert profiler.current() is outer
        assert other.current() is between
        with profiler.profile_operation("agent", "inner") as inner:
            time.sleep(0.005)
    assert outer.self_seconds <= outer.duration - inner.duration + 1e-9
    assert between.self_seconds == between.duration


def test_there_is_nothing_of_an_unknown_operation(profiler: PerformanceProfiler) -> None:
    assert profiler.get_profile_stats("agent", "operation") == "No profiling data for agent:operation"
    assert profiler.identify_bottlenecks() == []


def test_long_and_odd_names_are_found_again(profiler: PerformanceProfiler) -> None:
    class Agent(enum.Enum):
        WRITER = 1

    odd: Any = Agent.WRITER
    for name in ("a" * 300, odd):
        with profiler.profile_operation(name, "operation"):
            pass
        assert "Executions: 1" in profiler.get_profile_stats(name, "operation")


def test_what_has_not_ended_is_no_bottleneck(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation"):
        assert profiler.identify_bottlenecks(-1) == []


def test_statistics_have_the_known_layout(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation"):
        time.sleep(0.01)
    lines = profiler.get_profile_stats("agent", "operation").splitlines()
    assert lines[:3] == ["", "Performance Profile: agent:operation", "==================================="]
    assert [line.partition(":")[0] for line in lines[3:7]] == [
        "Executions", "Total Time", "Average Time", "Average Memory Delta",
    ]  # fmt: skip
    assert lines[-2:] == ["Top Time-Consuming Operations:", "  no samples"]
    with profiler.profile_operation("agent", "going on"):
        assert "Executions: 0 (1 more active)" in profiler.get_profile_stats("agent", "going on")


def test_bottlenecks_are_sorted_and_judged(profiler: PerformanceProfiler) -> None:
    for name, seconds in (("quick", 0), ("medium", 0.03), ("slow", 0.08)):
        with profiler.profile_operation("agent", name):
            time.sleep(seconds)
    worst, second = profiler.identify_bottlenecks(threshold_seconds=0.025)
    assert (worst["operation"], worst["severity"]) == ("agent:slow", "high")
    assert second["operation"] == "agent:medium"
    assert worst["total_executions"] == 1
    assert worst["avg_execution_time"] == worst["max_execution_time"] >= 0.08
    assert worst["p95_execution_time"] == pytest.approx(worst["max_execution_time"])
    assert {"avg_memory_delta", "waiting_time", "running_time", "failed_executions"} <= worst.keys()
    assert profiler.identify_bottlenecks(threshold_seconds=60) == []


def test_memory_is_seen_to_grow(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation") as metric:
        kept = bytearray(b"x") * (64 << 20)
    assert metric.memory_mb_end - metric.memory_mb_start > 48
    found = only(profiler)
    assert found["memory_delta_mb_total"] == pytest.approx(metric.memory_mb_end - metric.memory_mb_start)
    assert found["memory_peak_mb"] == metric.memory_mb_peak
    assert len(kept) == 64 << 20


def test_resident_memory_survives_closed_descriptors(tmp_path: Path) -> None:
    memory = ResidentMemory()
    right = memory.read()
    assert right > 1 << 20
    file = memory._file
    if file is not None:  # on Linux
        (tmp_path / "other").write_text("something else\n")
        other = os.open(tmp_path / "other", os.O_RDONLY)
        os.dup2(other, file)
        assert memory.read() == pytest.approx(right, rel=0.5)
        os.close(other)
        os.close(file)
        assert memory.read() == pytest.approx(right, rel=0.5)
    memory.close()


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux")
@pytest.mark.parametrize("sampling", [True, False])
def test_a_profiler_leaves_no_descriptor_behind(sampling: bool) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        profiler = PerformanceProfiler(sampling=sampling)
        with profiler.profile_operation("agent", "operation"):
            pass
        del profiler
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_share_of_the_processor_needs_an_interval() -> None:
    share = ProcessorShare()
    assert share.read(1.0, 5.0) == 0
    assert share.read(3.0, 6.0) == 50
    assert share.read(3.001, 6.001) == 50


def test_memory_stays_bounded() -> None:
    profiler = PerformanceProfiler(sampling=False, keep=100, max_operations=50)

    def work(first: int) -> None:
        for number in range(first, first + 2000):
            with profiler.profile_operation("agent", f"operation {number % 5000}") as metric:
                metric.custom_metrics[f"metric {number}"] = number

    work(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for first in range(2000, 20_000, 2000):
        work(first)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 500_000
    assert len(profiler.metrics) == 100
    operations = profiler.to_document()["operations"]
    assert len(operations) == 51
    other = next(each for each in operations if each["agent_name"] == OTHER)
    assert sum(each["executions"] for each in operations) == 20_000
    assert len(other["custom_metrics"]) <= 65


def test_a_hundred_thousand_executions_are_one_line() -> None:
    profiler = PerformanceProfiler(sampling=False)
    operation = profiler.profile_operation("agent", "operation")
    for _ in range(100_000):
        with operation:
            pass
    found = only(profiler)
    assert found["executions"] == 100_000
    assert len(json.dumps(profiler.to_document())) < 20_000
    assert len(profiler.metrics) == 1000


def test_tasks_that_start_their_successors_keep_nothing_alive(profiler: PerformanceProfiler) -> None:
    left = 300
    done = asyncio.Event()

    async def link() -> None:
        nonlocal left
        async with profiler.profile_operation("agent", "link"):
            left -= 1
            if left:
                tasks.append(asyncio.create_task(link()))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            else:
                depth, active = 0, current.get()
                while active is not None:
                    depth, active = depth + 1, active.outer
                assert depth < 10
                done.set()
            tasks.popleft()

    tasks: deque[asyncio.Task[None]] = deque()

    async def main() -> None:
        tasks.append(asyncio.create_task(link()))
        await done.wait()
        await asyncio.sleep(0.001)

    asyncio.run(main())


def test_failures_inside_stay_inside() -> None:
    profiler = PerformanceProfiler(sampling=False)
    with profiler.profile_operation("agent", "operation") as metric:
        metric.tokens_used = "many"  # type: ignore[assignment]
    with profiler.profile_operation([], "operation") as metric:  # type: ignore[arg-type]
        metric.tokens_used += 1
    assert profiler.errors == 2
    assert profiler.active_profiles == {}
    with pytest.raises(ValueError, match="must be above 0"):
        PerformanceProfiler(interval=0)


def test_the_document_is_complete(profiler: PerformanceProfiler, tmp_path: Path) -> None:
    with profiler.profile_operation("agent", "operation"):
        pass
    path = tmp_path / "app.profile"
    profiler.save(path)
    profiler.save(path)
    document = json.loads(path.read_text())
    assert os.listdir(tmp_path) == ["app.profile"]
    assert (document["type"], document["version"], document["pid"]) == ("agentperf-profile", 1, os.getpid())
    assert document.keys() == {
        "type", "version", "tool", "pid", "wall_start", "seconds", "interval_seconds", "operations", "frames", "stacks",
        "process",
    }  # fmt: skip
    (operation,) = document["operations"]
    assert operation.keys() == {
        "agent_name", "operation", "executions", "failed", "cancelled", "active", "total_seconds", "cpu_seconds",
        "running_seconds", "waiting_seconds", "self_seconds", "max_seconds", "duration", "memory_delta_mb_total",
        "memory_peak_mb", "tokens_used", "cache_hits", "cache_misses", "custom_metrics",
    }  # fmt: skip
    assert Histogram.from_json(operation["duration"]).count == 1
    assert document["process"]["peak_rss_bytes"] >= document["process"]["rss_bytes"] > 1 << 20
    with pytest.raises(FileNotFoundError):
        profiler.save(tmp_path / "missing" / "app.profile")
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        profiler.save(tmp_path / "directory")
    assert sorted(os.listdir(tmp_path)) == ["app.profile", "directory"]


FORK = """
import os, sys, warnings
warnings.simplefilter("error")
from agentperf_runtime import PerformanceProfiler
profiler = PerformanceProfiler()
with profiler.profile_operation("agent", "before"):
    pid = os.fork()
    if pid == 0:
        assert profiler.metrics == [] and profiler.active_profiles == {}
        with profiler.profile_operation("agent", "child") as metric:
            while not profiler.to_document()["stacks"]:
                sum(range(1000))
        (operation,) = profiler.to_document()["operations"]
        assert operation["operation"] == "child", operation
        assert profiler.errors == 0
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    while not profiler.to_document()["stacks"]:
        sum(range(1000))
assert [metric.operation for metric in profiler.metrics] == ["before"]
assert profiler.errors == 0
sys.exit(status)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_begins_anew() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], env=_environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


EXIT = """
import sys, threading, time
from agentperf_runtime import PerformanceProfiler
assert "asyncio" not in sys.modules and "psutil" not in sys.modules
profiler = PerformanceProfiler(interval=0.001)
block = profiler.profile_operation("agent", "never ends")
block.__enter__()
threading.Thread(target=time.sleep, args=(0.05,)).start()
"""


def test_the_process_ends_with_operations_active() -> None:
    done = subprocess.run([sys.executable, "-c", EXIT], env=_environment(), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def _environment() -> dict[str, str]:
    runtime = Path(__file__).parent.parent.parent / "runtime"
    return {**os.environ, "PYTHONPATH": str(runtime)}
