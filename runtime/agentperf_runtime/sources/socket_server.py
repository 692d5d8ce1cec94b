"""The standard library's servers: a root for each HTTP request, or for each connection of other protocols."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Target
from agentperf_runtime.sources.units import Unit, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `socketserver`."""

    def begun(server: Any, *others: Any) -> str | None:
        handler = server.RequestHandlerClass
        http = sys.modules.get("http.server")
        if http is not None and issubclass(handler, http.BaseHTTPRequestHandler):
            return None
        return str(handler.__qualname__)

    instrument.patches.replace(module.BaseServer, "finish_request", synchronous(instrument, Unit("request", begun)))


def install_http(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `http.server`: a connection carries many requests, one after the other.

    A request begins when its head was read: until then the connection may have been idle for long.
    """

    def parse(original: Callable[..., Any]) -> Callable[..., Any]:
        def parse_request(handler: Any) -> Any:
            _end(instrument, handler)
            understood = original(handler)
            if understood:
                _begin(instrument, handler)
            return understood

        return parse_request

    def handle(original: Callable[..., Any]) -> Callable[..., Any]:
        def handled(handler: Any) -> Any:
            try:
                return original(handler)
            finally:
                _end(instrument, handler)

        return handled

    def send(original: Callable[..., Any]) -> Callable[..., Any]:
        def send_response(handler: Any, code: Any, *args: Any, **kwargs: Any) -> Any:
            handler._agentperf_status = code
            return original(handler, code, *args, **kwargs)

        return send_response

    handler = module.BaseHTTPRequestHandler
    instrument.patches.replace(handler, "parse_request", parse)
    instrument.patches.replace(handler, "send_response", send)
    for name in ("handle_one_request", "finish"):
        instrument.patches.replace(handler, name, handle)


def _begin(instrument: Instrument, handler: Any) -> None:
    try:
        target = Target(handler.command, handler.path.partition("?")[0])
        handler._agentperf_root = instrument.scopes.begin("request", target)
        handler._agentperf_root[0].by_server = True
    except Exception:
        instrument.recorder.errors += 1


def _end(instrument: Instrument, handler: Any) -> None:
    opened = vars(handler).pop("_agentperf_root", None)
    if opened is None:
        return
    root, token = opened
    status = vars(handler).pop("_agentperf_status", None)
    try:
        instrument.scopes.end(root, token, str(int(status)) if isinstance(status, int) else "ok")
    except Exception:
        instrument.recorder.errors += 1
