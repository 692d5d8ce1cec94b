"""Whom an operation belongs to: the root (a request, or a task without a parent) and the asyncio task.

Both are carried by one context variable, which tasks and `asyncio.to_thread` inherit. Inheritance alone is not
enough: the tasks of a server inherit the context in which it was started. So every task that is created outside of
tasks gets a root of its own, and so does every request.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, Literal, NamedTuple

from agentperf_runtime.sites import Frames
from agentperf_runtime.statements import cleaned

RootKind = Literal["request", "websocket", "task", "celery", "agent", "test", "thread", "script"]

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

    `sampled` says whether its operations are recorded, `by_server` that a server opened it for an application that may
    know better what it is.
    """

    __slots__ = ("by_server", "end", "kind", "name", "outcome", "parent", "sampled", "segment", "serial", "start")

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

current: ContextVar[Scope | None] = ContextVar("agentperf_scope", default=None)


def is_muted() -> bool:
    """Whether nothing is recorded here, so that sources need not look what there is to record."""
    scope = current.get()
    return scope is not None and scope.muted


class Sampler:
    """Decides which roots are recorded: a share of them, between 0 and 1."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self._random = random.Random()  # noqa: S311  # which roots are recorded is no secret

    def takes(self) -> bool:
        """Whether the next root is recorded."""
        return self.share >= 1 or self._random.random() < self.share


class Scopes:
    """Opens roots. `ended` is told of each root that was closed and is sampled."""

    def __init__(self, sampler: Sampler, ended: Callable[[Root], None]) -> None:
        self._sampler = sampler
        self._ended = ended

    def new_root(self, kind: RootKind, name: str | Target, parent: Root | None = None) -> Root:
        sampler = self._sampler
        return Root(kind, name, parent.serial if parent is not None else 0, sampler.share >= 1 or sampler.takes())

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
        scope = Scope(self.new_root(kind, "main" if is_main else thread.name, starter), origin=frames)
        current.set(scope)
        return scope

    def begin(self, kind: RootKind, name: str | Target) -> tuple[Root, Any]:
        """Open a root in the present context. Returns it and what `end` needs to close it.

        It is recorded even inside an operation that mutes what it consists of: an application called in process.
        """
        outer = current.get()
        root = self.new_root(kind, name, outer.root if outer is not None else None)
        scope = Scope(root) if outer is None else Scope(root, outer.task, outer.origin, outer.ident)
        return root, current.set(scope)

    def end(self, root: Root, token: Any, outcome: str = "ok") -> None:
        """Close `root`, in the context in which it was opened or (a generator that was dropped) in another."""
        try:
            current.reset(token)
        except (ValueError, RuntimeError):
            pass  # whoever opened it has left its context already, or closed it
        self.finish(root, outcome)

    def finish(self, root: Root, outcome: str = "ok") -> None:
        """Note that `root` ended now, unless it did before."""
        if root.end:
            return
        root.end = time.perf_counter_ns()
        root.outcome = outcome
        if root.sampled:
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

    def task_scope(self, name: str, is_child: bool, origin: Frames) -> Scope:
        """The scope of a task that is about to be created: of the present root, or of one of its own."""
        outer = current.get()
        if is_child and outer is not None:
            return Scope(outer.root, next_task(), origin, threading.get_ident(), outer.muted)
        return Scope(self.new_root("task", name), next_task(), origin, threading.get_ident())

    def finish_with(self, task: Any, root: Root) -> None:
        """Close `root` when `task` is done."""

        def done(task: Any) -> None:
            # `exception()` would mark the exception as seen, and asyncio would no longer complain about it.
            failed = task.cancelled() or getattr(task, "_exception", None) is not None
            self.finish(root, "error" if failed else "ok")

        if hasattr(task, "add_done_callback"):  # a task factory makes what it likes
            task.add_done_callback(done)


def put_into(context: Any, scope: Scope) -> None:
    """Have what will run in `context` find `scope`. One that is in use already keeps its own."""
    if isinstance(context, Context):
        try:
            context.run(current.set, scope)
        except RuntimeError:
            pass
