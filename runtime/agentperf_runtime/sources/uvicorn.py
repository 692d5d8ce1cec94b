"""uvicorn: a root for each request of an ASGI application that no framework is known of."""

from __future__ import annotations

import functools
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
            config.loaded_app = functools.partial(served, config.loaded_app)
            return loaded

        return load

    instrument.patches.replace(module.Config, "load", make)
