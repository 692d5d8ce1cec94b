"""What a tracer starts and stops."""

from __future__ import annotations

import sys
import weakref
from _thread import get_ident, get_native_id
from collections.abc import Callable
from time import perf_counter
from types import CodeType
from typing import Any

from agentperf_runtime.stalls import loops
from agentperf_runtime.stalls.records import LoopSample, Stall
from agentperf_runtime.stalls.running import RunningLoop
from agentperf_runtime.stalls.scheduling import Schedules
from agentperf_runtime.stalls.watchdog import Surroundings, Watchdog


class StallWatcher:
    """Watches every asyncio event loop of the process, in whatever thread, and reports what holds one.

    `report` is called once for each stall, and for one that goes on for more than a second also while it does.
    `limit`: seconds that a step may take. `is_app`: whether a function is the application's, not a library's.
    `sample` is called about once a second while a loop does something. `identify` is given a task that holds its loop
    and returns what `Stall.task` shall be, for the task may be gone when the stall is reported. All are called on a
    thread of the watcher's.

    `start()` needs asyncio to be imported already, and does nothing otherwise. Loops on asyncio's selectors (and
    Windows' proactor) are timed exactly, uvloop and other ones to about a quarter of the limit. anyio on asyncio is
    asyncio; trio is not watched.
    """

    def __init__(
        self,
        report: Callable[[Stall], None],
        *,
        limit: float = 0.05,
        is_app: Callable[[CodeType], bool],
        sample: Callable[[LoopSample], None] | None = None,
        identify: Callable[[Any], object] = weakref.ref,
    ) -> None:
        self.limit = limit
        self._report = report
        self._is_app = is_app
        self._sample = sample
        self._identify = identify
        self._hooks = loops.Hooks(self._guarded_runs)
        self._schedules = Schedules()
        self._watchdog: Watchdog | None = None
        self._watching = False
        self._running: dict[int, RunningLoop] = {}
        """Loops that run, by the identifier of their thread."""
        self._found: list[RunningLoop] = []
        """Loops that ran already at the start, in a thread that is not known."""
        self._errors = 0

    @property
    def errors(self) -> int:
        """Failures inside the watcher, and of the functions that it was given. None reached the application."""
        return self._errors + (self._watchdog.errors if self._watchdog is not None else 0)

    @property
    def dropped(self) -> int:
        """Stalls that were not reported, because there were more than 200 in a second."""
        return self._watchdog.dropped if self._watchdog is not None else 0

    def start(self) -> None:
        """Begin, with the loops that run already too."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or self._watching:
            return
        surroundings = Surroundings(asyncio.current_task, self._identify, self._is_app, loops.boundary())
        self._watchdog = Watchdog(self._report, self._sample, self.limit, surroundings)
        self._watching = True
        self._hooks.install()
        try:
            self._find_running()
        except Exception:
            self._errors += 1
        self._watchdog.start()

    def stop(self) -> None:
        """Report what was found so far, and put everything back. Takes some milliseconds, a second at most."""
        if self._watchdog is None or not self._watching:
            return
        self._watching = False
        self._hooks.uninstall()
        self._watchdog.stop()
        for running in (*self._running.values(), *self._found):
            running.unwrap()
        self._running.clear()
        self._found.clear()
        self._schedules.close()

    def before_fork(self) -> None:
        """To be called before the process forks: Python warns of a fork while threads run."""
        if self._watchdog is not None and self._watching:
            self._watchdog.pause()

    def resume(self) -> None:
        """To be called after the fork, in the parent."""
        if self._watchdog is not None and self._watching:
            self._watchdog.resume()

    def after_fork(self) -> None:
        """To be called in a forked child, which goes on being watched."""
        if self._watchdog is None or not self._watching:
            return
        own = self._running.get(get_ident())
        self._running = {} if own is None else {get_ident(): own}
        self._found.clear()
        self._schedules.close()
        self._watchdog.after_fork(self._schedules.of(get_native_id()))

    def uvloop_imported(self) -> None:
        """To be called when uvloop was imported after the start."""
        if self._watching:
            self._hooks.install_uvloop()

    def _find_running(self) -> None:
        native_ids = {thread.ident: thread.native_id or 0 for thread in sys.modules["threading"].enumerate()}
        for found in loops.running_already():
            if found.thread in self._running:
                continue
            started = perf_counter() if found.in_step else 0.0
            running = self._watch(found.loop, found.thread, native_ids.get(found.thread, 0), started, found=True)
            if found.thread:
                self._running[found.thread] = running
            else:
                self._found.append(running)

    def _guarded_runs(self, loop: Any) -> None:
        if not self._watching:
            return
        try:
            self._runs(loop)
        except Exception:
            self._errors += 1

    def _runs(self, loop: Any) -> None:
        """`loop` runs in this thread from now on, or none does."""
        thread = get_ident()
        running = self._running.get(thread)
        if running is not None:
            if running.loop is loop:
                return
            self._running.pop(thread)
            self._leave(running)
        if loop is None:
            return
        for known in [known for known in self._found if known.loop is loop]:
            self._found.remove(known)
            self._leave(known)
        self._running[thread] = self._watch(loop, thread, get_native_id(), perf_counter())

    def _leave(self, running: RunningLoop) -> None:
        running.leave()
        if self._watchdog is not None:
            self._watchdog.discard(running)

    def _watch(self, loop: Any, thread: int, native_id: int, started: float, found: bool = False) -> RunningLoop:
        assert self._watchdog is not None
        running = RunningLoop(loop, thread, self._schedules.of(native_id), self.limit, self._watchdog.wake)
        if not (loops.has_selector(loop) and running.time_selector(loop._selector, started)):
            running.time_answers(None if found else loops.waiting_code(loop), found)
        self._watchdog.add(running)
        return running
