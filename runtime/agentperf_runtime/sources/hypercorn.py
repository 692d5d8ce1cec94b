"""Hypercorn: a root for each request, which it serves in tasks of the connection's task."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.asgi import application

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `hypercorn.app_wrappers`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(arguments: Any, scope: Any, receive: Any, send: Any) -> Any:
            wrapper, spawn, call_soon = arguments
            return original(wrapper, scope, receive, send, spawn, call_soon)

        served = application(instrument, by_server=True)(call)

        async def __call__(  # noqa: N807
            self: Any, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any
        ) -> Any:
            return await served((self, sync_spawn, call_soon), scope, receive, send)

        return __call__

    instrument.patches.replace(module.ASGIWrapper, "__call__", make)
