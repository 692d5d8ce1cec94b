"""Watches how many asynchronous operations run at the same time, how long, and what holds them up."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import itertools
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from types import TracebackType
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from agentperf_runtime.forks import renew_in_child
from agentperf_runtime.functions import check_decorated, is_async
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.totals import Totals

P = ParamSpec("P")
T = TypeVar("T")

OTHER = "(other)"
"""The name of operations that come when there are enough different ones."""

_LONGEST_NAME = 200
_BEAT = 0.05
"""Seconds between two timers that measure their own lateness."""
_BUCKETS = 512
_FIRST_BUCKET = 0.1
_NOTHING_COMPLETED = "No completed tasks"


class Limiter(Protocol):
    """What lets in only so many at a time: `asyncio.Semaphore`, `asyncio.Lock` and the like."""

    async def acquire(self) -> Any: ...

    def release(self) -> Any: ...


class Concurrency:
    """How many were active over time, in at most 512 buckets of equal width.

    The buckets are 0.1 s wide at first. When there would be too many, two become one of twice the width: the whole time
    is always there, the longer it is the coarser.
    """

    def __init__(self, start: float) -> None:
        self.level = 0
        self.most = 0
        self.work = 0.0
        """Seconds of all that were active, added up."""
        self._start = self._until = start
        self._width = _FIRST_BUCKET
        self._work: list[float] = [0.0]
        self._most: list[int] = [0]

    def change(self, by: int, now: float) -> None:
        """There are `by` more from `now` on (seconds on `perf_counter`)."""
        self.advance(now)
        self.level += by
        self.most = max(self.most, self.level)
        self._most[-1] = max(self._most[-1], self.level)

    def advance(self, now: float) -> None:
        """Count what has been active until `now`."""
        if now <= self._until:
            return
        while now - self._start >= self._width * _BUCKETS:
            self._widen()
        while True:
            end = self._start + len(self._work) * self._width
            until = min(end, now)
            self._work[-1] += self.level * (until - self._until)
            self.work += self.level * (until - self._until)
            self._until = until
            if now < end:
                return
            self._work.append(0.0)
            self._most.append(self.level)

    def _widen(self) -> None:
        pairs = range(0, len(self._work), 2)
        self._work = [sum(self._work[first : first + 2]) for first in pairs]
        self._most = [max(self._most[first : first + 2]) for first in pairs]
        self._width *= 2

    def over_time(self) -> list[dict[str, float]]:
        """Of each bucket its begin and length in seconds, since the start, and how many were active."""
        found: list[dict[str, float]] = []
        for number, (work, most) in enumerate(zip(self._work, self._most, strict=True)):
            began = number * self._width
            seconds = min(self._width, self._until - self._start - began)
            if seconds > 0:
                found.append({"start": began, "seconds": seconds, "average": work / seconds, "most": most})
        return found


class OperationFigures:
    """What is known of one operation. Seconds; `queueing` is between being wanted and being begun."""

    __slots__ = ("active", "cancelled", "completed", "durations", "failed", "most", "queueing")

    def __init__(self) -> None:
        self.active = self.most = self.completed = self.failed = self.cancelled = 0
        self.durations = Histogram()
        self.queueing = Histogram()


class _Loop:
    """An event loop on which operations ran: how many do, and whether a timer is set."""

    __slots__ = ("active", "is_timed")

    def __init__(self) -> None:
        self.active = 0
        self.is_timed = False


class Begun(NamedTuple):
    """An operation that runs. `name`: its own, which "(other)" may stand for in `figures`."""

    serial: int
    name: str
    figures: OperationFigures
    loop: _Loop
    start: float


class LoopLag:
    """Measures how late a timer of an event loop fires, as long as `is_busy(loop)`; then it sets no other one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[float], None], is_busy: Callable[[], bool]):
        self._loop = weakref.ref(loop)
        self._late = late
        self._is_busy = is_busy
        self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + _BEAT
        # In an empty context, so that the timer keeps nothing of the operation alive that happened to be the first.
        loop.call_at(self._due, self._beat, context=contextvars.Context())

    def _beat(self) -> None:
        loop = self._loop()
        if loop is None:
            return
        self._late(max(0.0, loop.time() - self._due))
        if self._is_busy():
            self._set(loop)


class AsyncPerformanceMonitor:
    """Counts and times asynchronous operations, in any number of event loops and threads.

    `slots`: how many may run at a time, to which `parallel_efficiency` relates (without it, how many did at most).
    `max_operations`: how many different names are told apart; later ones are added up as "(other)".

    `lag`: whether to measure, with a timer every 50 ms while operations are active, how late their loops are.
    """

    def __init__(self, *, slots: int | None = None, max_operations: int = 1000, lag: bool = True) -> None:
        self._slots = slots
        self._most = max_operations
        self._measures_lag = lag
        self._begin_anew()
        renew_in_child(self, AsyncPerformanceMonitor._begin_anew)

    def _begin_anew(self) -> None:
        self._lock = threading.RLock()
        self._next_serial = itertools.count(1).__next__
        self._start = perf_counter()
        self._first = self._last = 0.0
        self._operations: dict[str, OperationFigures] = {}
        self._active: dict[int, Begun] = {}
        self._concurrency = Concurrency(self._start)
        self._durations = Histogram()
        self._unsuccessful = Histogram()
        self._queueing = Histogram()
        self._lag = Histogram()
        self._queued = 0
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = weakref.WeakKeyDictionary()

    @property
    def active_tasks(self) -> set[str]:
        """The operations that run, each with a number of its own."""
        with self._lock:
            return {f"{begun.name}_{begun.serial}" for begun in self._active.values()}

    @property
    def max_concurrent_tasks(self) -> int:
        """How many ran at the same time at most."""
        return self._concurrency.most

    def monitor_async_operation(self, operation_name: str, *, queued_at: float | None = None) -> MonitoredOperation:
        """Count and time an `async with` block, or every call of a coroutine function, as a decorator.

        `queued_at`: since when it was wanted, in seconds on `time.perf_counter`; the time since is queueing delay.
        """
        return MonitoredOperation(self, operation_name, queued_at)

    def create_task(
        self, coroutine: Coroutine[Any, Any, T], operation_name: str, *, name: str | None = None
    ) -> asyncio.Task[T]:
        """A task that runs `coroutine` as an operation; what it waits for its first step is queueing delay.

        `name`: the task's. As of any task a reference must be kept. Raises RuntimeError where no event loop runs.
        """
        started = False
        queued_at = perf_counter()

        async def run() -> T:
            nonlocal started
            started = True
            self._change_queued(-1)
            async with self.monitor_async_operation(operation_name, queued_at=queued_at):
                return await coroutine

        def done(_: asyncio.Task[T]) -> None:
            if not started:  # it was cancelled before
                coroutine.close()
                self._change_queued(-1)
                self._given_up(operation_name, queued_at)

        loop = asyncio.get_running_loop()
        self._change_queued(1)
        task = loop.create_task(run(), name=name)
        task.add_done_callback(done)
        return task

    @asynccontextmanager
    async def slot(self, limiter: Limiter, operation_name: str) -> AsyncIterator[None]:
        """Wait for `limiter`, a semaphore for example, and hold it for an operation: the wait is queueing delay."""
        queued_at = perf_counter()
        self._change_queued(1)
        try:
            await limiter.acquire()
        except BaseException:
            self._given_up(operation_name, queued_at)
            raise
        finally:
            self._change_queued(-1)
        try:
            async with self.monitor_async_operation(operation_name, queued_at=queued_at):
                yield
        finally:
            limiter.release()

    def get_concurrency_report(self) -> dict[str, Any]:
        """What was measured so far, times in seconds.

        Durations are those of operations that completed, of all and (`operation_stats`) of each; concurrency and
        `total_work` count failed, cancelled and active ones too. `parallel_efficiency` is `total_work` / `wall_time` /
        `slots`, `wall_time` being from the first begin to the last end, or to now while something is active.
        `concurrency_over_time` has times since the monitor was made. Quantiles are off by 1 % at most.
        """
        with self._lock:
            now = perf_counter()
            self._concurrency.advance(now)
            report = self._report(now)
            operations = list(self._operations.items())
        report["operation_stats"] = {name: self._operation_stats(figures) for name, figures in operations}
        if not report["total_completed_tasks"]:
            report["message"] = _NOTHING_COMPLETED
        return report

    def totals(self) -> Totals:
        """All operations that have ended, together."""
        with self._lock:
            times, failed = self._durations.copy(), self._unsuccessful.count
            times.merge(self._unsuccessful)
            most, lag = self._concurrency.most, self._lag.most
            return Totals("operation", times, self._start, failed, most_at_once=most, loop_lag=lag)

    def _report(self, now: float) -> dict[str, Any]:
        operations, concurrency = self._operations.values(), self._concurrency
        slots = self._slots or concurrency.most
        wall = (now if self._active else self._last) - self._first if self._first else 0.0
        return {
            "max_concurrent_tasks": concurrency.most,
            "current_active_tasks": len(self._active),
            "queued_tasks": self._queued,
            "total_completed_tasks": self._durations.count,
            "failed_tasks": sum(each.failed for each in operations),
            "cancelled_tasks": sum(each.cancelled for each in operations),
            "avg_execution_time": self._durations.mean,
            **_quantiles("execution_time", self._durations),
            **_figures("queueing_delay", self._queueing),
            **_figures("loop_lag", self._lag),
            "total_work": concurrency.work,
            "wall_time": wall,
            "avg_concurrency": concurrency.work / wall if wall else 0.0,
            "slots": slots,
            "parallel_efficiency": concurrency.work / wall / slots if wall and slots else 0.0,
            "concurrency_over_time": concurrency.over_time(),
        }

    def _operation_stats(self, figures: OperationFigures) -> dict[str, Any]:
        with self._lock:  # for each anew: whoever begins or ends an operation waits for it
            return {
                "count": figures.completed,
                "total_time": figures.durations.total,
                "max_concurrent": figures.most,
                "active": figures.active,
                "failed": figures.failed,
                "cancelled": figures.cancelled,
                "avg_execution_time": figures.durations.mean,
                **_quantiles("execution_time", figures.durations),
                **_figures("queueing_delay", figures.queueing),
            }

    def _begin(self, name: str, queued_at: float | None) -> Begun:
        loop = asyncio.get_running_loop()
        now = perf_counter()
        with self._lock:
            of_loop = self._loops.get(loop)
            if of_loop is None:
                of_loop = self._loops[loop] = _Loop()
            figures = self._figures_of(name)
            begun = Begun(self._next_serial(), name, figures, of_loop, now)
            self._active[begun.serial] = begun
            self._first = self._first or now
            self._concurrency.change(1, now)
            figures.active += 1
            figures.most = max(figures.most, figures.active)
            if queued_at is not None:
                self._count_queueing(figures, now - queued_at)
            of_loop.active += 1
            sets_timer = self._measures_lag and not of_loop.is_timed
            of_loop.is_timed = of_loop.is_timed or sets_timer
        if sets_timer:
            LoopLag(loop, self._late, functools.partial(self._is_busy, of_loop))
        return begun

    def _end(self, begun: Begun, kind: type[BaseException] | None) -> None:
        now = perf_counter()
        with self._lock:
            if self._active.pop(begun.serial, None) is not begun:
                return  # the parent of this process began it
            figures, seconds = begun.figures, max(0.0, now - begun.start)
            self._concurrency.change(-1, now)
            self._last = now
            figures.active -= 1
            begun.loop.active -= 1
            if kind is None:
                figures.completed += 1
                figures.durations.record(seconds)
                self._durations.record(seconds)
                return
            self._unsuccessful.record(seconds)
            if issubclass(kind, (asyncio.CancelledError, GeneratorExit)):
                figures.cancelled += 1
            else:
                figures.failed += 1

    def _given_up(self, name: str, queued_at: float) -> None:
        """Count an operation that was cancelled while it was queued."""
        with self._lock:
            figures = self._figures_of(name)
            figures.cancelled += 1
            self._count_queueing(figures, perf_counter() - queued_at)

    def _count_queueing(self, figures: OperationFigures, seconds: float) -> None:
        seconds = max(0.0, seconds)
        figures.queueing.record(seconds)
        self._queueing.record(seconds)

    def _change_queued(self, by: int) -> None:
        with self._lock:
            self._queued += by

    def _figures_of(self, name: str) -> OperationFigures:
        known = self._operations.get(name)
        if known is not None:
            return known
        key = str(name)[:_LONGEST_NAME]
        if key not in self._operations and len(self._operations) >= self._most:
            key = OTHER
        return self._operations.setdefault(key, OperationFigures())

    def _late(self, seconds: float) -> None:
        with self._lock:
            self._lag.record(seconds)

    def _is_busy(self, of_loop: _Loop) -> bool:
        with self._lock:
            of_loop.is_timed = of_loop.active > 0
            return of_loop.is_timed


class MonitoredOperation(AbstractAsyncContextManager[None]):
    """What `monitor_async_operation` returns. It may be used again, one after the other or, as a decorator, at once."""

    def __init__(self, monitor: AsyncPerformanceMonitor, name: str, queued_at: float | None) -> None:
        self._monitor = monitor
        self._name = name
        self._queued_at = queued_at
        self._begun: dict[int, list[Begun]] = {}
        """What each task began, by its identity: a task that is dropped must not be kept."""

    async def __aenter__(self) -> None:
        begun = self._monitor._begin(self._name, self._queued_at)
        self._begun.setdefault(id(asyncio.current_task()), []).append(begun)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._monitor._end(self._take(), kind)

    def _take(self) -> Begun:
        """The last one that the present task began, or (a generator that another task closes) the last one of all."""
        try:
            task = id(asyncio.current_task())
        except RuntimeError:
            task = 0
        if task not in self._begun:
            task = next(reversed(self._begun))
        of_task = self._begun[task]
        begun = of_task.pop()
        if not of_task:
            del self._begun[task]
        return begun

    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """`function`, of which every call is an operation. Raises TypeError for what is no coroutine function."""
        check_decorated(function, "monitor_async_operation()")
        if not is_async(function):
            raise TypeError(f"{getattr(function, '__qualname__', function)!r} is no coroutine function")
        monitor, name, queued_at = self._monitor, self._name, self._queued_at

        @functools.wraps(function)
        async def monitored(*args: P.args, **kwargs: P.kwargs) -> T:
            async with MonitoredOperation(monitor, name, queued_at):
                return await function(*args, **kwargs)

        return monitored


def _figures(name: str, histogram: Histogram) -> dict[str, float]:
    return {f"avg_{name}": histogram.mean, **_quantiles(name, histogram)}


def _quantiles(name: str, histogram: Histogram) -> dict[str, float]:
    return {
        f"p50_{name}": histogram.quantile(0.5),
        f"p95_{name}": histogram.quantile(0.95),
        f"p99_{name}": histogram.quantile(0.99),
        f"max_{name}": histogram.most,
    }
