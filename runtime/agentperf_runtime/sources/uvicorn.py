"""uvicorn: a root for each request of an ASGI application that no framework is known of."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.asgi import application

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `uvicorn.config`."""

    def call(app: Any, scope: Any, receive: Any, send: Any) -> Any:
        return app(scope, receive, send)

    served = application(instrument, by_server=True)(call)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def load(config: Any) -> Any:
            loaded = original(config)
            if not _opens_roots(config.loaded_app):
                config.loaded_app = functools.partial(served, config.loaded_app)
            return loaded

        return load

    instrument.patches.replace(module.Config, "load", make)


def _opens_roots(app: Any) -> bool:
    """Whether `app` is an application that has a source of its own, with nothing of the user's around it."""
    while type(app).__module__.startswith("uvicorn.middleware.") and hasattr(app, "app"):
        app = app.app
    starlette = sys.modules.get("starlette.applications")
    own = type(app).__module__.partition(".")[0] in ("fastapi", "starlette")
    return own and starlette is not None and isinstance(app, starlette.Starlette)
