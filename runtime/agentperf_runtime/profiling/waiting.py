"""Where a coroutine waits: the chain of what awaits what."""

from __future__ import annotations

import gc
import sys
from contextvars import Context
from operator import attrgetter
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any

from agentperf_runtime.profiling.operations import Active, Ledger, current, innermost
from agentperf_runtime.profiling.steps import STEPS_CODE, stepped_in

_LONGEST_CHAIN = 100
_SHAPES = {
    CoroutineType: (attrgetter("cr_frame"), attrgetter("cr_await")),
    GeneratorType: (attrgetter("gi_frame"), attrgetter("gi_yieldfrom")),
    AsyncGeneratorType: (attrgetter("ag_frame"), attrgetter("ag_await")),
}

_context_is_told = sys.version_info >= (3, 12)


def await_chain(awaited: Any, outermost: FrameType | None) -> list[tuple[CodeType, int]]:
    """The instructions at which a suspended coroutine and what it awaits wait, outermost first.

    It begins at the frame `outermost`, if that is one of them. It ends where something in C is awaited: a future, or
    the next item of an asynchronous generator.
    """
    chain: list[tuple[CodeType, int]] = []
    for _ in range(_LONGEST_CHAIN):
        shape = _SHAPES.get(type(awaited))
        frame: FrameType | None = None if shape is None else shape[0](awaited)
        if shape is None or frame is None:
            break
        if frame is outermost:
            chain.clear()
        chain.append((frame.f_code, frame.f_lasti))
        awaited = stepped_in(awaited) if frame.f_code is STEPS_CODE else shape[1](awaited)
    return chain


def operation_of(task: Any, ledger: Ledger) -> Active | None:
    """The innermost execution that an asyncio task, perhaps of another thread, is in now."""
    context = task.get_context() if _context_is_told else _context_of(task)
    return None if context is None else innermost(context.get(current), ledger)


def _context_of(task: Any) -> Context | None:
    """The context of a task before 3.12, which does not tell: of the few objects that it refers to, the one."""
    return next((each for each in gc.get_referents(task) if type(each) is Context), None)
