"""gRPC servers, with threads and with asyncio: a root for each call, and for each message that a client streams.

The asynchronous server is C, so it is not the server that is instrumented but what it calls: the functions behind the
methods of a service, when they are made known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.sources.asgi import Messages
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
                traced = {
                    name: _traced(instrument, behavior, name.startswith("stream_"))
                    for name, behavior in behaviors.items()
                }
                values = [traced.get(name, value) for name, value in zip(handler._fields, handler)]
                return original(cls, *values)
            except Exception:
                instrument.recorder.errors += 1
                return handler

        return __new__

    instrument.patches.replace(module.RpcMethodHandler, "__new__", make)


def _traced(instrument: Instrument, behavior: Callable[..., Any], is_streamed_to: bool) -> Callable[..., Any]:
    """`behavior` with a root for each call. The server asks what kind of function it is, so it stays of that kind."""
    name = f"RPC {getattr(behavior, '__qualname__', type(behavior).__qualname__).replace('.<locals>.', '.')}"

    def begun(*arguments: Any) -> str | None:
        scope = scopes.current.get()  # an interceptor passes calls on to behaviors of its own making
        return None if scope is not None and str(scope.root.name).startswith("RPC ") else name

    def called(*args: Any, **kwargs: Any) -> Any:
        if is_streamed_to:
            args = (Streamed(instrument, name, args[0]), *args[1:])
        return behavior(*args, **kwargs)

    unit = Unit("request", begun)
    if inspect.isasyncgenfunction(behavior):
        return _streaming(instrument, unit, called)
    if inspect.iscoroutinefunction(behavior):
        return awaited(instrument, unit)(called)  # type: ignore[no-any-return]
    if inspect.isgeneratorfunction(behavior):
        return _generating(instrument, unit, called)
    return synchronous(instrument, unit)(called)  # type: ignore[no-any-return]


def _streaming(instrument: Instrument, unit: Unit, called: Callable[..., Any]) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        name = unit.begun(*args)
        if name is None:
            async for message in called(*args, **kwargs):
                yield message
            return
        with instrument.scopes.root("request", str(name)):
            async for message in called(*args, **kwargs):
                yield message

    return traced


def _generating(instrument: Instrument, unit: Unit, called: Callable[..., Any]) -> Callable[..., Any]:
    """The server takes what comes one by one, perhaps on different threads, and does other work in between."""

    def traced(*args: Any, **kwargs: Any) -> Any:
        name = unit.begun(*args)
        if name is None:
            yield from called(*args, **kwargs)
            return
        root, token = instrument.scopes.begin("request", name)
        scope = scopes.current.get()
        scopes.current.reset(token)
        messages = called(*args, **kwargs)
        outcome = "error"
        try:
            while True:
                token = scopes.current.set(scope)
                try:
                    message = next(messages)
                except StopIteration:
                    outcome = "ok"
                    return
                finally:
                    scope = scopes.current.get()  # that of a message that the client streamed, perhaps
                    scopes.current.reset(token)
                yield message
        finally:
            messages.close()
            instrument.scopes.finish(root, outcome)

    return traced


class Streamed:
    """The messages that a client streams, each with a root of its own until the next is asked for."""

    def __init__(self, instrument: Instrument, name: str, messages: Any) -> None:
        self._messages = messages
        self._name = name
        self._roots = Messages(instrument.scopes)
        self._recorder = instrument.recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    def __iter__(self) -> Streamed:
        self._messages = iter(self._messages)
        return self

    def __aiter__(self) -> Streamed:
        self._messages = self._messages.__aiter__()
        return self

    def __next__(self) -> Any:
        self._end()
        message = next(self._messages)
        self._begin()
        return message

    async def __anext__(self) -> Any:
        self._end()
        message = await self._messages.__anext__()
        self._begin()
        return message

    def _begin(self) -> None:
        try:
            self._roots.begin(self._name)
        except Exception:
            self._recorder.errors += 1

    def _end(self) -> None:
        try:
            self._roots.end()
        except Exception:
            self._recorder.errors += 1
