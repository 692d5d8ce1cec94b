"""Watches event loops for the tracer: what holds one becomes a record of the trace."""

from __future__ import annotations

from time import process_time_ns
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.process_figures import resident_bytes, transferred_bytes
from agentperf_runtime.scopes import Scope
from agentperf_runtime.sites import site_of
from agentperf_runtime.stalls.records import LoopSample, Stall
from agentperf_runtime.stalls.watcher import StallWatcher
from agentperf_runtime.writer import Line

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


class LoopWatch:
    """Started when asyncio is imported. `limit`: seconds that a step of a loop may take."""

    def __init__(self, instrument: Instrument, limit: float) -> None:
        self._recorder = instrument.recorder
        self._patches = instrument.patches
        self._files = instrument.recorder.stacks.files
        self._watcher = StallWatcher(
            self._report, limit=limit, is_app=self._files.is_application, sample=self._sample, identify=_scope_of
        )

    def start(self, module: ModuleType) -> None:
        """Instrument `asyncio`."""
        self._watcher.start()
        self._patches.on_undo(self._watcher.stop)

    def uvloop(self, module: ModuleType) -> None:
        """Instrument `uvloop`."""
        self._watcher.uvloop_imported()

    def before_fork(self) -> None:
        """Before the process forks."""
        self._watcher.before_fork()

    def after_fork(self, in_child: bool) -> None:
        """After the process forked."""
        if in_child:
            self._watcher.after_fork()
        else:
            self._watcher.resume()

    def _report(self, stall: Stall) -> None:
        scope = stall.task if isinstance(stall.task, Scope) else None
        site = None
        if stall.code is not None:
            sites = self._files[stall.code.co_filename]
            site = site_of(sites, stall.code, stall.lasti) if isinstance(sites, dict) else None
        elif scope is not None and scope.root.entrance is not None and stall.reason == "call":
            site = self._recorder.stacks.entrance_site(scope.root.entrance())  # a framework works on its answer
        self._recorder.put(
            Line(
                ("start",),
                type="stall",
                start=stall.start,
                duration=stall.duration,
                root=scope.root if scope is not None and scope.root.sampled else 0,
                task=scope.task if scope is not None else 0,
                site=site if site is not None else 0,
                frames=stall.frames,
                samples=stall.samples,
                total_samples=stall.total_samples,
                confidence=stall.confidence,
                reason=stall.reason,
                ongoing=stall.ongoing,
            )
        )

    def _sample(self, sample: LoopSample) -> None:
        read, written = transferred_bytes()
        self._recorder.put(
            Line(
                ("time",),
                type="sample",
                time=sample.time,
                rss=resident_bytes(),
                cpu=process_time_ns(),
                read=read,
                written=written,
                iterations=sample.iterations,
                busy=sample.busy,
                lag=sample.longest,
            )
        )


def _scope_of(task: Any) -> Scope | None:
    """The scope of an asyncio task of another thread: that of its context, or (before 3.12) the one it began with."""
    context = getattr(task, "get_context", None)
    if context is not None:
        found: Scope | None = context().get(scopes.current)
        return found
    return getattr(task, scopes.TASK_ATTRIBUTE, None)
