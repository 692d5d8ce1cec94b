"""Concurrency, queueing and lag of asynchronous operations are what really happened."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvloop

from agentperf_runtime import AsyncPerformanceMonitor
from agentperf_runtime.monitor import OTHER, Concurrency

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


both_loops = pytest.mark.parametrize("run", [asyncio.run, run_uvloop])


@both_loops
def test_concurrency_is_counted(run: Run) -> None:
    monitor = AsyncPerformanceMonitor()

    async def work(name: str) -> None:
        async with monitor.monitor_async_operation(name):
            assert any(each.startswith(f"{name}_") for each in monitor.active_tasks)
            await asyncio.sleep(0.02)

    async def main() -> None:
        await asyncio.gather(*(work("search") for _ in range(5)), *(work("answer") for _ in range(3)))
        await work("search")

    run(main())
    report = monitor.get_concurrency_report()
    assert "message" not in report
    assert report["max_concurrent_tasks"] == monitor.max_concurrent_tasks == 8
    assert report["current_active_tasks"] == 0
    assert report["total_completed_tasks"] == 9
    assert 0.018 <= report["avg_execution_time"] <= report["max_execution_time"]
    assert report["p95_execution_time"] >= 0.018
    search, answer = report["operation_stats"]["search"], report["operation_stats"]["answer"]
    assert (search["count"], search["max_concurrent"]) == (6, 5)
    assert (answer["count"], answer["max_concurrent"]) == (3, 3)
    assert search["total_time"] >= 6 * 0.018
    assert report["total_work"] == pytest.approx(search["total_time"] + answer["total_time"], rel=0.01)
    assert monitor.active_tasks == set()


def test_there_is_a_report_before_anything_completed() -> None:
    monitor = AsyncPerformanceMonitor()
    empty = monitor.get_concurrency_report()
    assert empty["message"] == "No completed tasks"

    async def main() -> dict[str, Any]:
        async with monitor.monitor_async_operation("search"):
            return monitor.get_concurrency_report()

    active = asyncio.run(main())
    complete = monitor.get_concurrency_report()
    assert active.keys() == empty.keys() == complete.keys() | {"message"}
    assert active["current_active_tasks"] == 1
    assert active["message"] == "No completed tasks"
    zeros = {key: value for key, value in empty.items() if isinstance(value, (int, float))}
    assert set(zeros.values()) == {0}


def test_failures_and_cancellations_are_told_apart() -> None:
    monitor = AsyncPerformanceMonitor()

    @monitor.monitor_async_operation("search")
    async def search(seconds: float) -> float:
        """Search."""
        await asyncio.sleep(seconds)
        return 1 / seconds

    async def main() -> None:
        assert await search(0.01) == 100
        with pytest.raises(ZeroDivisionError):
            await search(0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(search(10), 0.01)

    asyncio.run(main())
    assert (search.__name__, search.__doc__) == ("search", "Search.")
    assert inspect.iscoroutinefunction(search)
    report = monitor.get_concurrency_report()
    assert (report["total_completed_tasks"], report["failed_tasks"], report["cancelled_tasks"]) == (1, 1, 1)
    stats = report["operation_stats"]["search"]
    assert (stats["count"], stats["failed"], stats["cancelled"], stats["active"]) == (1, 1, 1, 0)
    assert report["max_execution_time"] < 5


def test_only_coroutine_functions_are_decorated() -> None:
    with pytest.raises(TypeError, match="no coroutine function"):
        AsyncPerformanceMonitor().monitor_async_operation("search")(lambda: None)  # type: ignore[arg-type]


def test_a_decorated_function_runs_many_times_at_once() -> None:
    monitor = AsyncPerformanceMonitor()
    seconds = {1: 0.03, 2: 0.01, 3: 0.02}

    @monitor.monitor_async_operation("search")
    async def search(number: int) -> None:
        await asyncio.sleep(seconds[number])

    async def main() -> None:
        await asyncio.gather(*map(search, seconds))

    asyncio.run(main())
    report = monitor.get_concurrency_report()
    assert report["operation_stats"]["search"]["max_concurrent"] == 3
    assert report["max_execution_time"] >= 0.027
    assert report["total_work"] >= 0.05


def test_one_block_may_be_in_use_in_several_tasks() -> None:
    monitor = AsyncPerformanceMonitor()
    block = monitor.monitor_async_operation("search")

    async def search(seconds: float) -> None:
        async with block, block:
            await asyncio.sleep(seconds)

    async def main() -> None:
        await asyncio.gather(search(0.03), search(0.005))

    asyncio.run(main())
    report = monitor.get_concurrency_report()
    assert report["total_completed_tasks"] == report["max_concurrent_tasks"] // 2 * 2 == 4
    assert report["p50_execution_time"] < report["max_execution_time"] / 2


def test_time_until_the_first_step_is_queueing() -> None:
    monitor = AsyncPerformanceMonitor()

    async def search() -> str:
        await asyncio.sleep(0)
        return "found"

    async def main() -> None:
        task = monitor.create_task(search(), "search", name="the search")
        assert task.get_name() == "the search"
        assert monitor.get_concurrency_report()["queued_tasks"] == 1
        time.sleep(0.03)  # holds the loop
        assert await task == "found"

    asyncio.run(main())
    report = monitor.get_concurrency_report()
    assert report["queued_tasks"] == 0
    assert report["max_queueing_delay"] >= 0.03
    assert report["operation_stats"]["search"]["avg_queueing_delay"] >= 0.03
    assert report["max_execution_time"] < report["max_queueing_delay"]


def test_a_task_that_never_started_was_cancelled() -> None:
    monitor = AsyncPerformanceMonitor()

    async def search() -> None:
        raise AssertionError("not reached")

    async def main() -> None:
        task = monitor.create_task(search(), "search")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    gc.collect()  # a coroutine that nobody awaited would complain here
    report = monitor.get_concurrency_report()
    assert (report["cancelled_tasks"], report["queued_tasks"], report["max_concurrent_tasks"]) == (1, 0, 0)


def test_tasks_need_a_loop() -> None:
    async def search() -> None:
        raise AssertionError("not reached")

    monitor = AsyncPerformanceMonitor()
    coroutine = search()
    with pytest.raises(RuntimeError, match="no running event loop"):
        monitor.create_task(coroutine, "search")
    coroutine.close()
    gc.collect()
    assert monitor.get_concurrency_report()["queued_tasks"] == 0


def test_waiting_for_a_slot_is_queueing() -> None:
    monitor = AsyncPerformanceMonitor(slots=2)

    async def search(limit: asyncio.Semaphore) -> None:
        async with monitor.slot(limit, "search"):
            await asyncio.sleep(0.02)

    async def main() -> None:
        limit = asyncio.Semaphore(2)
        tasks = [asyncio.create_task(search(limit)) for _ in range(6)]
        await asyncio.sleep(0.005)
        assert monitor.get_concurrency_report()["queued_tasks"] == 4
        tasks[5].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await search(limit)  # the slot of the one that was cancelled is free

    asyncio.run(main())
    report = monitor.get_concurrency_report()
    assert (report["total_completed_tasks"], report["cancelled_tasks"], report["queued_tasks"]) == (6, 1, 0)
    assert report["max_concurrent_tasks"] == report["slots"] == 2
    assert report["max_queueing_delay"] >= 0.03
    assert report["max_execution_time"] < report["total_work"]


def test_queueing_may_have_begun_anywhere() -> None:
    monitor = AsyncPerformanceMonitor()

    async def main() -> None:
        async with monitor.monitor_async_operation("search", queued_at=time.perf_counter() - 2):
            pass
        async with monitor.monitor_async_operation("search", queued_at=time.perf_counter() + 2):
            pass

    asyncio.run(main())
    report = monitor.get_concurrency_report()
    assert report["avg_queueing_delay"] == pytest.approx(1, abs=0.5)


def test_efficiency_relates_work_to_slots() -> None:
    async def work(monitor: AsyncPerformanceMonitor, seconds: float) -> None:
        async with monitor.monitor_async_operation("search"):
            await asyncio.sleep(seconds)

    async def even(monitor: AsyncPerformanceMonitor) -> None:
        await asyncio.gather(*(work(monitor, 0.05) for _ in range(4)))

    async def one_by_one(monitor: AsyncPerformanceMonitor) -> None:
        for _ in range(4):
            await work(monitor, 0.01)

    parallel, serial = AsyncPerformanceMonitor(slots=4), AsyncPerformanceMonitor(slots=4)
    asyncio.run(even(parallel))
    asyncio.run(one_by_one(serial))
    found = parallel.get_concurrency_report()
    assert 0.6 < found["parallel_efficiency"] <= 1
    assert found["parallel_efficiency"] == pytest.approx(found["total_work"] / found["wall_time"] / 4)
    assert found["avg_concurrency"] == pytest.approx(4 * found["parallel_efficiency"])
    assert serial.get_concurrency_report()["parallel_efficiency"] <= 0.25


@both_loops
def test_lag_of_the_loop_is_measured_while_something_runs(run: Run) -> None:
    monitor = AsyncPerformanceMonitor()

    async def main() -> None:
        async with monitor.monitor_async_operation("search"):
            await asyncio.sleep(0.01)
            time.sleep(0.15)  # holds the loop for longer than the timer's interval
            await asyncio.sleep(0.01)

    run(main())
    report = monitor.get_concurrency_report()
    assert report["max_loop_lag"] >= 0.08


def test_the_timer_ends_with_the_operations() -> None:
    monitor = AsyncPerformanceMonitor()

    def timers(loop: Any) -> list[str]:
        return [str(handle) for handle in loop._scheduled if "LoopLag" in str(handle)]

    async def search() -> None:
        async with monitor.monitor_async_operation("search"):
            await asyncio.sleep(0.001)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(100):
            await search()
        assert len(timers(loop)) <= 1
        deadline = time.monotonic() + 10
        while timers(loop):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        await search()
        assert len(timers(loop)) == 1
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    gc.collect()
    assert len(monitor._loops) == 0


def test_lag_may_be_switched_off() -> None:
    monitor = AsyncPerformanceMonitor(lag=False)

    async def main() -> None:
        async with monitor.monitor_async_operation("search"):
            assert asyncio.get_running_loop()._scheduled == []  # type: ignore[attr-defined]

    asyncio.run(main())


def test_several_loops_are_counted_together() -> None:
    monitor = AsyncPerformanceMonitor()
    barrier = threading.Barrier(4)

    async def main() -> None:
        async with monitor.monitor_async_operation("search"):
            await asyncio.to_thread(barrier.wait)
            for _ in range(100):
                async with monitor.monitor_async_operation("inner"):
                    await asyncio.sleep(0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: asyncio.run(main()), range(4)))
    report = monitor.get_concurrency_report()
    assert report["operation_stats"]["search"]["max_concurrent"] == 4
    assert report["operation_stats"]["inner"]["count"] == 400
    assert 5 <= report["max_concurrent_tasks"] <= 8


def test_operations_that_are_dropped_end() -> None:
    monitor = AsyncPerformanceMonitor()

    async def items() -> AsyncIterator[int]:
        async with monitor.monitor_async_operation("items"):
            yield 1

    async def search() -> None:
        async with monitor.monitor_async_operation("search"):
            await asyncio.Event().wait()

    async def main() -> None:
        source = items()
        await asyncio.create_task(source.__anext__())  # type: ignore[arg-type]
        await source.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    coroutine = search()

    async def begin() -> None:
        coroutine.send(None)

    asyncio.run(begin())
    coroutine.close()
    report = monitor.get_concurrency_report()
    assert (report["current_active_tasks"], report["cancelled_tasks"]) == (0, 2)


def test_memory_stays_bounded() -> None:
    monitor = AsyncPerformanceMonitor(max_operations=20)

    async def work(first: int, count: int) -> None:
        for number in range(first, first + count):
            async with monitor.monitor_async_operation(f"operation {number}"):
                pass

    asyncio.run(work(0, 2000))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    asyncio.run(work(2000, 10_000))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 200_000
    report = monitor.get_concurrency_report()
    assert len(report["operation_stats"]) == 21
    assert report["operation_stats"][OTHER]["count"] == 12_000 - 20
    assert report["total_completed_tasks"] == 12_000


def test_concurrency_over_time_keeps_the_whole_run() -> None:
    concurrency = Concurrency(100.0)
    concurrency.change(2, 100.05)
    concurrency.change(1, 100.15)
    concurrency.change(-3, 100.2)
    concurrency.advance(100.25)
    first, second, third = concurrency.over_time()
    assert first == pytest.approx({"start": 0, "seconds": 0.1, "average": 1, "most": 2})
    assert second == pytest.approx({"start": 0.1, "seconds": 0.1, "average": 2.5, "most": 3})
    assert third["average"] == 0
    concurrency.change(1, 101.0)
    concurrency.change(-1, 100_000.0)
    buckets = concurrency.over_time()
    assert len(buckets) <= 512
    assert concurrency.work == pytest.approx(0.35 + 99_899)
    assert sum(each["average"] * each["seconds"] for each in buckets) == pytest.approx(concurrency.work)
    assert sum(each["seconds"] for each in buckets) == pytest.approx(99_900)
    assert concurrency.most == buckets[0]["most"] == 3
    concurrency.advance(99_000.0)  # threads may come in another order than their times
    assert concurrency.over_time() == buckets
