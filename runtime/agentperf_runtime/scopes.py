"""Whom an operation belongs to: the root (a request, or a task without a parent) and the asyncio task.

Both are carried by one context variable, which tasks and `asyncio.to_thread` inherit. Inheritance alone is not
enough: the tasks of a server inherit the context in which it was started. So every task that is created outside of
tasks gets a root of its own, and so does every request.
"""

from __future__ import annotations

import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from types import CodeType
from typing import Any, Literal, NamedTuple

from agentperf_runtime.sites import Frames
from agentperf_runtime.statements import cleaned

RootKind = Literal["request", "websocket", "task", "celery", "job", "agent", "test", "thread", "script"]

_next_serial = itertools.count(1).__next__
next_task = itertools.count(1).__next__
"""Gives every task a number of its own; `id(task)` comes back."""


class Target(NamedTuple):
    """What a request asks for, its root's name until the route is known; identifiers are removed when it is written."""

    method: str
    path: str

    def __str__(self) -> str:
        return cleaned("http", f"{self.method} {self.path}").text


class Root:
    """A unit of work that is judged by itself. `start` and `end` in ns of `time.perf_counter_ns`, `end` 0 while open.

    `sampled`: its operations are recorded; one that is not stands for all of its kind. `by_server`: a server
    opened it for an application that may know better what it is. `entrance` finds the application's function that
    serves it, for what a framework does on its behalf when that function has returned.
    """

    __slots__ = (
        "by_server", "end", "entrance", "kind", "name", "outcome", "parent", "sampled", "segment", "serial", "start",
    )  # fmt: skip

    def __init__(self, kind: RootKind, name: str | Target, parent: int = 0, sampled: bool = True) -> None:
        self.serial = _next_serial()
        self.kind = kind
        self.name = name
        self.parent = parent
        self.sampled = sampled
        self.start = time.perf_counter_ns()
        self.end = 0
        self.outcome = ""
        self.segment = -1
        self.by_server = False
        self.entrance: Callable[[], CodeType | None] | None = None


class Scope:
    """What the context variable holds: the root, the task's serial (0 outside tasks), its thread and its origin.

    `origin` is the stack that created the task; `ident` is 0 where no loop runs. `muted`: nothing is recorded, because
    the root is not sampled or because an operation of a higher layer is, which consists of these.
    """

    __slots__ = ("ident", "muted", "origin", "root", "task")

    def __init__(self, root: Root, task: int = 0, origin: Frames = (), ident: int = 0, muted: bool = False) -> None:
        self.root = root
        self.task = task
        self.origin = origin
        self.ident = ident
        self.muted = muted or not root.sampled

    def as_muted(self) -> Scope:
        """This scope inside an operation that is recorded itself."""
        return Scope(self.root, self.task, self.origin, self.ident, muted=True)

    def as_handed(self) -> Scope:
        """This scope for a callback that is handed to the loop of another thread."""
        return Handed(self.root, self.task, self.origin, self.ident, self.muted)


class Handed(Scope):
    """The scope of a callback that another thread hands to the loop: the tasks that it creates belong to the root."""

    __slots__ = ()


class Starter(NamedTuple):
    """Who started a thread: the root, if any, and the stack."""

    root: Root | None
    frames: Frames


TASK_ATTRIBUTE = "_agentperf_scope"
"""Where an asyncio task keeps the scope that it began with; its context cannot be read from outside before 3.12."""

_CONTEXTS_ARE_SEEN = sys.version_info >= (3, 12)

current: ContextVar[Scope | None] = ContextVar("agentperf_scope", default=None)


def is_muted() -> bool:
    """Whether nothing is recorded here, so that sources need not look what there is to record."""
    scope = current.get()
    return scope is not None and scope.muted


class Scopes:
    """Opens roots, of which it takes a `share` (0 to 1). `ended` is told of each of these that was closed.

    All others of a kind are one root and one scope, so that what is not recorded costs next to nothing.
    """

    def __init__(self, share: float, ended: Callable[[Root], None]) -> None:
        self._share = share
        self._random = random.Random().random  # noqa: S311  # which roots are recorded is no secret
        self._ended = ended
        self._unsampled: dict[RootKind, Scope] = {}

    def skipped(self, kind: RootKind) -> Scope | None:
        """The scope of the next root where it is not to be recorded; None where it is."""
        if self._share >= 1 or self._random() < self._share:
            return None
        return self._unsampled.get(kind) or self._unsampled.setdefault(kind, Scope(Root(kind, kind, sampled=False)))

    def current(self) -> Scope:
        """The scope of the code that runs now."""
        return current.get() or self.of_thread()

    def of_thread(self) -> Scope:
        """The scope of code that runs neither in a task nor in a request; it stays with the context."""
        thread = threading.current_thread()
        is_main = thread is threading.main_thread()
        origin = getattr(thread, "_agentperf_starter", None)
        starter, frames = origin if isinstance(origin, Starter) else (None, ())
        kind: RootKind = "script" if is_main else "thread"
        scope = self.skipped(kind)
        if scope is None:
            scope = Scope(Root(kind, "main" if is_main else thread.name, _serial_of(starter)), origin=frames)
        current.set(scope)
        return scope

    def begin(self, kind: RootKind, name: str | Target) -> tuple[Root, Any]:
        """Open a root in the present context. Returns it and what `end` needs to close it.

        It may be recorded even inside an operation that mutes what it consists of: an application called in process.
        """
        skipped = self.skipped(kind)
        if skipped is not None:
            return skipped.root, current.set(skipped)
        return self.open(kind, name)

    def open(self, kind: RootKind, name: str | Target, sampled: bool = True) -> tuple[Root, Any]:
        """The same for a root of which it is known whether it is recorded."""
        outer = current.get()
        if outer is None:
            scope = Scope(Root(kind, name, sampled=sampled))
        else:
            scope = Scope(Root(kind, name, outer.root.serial, sampled), outer.task, outer.origin, outer.ident)
        _show(scope)
        return scope.root, current.set(scope)

    def end(self, root: Root, token: Any, outcome: str = "ok") -> None:
        """Close `root`, in the context in which it was opened or (a generator that was dropped) in another."""
        try:
            current.reset(token)
            outer = current.get()
            if outer is not None:
                _show(outer)
        except (ValueError, RuntimeError):
            pass  # whoever opened it has left its context already, or closed it
        self.finish(root, outcome)

    def finish(self, root: Root, outcome: str = "ok") -> None:
        """Note that `root` ended now, unless it did before."""
        if root.end or not root.sampled:
            return
        root.end = time.perf_counter_ns()
        root.outcome = outcome
        self._ended(root)

    @contextmanager
    def root(self, kind: RootKind, name: str) -> Iterator[Root]:
        """A root around a block."""
        root, token = self.begin(kind, name)
        outcome = "error"
        try:
            yield root
            outcome = "ok"
        finally:
            self.end(root, token, outcome)

    def finish_with(self, task: Any, root: Root) -> None:
        """Close `root` when `task` is done."""

        def done(task: Any) -> None:
            # `exception()` would mark the exception as seen, and asyncio would no longer complain about it.
            failed = task.cancelled() or getattr(task, "_exception", None) is not None
            self.finish(root, "error" if failed else "ok")

        if hasattr(task, "add_done_callback"):  # a task factory makes what it likes
            task.add_done_callback(done)


def of_task(outer: Scope | None, name: str, origin: Frames) -> Scope:
    """The scope of a task that is about to be created: of the root of `outer`, or of one of its own."""
    if outer is None:
        return Scope(Root("task", name), next_task(), origin, threading.get_ident())
    return Scope(outer.root, next_task(), origin, threading.get_ident(), outer.muted)


def _show(scope: Scope) -> None:
    """Have whoever looks at the present task from outside see `scope`: before 3.12 it cannot read the context."""
    if _CONTEXTS_ARE_SEEN or not scope.task:
        return
    try:
        task = sys.modules["asyncio.tasks"].current_task()
        if hasattr(task, TASK_ATTRIBUTE):
            setattr(task, TASK_ATTRIBUTE, scope)
    except RuntimeError:
        pass  # handed to a thread


def _serial_of(root: Root | None) -> int:
    return root.serial if root is not None else 0


def put_into(context: Any, scope: Scope) -> None:
    """Have what will run in `context` find `scope`. One that is in use already keeps its own."""
    if isinstance(context, Context):
        try:
            context.run(current.set, scope)
        except RuntimeError:
            pass
