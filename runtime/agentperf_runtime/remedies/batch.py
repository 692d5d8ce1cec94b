"""Collects single items into batches."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Generic, TypedDict, TypeVar

from agentperf_runtime.functions import is_async
from agentperf_runtime.remedies.slots import Slots

T = TypeVar("T")
R = TypeVar("R")

Results = Iterable["R | Exception"]


class BatchStats(TypedDict):
    """What `BatchProcessor.get_batch_stats` tells, of all loops together; times in seconds."""

    items_processed: int  # that came to a result
    items_failed: int  # that came to an exception
    items_cancelled: int  # that were left out, since nobody waited for them when their batch began
    items_deduplicated: int  # calls that joined an item of the same key
    batches: int  # that were begun
    avg_batch_size: float  # items per batch, 0 before the first
    pending_items: int  # that wait for their batch to begin
    active_batches: int  # that are being processed
    wait_time_total: float  # of items, until their batch began
    processing_time_total: float  # of batches


class BatchProcessor(Generic[T, R]):
    """Has items processed together that different tasks ask for one by one.

        processor = BatchProcessor[int, User](batch_size=100, max_wait_time=0.01)
        user = await processor.process(user_id, load_users)  # which takes a list of ids

    A batch begins when `batch_size` items are there for a function, or `max_wait_time` seconds after the first of them
    came; at 0 all that is asked for in the same iteration of the loop goes together. At most `max_workers` batches
    run at once, in the order in which they became due, and meanwhile the next ones grow, up to `batch_size`. Each
    function has a queue of its own, so pass the same one each time and not a new lambda; bound methods are the same
    when their instances are.

    With `key`, which is called with an item, an item joins one of the same key that waits for the same function, and
    both get the same result. `max_pending` is the number of items that may wait for their batches, by default eight
    rounds of batches; further callers wait for room, first come, first served. Raises ValueError for sizes below 1, a
    negative time, and a `max_pending` below `batch_size`.

    What it claims: it may be used by any number of tasks, and by several event loops (asyncio or uvloop) at once, also
    one after the other: each loop has its own queues, workers and threads, so only `get_batch_stats` sees all. Each
    item gets its own result or exception; a task that is cancelled affects nobody else, and an item that nobody waits
    for any more is left out when its batch has not begun.

    Its limits: a batch that has begun runs to its end, also when all who wait for it are cancelled. It runs in the
    context (`contextvars`) of the item that came first. A function that calls `process` of the same processor may have
    to wait for itself when all workers do so.
    """

    def __init__(
        self,
        batch_size: int = 100,
        max_wait_time: float = 0.1,
        max_workers: int = 4,
        *,
        key: Callable[[T], Hashable] | None = None,
        max_pending: int | None = None,
    ) -> None:
        if batch_size < 1 or max_workers < 1:
            raise ValueError(f"batch_size and max_workers must be at least 1, not {batch_size} and {max_workers}")
        if not max_wait_time >= 0:
            raise ValueError(f"max_wait_time is 0 or more seconds, not {max_wait_time}")
        if max_pending is None:
            max_pending = 8 * batch_size * max_workers
        if max_pending < batch_size:
            raise ValueError(f"with room for {max_pending} items no batch of {batch_size} would come together")
        self.batch_size = batch_size
        self.max_wait_time = max_wait_time
        self.max_workers = max_workers
        self.max_pending = max_pending
        self._key = key
        self._lock = threading.Lock()
        self._loops: dict[asyncio.AbstractEventLoop, _LoopState[T, R]] = {}  # closed ones go when a new one comes
        self._of_closed_loops = _Counts()
        self._latest: _LoopState[T, R] | None = None  # the one that is wanted nearly always

    async def process(self, item: T, processor_func: Callable[[list[T]], Results[R] | Awaitable[Results[R]]]) -> R:
        """What `processor_func` makes of `item` in a batch.

        The function takes a list of items and returns as many results in the same order; an exception among them is
        raised for its item alone. What it raises is raised for all items of the batch, as is TypeError when it returns
        something without an order and ValueError for another number of results. A coroutine function runs in the loop,
        any other one in one of `max_workers` threads. Raises RuntimeError after `aclose`.
        """
        return await self._state().process(item, processor_func)

    async def aclose(self) -> None:
        """Process in this loop what was asked for, without waiting for batches to fill; later calls are refused."""
        await self._state().close()

    async def __aenter__(self) -> BatchProcessor[T, R]:
        self._state()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def get_batch_stats(self) -> BatchStats:
        """Statistics, always with the same keys."""
        with self._lock:
            states = list(self._loops.values())
            counts = _Counts.sum([self._of_closed_loops, *(state.counts for state in states)])
        return BatchStats(
            items_processed=counts.processed,
            items_failed=counts.failed,
            items_cancelled=counts.cancelled,
            items_deduplicated=counts.deduplicated,
            batches=counts.batches,
            avg_batch_size=counts.batched / counts.batches if counts.batches else 0.0,
            pending_items=sum(state.pending for state in states),
            active_batches=sum(len(state.running) for state in states),
            wait_time_total=counts.waited,
            processing_time_total=counts.seconds,
        )

    def _state(self) -> _LoopState[T, R]:
        loop = asyncio.get_running_loop()
        state = self._latest
        if state is not None and state.loop is loop:
            return state
        state = self._loops.get(loop)
        if state is None:
            with self._lock:
                for other in [each for each in self._loops if each.is_closed()]:
                    ended = self._loops.pop(other)
                    self._of_closed_loops = _Counts.sum([self._of_closed_loops, ended.counts])
                    ended.let_go()
                state = self._loops[loop] = _LoopState(self, self._key, loop)
        self._latest = state
        return state


@dataclass
class _Counts:
    """What is summed up for the statistics."""

    processed: int = 0
    failed: int = 0
    cancelled: int = 0
    deduplicated: int = 0
    batches: int = 0
    batched: int = 0
    waited: float = 0.0
    seconds: float = 0.0

    @classmethod
    def sum(cls, counts: list[_Counts]) -> _Counts:
        return cls(*(sum(getattr(each, name.name) for each in counts) for name in fields(cls)))


@dataclass(eq=False)
class _Request(Generic[T, R]):
    """An item, and the futures of those who wait for what becomes of it."""

    item: T
    key: Hashable
    since: float  # seconds of the loop's clock
    context: contextvars.Context
    waiters: list[asyncio.Future[R]]

    def is_wanted(self) -> bool:
        return not all(waiter.done() for waiter in self.waiters)

    def settle(self, result: R | BaseException) -> None:
        for waiter in self.waiters:
            if waiter.done():
                continue
            if isinstance(result, asyncio.CancelledError):
                waiter.cancel()
            elif isinstance(result, BaseException):
                waiter.set_exception(_for_future(result))
            else:
                waiter.set_result(result)


class _Queue(Generic[T, R]):
    """What waits for one function."""

    def __init__(self, function: Callable[[list[T]], Any]) -> None:
        self.function = function
        self.requests: dict[Hashable, _Request[T, R]] = {}  # by key, the oldest first
        self.is_due = False
        self.timer: asyncio.TimerHandle | None = None


class _LoopState(Generic[T, R]):
    """The queues and workers of one event loop, used by its thread only."""

    def __init__(
        self, limits: BatchProcessor[T, R], key: Callable[[T], Hashable] | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.loop = loop
        self.counts = _Counts()
        self.pending = 0
        self.running: set[asyncio.Task[None]] = set()  # asyncio keeps no reference
        self._batch_size = limits.batch_size
        self._max_wait_time = limits.max_wait_time
        self._max_workers = limits.max_workers
        self._key = key
        self._room = Slots(limits.max_pending)
        self._queues: dict[Hashable, _Queue[T, R]] = {}
        self._due: deque[_Queue[T, R]] = deque()
        self._calls = 0
        self._is_closing = False
        self._quiet: list[asyncio.Future[None]] = []
        self._threads: ThreadPoolExecutor | None = None

    async def process(self, item: T, function: Callable[[list[T]], Any]) -> R:
        if self._is_closing:
            raise RuntimeError("the processor is closed")
        self._calls += 1
        try:
            key = object() if self._key is None else self._key(item)
            waiter: asyncio.Future[R] = self.loop.create_future()
            request = self._joined(function, key, waiter)
            if request is None:
                if not self._room.take_now():
                    await self._room.take()
                request = self._joined(function, key, waiter)
                if request is None:
                    request = self._added(function, item, key, waiter)
                else:
                    self._room.give()  # another one of this key found room before
            try:
                return await waiter
            except asyncio.CancelledError:
                self._given_up(function, request, waiter)
                raise
        finally:
            self._calls -= 1
            self._tell_if_quiet()

    async def close(self) -> None:
        self._is_closing = True
        for queue in list(self._queues.values()):
            self._make_due(queue)
        while self._calls or self.running:
            quiet: asyncio.Future[None] = self.loop.create_future()
            self._quiet.append(quiet)
            await quiet
        self.let_go()

    def let_go(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False)
            self._threads = None

    def _joined(
        self, function: Callable[[list[T]], Any], key: Hashable, waiter: asyncio.Future[R]
    ) -> _Request[T, R] | None:
        queue = self._queues.get(function)
        request = None if queue is None else queue.requests.get(key)
        if request is not None:
            request.waiters.append(waiter)
            self.counts.deduplicated += 1
        return request

    def _added(
        self, function: Callable[[list[T]], Any], item: T, key: Hashable, waiter: asyncio.Future[R]
    ) -> _Request[T, R]:
        queue = self._queues.get(function)
        if queue is None:
            queue = self._queues[function] = _Queue(function)
        request = queue.requests[key] = _Request(item, key, self.loop.time(), contextvars.copy_context(), [waiter])
        self.pending += 1
        if len(queue.requests) >= self._batch_size or self._is_closing:
            self._make_due(queue)
        elif queue.timer is None and not queue.is_due:
            self._set_timer(queue, self._max_wait_time)
        return request

    def _given_up(self, function: Callable[[list[T]], Any], request: _Request[T, R], waiter: asyncio.Future[R]) -> None:
        if waiter.done() and not waiter.cancelled():
            waiter.exception()  # it came too late, and is nobody's now
        queue = self._queues.get(function)
        if not request.is_wanted() and queue is not None and queue.requests.get(request.key) is request:
            self._leave_out(queue, request)
            self._tidy(queue)
            self._begin()

    def _leave_out(self, queue: _Queue[T, R], request: _Request[T, R]) -> None:
        del queue.requests[request.key]
        self._left(1)
        self.counts.cancelled += 1

    def _set_timer(self, queue: _Queue[T, R], delay: float) -> None:
        queue.timer = self.loop.call_later(delay, self._make_due, queue)

    def _make_due(self, queue: _Queue[T, R]) -> None:
        self._stop_timer(queue)
        if not queue.is_due:
            queue.is_due = True
            self._due.append(queue)
        self._begin()

    def _stop_timer(self, queue: _Queue[T, R]) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None

    def _begin(self) -> None:
        while self._due and len(self.running) < self._max_workers:
            queue = self._due.popleft()
            queue.is_due = False
            batch = self._next_batch(queue)
            if batch:
                self._run(queue.function, batch)
            self._tidy(queue)

    def _next_batch(self, queue: _Queue[T, R]) -> list[_Request[T, R]]:
        batch: list[_Request[T, R]] = []
        while queue.requests and len(batch) < self._batch_size:
            for request in list(islice(queue.requests.values(), self._batch_size - len(batch))):
                if request.is_wanted():
                    batch.append(queue.requests.pop(request.key))
                else:
                    self._leave_out(queue, request)
        return batch

    def _tidy(self, queue: _Queue[T, R]) -> None:
        """Arrange for what is left in a queue."""
        if not queue.requests:
            self._stop_timer(queue)
            if not queue.is_due:
                self._queues.pop(queue.function, None)
            return
        oldest = next(iter(queue.requests.values()))
        delay = self._max_wait_time - (self.loop.time() - oldest.since)
        if len(queue.requests) >= self._batch_size or delay <= 0 or self._is_closing:
            if not queue.is_due:
                queue.is_due = True
                self._due.append(queue)
        elif queue.timer is None and not queue.is_due:
            self._set_timer(queue, delay)

    def _left(self, number: int) -> None:
        self.pending -= number
        for _ in range(number):
            self._room.give()

    def _run(self, function: Callable[[list[T]], Any], batch: list[_Request[T, R]]) -> None:
        now = self.loop.time()
        self._left(len(batch))
        self.counts.batches += 1
        self.counts.batched += len(batch)
        self.counts.waited += sum(now - request.since for request in batch)
        work = self._processed(function, batch)
        task = batch[0].context.run(self.loop.create_task, work)
        self.running.add(task)
        task.add_done_callback(lambda task: self._ended(task, batch))

    def _ended(self, task: asyncio.Task[None], batch: list[_Request[T, R]]) -> None:
        self.running.discard(task)
        if task.cancelled() or task.exception() is not None:  # only what is no Exception comes here
            for request in batch:
                request.settle(asyncio.CancelledError())
        self._begin()
        self._tell_if_quiet()

    async def _processed(self, function: Callable[[list[T]], Any], batch: list[_Request[T, R]]) -> None:
        started = time.perf_counter()
        try:
            results = await self._results(function, [request.item for request in batch])
        except Exception as error:
            results = [error] * len(batch)
        self.counts.seconds += time.perf_counter() - started
        for request, result in zip(batch, results):
            request.settle(result)
        failed = sum(isinstance(result, Exception) for result in results)
        self.counts.failed += failed
        self.counts.processed += len(batch) - failed

    async def _results(self, function: Callable[[list[T]], Any], items: list[T]) -> list[R | Exception]:
        if is_async(function):
            returned = await function(items)
        else:
            returned = await self._in_thread(function, items)
            if inspect.isawaitable(returned):  # of a function that only hands a coroutine on
                returned = await returned
        results = _listed(function, returned)
        if len(results) != len(items):
            raise ValueError(f"{function!r} returned {len(results)} results for {len(items)} items")
        return results

    async def _in_thread(self, function: Callable[[list[T]], Any], items: list[T]) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._max_workers, thread_name_prefix="agentperf-batch")
        context = contextvars.copy_context()
        return await self.loop.run_in_executor(self._threads, lambda: context.run(_called, function, items))

    def _tell_if_quiet(self) -> None:
        if self._quiet and not self._calls and not self.running:
            for quiet in self._quiet:
                if not quiet.done():
                    quiet.set_result(None)
            self._quiet = []


def _called(function: Callable[[list[T]], Any], items: list[T]) -> Any:
    try:
        returned = function(items)
        return returned if inspect.isawaitable(returned) else _listed(function, returned)  # generators run here
    except StopIteration as error:
        raise _for_future(error) from error


def _listed(function: Callable[..., Any], results: Any) -> list[Any]:
    if isinstance(results, list):
        return results
    if isinstance(results, (str, bytes, Mapping, Set)) or not isinstance(results, Iterable):
        raise TypeError(f"{function!r} returned {type(results).__name__}, not results in the order of the items")
    return list(results)


def _for_future(error: BaseException) -> BaseException:
    """StopIteration cannot be the exception of a future."""
    return RuntimeError(f"{error!r} was raised") if isinstance(error, StopIteration) else error
