"""Starlette and FastAPI: a root for each request, named by its route."""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Target
from agentperf_runtime.sources.asgi import application

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `starlette.applications`."""
    instrument.patches.replace(module.Starlette, "__call__", application(instrument, route_of))


def route_of(scope: Any) -> str | None:
    """The template of the route, below what it is mounted on."""
    route = scope.get("route")
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    if isinstance(template, str) and not hasattr(route, "routes"):  # a mount's path is part of the root path
        prefix = scope.get("root_path", "")
        return (str(Target("", prefix)).strip() if prefix else "") + template
    # Before version 0.47 only the parameters are told.
    if hasattr(scope.get("endpoint"), "__qualname__"):
        return with_parameters(scope["path"], scope.get("path_params") or {})
    return None


def with_parameters(path: str, parameters: dict[str, Any]) -> str:
    """`path` with the values of `parameters` replaced by their names."""
    for name, value in parameters.items():
        segments = rf"(?<=/){re.escape(str(value))}(?=/|$)"
        path = re.sub(segments, lambda _, name=name: f"{{{name}}}", path, count=1)  # type: ignore[misc]
    return path
