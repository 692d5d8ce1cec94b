"""OpenTelemetry: what spans mean, and a processor of them. The latter is imported when it is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentperf_runtime.otel.processor import AgentperfSpanProcessor

__all__ = ["AgentperfSpanProcessor"]


def __getattr__(name: str) -> object:
    if name == "AgentperfSpanProcessor":
        from agentperf_runtime.otel.processor import AgentperfSpanProcessor

        return AgentperfSpanProcessor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
