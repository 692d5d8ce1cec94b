"""Steps through a coroutine and times each step: what it runs between two waits."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from time import perf_counter, thread_time
from types import CodeType
from typing import Any, TypeVar

from agentperf_runtime.profiling.operations import Active

T = TypeVar("T")


class Steps:
    """Awaits `coroutine` on behalf of an execution, which is told what its steps took. Adds about 1 µs to a step."""

    __slots__ = ("_active", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], active: Active) -> None:
        self._coroutine = coroutine
        self._active = active
        active.running = active.cpu = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, active = self._coroutine, self._active
        sent: Any = None
        raised: BaseException | None = None
        while True:
            started, used = perf_counter(), thread_time()
            try:
                awaited = coroutine.send(sent) if raised is None else coroutine.throw(raised)
            except StopIteration as end:
                return end.value
            finally:
                active.running += perf_counter() - started
                active.cpu += thread_time() - used
                raised = None  # it refers to this frame by its traceback
            try:
                sent = yield awaited
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as thrown:
                raised = thrown


STEPS_CODE: CodeType = Steps.__await__.__code__
"""The function in which a stepped coroutine waits. What it awaits cannot be asked for from outside."""


def stepped_in(generator: Any) -> Any:
    """The coroutine that a suspended `Steps.__await__` steps through."""
    return generator.gi_frame.f_locals.get("coroutine")
