"""The profiler that applications use."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import time
import weakref
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from time import perf_counter, process_time
from types import CodeType, CoroutineType, FrameType, TracebackType
from typing import Any, TypeVar, cast

from agentperf_runtime.atomic_files import write_atomically
from agentperf_runtime.functions import check_decorated, is_async
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.profiling.exports import collapsed, speedscope
from agentperf_runtime.profiling.metrics import Outcome, PerformanceMetrics
from agentperf_runtime.profiling.operations import Active, Ledger, Operation, current, innermost
from agentperf_runtime.profiling.profile_file import as_json, profile_document
from agentperf_runtime.profiling.sampling import Sampler
from agentperf_runtime.profiling.stack_tree import StackTree
from agentperf_runtime.profiling.statistics_text import functions_text, totals_text
from agentperf_runtime.profiling.steps import Steps
from agentperf_runtime.totals import Totals

F = TypeVar("F", bound=Callable[..., Any])

_SEVERE = 2  # times the threshold


class PerformanceProfiler:
    """Measures operations of agents, synchronous and asynchronous ones, at the same time and inside each other.

    `sampling`: look every `interval` seconds at what active operations do, from a thread that sleeps while there are
    none. `keep`: how many single executions `metrics` keeps. `max_operations`: how many different operations are told
    apart; those that come later are added up as "(other)".

    Usable from any thread and event loop. Nothing that fails inside reaches the application; it is counted in `errors`.
    """

    def __init__(
        self, *, sampling: bool = True, interval: float = 0.01, keep: int = 1000, max_operations: int = 1000
    ) -> None:
        if interval <= 0:
            raise ValueError(f"the interval between two samples must be above 0, not {interval}")
        self.wall_start = time.time()
        self._start, self._cpu_start = perf_counter(), process_time()
        self._errors = 0
        self._ledger = Ledger(keep, max_operations)
        self._tree = StackTree()
        self._sampler: Sampler | None = None
        if sampling:
            self._sampler = Sampler(self._ledger, self._tree, interval)
            self._ledger.begun = self._sampler.execution_begun
            weakref.finalize(self, self._sampler.stop)  # its thread does not keep the profiler alive
        weakref.finalize(self, self._ledger.memory.close)
        self._interval = interval
        _known.add(self)
        _watch_forks()

    @property
    def metrics(self) -> list[PerformanceMetrics]:
        """The last executions that have ended, oldest first."""
        with self._ledger.lock:
            return list(self._ledger.metrics)

    @property
    def active_profiles(self) -> dict[str, list[PerformanceMetrics]]:
        """The executions that go on, by "agent:operation"."""
        found: dict[str, list[PerformanceMetrics]] = {}
        with self._ledger.lock:
            for active in self._ledger.active.values():
                found.setdefault(active.operation.name, []).append(active.metric)
        return found

    @property
    def errors(self) -> int:
        """Failures inside the profiler."""
        return self._errors + (self._sampler.errors if self._sampler is not None else 0)

    def profile_operation(self, agent_name: str, operation: str) -> ProfiledOperation:
        """Measure a block, as `with` or `async with`, or every call of a function, as a decorator.

        The block gets a `PerformanceMetrics` to add tokens, cache hits and figures of its own to; inside a function
        `current()` returns it. In a coroutine function that is decorated, time on the event loop is measured step by
        step; in a block it is estimated from the samples.
        """
        return ProfiledOperation(self, agent_name, operation)

    def current(self) -> PerformanceMetrics | None:
        """The innermost execution that the calling code is in, also across tasks that it created."""
        active = innermost(current.get(), self._ledger)
        return None if active is None else active.metric

    def start(self) -> None:
        """Sample again after a `stop`. A new profiler samples already."""
        if self._sampler is not None:
            self._sampler.start()

    def stop(self) -> None:
        """Stop sampling, and end the thread. Operations are measured on, without samples. Again does nothing."""
        if self._sampler is not None:
            self._sampler.stop()

    def __enter__(self) -> PerformanceProfiler:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def get_profile_stats(self, agent_name: str, operation: str, top_n: int = 20) -> str:
        """An operation's figures as text, with the `top_n` functions in which most samples were.

        The samples of operations inside it count too. "No profiling data for ..." when there is none.
        """
        with self._ledger.lock:
            known = self._ledger.find(agent_name, operation)
            if known is None:
                return f"No profiling data for {agent_name}:{operation}"
            totals = totals_text(known)
        return totals + functions_text(known, self._tree.stacks(), self._interval, top_n)

    def identify_bottlenecks(self, threshold_seconds: float = 1.0) -> list[dict[str, Any]]:
        """The operations that take longer than `threshold_seconds` on average, the longest first.

        Times are in seconds, memory in MB; `severity` is "high" above twice the threshold, else "medium".
        """
        with self._ledger.lock:
            slow = [each for each in self._ledger.operations.values() if _is_slow(each, threshold_seconds)]
            found = [_bottleneck(operation, threshold_seconds) for operation in slow]
        return sorted(found, key=lambda bottleneck: -bottleneck["avg_execution_time"])

    def totals(self) -> Totals:
        """All executions that have ended, of all operations together: nested ones count beside those around them."""
        times = Histogram()
        with self._ledger.lock:
            operations = self._ledger.operations.values()
            for each in operations:
                times.merge(each.duration)
            failed = sum(each.failed + each.cancelled for each in operations)
            tokens = sum(each.tokens_used for each in operations)
            return Totals("operation", times, self._start, failed, tokens)

    def to_document(self) -> dict[str, Any]:
        """Everything that was measured so far, as `save` writes it."""
        stacks = self._tree.stacks()  # before the operations, which are then all that these name
        with self._ledger.lock:
            operations = list(self._ledger.operations.values())
        return profile_document(
            operations,
            stacks,
            self._ledger.lock,
            wall_start=self.wall_start,
            seconds=perf_counter() - self._start,
            cpu_seconds=process_time() - self._cpu_start,
            interval=self._interval,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was measured so far to a file that `agentperf-lint report` reads. Raises OSError."""
        write_atomically(path, as_json(self.to_document()))

    def export_speedscope(self, path: str | os.PathLike[str]) -> None:
        """Write the samples to a file for speedscope. Raises OSError."""
        write_atomically(path, as_json(speedscope(self.to_document())))

    def export_collapsed(self, path: str | os.PathLike[str]) -> None:
        """Write the samples as collapsed stacks, one a line, as tools for flame graphs read them. Raises OSError."""
        write_atomically(path, collapsed(self.to_document()))

    def _begin(
        self, metric: PerformanceMetrics, entry: CodeType | None, frame: FrameType, suspends: bool
    ) -> Active | None:
        try:
            return self._ledger.begin(metric, entry, frame, suspends)
        except Exception:
            self._errors += 1
            return None

    def _end(self, active: Active | None, kind: type[BaseException] | None, steps: bool = False) -> None:
        if active is None:
            return
        try:
            active.metric.outcome = _outcome(kind)
            self._ledger.end(active, steps)
        except Exception:
            self._errors += 1

    def _drop(self, active: Active | None) -> None:
        if active is None:
            return
        try:
            self._ledger.drop(active)
        except Exception:
            self._errors += 1

    def _before_fork(self) -> None:
        if self._sampler is not None:
            self._sampler.pause()

    def _after_fork_in_parent(self) -> None:
        if self._sampler is not None:
            self._sampler.resume()

    def _after_fork_in_child(self) -> None:
        self._ledger.after_fork()
        if self._sampler is not None:
            self._sampler.after_fork()
        self.wall_start, self._start, self._cpu_start = time.time(), perf_counter(), process_time()


class ProfiledOperation(AbstractContextManager[PerformanceMetrics], AbstractAsyncContextManager[PerformanceMetrics]):
    """What `profile_operation` returns. It may be used again, also while it is in use."""

    def __init__(self, profiler: PerformanceProfiler, agent_name: str, operation: str) -> None:
        self._profiler = profiler
        self._agent_name = agent_name
        self._operation = operation
        self._begun: list[Active | None] = []

    def __enter__(self) -> PerformanceMetrics:
        return self._enter(sys._getframe(1))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._profiler._end(self._latest(), kind)

    async def __aenter__(self) -> PerformanceMetrics:
        return self._enter(sys._getframe(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._profiler._end(self._latest(), kind)

    def __call__(self, function: F) -> F:
        """`function`, of which every call is measured, until it returns; where it returns a coroutine, until that does.

        Raises TypeError for generators, which run in pieces, and for static, class and property objects.
        """
        check_decorated(function, "profile_operation()")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{name} is a generator: its code runs between items, so put the block inside of it")
        wrapper = self._coroutine_function if is_async(function) else self._function
        return cast("F", functools.wraps(function)(wrapper(function, getattr(function, "__code__", None))))

    def _metric(self) -> PerformanceMetrics:
        return PerformanceMetrics(self._agent_name, self._operation, time.time())

    def _enter(self, frame: FrameType) -> PerformanceMetrics:
        metric = self._metric()
        self._begun.append(self._profiler._begin(metric, frame.f_code, frame, suspends=True))
        return metric

    def _latest(self) -> Active | None:
        """The execution that ends: the one that the calling code is in, if this block began it, or the last."""
        active = current.get()
        if active is not None and active in self._begun:
            self._begun.remove(active)
            return active
        return self._begun.pop() if self._begun else None

    def _function(self, function: Callable[..., Any], code: CodeType | None) -> Callable[..., Any]:
        profiler = self._profiler

        def profiled(*args: Any, **kwargs: Any) -> Any:
            active = profiler._begin(self._metric(), code, sys._getframe(), suspends=False)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                profiler._end(active, type(error))
                raise
            if isinstance(result, CoroutineType):  # of a coroutine function that another decorator made a plain one
                profiler._drop(active)
                return self._coroutine_function(lambda: result, result.cr_code)()
            profiler._end(active, None)
            return result

        return profiled

    def _coroutine_function(
        self, function: Callable[..., Coroutine[Any, Any, Any]], code: CodeType | None
    ) -> Callable[..., Any]:
        profiler = self._profiler

        async def profiled(*args: Any, **kwargs: Any) -> Any:
            active = profiler._begin(self._metric(), code, sys._getframe(), suspends=False)
            try:
                coroutine = function(*args, **kwargs)
                result = await (coroutine if active is None else Steps(coroutine, active))
            except BaseException as error:
                profiler._end(active, type(error), steps=True)
                raise
            profiler._end(active, None, steps=True)
            return result

        return profiled


def _is_slow(operation: Operation, threshold: float) -> bool:
    return operation.executions > 0 and operation.duration.mean > threshold


def _bottleneck(operation: Operation, threshold: float) -> dict[str, Any]:
    duration, count = operation.duration, operation.executions
    return {
        "operation": operation.name,
        "avg_execution_time": duration.mean,
        "max_execution_time": duration.most,
        "total_executions": count,
        "avg_memory_delta": operation.memory_delta_mb / count,
        "severity": "high" if duration.mean > threshold * _SEVERE else "medium",
        "p50_execution_time": duration.quantile(0.5),
        "p95_execution_time": duration.quantile(0.95),
        "p99_execution_time": duration.quantile(0.99),
        "total_time": duration.total,
        "self_time": operation.self_seconds,
        "running_time": operation.running_seconds,
        "waiting_time": operation.waiting_seconds,
        "cpu_time": operation.cpu_seconds,
        "failed_executions": operation.failed,
        "cancelled_executions": operation.cancelled,
    }


def _outcome(kind: type[BaseException] | None) -> Outcome:
    if kind is None:
        return "completed"
    cancelled = getattr(sys.modules.get("asyncio.exceptions"), "CancelledError", GeneratorExit)
    return "cancelled" if issubclass(kind, (cancelled, GeneratorExit)) else "failed"


_known: weakref.WeakSet[PerformanceProfiler] = weakref.WeakSet()
_forks_are_watched = False


def _watch_forks() -> None:
    global _forks_are_watched
    if _forks_are_watched or not hasattr(os, "register_at_fork"):
        return
    _forks_are_watched = True
    os.register_at_fork(
        before=lambda: _each(PerformanceProfiler._before_fork),
        after_in_parent=lambda: _each(PerformanceProfiler._after_fork_in_parent),
        after_in_child=lambda: _each(PerformanceProfiler._after_fork_in_child),
    )


def _each(action: Callable[[PerformanceProfiler], None]) -> None:
    for profiler in list(_known):
        try:
            action(profiler)
        except Exception:
            profiler._errors += 1
