"""BatchProcessor: what goes together, and what becomes of each item."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import uvloop

from agentperf_runtime import BatchProcessor


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a loop of asyncio and one of uvloop; nothing may be left for their exception handlers."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main()
        await settle()
        gc.collect()

    asyncio.run(watched())
    uvloop.run(watched())
    assert not complaints


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Doubling:
    """An async function that notes its batches, and waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate: asyncio.Event | None = None
        self.at_once = self.most = 0

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        return [2 * item for item in items]


def double(items: list[int]) -> list[int]:
    return [2 * item for item in items]


# The scenario of the guidelines


def test_results_come_in_order() -> None:
    async def main() -> None:
        async with BatchProcessor[int, int](batch_size=5, max_wait_time=0.05) as processor:
            results = await asyncio.gather(*(processor.process(number, double) for number in range(10)))
        assert results == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
        stats = processor.get_batch_stats()
        assert (stats["batches"], stats["avg_batch_size"], stats["items_processed"]) == (2, 5, 10)

    run(main)


def test_statistics_have_always_the_same_keys() -> None:
    async def main() -> None:
        processor = BatchProcessor[int, int](max_wait_time=0)
        empty = processor.get_batch_stats()
        assert set(empty.values()) == {0}
        await processor.process(1, double)
        stats = processor.get_batch_stats()
        assert stats.keys() == empty.keys()
        assert stats["processing_time_total"] > 0
        await processor.aclose()

    run(main)


# What goes together


def test_a_batch_begins_when_it_is_full_or_has_waited() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](3, 0.02)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(4)]
        await settle()
        assert doubling.batches == [[0, 1, 2]]
        assert processor.get_batch_stats()["pending_items"] == 1
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]
        assert doubling.batches == [[0, 1, 2], [3]]
        assert processor.get_batch_stats()["wait_time_total"] > 0.015

    run(main)


def test_without_waiting_one_iteration_goes_together() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](100, 0)
        await asyncio.gather(*(processor.process(number, doubling) for number in range(7)))
        assert doubling.batches == [list(range(7))]

    run(main)


def test_each_function_has_a_queue() -> None:
    class Store:
        def __init__(self) -> None:
            self.doubling = Doubling()

        async def load(self, items: list[int]) -> list[int]:
            return await self.doubling(items)

    async def main() -> None:
        one, other, both = Store(), Doubling(), BatchProcessor[int, int](100, 0.01)
        calls = [both.process(number, function) for number in range(4) for function in (one.load, other)]
        assert await asyncio.gather(*calls) == [0, 0, 2, 2, 4, 4, 6, 6]
        assert one.doubling.batches == other.batches == [[0, 1, 2, 3]]
        await settle()
        assert not next(iter(both._loops.values()))._queues  # they do not pile up

    run(main)


def test_workers_are_limited_and_take_turns() -> None:
    async def main() -> None:
        doubling, other = Doubling(), Doubling()
        doubling.gate = asyncio.Event()
        processor = BatchProcessor[int, int](2, 0, max_workers=2)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(9)]
        tasks.append(asyncio.ensure_future(processor.process(9, other)))
        await settle()
        assert (doubling.most, processor.get_batch_stats()["active_batches"]) == (2, 2)
        assert not other.batches
        doubling.gate.set()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(10)]
        assert doubling.most == 2
        assert [len(batch) for batch in doubling.batches] == [2, 2, 2, 2, 1]

    run(main)


def test_items_of_one_key_are_one() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](3, 0.01, key=lambda item: item % 10)
        tasks = [asyncio.ensure_future(processor.process(item, doubling)) for item in (1, 2, 11, 1)]
        await settle()
        tasks[0].cancel()
        results = await asyncio.gather(*tasks[1:])
        assert (results, doubling.batches) == ([4, 2, 2], [[1, 2]])
        assert await processor.process(1, doubling) == 2  # the key is free again
        assert processor.get_batch_stats()["items_deduplicated"] == 2

    run(main)


def test_there_is_room_for_so_many() -> None:
    async def main() -> None:
        doubling = Doubling()
        doubling.gate = asyncio.Event()
        processor = BatchProcessor[int, int](2, 0, max_workers=1, max_pending=4, key=lambda item: item)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(12)]
        same = asyncio.ensure_future(processor.process(11, doubling))  # waits for room, for an item that will have some
        await settle()
        assert processor.get_batch_stats()["pending_items"] == 4
        tasks[7].cancel()  # one that waits for room
        tasks[3].cancel()  # one that has it
        await settle()
        assert processor.get_batch_stats()["pending_items"] == 4
        doubling.gate.set()
        results = await asyncio.gather(*tasks, same, return_exceptions=True)
        assert [result for result in results if isinstance(result, int)] == [0, 2, 4, 8, 10, 12, 16, 18, 20, 22, 22]
        assert [item for batch in doubling.batches for item in batch] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
        state = next(iter(processor._loops.values()))
        assert (state.pending, state._room.free, state._room.waiting) == (0, 4, 0)

    run(main)


def test_limits_that_make_no_sense() -> None:
    for options in (
        {"batch_size": 0},
        {"max_workers": 0},
        {"max_wait_time": -1.0},
        {"batch_size": 9, "max_pending": 8},
    ):
        with pytest.raises(ValueError, match=r"\d"):
            BatchProcessor(**options)  # type: ignore[arg-type]


# What becomes of an item


def test_an_exception_among_the_results_is_for_its_item() -> None:
    def picky(items: list[int]) -> list[int | Exception]:
        return [KeyError(item) if item % 2 else item for item in items]

    async def main() -> None:
        processor = BatchProcessor[int, int](10, 0)
        results = await asyncio.gather(*(processor.process(item, picky) for item in range(4)), return_exceptions=True)
        assert results[::2] == [0, 2]
        assert [error.args for error in results[1::2] if isinstance(error, KeyError)] == [(1,), (3,)]
        stats = processor.get_batch_stats()
        assert (stats["items_processed"], stats["items_failed"]) == (2, 2)
        await processor.aclose()

    run(main)


def _failing(items: list[int]) -> list[int]:
    raise ValueError("failed")


def _stopping(items: list[int]) -> list[int]:
    raise StopIteration


def _stopped(items: list[int]) -> list[Any]:
    return [StopIteration() for _ in items]


def _fewer(items: list[int]) -> list[int]:
    return items[1:]


def _nothing(items: list[int]) -> Any:
    return None


def _mapping(items: list[int]) -> Any:
    return {item: item for item in items}


def _text(items: list[int]) -> Any:
    return "x" * len(items)


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (_failing, ValueError, "failed"),
        (_stopping, RuntimeError, "StopIteration"),
        (_stopped, RuntimeError, "StopIteration"),
        (_fewer, ValueError, "returned 2 results for 3 items"),
        (_nothing, TypeError, "returned NoneType"),
        (_mapping, TypeError, "returned dict"),
        (_text, TypeError, "returned str"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_failures_reach_everyone(function: Any, error: type[Exception], message: str, is_async: bool) -> None:
    async def in_loop(items: list[int]) -> Any:
        return function(items)

    async def main() -> None:
        async with BatchProcessor[int, int](3, 0) as processor:
            called = in_loop if is_async else function
            tasks = [asyncio.ensure_future(processor.process(item, called)) for item in range(3)]
            for task in tasks:
                with pytest.raises(error, match=message):
                    await task
            assert processor.get_batch_stats()["items_failed"] == 3
            assert await processor.process(1, double) == 2

    run(main)


def test_kinds_of_functions() -> None:
    async def in_loop(items: list[int], factor: int = 2) -> list[int]:
        assert threading.current_thread() is threading.main_thread()
        return [factor * item for item in items]

    def generating(items: list[int]) -> Iterator[int]:
        for item in items:
            assert threading.current_thread() is not threading.main_thread()
            yield 2 * item

    tripled = functools.partial(in_loop, factor=3)
    handed_on: Callable[[list[int]], Any] = lambda items: in_loop(items)  # noqa: E731

    async def main() -> None:
        async with BatchProcessor[int, int](3, 0) as processor:
            calls = [processor.process(1, each) for each in (in_loop, generating, tripled, handed_on, Doubling())]
            assert await asyncio.gather(*calls) == [2, 2, 3, 2, 2]

    run(main)


def test_threads_are_its_own_and_carry_the_context() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[tuple[str, str]] = []
    together = threading.Barrier(3)

    def look(items: list[int]) -> list[int]:
        together.wait(10)  # as many at once as there are workers
        seen.append((name.get(), threading.current_thread().name.rpartition("_")[0]))
        return items

    async def main() -> None:
        async with BatchProcessor[int, int](1, 0, max_workers=3) as processor:

            async def call(number: int) -> None:
                name.set(f"caller {number}")
                await processor.process(number, look)

            await asyncio.gather(*(call(number) for number in range(6)))
        assert sorted(seen) == [(f"caller {number}", "agentperf-batch") for number in range(6)]
        seen.clear()

    run(main)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("is_async", [False, True])
def test_an_interrupt_ends_the_loop_and_leaves_nobody_waiting(error: type[BaseException], is_async: bool) -> None:
    def interrupted(items: list[int]) -> list[int]:
        raise error

    async def interrupted_in_loop(items: list[int]) -> list[int]:
        raise error

    ended: list[str] = []

    async def call() -> None:
        try:
            await processor.process(1, interrupted_in_loop if is_async else interrupted)
        finally:
            ended.append("ended")

    processor = BatchProcessor[int, int](1, 0)
    with pytest.raises(error):
        asyncio.run(call())
    assert ended == ["ended"]
    asyncio.run(_doubles(processor))


async def _doubles(processor: BatchProcessor[int, int]) -> None:
    assert await asyncio.wait_for(asyncio.gather(*(processor.process(item, double) for item in (1, 2))), 10) == [2, 4]


# Cancellation


def test_who_is_cancelled_is_left_out_and_takes_nobody_with_it() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](4, 0.01)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(3)]
        await settle()
        tasks[1].cancel()
        tasks.append(asyncio.ensure_future(processor.process(3, doubling)))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results.pop(1), asyncio.CancelledError)
        assert (results, doubling.batches) == ([0, 4, 6], [[0, 2, 3]])
        assert processor.get_batch_stats()["items_cancelled"] == 1

        doubling.batches.clear()
        alone = asyncio.ensure_future(processor.process(4, doubling))
        await settle()
        alone.cancel()
        await asyncio.sleep(0.03)
        assert doubling.batches == []
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(processor.process(5, doubling), 0)
        with anyio.move_on_after(0.001):
            await processor.process(6, doubling)
        await asyncio.sleep(0.02)
        assert doubling.batches == []

    run(main)


def test_cancelled_in_the_moment_in_which_the_batch_begins() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](2, 60)
        first = asyncio.ensure_future(processor.process(0, doubling))
        await settle()
        first.cancel()  # it has not run since
        second = asyncio.ensure_future(processor.process(1, doubling))
        third = asyncio.ensure_future(processor.process(2, doubling))
        assert await asyncio.gather(second, third) == [2, 4]
        assert doubling.batches == [[1, 2]]
        state = next(iter(processor._loops.values()))
        assert (state.pending, state._room.held) == (0, 0)

    run(main)


def test_a_batch_that_has_begun_goes_on() -> None:
    async def main() -> None:
        doubling = Doubling()
        doubling.gate = asyncio.Event()
        processor = BatchProcessor[int, int](2, 0)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(2)]
        await settle()
        tasks[0].cancel()
        doubling.gate.set()
        assert await tasks[1] == 2

        async def fail(items: list[int]) -> list[int]:
            await asyncio.sleep(0)
            raise ValueError

        tasks = [asyncio.ensure_future(processor.process(number, fail)) for number in range(2)]
        await settle()
        tasks[0].cancel()  # too late: the exception is there
        assert [type(each) for each in await asyncio.gather(*tasks, return_exceptions=True)] == [ValueError] * 2
        task = asyncio.ensure_future(processor.process(1, fail))
        while processor.get_batch_stats()["items_failed"] != 3:
            await asyncio.sleep(0)
        task.cancel()  # the exception is there, and the task has not run since
        await asyncio.wait([task])

    run(main)


@pytest.mark.parametrize("seed", range(6))
def test_cancellations_at_random(seed: int) -> None:
    random_ = random.Random(seed)

    async def main() -> None:
        processor = BatchProcessor[int, int](
            4, random_.choice((0, 0.001)), 2, max_pending=6, key=(lambda item: item) if seed % 2 else None
        )
        running = 0

        async def doubling(items: list[int]) -> list[int | Exception]:
            nonlocal running
            running += 1
            assert running <= 2
            assert 0 < len(items) <= 4
            if seed % 2:
                assert len(set(items)) == len(items)
            try:
                for _ in range(random_.randrange(3)):
                    await asyncio.sleep(0)
            finally:
                running -= 1
            if random_.random() < 0.05:
                raise OSError
            return [KeyError(item) if item == 7 else 2 * item for item in items]

        async def call() -> None:
            item = random_.randrange(30)
            function: Any = random_.choice((doubling, double)) if random_.random() < 0.2 else doubling
            try:
                assert await processor.process(item, function) == 2 * item
            except KeyError:
                assert item == 7
            except OSError:
                pass

        tasks: list[asyncio.Future[None]] = []
        for _ in range(300):
            tasks.append(asyncio.ensure_future(call()))
            if random_.random() < 0.4:
                random_.choice(tasks[-20:]).cancel()
            if random_.random() < 0.6:
                await asyncio.sleep(0)
            assert processor.get_batch_stats()["pending_items"] <= 6
        closing = asyncio.ensure_future(processor.aclose())
        await asyncio.wait_for(asyncio.wait(tasks), 30)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
        await asyncio.wait_for(closing, 30)
        (state,) = processor._loops.values()
        assert (state.pending, state._room.held, state._room.waiting) == (0, 0, 0)
        assert not (state._queues)
        assert not (state._due)
        assert not (state.running)

    run(main)


# Closing and loops


def test_closing_does_what_was_asked_for() -> None:
    async def main() -> None:
        doubling = Doubling()
        processor = BatchProcessor[int, int](3, 60, 1, max_pending=3)
        tasks = [asyncio.ensure_future(processor.process(number, doubling)) for number in range(8)]
        threaded = asyncio.ensure_future(processor.process(8, double))
        await settle()
        started = time.perf_counter()
        await asyncio.gather(processor.aclose(), processor.aclose())
        assert time.perf_counter() - started < 30
        assert all(task.done() for task in (*tasks, threaded))
        assert await asyncio.gather(*tasks, threaded) == [2 * number for number in range(9)]
        with pytest.raises(RuntimeError, match="closed"):
            await processor.process(1, double)
        await processor.aclose()

    run(main)


def test_closing_that_is_cancelled() -> None:
    async def main() -> None:
        doubling = Doubling()
        doubling.gate = asyncio.Event()
        processor = BatchProcessor[int, int](3, 60)
        task = asyncio.ensure_future(processor.process(1, doubling))
        await settle()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(processor.aclose(), 0.01)
        doubling.gate.set()
        assert await task == 2
        await processor.aclose()

    run(main)


def test_a_processor_outlives_its_loops() -> None:
    processor = BatchProcessor[int, int](10, 0.001)

    async def leave() -> None:
        await _doubles(processor)
        left.append(asyncio.ensure_future(processor.process(3, Doubling())))
        await asyncio.sleep(0)

    left: list[asyncio.Future[int]] = []
    asyncio.run(leave())
    uvloop.run(leave())
    assert all(task.cancelled() for task in left)
    loop = asyncio.new_event_loop()  # one that ends without cancelling anything
    loop.run_until_complete(_doubles(processor))
    loop.close()
    asyncio.run(_doubles(processor))
    stats = processor.get_batch_stats()
    assert (stats["batches"], stats["items_processed"], stats["pending_items"]) == (4, 8, 0)
    assert len(processor._loops) == 1


def test_loops_of_several_threads_at_once() -> None:
    processor = BatchProcessor[int, int](7, 0.001, 2)

    def work(seed: int) -> None:
        async def main() -> None:
            async with processor:
                for function in (double, Doubling()) * 3:
                    calls = (processor.process(number, function) for number in range(50))
                    assert await asyncio.gather(*calls) == [2 * number for number in range(50)]

        asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert processor.get_batch_stats()["items_processed"] == 4 * 6 * 50


def test_eager_tasks() -> None:
    async def at_once(items: list[int]) -> list[int]:
        return [2 * item for item in items]

    async def main() -> None:
        if sys.version_info >= (3, 12):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        processor = BatchProcessor[int, int](2, 0)
        calls = asyncio.gather(*(processor.process(number, at_once) for number in range(5)))
        assert await asyncio.wait_for(calls, 10) == [0, 2, 4, 6, 8]

    asyncio.run(main())
