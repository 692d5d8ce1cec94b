"""Follows work from where it was handed over: tasks know what created them, worker threads know whom they serve."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import get_ident
from types import ModuleType
from typing import Any

from agentperf_runtime import scopes
from agentperf_runtime.patching import Patches
from agentperf_runtime.recorder import Recorder
from agentperf_runtime.scopes import Scope, Scopes
from agentperf_runtime.sites import Frames

_getframe = sys._getframe


class Carried:
    """A function that runs on another thread with the scope and the stack of the one that handed it over."""

    __slots__ = ("_frames", "_function", "_recorder", "_relation", "_scope")

    def __init__(
        self, function: Callable[..., Any], scope: Scope | None, frames: Frames, relation: str, recorder: Recorder
    ) -> None:
        self._function = function
        self._scope = scope
        self._frames = frames
        self._relation = relation
        self._recorder = recorder

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        origin = self._recorder.stacks.thread_origin
        before = origin.frames, origin.relation
        origin.frames, origin.relation = self._frames, self._relation
        token = scopes.current.set(self._scope)
        try:
            return self._function(*args, **kwargs)
        finally:
            scopes.current.reset(token)
            origin.frames, origin.relation = before

    def __getattr__(self, name: str) -> Any:
        # Executors look at what they run: `functools.partial` has `func`, coroutine functions have markers.
        return getattr(self._function, name)


def _marked(task: Any, scope: Scope) -> Any:
    try:
        task._agentperf_scope = scope
    except AttributeError:
        pass  # a task of another kind
    return task


def _unmarked(task: Any, scope: Scope) -> Any:
    return task


class Handover:
    """Instruments what creates tasks and feeds threads."""

    def __init__(self, recorder: Recorder, scopes_: Scopes, patches: Patches) -> None:
        self._recorder = recorder
        self._scopes = scopes_
        self._patches = patches

    def carried(self, function: Callable[..., Any], depth: int = 2) -> Callable[..., Any]:
        """`function`, to be run on another thread on behalf of the caller `depth` frames up."""
        try:
            scope = scopes.current.get()
            frames, relation = self._recorder.stacks.frames(sys._getframe(depth), scope.origin if scope else ())
        except Exception:
            self._recorder.errors += 1
            return function
        return Carried(function, scope, frames, relation, self._recorder)

    def loops(self, module: ModuleType) -> None:
        """Tasks of asyncio's own loops (`asyncio.base_events`)."""
        self._patches.replace(module.BaseEventLoop, "create_task", self._create_task)

    def uvloop(self, module: ModuleType) -> None:
        """Tasks of uvloop's loops (`uvloop`)."""
        self._patches.replace(module.Loop, "create_task", self._create_task)

    def _create_task(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder, new_root = self._recorder, self._scopes.new_root
        frames_of, scope_of, enter, leave = (
            recorder.stacks.frames, scopes.current.get, scopes.current.set, scopes.current.reset
        )  # fmt: skip
        current_task, next_task = sys.modules["asyncio.tasks"].current_task, scopes.next_task

        marked = _unmarked if sys.version_info >= (3, 12) else _marked

        def create_task(loop: Any, coro: Any, **kwargs: Any) -> Any:
            try:
                outer = scope_of()
                is_running = loop.is_running()
                if is_running and outer is not None and current_task(loop) is not None:
                    origin, _ = frames_of(_getframe(1), outer.origin)
                    scope = Scope(outer.root, next_task(), origin, get_ident(), outer.muted)
                else:
                    # What a server's callback starts is a root of its own; no application's code is above it.
                    name = getattr(coro, "__qualname__", None) or type(coro).__qualname__
                    origin = () if is_running else frames_of(_getframe(1), (), in_loop=False)[0]
                    scope = Scope(new_root("task", name), next_task(), origin, get_ident())
                context = kwargs.get("context")
                if context is not None:
                    context.run(enter, scope)
            except Exception:
                recorder.errors += 1
                return original(loop, coro, **kwargs)
            if context is not None:
                return marked(original(loop, coro, **kwargs), scope)
            token = enter(scope)
            try:
                return marked(original(loop, coro, **kwargs), scope)
            finally:
                leave(token)

        return create_task

    def executors(self, module: ModuleType) -> None:
        """Worker threads of `concurrent.futures.thread`, which `run_in_executor` and `asyncio.to_thread` use."""
        self._patches.replace(module.ThreadPoolExecutor, "submit", self._submit)

    def asgiref(self, module: ModuleType) -> None:
        """The executor of `async_to_sync` (`asgiref.current_thread_executor`)."""
        self._patches.replace(module.CurrentThreadExecutor, "submit", self._submit)

    def _submit(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def submit(executor: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            return original(executor, self.carried(fn), *args, **kwargs)

        return submit

    def anyio(self, module: ModuleType) -> None:
        """Worker threads of `anyio.to_thread`."""

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            async def run_sync(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
                return await original(self.carried(func), *args, **kwargs)

            return run_sync

        self._patches.replace(module, "run_sync", make)
