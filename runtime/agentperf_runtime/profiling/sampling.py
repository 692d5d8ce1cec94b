"""The thread that looks, every few milliseconds, at what the active executions do."""

from __future__ import annotations

import sys
import time
from _thread import allocate_lock, get_ident, start_new_thread
from time import perf_counter
from types import CodeType, FrameType
from typing import Any

from agentperf_runtime.process_figures import MEGABYTE
from agentperf_runtime.profiling.operations import Active, Ledger, LoopFlows, ThreadFlow, outermost_in_flow
from agentperf_runtime.profiling.stack_tree import RUNNING, WAITING, StackTree, State
from agentperf_runtime.profiling.waiting import await_chain, operation_of

_DEEPEST_STACK = 256
_WAITING_EVERY = 5
_MEMORY_EVERY = 10
"""Every how many looks executions that wait are looked at, and the memory is read, for which the thread has to let go
of the interpreter's lock and to wait for it again."""
_WAITING_LOOKED_AT = 16
_QUIET = 0.25  # seconds without an active execution after which the thread waits to be called
_LONGEST_LOOK = 10.0  # seconds that one look may stand for: a process that was stopped did nothing meanwhile
_RUNNING_SHARE = 0.25
"""Of the time since the last look, what a thread must have been on a processor for to be called running."""
_STOPPING_TAKES = 1.0


class Sampler:
    """Counts in `tree` where the executions of `ledger` are, from a thread of its own that exists when it is needed.

    A look counts for the whole intervals (`interval` seconds) since the look before. C code that keeps the
    interpreter's lock keeps the thread from looking; it gets the lock when that code returns, and counts all the time
    at the very line.

    `errors` counts failures; none reaches the application.
    """

    def __init__(self, ledger: Ledger, tree: StackTree, interval: float) -> None:
        self.errors = 0
        self.interval = interval
        self._ledger = ledger
        self._tree = tree
        self._enabled = True
        self._reset()

    def _reset(self) -> None:
        self._asleep = True
        """Whether the thread waits to be called, or does not exist yet."""
        self._thread = 0
        self._stopping = False
        self._call = allocate_lock()  # released to call the thread, which waits to acquire it
        self._call.acquire()
        self._ended = allocate_lock()
        self._looks = self._turn = 0
        self._last = self._busy_at = perf_counter()
        self._owed = 0.0
        """Seconds since the last look for which there was no sample yet."""
        self._owed_waiting = 0
        """Samples since executions that wait were looked at."""

    def execution_begun(self) -> None:
        """To be called, with the ledger's lock held, when an execution has begun."""
        if self._asleep and self._enabled and not self._stopping:
            self._rouse()

    def _rouse(self) -> None:
        self._asleep = False
        self._last = self._busy_at = perf_counter()
        if self._thread:
            self._wake()
            return
        self._ended.acquire()
        try:
            # None of `threading`'s, so that nobody counts, traces or waits for it.
            self._thread = start_new_thread(self._run, ())
        except RuntimeError:  # the interpreter ends
            self._enabled = False
            self._ended.release()

    def start(self) -> None:
        """Look from now on, after a `stop`."""
        with self._ledger.lock:
            self._enabled = True
            if self._ledger.active:
                self.execution_begun()

    def stop(self) -> None:
        """End the thread and start no other one. Takes a few milliseconds, a second at most."""
        self._enabled = False
        self.pause()

    def pause(self) -> None:
        """End the thread for the time of a fork, of which Python warns while threads run."""
        if not self._thread:
            return
        self._stopping = True
        self._wake()
        if self._thread == get_ident():
            return  # it collects garbage in which the profiler is
        if self._ended.acquire(timeout=_STOPPING_TAKES):
            self._reset()
        else:
            self._enabled = False

    def resume(self) -> None:
        """Go on after the fork, in the parent."""
        with self._ledger.lock:
            if self._ledger.active:
                self.execution_begun()

    def after_fork(self) -> None:
        """In the child, where the thread does not exist: begin anew when an execution does."""
        self._tree.after_fork()
        self._reset()

    def _wake(self) -> None:
        try:
            self._call.release()
        except RuntimeError:
            pass  # called already

    def _run(self) -> None:
        ended = self._ended
        try:
            while not self._stopping:
                try:
                    is_quiet = self._look()
                except Exception:
                    self.errors += 1
                    is_quiet = False
                if is_quiet:
                    self._sleep()
                else:
                    self._call.acquire(timeout=max(0.0, self._last + self.interval - perf_counter()))
        finally:
            ended.release()

    def _sleep(self) -> None:
        with self._ledger.lock:
            self._asleep = not self._ledger.active
        if self._asleep and not self._stopping:
            self._call.acquire()

    def _look(self) -> bool:
        """Look once. Returns whether nothing has been active for some time."""
        now = perf_counter()
        elapsed, self._last = now - self._last, now
        if not self._ledger.active:
            self._owed_waiting = 0
            return now - self._busy_at > _QUIET
        self._busy_at = now
        self._looks += 1
        self._owed = min(self._owed + elapsed, _LONGEST_LOOK)
        samples = int(self._owed / self.interval)
        self._owed -= samples * self.interval
        self._owed_waiting += samples
        if samples:
            with self._tree.lock:
                self._see_running(samples, now)
        if self._looks % _WAITING_EVERY == 0:
            samples, self._owed_waiting = self._owed_waiting, 0
            with self._tree.lock:
                self._see_waiting(samples)
        if self._looks % _MEMORY_EVERY == 0:
            self._see_memory()
        return False

    def _see_running(self, samples: int, now: float) -> None:
        # First of all and in one go: whatever lets go of the interpreter's lock lets the others run on.
        frames = sys._current_frames()
        ledger = self._ledger
        busy: set[int] = set()
        for loop in list(ledger.loops.values()):
            if self._see_loop(loop, frames, samples):
                busy.add(loop.thread)
        for flow in list(ledger.threads.values()):
            if flow.ident not in busy:
                self._see_thread(flow, frames, samples, now)
        for operation in list(ledger.operations.values()):
            operation.present += operation.sampled_active * samples

    def _see_loop(self, flows: LoopFlows, frames: dict[int, FrameType], samples: int) -> bool:
        """Count what runs on a loop. Returns whether a task does."""
        loop = flows.loop()
        task = sys.modules["asyncio.tasks"].current_task(loop) if loop is not None else None
        if task is None:
            return False
        active = operation_of(task, self._ledger)
        if active is None:
            return True
        flow = active.flow
        if isinstance(flow, ThreadFlow) or flow is None or flow() is not task:
            # A task that the execution's own one, which waits, has created.
            outermost = getattr(task.get_coro(), "cr_frame", None)
            self._tree.add(_stack(frames.get(flows.thread), outermost), active.nesting, RUNNING, samples)
            return True
        outermost = outermost_in_flow(active).frame
        self._tree.add(_stack(frames.get(flows.thread), outermost), active.nesting, RUNNING, samples)
        around: Active | None = active
        while around is not None and around.flow is flow:
            if around.is_sampled:
                around.operation.ran += samples
            around = around.parent
        return True

    def _see_thread(self, flow: ThreadFlow, frames: dict[int, FrameType], samples: int, now: float) -> None:
        active = flow.innermost
        frame = frames.get(flow.ident)
        if active is not None and frame is not None:
            stack = _stack(frame, outermost_in_flow(active).frame)
            self._tree.add(stack, active.nesting, _state(flow, now), samples)

    def _see_waiting(self, samples: int) -> None:
        """Count where executions wait. Of many some are looked at in turns, and stand for the others."""
        waiting = list(self._ledger.active.values())
        if len(waiting) > _WAITING_LOOKED_AT:
            samples = round(samples * len(waiting) / _WAITING_LOOKED_AT)
            first = self._turn = (self._turn + _WAITING_LOOKED_AT) % len(waiting)
            waiting = (waiting + waiting)[first : first + _WAITING_LOOKED_AT]
        for active in waiting:
            flow = active.flow
            if active.inner or isinstance(flow, ThreadFlow) or flow is None:
                continue
            task: Any = flow()
            coroutine = None if task is None else task.get_coro()
            if coroutine is None or getattr(coroutine, "cr_running", False):
                continue
            chain = await_chain(coroutine, outermost_in_flow(active).frame)
            if chain:
                self._tree.add(chain, active.nesting, WAITING, samples)

    def _see_memory(self) -> None:
        memory = self._ledger.memory.read() / MEGABYTE
        for active in list(self._ledger.active.values()):
            if memory > active.metric.memory_mb_peak:
                active.metric.memory_mb_peak = memory


def _stack(frame: FrameType | None, outermost: FrameType | None) -> list[tuple[CodeType, int]]:
    """The instructions from `outermost`, or the bottom of the stack, to `frame`."""
    stack: list[tuple[CodeType, int]] = []
    while frame is not None and len(stack) < _DEEPEST_STACK:
        stack.append((frame.f_code, frame.f_lasti))
        if frame is outermost:
            break
        frame = frame.f_back
    stack.reverse()
    return stack


def _state(flow: ThreadFlow, now: float) -> State:
    """Whether a thread has been on a processor since the last look."""
    if flow.clock is None:
        return RUNNING
    try:
        used = time.clock_gettime(flow.clock)
    except OSError:  # the thread has ended
        return WAITING
    before, looked = flow.used, flow.looked
    flow.used, flow.looked = used, now
    return RUNNING if used - before >= _RUNNING_SHARE * (now - looked) else WAITING
