"""Operations while they are active, and what is summed up of them.

An operation belongs to a *flow*, what runs one thing after the other: an asyncio task, or a thread outside of tasks.
Who is inside whom is carried by a context variable, which tasks and `asyncio.to_thread` inherit.
"""

from __future__ import annotations

import math
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from time import perf_counter, process_time, thread_time
from types import CodeType, FrameType
from typing import Any, NamedTuple

from agentperf_runtime.histograms import Histogram
from agentperf_runtime.process_figures import MEGABYTE, ProcessorShare, ResidentMemory, share_between
from agentperf_runtime.profiling.metrics import PerformanceMetrics

OTHER = "(other)"
"""Agent and operation of those that come when there are enough different ones."""

_LONGEST_NAME = 200
_CUSTOM_METRICS = 64
_ENTRIES = 16
_DEEPEST_NESTING = 32
_MOST_NESTINGS = 10_000


class Sum:
    """What numbers under one name add up to. Unlike those of a histogram they may be negative."""

    __slots__ = ("count", "least", "most", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.most = max(self.most, value)

    def to_json(self) -> dict[str, float]:
        return {"count": self.count, "total": self.total, "least": self.least, "most": self.most}


class Operation:
    """What is known of all executions of one operation of one agent. Times in seconds, memory in MB of 2**20 bytes.

    Of what is measured exactly, `exact_running` is time on the processor (synchronous code) or on the event loop
    (steps of coroutines). Of `async with` blocks in tasks, `sampled_seconds` in all, that is estimated: they were there
    `present` times when the sampler looked, and ran `ran` times; `sampled_cpu` is what their threads used meanwhile.
    """

    __slots__ = (
        "active",
        "agent_name",
        "cache_hits",
        "cache_misses",
        "cancelled",
        "custom_metrics",
        "duration",
        "entries",
        "exact_cpu",
        "exact_running",
        "executions",
        "failed",
        "memory_delta_mb",
        "memory_peak_mb",
        "operation",
        "present",
        "ran",
        "sampled_active",
        "sampled_cpu",
        "sampled_seconds",
        "self_seconds",
        "tokens_used",
    )

    def __init__(self, agent_name: str, operation: str) -> None:
        self.agent_name = agent_name
        self.operation = operation
        self.executions = self.failed = self.cancelled = self.active = 0
        self.duration = Histogram()
        self.self_seconds = 0.0
        self.exact_running = self.exact_cpu = 0.0
        self.sampled_seconds = self.sampled_cpu = 0.0
        self.sampled_active = self.present = self.ran = 0
        self.memory_delta_mb = self.memory_peak_mb = 0.0
        self.tokens_used = self.cache_hits = self.cache_misses = 0
        self.custom_metrics: dict[str, Sum] = {}
        self.entries: dict[int, CodeType] = {}
        """The functions whose blocks are executions, by identity: from them on a stack is the operation's."""

    @property
    def name(self) -> str:
        return f"{self.agent_name}:{self.operation}"

    @property
    def total_seconds(self) -> float:
        return self.duration.total

    @property
    def running_seconds(self) -> float:
        return min(self.exact_running + self._sampled_running(), self.total_seconds)

    @property
    def waiting_seconds(self) -> float:
        return self.total_seconds - self.running_seconds

    @property
    def cpu_seconds(self) -> float:
        return self.exact_cpu + min(self._sampled_running(), self.sampled_cpu)

    def _sampled_running(self) -> float:
        if not self.present:
            return self.sampled_cpu
        return self.sampled_seconds * min(1.0, self.ran / self.present)

    def enter(self, code: CodeType | None) -> None:
        """Note the function that an execution begins in."""
        if code is not None and id(code) not in self.entries and len(self.entries) < _ENTRIES:
            self.entries[id(code)] = code

    def add(self, metric: PerformanceMetrics) -> None:
        """Sum up an execution that has ended."""
        self.executions += 1
        if metric.outcome == "failed":
            self.failed += 1
        elif metric.outcome == "cancelled":
            self.cancelled += 1
        self.duration.record(metric.duration)
        self.self_seconds += metric.self_seconds
        self.memory_delta_mb += metric.memory_mb_end - metric.memory_mb_start
        self.memory_peak_mb = max(self.memory_peak_mb, metric.memory_mb_peak)
        self.tokens_used += metric.tokens_used
        self.cache_hits += metric.cache_hits
        self.cache_misses += metric.cache_misses
        for name, value in list(metric.custom_metrics.items()):
            if isinstance(value, (int, float)) and math.isfinite(value):
                self._add_custom(str(name)[:_LONGEST_NAME], value)

    def _add_custom(self, name: str, value: float) -> None:
        known = self.custom_metrics.get(name)
        if known is None:
            if len(self.custom_metrics) >= _CUSTOM_METRICS:
                name = OTHER
            known = self.custom_metrics.setdefault(name, Sum())
        known.add(value)


class Nesting:
    """An operation and those that it is inside of, outermost first. There is one object for each such chain."""

    __slots__ = ("depth", "inner", "operation", "operations")

    def __init__(self, operation: Operation | None = None, outer: Nesting | None = None) -> None:
        self.operation = operation
        self.operations: tuple[Operation, ...] = ()
        if operation is not None:
            self.operations = (*(outer.operations if outer is not None else ()), operation)
        self.depth = len(self.operations)
        self.inner: dict[int, Nesting] = {}


class ThreadFlow:
    """A thread with operations outside of tasks. `clock`: identifies its processor clock, None where there is none."""

    __slots__ = ("clock", "ident", "innermost", "looked", "used")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.innermost: Active | None = None
        self.looked = 0.0
        self.used = 0.0
        """What the clock said when it was `looked` at last, by the sampler."""
        self.clock: int | None = None
        if hasattr(time, "pthread_getcpuclockid"):
            # Asked for by the thread itself: of a thread that has ended it must not be.
            self.clock = time.pthread_getcpuclockid(self.ident)


class LoopFlows(NamedTuple):
    """An event loop in whose tasks operations are active, and the thread in which it runs."""

    loop: weakref.ref[Any]
    thread: int


Flow = ThreadFlow | weakref.ref[Any]
"""A thread, or an asyncio task (the one reference to it that `weakref.ref` always returns)."""


class Active:
    """An execution that goes on. `outer`: the one that it is inside of, perhaps in another task or thread.

    `parent`: the same, of those of its own ledger. `process`: the processor time of the process at the start. `frame`:
    in which it began; it is held no longer than the execution goes on. `is_sampled`: whether how long it runs has to be
    estimated. `inner`: how many executions inside it in the same flow are active.
    """

    __slots__ = (
        "_children",
        "_covered",
        "_covered_since",
        "cpu",
        "ended",
        "flow",
        "frame",
        "inner",
        "is_sampled",
        "ledger",
        "loop",
        "metric",
        "nesting",
        "operation",
        "outer",
        "parent",
        "process",
        "running",
        "start",
        "token",
    )

    def __init__(self, ledger: Ledger, nesting: Nesting, metric: PerformanceMetrics, operation: Operation) -> None:
        self.ledger = ledger
        self.nesting = nesting
        self.operation = operation
        self.frame: FrameType | None = None
        self.metric = metric
        self.outer: Active | None = None
        self.parent: Active | None = None
        self.flow: Flow | None = None
        self.loop = 0
        self.is_sampled = False
        self.inner = 0
        self.ended = False
        self.token: Token[Active | None] | None = None
        self.running = self.cpu = 0.0
        """Seconds so far of what is measured exactly: on the processor and, of coroutines, in their steps."""
        self._children = 0
        self._covered = self._covered_since = 0.0
        self.process = process_time()
        self.start = perf_counter()

    def child_begins(self, now: float) -> None:
        if not self._children:
            self._covered_since = now
        self._children += 1

    def child_ends(self, now: float) -> None:
        self._children -= 1
        if not self._children and not self.ended:
            self._covered += now - self._covered_since

    def close(self, now: float, memory_mb: float) -> None:
        """Fill in what the end of the execution says."""
        metric = self.metric
        metric.end_time = time.time()
        metric.duration = duration = max(0.0, now - self.start)
        covered = self._covered + (now - self._covered_since if self._children else 0.0)
        metric.self_seconds = max(0.0, duration - covered)
        metric.cpu_percent_end = share_between(duration, process_time() - self.process)
        metric.memory_mb_end = memory_mb
        metric.memory_mb_peak = max(metric.memory_mb_peak, memory_mb)
        metric.cpu_seconds = self.cpu = min(max(0.0, self.cpu), duration)


current: ContextVar[Active | None] = ContextVar("agentperf_operation", default=None)


def innermost(active: Active | None, ledger: Ledger) -> Active | None:
    """`active` or the next one around it that goes on and belongs to `ledger`."""
    while active is not None and (active.ended or active.ledger is not ledger):
        active = active.outer
    return active


def outermost_in_flow(active: Active) -> Active:
    """The one around all others that are in the same flow as `active`."""
    while active.parent is not None and active.parent.flow is active.flow:
        active = active.parent
    return active


def running_task() -> Any:
    """The asyncio task that runs in this thread, None outside of tasks and where asyncio is not imported."""
    events, tasks = sys.modules.get("asyncio.events"), sys.modules.get("asyncio.tasks")
    if events is None or tasks is None:
        return None
    loop = events._get_running_loop()
    return None if loop is None else tasks.current_task(loop)


class _OwnThread(threading.local):
    flow: ThreadFlow | None = None


class Ledger:
    """Begins and ends executions and keeps what they add up to.

    `keep`: how many single executions are kept. `most`: how many different operations are told apart. `begun` is
    called whenever one has begun, with the lock held.

    The lock may be taken again by its owner: an execution can be ended by a garbage collection in the midst of another.
    """

    def __init__(self, keep: int, most: int) -> None:
        self.begun: Callable[[], None] = _nothing
        self.lock = threading.RLock()
        self.metrics: deque[PerformanceMetrics] = deque(maxlen=keep)
        self.memory = ResidentMemory()
        self._most = most
        self._share = ProcessorShare()
        self.forget()

    def forget(self) -> None:
        """Begin anew; what is active is not ours any more."""
        for active in list(getattr(self, "active", {}).values()):
            active.ended, active.frame = True, None
        self.metrics.clear()
        self.operations: dict[tuple[str, str], Operation] = {}
        self.active: dict[int, Active] = {}
        self.threads: dict[int, ThreadFlow] = {}
        self.loops: dict[int, LoopFlows] = {}
        self._active_in: dict[int, int] = {}
        self._outermost = Nesting()
        self._nestings = 0
        self._own = _OwnThread()

    def after_fork(self) -> None:
        """In a forked child: what was measured is the parent's."""
        self.lock = threading.RLock()
        self.memory.after_fork()
        self.forget()

    def begin(self, metric: PerformanceMetrics, entry: CodeType | None, frame: FrameType, suspends: bool) -> Active:
        """Begin an execution here, in `frame`. `entry`: the application's function that it is or that it is in.

        `suspends`: whether it may await something.
        """
        around = current.get()
        task = running_task()
        with self.lock:
            outer = going_on(around)
            parent = innermost(outer, self)
            known = self._operation(metric.agent_name, metric.operation)
            known.enter(entry)
            active = Active(self, self._nesting(parent, known), metric, known)
            active.frame, active.outer, active.parent = frame, outer, parent
            self._place(active, task, suspends)
            if parent is not None:
                parent.child_begins(active.start)
                parent.inner += parent.flow is active.flow
            known.active += 1
            known.sampled_active += active.is_sampled
            self.active[id(active)] = active
            self.begun()
        memory = self.memory.read() / MEGABYTE
        metric.memory_mb_start = metric.memory_mb_peak = memory
        metric.cpu_percent_start = self._share.read(active.start, active.process)
        active.token = current.set(active)
        active.cpu = -thread_time()
        return active

    def end(self, active: Active, steps: bool = False) -> None:
        """End an execution, with the outcome that its metric tells. `steps`: its processor time is known already."""
        now = perf_counter()
        if not steps:
            active.cpu += thread_time()
        active.frame = None
        _reset(active)
        if active.ended:
            return  # the parent of this process began it
        memory = self.memory.read() / MEGABYTE
        active.close(now, memory)
        with self.lock:
            active.ended = True
            self._leave(active, now)
            self.metrics.append(active.metric)
            operation, seconds = active.operation, active.metric.duration
            if active.is_sampled:
                operation.sampled_seconds += seconds
                operation.sampled_cpu += active.cpu
            else:
                operation.exact_running += min(active.running if steps else active.cpu, seconds)
                operation.exact_cpu += active.cpu
            operation.add(active.metric)

    def drop(self, active: Active) -> None:
        """Forget an execution that has turned out to be none."""
        active.frame = None
        _reset(active)
        with self.lock:
            if not active.ended:
                active.ended = True
                self._leave(active, perf_counter())

    def find(self, agent_name: str, operation: str) -> Operation | None:
        """What is known of an operation."""
        return self.operations.get(_key_of(agent_name, operation))

    def _leave(self, active: Active, now: float) -> None:
        self.active.pop(id(active), None)
        active.operation.active -= 1
        active.operation.sampled_active -= active.is_sampled
        parent, active.parent = active.parent, None
        same = None
        if parent is not None:
            parent.child_ends(now)
            if parent.flow is active.flow and not parent.ended:
                same = parent
                same.inner -= 1
        flow = active.flow
        if isinstance(flow, ThreadFlow):
            if flow.innermost is active:
                flow.innermost = same
            if flow.innermost is None and self.threads.get(flow.ident) is flow:
                del self.threads[flow.ident]
        elif active.loop:
            self._active_in[active.loop] -= 1
            if not self._active_in[active.loop]:
                del self._active_in[active.loop], self.loops[active.loop]

    def _place(self, active: Active, task: Any, suspends: bool) -> None:
        """Note in which flow an execution is."""
        if task is not None:
            active.flow = weakref.ref(task)
            active.is_sampled = suspends
            loop = task.get_loop()
            active.loop = id(loop)
            self._active_in[active.loop] = self._active_in.get(active.loop, 0) + 1
            if active.loop not in self.loops:
                self.loops[active.loop] = LoopFlows(weakref.ref(loop), threading.get_ident())
            return
        flow = self._own.flow
        if flow is None:
            flow = self._own.flow = ThreadFlow()
        if flow.innermost is None:
            flow.looked, flow.used = active.start, thread_time()
            self.threads[flow.ident] = flow
        flow.innermost = active
        active.flow = flow

    def _operation(self, agent_name: str, operation: str) -> Operation:
        known = self.operations.get((agent_name, operation))
        if known is not None:
            return known
        key = _key_of(agent_name, operation)
        if key not in self.operations and len(self.operations) >= self._most:
            key = OTHER, OTHER
        return self.operations.setdefault(key, Operation(*key))

    def _nesting(self, outer: Active | None, operation: Operation) -> Nesting:
        around = outer.nesting if outer is not None else self._outermost
        if around.operation is operation:
            return around  # calls itself
        if around.depth >= _DEEPEST_NESTING or self._nestings >= _MOST_NESTINGS:
            around = self._outermost
        known = around.inner.get(id(operation))
        if known is None:
            self._nestings += 1
            known = around.inner[id(operation)] = Nesting(operation, around)
        return known


def _key_of(agent_name: str, operation: str) -> tuple[str, str]:
    return str(agent_name)[:_LONGEST_NAME], str(operation)[:_LONGEST_NAME]


def going_on(active: Active | None) -> Active | None:
    """`active` or the next one around it that goes on, with those around that which have ended taken out.

    Tasks that start their successors inherit what their predecessors inherited: a chain that would grow for ever.
    """
    while active is not None and active.ended:
        active = active.outer
    inner = active
    while inner is not None:
        outer = inner.outer
        while outer is not None and outer.ended:
            outer = outer.outer
        inner.outer = outer
        inner = outer
    return active


def _reset(active: Active) -> None:
    token, active.token = active.token, None
    if token is None:
        return
    try:
        current.reset(token)
    except (ValueError, RuntimeError):
        pass  # it ends in another context than it began in: a generator that was dropped


def _nothing() -> None:
    pass
