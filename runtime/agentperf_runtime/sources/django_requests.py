"""Django: a root for each request, served by WSGI, ASGI or the test client, named by its route."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, Target, current
from agentperf_runtime.sources import asgi, wsgi
from agentperf_runtime.sources.entrances import code_of
from agentperf_runtime.sources.units import Unit, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `django.core.handlers.base`: the route, wherever the request came from."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def resolve_request(self: Any, request: Any) -> Any:
            match = original(self, request)
            try:
                wsgi.name_current(request.method, f"/{match.route}")
                view, method, files = match.func, str(request.method), instrument.recorder.stacks.files
                scope = current.get()
                if scope is not None and scope.root.sampled:
                    scope.root.entrance = lambda: code_of(view, method, files)
            except Exception:
                instrument.recorder.errors += 1
            return match

        return resolve_request

    instrument.patches.replace(module.BaseHandler, "resolve_request", make)


def install_wsgi(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `django.core.handlers.wsgi`."""

    def is_streamed(answer: Any) -> bool:
        return bool(getattr(answer, "streaming", False))

    instrument.patches.replace(module.WSGIHandler, "__call__", wsgi.application(instrument, is_streamed))


def install_asgi(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `django.core.handlers.asgi`."""
    instrument.patches.replace(module.ASGIHandler, "__call__", asgi.application(instrument))


def install_test_client(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `django.test.client`, which calls no server interface."""

    def by_environ(handler: Any, environ: Any) -> Target:
        return Target(environ["REQUEST_METHOD"], environ["PATH_INFO"])

    def by_scope(handler: Any, scope: Any) -> Target:
        return Target(scope["method"], scope["path"])

    def ended(root: Root, arguments: tuple[Any, ...], response: Any) -> str:
        return str(response.status_code)

    patches = instrument.patches
    patches.replace(module.ClientHandler, "__call__", synchronous(instrument, Unit("request", by_environ, ended)))
    patches.replace(module.AsyncClientHandler, "__call__", awaited(instrument, Unit("request", by_scope, ended)))
