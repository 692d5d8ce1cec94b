"""uvicorn: a root for each request of an ASGI application that no framework is known of."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.asgi import application

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument the protocols that a module of `uvicorn.protocols` defines.

    What a connection serves is replaced, not what the server has loaded: that one an application may look at.
    """

    def call(app: Any, scope: Any, receive: Any, send: Any) -> Any:
        return app(scope, receive, send)

    served = application(instrument, by_server=True)(call)

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def __init__(protocol: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(protocol, *args, **kwargs)
            app = getattr(protocol, "app", None)
            if app is not None and not _opens_roots(app):
                protocol.app = functools.partial(served, app)

        return __init__

    for protocol in tuple(vars(module).values()):
        if (
            isinstance(protocol, type)
            and issubclass(protocol, asyncio.BaseProtocol)
            and protocol.__module__ == module.__name__
        ):
            instrument.patches.replace(protocol, "__init__", make)


def _opens_roots(app: Any) -> bool:
    """Whether `app` is an application that has a source of its own, with nothing of the user's around it."""
    while type(app).__module__.startswith("uvicorn.middleware.") and hasattr(app, "app"):
        app = app.app
    starlette = sys.modules.get("starlette.applications")
    own = type(app).__module__.partition(".")[0] in ("fastapi", "starlette")
    return own and starlette is not None and isinstance(app, starlette.Starlette)
