"""Finds out when an event loop starts and stops running, and which ones run already.

asyncio's own loops say so to `asyncio.events._set_running_loop`, which is called, not entered: nothing of this shows in
the tracebacks of an application. uvloop keeps a reference of its own to that function; its `run_forever` is wrapped.
"""

from __future__ import annotations

import functools
import sys
from _thread import get_ident
from collections.abc import Callable, Iterator
from itertools import chain
from types import CodeType, FrameType
from typing import Any, NamedTuple

_TASKS_TELL = sys.version_info < (3, 14)
"""Whether the tasks of other threads are to be had."""

Running = Callable[[Any], None]
"""Is told the loop that runs from now on in this thread, and None when it ends."""


class Hooks:
    """Tells `running` about loops that start and end, on their threads, until it is uninstalled."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        events = sys.modules["asyncio.events"]
        original = events._set_running_loop
        running = self._running

        def _set_running_loop(loop: Any) -> None:
            original(loop)
            running(loop)

        self._replace(events, "_set_running_loop", _set_running_loop)
        self.install_uvloop()

    def install_uvloop(self) -> None:
        """Hook uvloop, if it is imported; again does nothing."""
        loop_class = getattr(sys.modules.get("uvloop"), "Loop", None)
        if loop_class is None or "run_forever" in vars(loop_class):
            return
        self._replace(loop_class, "run_forever", _run_forever_of(loop_class, self._running))

    def _replace(self, owner: Any, name: str, replacement: Any) -> None:
        own = vars(owner).get(name)
        functools.update_wrapper(replacement, getattr(owner, name))
        del replacement.__wrapped__
        setattr(owner, name, replacement)

        def undo() -> None:
            if vars(owner).get(name) is not replacement:
                return  # replaced once more by somebody else, who goes on calling it
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

        self._undo.append(undo)

    def uninstall(self) -> None:
        while self._undo:
            self._undo.pop()()


def _run_forever_of(loop_class: Any, running: Running) -> Callable[[Any], Any]:
    original = loop_class.run_forever

    def run_forever(self: Any) -> Any:
        running(self)
        try:
            return original(self)
        finally:
            running(None)

    return run_forever


RUN_FOREVER_CODE = next(
    constant
    for constant in _run_forever_of.__code__.co_consts
    if isinstance(constant, CodeType) and constant.co_name == "run_forever"
)
"""The function in which a thread is while its uvloop waits for events."""


class Found(NamedTuple):
    """A loop that runs already. `thread` is 0 when it is not known; `in_step`: it is not waiting for events."""

    loop: Any
    thread: int
    in_step: bool


def boundary() -> frozenset[CodeType]:
    """The functions of asyncio, and of this module, at which the stack of a loop's step ends."""
    asyncio = sys.modules["asyncio"]
    base = asyncio.BaseEventLoop
    functions = [base._run_once, base.run_forever, base.run_until_complete, asyncio.Handle._run, asyncio.run]
    if hasattr(asyncio, "Runner"):
        functions.append(asyncio.Runner.run)
    return frozenset({function.__code__ for function in functions} | {RUN_FOREVER_CODE})


def has_selector(loop: Any) -> bool:
    """Whether `loop` waits for events in asyncio's way: in the `select` of its `_selector`, on its own thread."""
    run_forever = getattr(type(loop), "run_forever", None)
    module: str = getattr(run_forever, "__module__", None) or ""
    return module.startswith("asyncio.") and hasattr(getattr(loop, "_selector", None), "select")


def waiting_code(loop: Any) -> CodeType | None:
    """The innermost function of the thread of a loop without a selector while it waits, where that is known."""
    loop_class = getattr(sys.modules.get("uvloop"), "Loop", None)
    return RUN_FOREVER_CODE if loop_class is not None and isinstance(loop, loop_class) else None


def running_already() -> Iterator[Found]:
    """The loops that run now, in whichever thread."""
    asyncio = sys.modules["asyncio"]
    found: set[int] = set()
    for thread, frame in sys._current_frames().items():
        found_here = _loop_on(frame, thread)
        if found_here is not None:
            found.add(id(found_here.loop))
            yield found_here
    own = asyncio._get_running_loop()
    if own is not None and id(own) not in found:
        found.add(id(own))
        yield Found(own, get_ident(), True)
    for loop, thread in chain(list(_loops_run_by_callers()), ((loop, 0) for loop in list(_loops_of_tasks()))):
        if id(loop) not in found and not has_selector(loop) and loop.is_running():
            found.add(id(loop))
            yield Found(loop, thread, False)


def _loop_on(frame: FrameType | None, thread: int) -> Found | None:
    """The innermost asyncio loop on a stack."""
    run = sys.modules["asyncio"].Handle._run.__code__
    in_step = False
    while frame is not None:
        if frame.f_code is run:
            in_step = True
        if frame.f_code.co_name == "_run_once":
            loop = frame.f_locals.get("self")
            if hasattr(loop, "_selector"):
                return Found(loop, thread, in_step)
        frame = frame.f_back
    return None


def _loops_run_by_callers() -> Iterator[tuple[Any, int]]:
    """The loops in C that are in the hands of whoever runs them, with their thread.

    Only where tasks do not tell: before 3.13 a frame that is asked for its variables keeps them alive.
    """
    loop_class = getattr(sys.modules.get("uvloop"), "Loop", None)
    if loop_class is None or _TASKS_TELL:
        return
    runner_class = sys.modules["asyncio"].Runner
    for thread, innermost in sys._current_frames().items():
        frame: FrameType | None = innermost
        while frame is not None:
            for value in list(frame.f_locals.values()):
                # Objects of the application are not to be asked for anything, not even for their class.
                loop = value._loop if issubclass(type(value), runner_class) else value
                if issubclass(type(loop), loop_class):
                    yield loop, thread
            frame = frame.f_back


def _loops_of_tasks() -> Iterator[Any]:
    """The loops of all tasks, of every thread. From 3.14 on the tasks of other threads are not to be had."""
    tasks = sys.modules["asyncio.tasks"]
    known = [getattr(tasks, name, ()) for name in ("_all_tasks", "_scheduled_tasks", "_eager_tasks")]
    loops = {id(loop): loop for some in known for loop in (task.get_loop() for task in list(some))}
    yield from loops.values()
