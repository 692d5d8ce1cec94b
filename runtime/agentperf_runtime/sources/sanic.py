"""Sanic's server: a root for each request; a connection has one task.

Sanic compiles the source of its own methods anew when it starts. So what a connection calls is wrapped, not the method.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, Target
from agentperf_runtime.sources.units import Unit, awaited

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `sanic.server.protocols.http_protocol`."""
    traced = awaited(instrument, Unit("request", _begun, _ended))

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(self, *args, **kwargs)
            self.request_handler = traced(self.request_handler)

        return __init__

    instrument.patches.replace(module.HttpProtocol, "__init__", make)


def _begun(request: Any) -> Target:
    return Target(request.method, request.path)


def _ended(root: Root, arguments: tuple[Any, ...], returned: Any) -> str:
    request = arguments[0]
    if request.route is not None:
        root.name = f"{request.method} /{request.route.path}"
    response = getattr(request.stream, "response", None)
    return str(getattr(response, "status", "ok"))
