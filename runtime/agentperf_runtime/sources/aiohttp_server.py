"""aiohttp's server: a root for each request and for each message of a websocket.

A connection has one task, however many requests it carries.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, Target
from agentperf_runtime.sources.asgi import Messages
from agentperf_runtime.sources.units import Unit, awaited

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_serving: ContextVar[tuple[Any, Messages] | None] = ContextVar("agentperf_aiohttp_request", default=None)


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiohttp.web_protocol`."""

    def begun(protocol: Any, request: Any, *others: Any) -> Target:
        _serving.set((request, Messages(instrument.scopes)))
        return Target(request.method, request.path)

    def ended(root: Root, arguments: tuple[Any, ...], returned: Any) -> str:
        serving = _serving.get()
        if serving is not None:
            serving[1].end()
        root.name = _name_of(arguments[1])
        return str(returned[0].status)

    unit = Unit("request", begun, ended)
    instrument.patches.replace(module.RequestHandler, "_handle_request", awaited(instrument, unit))


def install_websockets(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiohttp.web_ws`."""
    recorder = instrument.recorder

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def receive(self: Any, *args: Any, **kwargs: Any) -> Any:
            serving = _serving.get()
            if serving is None:
                return await original(self, *args, **kwargs)
            request, messages = serving
            try:
                messages.end()
            except Exception:
                recorder.errors += 1
            message = await original(self, *args, **kwargs)
            try:
                if message.type.name in ("TEXT", "BINARY"):
                    messages.begin(_name_of(request, "WS"))
            except Exception:
                recorder.errors += 1
            return message

        return receive

    instrument.patches.replace(module.WebSocketResponse, "receive", make)


def _name_of(request: Any, method: str = "") -> str | Target:
    """The request's name, with the template of the route that it took; a low-level server has none."""
    match = getattr(request, "match_info", None)
    resource = getattr(getattr(match, "route", None), "resource", None)
    template = getattr(resource, "canonical", "")
    method = method or request.method
    return f"{method} {template}" if template else Target(method, request.path)
