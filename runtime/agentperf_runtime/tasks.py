"""Follows work from where it was handed over: tasks know what created them, worker threads know whom they serve."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import copy_context
from types import ModuleType
from typing import Any

from agentperf_runtime import scopes
from agentperf_runtime.patching import Patches
from agentperf_runtime.recorder import Recorder
from agentperf_runtime.scopes import Handed, Scope, Scopes, Starter
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
            if scope is not None and scope.muted:
                return Carried(function, scope, (), "", self._recorder)  # nothing is recorded there either
            frames, relation = self._recorder.stacks.frames(_getframe(depth), scope.origin if scope else ())
            return Carried(function, scope, frames, relation, self._recorder)
        except Exception:
            self._recorder.errors += 1
            return function

    def loops(self, module: ModuleType) -> None:
        """Tasks of asyncio's own loops (`asyncio.base_events`)."""
        self._loop(module.BaseEventLoop)

    def uvloop(self, module: ModuleType) -> None:
        """Tasks of uvloop's loops (`uvloop`)."""
        self._loop(module.Loop)

    def _loop(self, loop: Any) -> None:
        self._patches.replace(loop, "create_task", self._create_task)
        self._patches.replace(loop, "call_soon_threadsafe", self._call_soon_threadsafe)

    def _create_task(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder, handed = self._recorder, self._scopes
        frames_of, is_application = recorder.stacks.frames, recorder.stacks.files.is_application
        current_task = sys.modules["asyncio.tasks"].current_task
        scope_of, enter, leave = scopes.current.get, scopes.current.set, scopes.current.reset
        marked = _unmarked if sys.version_info >= (3, 12) else _marked

        def create_task(loop: Any, coro: Any, **kwargs: Any) -> Any:
            try:
                outer = scope_of()
                is_running = loop.is_running()
                is_child = (is_running and current_task(loop) is not None) or _belongs_to(outer, is_running)
                scope = outer if is_child and outer is not None else handed.skipped("task")
                has_end = False
                if scope is None or scope.root.sampled:
                    frames: Frames = ()
                    if is_child or not is_running:  # no application's code is above what a server's callback starts
                        frames, _ = frames_of(_getframe(1), outer.origin if outer is not None else (), is_running)
                    name = getattr(coro, "__qualname__", "") or type(coro).__qualname__
                    scope = scopes.of_task(scope, name, frames)
                    # Servers have a task for each connection or request, and roots of their own that end.
                    code = getattr(coro, "cr_code", None)
                    has_end = not is_child and (not is_running or (code is not None and is_application(code)))
            except Exception:
                recorder.errors += 1
                return original(loop, coro, **kwargs)
            context = kwargs.get("context")
            if context is None:
                token = enter(scope)
                try:
                    task = original(loop, coro, **kwargs)
                finally:
                    leave(token)
            else:
                scopes.put_into(context, scope)
                task = original(loop, coro, **kwargs)
            try:
                if has_end:
                    handed.finish_with(task, scope.root)
                return marked(task, scope)
            except Exception:
                recorder.errors += 1
                return task

        return create_task

    def _call_soon_threadsafe(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder = self._recorder
        running_loop = sys.modules["asyncio.events"]._get_running_loop

        def call_soon_threadsafe(loop: Any, callback: Any, *args: Any, context: Any = None) -> Any:
            try:
                scope = scopes.current.get()
                if context is None and scope is not None and running_loop() is not loop:
                    context = copy_context()
                    context.run(scopes.current.set, scope.as_handed())
            except Exception:
                recorder.errors += 1
            return original(loop, callback, *args, context=context)

        return call_soon_threadsafe

    def threads(self, module: ModuleType) -> None:
        """Threads of the application (`threading`): they know who started them."""
        recorder = self._recorder

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def start(thread: Any) -> Any:
                try:
                    scope = scopes.current.get()
                    frames, _ = recorder.stacks.frames(sys._getframe(1), scope.origin if scope is not None else ())
                    thread._agentperf_starter = Starter(scope.root if scope is not None else None, frames)
                except Exception:
                    recorder.errors += 1
                return original(thread)

            return start

        self._patches.replace(module.Thread, "start", make)

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


def _belongs_to(outer: Scope | None, is_running: bool) -> bool:
    """Whether a task that no task creates belongs to the root of the code that creates it.

    So it is where that code starts a loop to wait for it (`asyncio.run` in a request of a synchronous server) or hands
    it to a loop that runs in another thread. What a loop's own callbacks create (servers, for each connection) does
    not, nor does what a script runs one after the other.
    """
    if outer is None or outer.root.kind in ("script", "thread"):
        return False
    return not is_running or outer.__class__ is Handed
