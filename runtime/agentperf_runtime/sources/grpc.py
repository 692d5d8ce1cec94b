"""gRPC servers, with threads and with asyncio: a root for each call.

The asynchronous server is C, so it is not the server that is instrumented but what it calls: the functions behind the
methods of a service, when they are made known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.sources.units import Unit, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_BEHAVIORS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `grpc._utilities`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            handler = original(cls, *args, **kwargs)
            try:
                behaviors = {name: getattr(handler, name) for name in _BEHAVIORS if getattr(handler, name) is not None}
                traced = {name: _traced(instrument, behavior) for name, behavior in behaviors.items()}
                values = [traced.get(name, value) for name, value in zip(handler._fields, handler)]
                return original(cls, *values)
            except Exception:
                instrument.recorder.errors += 1
                return handler

        return __new__

    instrument.patches.replace(module.RpcMethodHandler, "__new__", make)


def _traced(instrument: Instrument, behavior: Callable[..., Any]) -> Callable[..., Any]:
    """`behavior` with a root for each call. The server asks what kind of function it is, so it stays of that kind."""
    name = f"RPC {getattr(behavior, '__qualname__', type(behavior).__qualname__).replace('.<locals>.', '.')}"

    def begun(*arguments: Any) -> str | None:
        scope = scopes.current.get()  # an interceptor passes calls on to behaviors of its own making
        return None if scope is not None and str(scope.root.name).startswith("RPC ") else name

    unit = Unit("request", begun)
    if inspect.isasyncgenfunction(behavior):
        return _streaming(instrument, unit, behavior)
    if inspect.iscoroutinefunction(behavior):
        return awaited(instrument, unit)(behavior)  # type: ignore[no-any-return]
    if inspect.isgeneratorfunction(behavior):
        return behavior  # it runs when the server takes what it yields, one by one
    return synchronous(instrument, unit)(behavior)  # type: ignore[no-any-return]


def _streaming(instrument: Instrument, unit: Unit, behavior: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        name = unit.begun(*args)
        if name is None:
            async for message in behavior(*args, **kwargs):
                yield message
            return
        with instrument.scopes.root("request", str(name)):
            async for message in behavior(*args, **kwargs):
                yield message

    return traced
