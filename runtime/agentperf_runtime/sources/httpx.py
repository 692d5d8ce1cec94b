"""httpx, and httpx2, which the newer clients of language models use."""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import RAISED
from agentperf_runtime.sources.asgi import application
from agentperf_runtime.sources.calls import Call, Pending, Result, awaited, synchronous
from agentperf_runtime.sources.http_calls import answered, request_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_inspect = answered("status_code")


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `httpx` or `httpx2`: `send` is what every method comes to, redirects and authentication below it."""
    stream: Any = type("TracedStream", (_Stream, module.SyncByteStream), {})
    async_stream: Any = type("TracedAsyncStream", (_AsyncStream, module.AsyncByteStream), {})
    traced = synchronous(instrument, "http", _describe, _inspect, prolong=_until_closed(stream))
    instrument.patches.replace(module.Client, "send", traced)
    traced = awaited(instrument, "http", _describe, _inspect, prolong=_until_closed(async_stream))
    instrument.patches.replace(module.AsyncClient, "send", traced)
    instrument.patches.replace(module.ASGITransport, "handle_async_request", _served_here(instrument))


def _served_here(instrument: Instrument) -> Any:
    """What an application that is served by the transport itself does is a request of its own."""

    def call(app: Any, scope: Any, receive: Any, send: Any) -> Any:
        return app(scope, receive, send)

    served = application(instrument, by_server=True)(call)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            serving = copy.copy(transport)
            serving.app = functools.partial(served, transport.app)
            return await original(serving, request)

        return handle_async_request

    return make


def _describe(client: Any, request: Any, *args: Any, **kwargs: Any) -> Call:
    # Bodies that are generators are not there yet; `_content` is what httpx keeps of all others.
    return request_of(request.method, request.url, getattr(request, "_content", None))


def _until_closed(stream: Any) -> Any:
    def prolong(pending: Pending, response: Any) -> bool:
        if response.is_closed:
            return False
        response.stream = stream(response.stream, pending, _inspect(response))
        return True

    return prolong


class _Body:
    """A body that the application reads itself: the operation ends with it."""

    def __init__(self, stream: Any, pending: Pending, result: Result) -> None:
        self._traced = stream
        self._pending = pending
        self._result = result
        pending.goes_on()
        weakref.finalize(self, pending.drop, result)  # of one that nobody reads

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_traced":
            raise AttributeError(name)
        return getattr(self._traced, name)


class _Stream(_Body):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._traced:
                self._pending.goes_on()
                yield part
        except GeneratorExit:
            raise
        except BaseException:
            self._pending.record(Result(outcome=RAISED))
            raise

    def close(self) -> None:
        try:
            self._traced.close()
        finally:
            self._pending.record(self._result)


class _AsyncStream(_Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._traced.__aiter__()
        try:
            async for part in stream:
                self._pending.goes_on()
                yield part
        except GeneratorExit:
            raise
        except BaseException:
            self._pending.record(Result(outcome=RAISED))
            raise
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()

    async def aclose(self) -> None:
        try:
            await self._traced.aclose()
        finally:
            self._pending.record(self._result)
