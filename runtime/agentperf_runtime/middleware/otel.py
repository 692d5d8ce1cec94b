"""Figures of requests as OpenTelemetry metrics, by the semantic conventions for HTTP servers.

Importing this needs opentelemetry-api (`pip install 'agentperf-lint[otel]'`); where they go is up to the SDK that the
application configures.
"""

from __future__ import annotations

from agentperf_runtime.middleware.requests import UNMATCHED, Request

try:
    from opentelemetry.metrics import MeterProvider, get_meter
except ImportError as error:
    raise ImportError("OpenTelemetry metrics need opentelemetry-api: pip install 'agentperf-lint[otel]'") from error

BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0]
"""Seconds; those that the semantic conventions advise."""


class OpenTelemetryMetrics:
    """An exporter for `RequestStats`: `http.server.request.duration` (s) and `http.server.active_requests`.

    `provider`: the global one unless given.
    """

    def __init__(self, provider: MeterProvider | None = None) -> None:
        meter = get_meter("agentperf_runtime", meter_provider=provider)
        self._duration = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._active = meter.create_up_down_counter(
            "http.server.active_requests", unit="{request}", description="Number of active HTTP server requests."
        )

    def started(self, method: str, scheme: str) -> None:
        """A request has come."""
        self._active.add(1, {"http.request.method": method, "url.scheme": scheme})

    def ended(self, request: Request) -> None:
        """It has been answered."""
        key = request.key
        self._active.add(-1, {"http.request.method": key.method, "url.scheme": request.scheme})
        attributes: dict[str, str | int] = {
            "http.request.method": key.method,
            "url.scheme": request.scheme,
            "http.response.status_code": key.status,
        }
        if key.route != UNMATCHED:
            attributes["http.route"] = key.route
        if request.failed:
            attributes["error.type"] = request.error or str(key.status)
        self._duration.record(request.duration, attributes)
