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
from contextvars import ContextVar
from typing import Any, Literal

from agentperf_runtime.sites import Frames

RootKind = Literal["request", "websocket", "task", "celery", "agent", "test", "thread", "script"]

_next_serial = itertools.count(1).__next__
next_task = itertools.count(1).__next__
"""Gives every task a number of its own; `id(task)` comes back."""


class Root:
    """A unit of work that is judged by itself. `start` and `end` in ns of `time.perf_counter_ns`, `end` 0 while open.

    `sampled` says whether its operations are recorded.
    """

    __slots__ = ("end", "kind", "name", "outcome", "parent", "sampled", "segment", "serial", "start")

    def __init__(self, kind: RootKind, name: str, parent: int = 0, sampled: bool = True) -> None:
        self.serial = _next_serial()
        self.kind = kind
        self.name = name
        self.parent = parent
        self.sampled = sampled
        self.start = time.perf_counter_ns()
        self.end = 0
        self.outcome = ""
        self.segment = -1


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


TASK_ATTRIBUTE = "_agentperf_scope"
"""Where an asyncio task keeps the scope that it began with; its context cannot be read from outside before 3.12."""

current: ContextVar[Scope | None] = ContextVar("agentperf_scope", default=None)


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

    def new_root(self, kind: RootKind, name: str, parent: Root | None = None) -> Root:
        return Root(kind, name, parent.serial if parent is not None else 0, self._sampler.takes())

    def current(self) -> Scope:
        """The scope of the code that runs now."""
        return current.get() or self.of_thread()

    def of_thread(self) -> Scope:
        """The scope of code that runs neither in a task nor in a request; it stays with the context."""
        thread = threading.current_thread()
        is_main = thread is threading.main_thread()
        kind: RootKind = "script" if is_main else "thread"
        scope = Scope(self.new_root(kind, "main" if is_main else thread.name))
        current.set(scope)
        return scope

    def begin(self, kind: RootKind, name: str) -> tuple[Root, Any]:
        """Open a root in the present context. Returns it and what `end` needs to close it."""
        outer = current.get()
        root = self.new_root(kind, name, outer.root if outer is not None else None)
        scope = Scope(root) if outer is None else Scope(root, outer.task, outer.origin, outer.ident)
        return root, current.set(scope)

    def end(self, root: Root, token: Any, outcome: str = "ok") -> None:
        """Close `root`, in the context in which it was opened or (a generator that was dropped) in another."""
        root.end = time.perf_counter_ns()
        root.outcome = outcome
        try:
            current.reset(token)
        except ValueError:
            pass  # whoever opened it has left its context already
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
