"""Functions of which every call is a unit of work: handlers of requests, jobs of a queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from agentperf_runtime.scopes import Root, RootKind, Target

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_FAILED: Any = object()


class Unit(NamedTuple):
    """How calls are read.

    `begun` reads the root's name from the arguments, or None for what is no unit. `ended` is told the root, the
    arguments and what was returned; it may name the root better and returns the outcome.
    """

    kind: RootKind
    begun: Callable[..., str | Target | None]
    ended: Callable[[Root, tuple[Any, ...], Any], str] = lambda root, arguments, returned: "ok"
    by_server: bool = False


def synchronous(instrument: Instrument, unit: Unit) -> Any:
    """For `Patches.replace`: each call of a function or method is a root."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            opened = _begin(instrument, unit, args)
            if opened is None:
                return original(*args, **kwargs)
            returned = _FAILED
            try:
                returned = original(*args, **kwargs)
                return returned
            finally:
                _end(instrument, unit, opened, args, returned)

        return traced

    return make


def awaited(instrument: Instrument, unit: Unit) -> Any:
    """For `Patches.replace`: each call of a coroutine function or method is a root."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def traced(*args: Any, **kwargs: Any) -> Any:
            opened = _begin(instrument, unit, args)
            if opened is None:
                return await original(*args, **kwargs)
            returned = _FAILED
            try:
                returned = await original(*args, **kwargs)
                return returned
            finally:
                _end(instrument, unit, opened, args, returned)

        return traced

    return make


def _begin(instrument: Instrument, unit: Unit, arguments: tuple[Any, ...]) -> tuple[Root, Any] | None:
    try:
        name = unit.begun(*arguments)
        if name is None:
            return None
        root, token = instrument.scopes.begin(unit.kind, name)
        root.by_server = unit.by_server
        return root, token
    except Exception:
        instrument.recorder.errors += 1
        return None


def _end(
    instrument: Instrument, unit: Unit, opened: tuple[Root, Any], arguments: tuple[Any, ...], returned: Any
) -> None:
    root, token = opened
    outcome = "error"
    try:
        if returned is not _FAILED:
            outcome = unit.ended(root, arguments, returned)
    except Exception:
        instrument.recorder.errors += 1
    try:
        instrument.scopes.end(root, token, outcome)
    except Exception:
        instrument.recorder.errors += 1
