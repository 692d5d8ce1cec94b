"""Loops that take messages from a consumer: a root from one message to the next.

How many come is up to whoever sends them, so that what is done for each of them is no repetition.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.scopes import Root, RootKind, Target

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

Named = Callable[[Any, Any], "str | Target | None"]
"""The name of the root for what a consumer has returned, or None when that is no message."""

# A request, test or job that takes messages is a unit of work itself.
_OUTSIDE_OF_UNITS = frozenset({"script", "task", "thread"})

_opened: ContextVar[tuple[Root, Any] | None] = ContextVar("agentperf_message", default=None)


class Inbox:
    """Tells messages apart by the calls that take them. `named` reads the consumer and what it returned."""

    def __init__(self, instrument: Instrument, named: Named, kind: RootKind = "job") -> None:
        self._instrument = instrument
        self._named = named
        self._kind: RootKind = kind

    def awaited(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """For `Patches.replace` on a coroutine method that takes the next message."""

        async def take(consumer: Any, *args: Any, **kwargs: Any) -> Any:
            self._end()
            message = await original(consumer, *args, **kwargs)
            self._begin(consumer, message)
            return message

        return take

    def synchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """For `Patches.replace` on a method that takes the next message."""

        def take(consumer: Any, *args: Any, **kwargs: Any) -> Any:
            self._end()
            message = original(consumer, *args, **kwargs)
            self._begin(consumer, message)
            return message

        return take

    def _begin(self, consumer: Any, message: Any) -> None:
        try:
            scope = self._instrument.scopes.current()
            name = self._named(consumer, message) if scope.root.kind in _OUTSIDE_OF_UNITS else None
            if name is not None:
                _opened.set(self._instrument.scopes.begin(self._kind, name))
        except Exception:
            self._instrument.recorder.errors += 1

    def _end(self) -> None:
        try:
            opened = _opened.get()
            if opened is None:
                return
            _opened.set(None)
            root, token = opened
            scope = scopes.current.get()
            if scope is not None and scope.root is root:
                self._instrument.scopes.end(root, token)
        except Exception:
            self._instrument.recorder.errors += 1
