"""Tornado: a root for each request."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, Target
from agentperf_runtime.sources.starlette import with_parameters
from agentperf_runtime.sources.units import Unit, awaited

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `tornado.web`."""
    unit = Unit("request", _begun, _ended)
    instrument.patches.replace(module.RequestHandler, "_execute", awaited(instrument, unit))


def _begun(handler: Any, *others: Any) -> Target:
    return Target(handler.request.method, handler.request.path)


def _ended(root: Root, arguments: tuple[Any, ...], returned: Any) -> str:
    handler = arguments[0]
    unnamed = {str(number): value for number, value in enumerate(handler.path_args, 1)}
    parameters = {**unnamed, **handler.path_kwargs}
    if parameters:
        root.name = f"{handler.request.method} {with_parameters(handler.request.path, parameters)}"
    return str(handler.get_status())
