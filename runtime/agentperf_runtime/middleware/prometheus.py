"""Figures of requests for Prometheus, made when it asks for them: a request costs nothing more.

Importing this needs prometheus_client (`pip install 'agentperf-lint[prometheus]'`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from agentperf_runtime.histograms import Histogram
from agentperf_runtime.middleware.requests import Group, Key, RequestStats

try:
    from prometheus_client import CollectorRegistry, make_asgi_app, make_wsgi_app
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "metrics for Prometheus need prometheus_client: pip install 'agentperf-lint[prometheus]'"
    ) from error

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; those that OpenTelemetry's semantic conventions advise for HTTP servers."""

_LABELS = ("http_request_method", "http_route", "http_response_status_code")


class RequestCollector(Collector):
    """Shows the requests that `stats` counted, for a registry of prometheus_client.

    `http_server_request_duration_seconds` is a histogram (buckets exact to 1 % of their bound) and
    `http_server_active_requests` a gauge, with the names of OpenTelemetry. `agentperf_failed_requests`,
    `agentperf_disconnected_requests`, and of what the tracer saw `agentperf_traced_requests`, `agentperf_queries`,
    `agentperf_tokens` and `agentperf_stall_seconds` are counters.
    """

    def __init__(self, stats: RequestStats, bounds: Iterable[float] = BOUNDS) -> None:
        self._stats = stats
        self._bounds = sorted(bounds)

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        groups = self._stats.groups()
        yield self._durations(groups)
        active = "Requests that are served now."
        yield GaugeMetricFamily("http_server_active_requests", active, value=self._stats.in_flight)
        for name, help_text, read in _COUNTERS:
            family = CounterMetricFamily(name, help_text, labels=_LABELS)
            for key, group in groups.items():
                family.add_metric(_values(key), read(group))
            yield family

    def _durations(self, groups: dict[Key, Group]) -> Metric:
        family = HistogramMetricFamily(
            "http_server_request_duration_seconds", "Seconds until the last byte was sent.", labels=_LABELS
        )
        for key, group in groups.items():
            family.add_metric(_values(key), self._buckets(group.durations), group.durations.total)
        return family

    def _buckets(self, times: Histogram) -> list[tuple[str, float]]:
        below = [
            (str(bound), float(times.count - round(times.share_above(bound) * times.count))) for bound in self._bounds
        ]
        return [*below, ("+Inf", float(times.count))]


_COUNTERS: tuple[tuple[str, str, Callable[[Group], float]], ...] = (
    ("agentperf_failed_requests", "Requests answered with 500 or more, or not at all.", lambda group: group.failed),
    ("agentperf_disconnected_requests", "Requests whose client left.", lambda group: group.disconnected),
    ("agentperf_traced_requests", "Requests that the tracer recorded.", lambda group: group.traced),
    ("agentperf_queries", "Queries of traced requests: SQL, Redis, MongoDB.", lambda group: group.queries),
    ("agentperf_tokens", "Tokens of traced requests, given to models and made by them.", lambda group: group.tokens),
    ("agentperf_stall_seconds", "Seconds for which traced requests held the event loop.", lambda group: group.stall),
)


def metrics_text(stats: RequestStats) -> str:
    """The figures of `stats` in Prometheus' text format."""
    return generate_latest(_registry(stats)).decode()


def metrics_asgi(stats: RequestStats) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An ASGI application that answers Prometheus with the figures of `stats`."""
    application: Callable[[Any, Any, Any], Awaitable[None]] = make_asgi_app(_registry(stats))
    return application


def metrics_wsgi(stats: RequestStats) -> Callable[[Any, Any], Iterable[bytes]]:
    """The same as a WSGI application."""
    application: Callable[[Any, Any], Iterable[bytes]] = make_wsgi_app(_registry(stats))
    return application


def _registry(stats: RequestStats) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(RequestCollector(stats))
    return registry


def _values(key: Key) -> list[str]:
    return [key.method, key.route, str(key.status)]
