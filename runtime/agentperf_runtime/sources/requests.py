"""requests."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.calls import Call, synchronous
from agentperf_runtime.sources.http_calls import answered, request_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `requests.sessions`: `send` calls itself for redirects, which are a part of the first request."""
    instrument.patches.replace(
        module.Session, "send", synchronous(instrument, "http", _describe, answered("status_code"))
    )


def _describe(session: Any, request: Any, **kwargs: Any) -> Call:
    return request_of(request.method, request.url, request.body)
