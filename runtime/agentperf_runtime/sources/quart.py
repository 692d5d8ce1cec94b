"""Quart: a root for each request, named by its rule."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.asgi import application
from agentperf_runtime.sources.wsgi import name_current

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `quart.app`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def full_dispatch_request(self: Any, request_context: Any = None, *args: Any, **kwargs: Any) -> Any:
            try:
                request = request_context.request
                if request.url_rule is not None:
                    name_current(request.method, request.url_rule.rule)
            except Exception:
                instrument.recorder.errors += 1
            return await original(self, request_context, *args, **kwargs)

        return full_dispatch_request

    instrument.patches.replace(module.Quart, "__call__", application(instrument))
    instrument.patches.replace(module.Quart, "full_dispatch_request", make)
