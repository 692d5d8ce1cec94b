"""Litestar: a root for each request, named by its route."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.asgi import application

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `litestar.app`."""
    instrument.patches.replace(module.Litestar, "__call__", application(instrument, _route_of))


def _route_of(scope: Any) -> str | None:
    template = scope.get("path_template")
    return template if isinstance(template, str) else None
