"""What is known of the requests that an application served: by method, route and status, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple, Protocol, TypedDict

from agentperf_runtime.forks import renew_in_child
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.totals import Totals

UNMATCHED = "(unmatched)"
"""The route of requests that none was found for; paths are never used, of which there is no end."""

OTHER_METHOD = "_OTHER"
"""As in OpenTelemetry's semantic conventions."""

CLIENT_GONE = 499
"""The status of requests whose client left before an answer had begun, as nginx has it."""

FIRST_SERVER_ERROR = 500

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_GROUPS = 2_000
_OTHER_ROUTES = "(others)"


class Key(NamedTuple):
    """What requests are told apart by."""

    method: str
    route: str
    status: int


class Request(NamedTuple):
    """A request that has ended. Times are in seconds; `first_byte` is None when nothing was sent.

    `failed`: the status is 500 or more, or the application raised `error`. `disconnected`: the client left before.
    """

    key: Key
    duration: float
    first_byte: float | None
    failed: bool
    disconnected: bool
    scheme: str
    error: str


class Counts(NamedTuple):
    """What a request made, as the tracer recorded it. `stall` are seconds for which it held the event loop."""

    queries: int
    tokens: int
    stall: float


class Exporter(Protocol):
    """Is told of each request when it has ended."""

    def started(self, method: str, scheme: str) -> None:
        """A request has come."""

    def ended(self, request: Request) -> None:
        """It has been answered."""


class Share(TypedDict):
    """Of one request."""

    mean: float
    max: int


class RequestGroup(TypedDict):
    """The requests of one method, route and status. Times are in seconds, percentiles exact to 1 %.

    `count` includes the `failed` ones (500 or more, or the application raised) and the `disconnected` ones, whose
    client left before the end. `duration_*` is to the last byte, `first_byte_p50` to the first one. `traced` of them
    were recorded by the tracer; `queries` (SQL, Redis, MongoDB), `tokens` and `stall_seconds` (for how long they held
    the event loop, together) are of these.
    """

    method: str
    route: str
    status: int
    count: int
    failed: int
    disconnected: int
    duration_mean: float
    duration_p50: float
    duration_p95: float
    duration_p99: float
    duration_max: float
    first_byte_p50: float
    first_byte_p95: float
    traced: int
    queries: Share
    tokens: Share
    stall_seconds: float


class RequestReport(TypedDict):
    """All groups, the most frequent first; `in_flight` are the requests that are served now, `in_flight_most` so many
    were at once. `started` is in seconds since 1970, `errors` how often the middleware itself failed.
    """

    started: float
    errors: int
    in_flight: int
    in_flight_most: int
    requests: list[RequestGroup]


class Group:
    """The figures behind a `RequestGroup`."""

    __slots__ = (
        "disconnected", "durations", "failed", "first_bytes", "queries", "queries_most", "stall", "tokens",
        "tokens_most", "traced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.durations, self.first_bytes = Histogram(), Histogram()
        self.failed = self.disconnected = 0
        self.traced = self.queries = self.queries_most = self.tokens = self.tokens_most = 0
        self.stall = 0.0

    def copy(self) -> Group:
        """One that does not change."""
        copied = Group()
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        copied.durations, copied.first_bytes = self.durations.copy(), self.first_bytes.copy()
        return copied


class RequestStats:
    """Counts the requests of one application, or of several that share it. Safe under threads.

    `exporters` are told of each request, too. Of routes there are 2,000 at most with their methods and statuses; what
    comes later is counted as `(others)`.
    """

    def __init__(self, exporters: Sequence[Exporter] = ()) -> None:
        self.exporters = tuple(exporters)
        self._begin_anew()
        renew_in_child(self, RequestStats._begin_anew)

    def _begin_anew(self) -> None:
        self.errors = 0
        self._started, self._since = time.time(), perf_counter()
        self._lock = threading.Lock()
        self._groups: dict[Key, Group] = {}
        self._in_flight = self._in_flight_most = 0

    def begin(self, method: str, scheme: str) -> float:
        """A request has come. Returns the present time."""
        with self._lock:
            self._in_flight += 1
            if self._in_flight > self._in_flight_most:
                self._in_flight_most = self._in_flight
        if self.exporters:
            self._tell(lambda exporter: exporter.started(method, scheme))
        return perf_counter()

    def end(self, request: Request) -> None:
        """It has been answered."""
        with self._lock:
            self._in_flight -= 1
            group = self._group(request.key)
            group.durations.record(max(0.0, request.duration))
            if request.first_byte is not None:
                group.first_bytes.record(max(0.0, request.first_byte))
            group.failed += request.failed
            group.disconnected += request.disconnected
        if self.exporters:
            self._tell(lambda exporter: exporter.ended(request))

    def count(self, key: Key, counts: Counts) -> None:
        """What a request made has become known."""
        with self._lock:
            group = self._group(key)
            group.traced += 1
            group.queries += counts.queries
            group.queries_most = max(group.queries_most, counts.queries)
            group.tokens += counts.tokens
            group.tokens_most = max(group.tokens_most, counts.tokens)
            group.stall += counts.stall

    def add_stall(self, key: Key, seconds: float) -> None:
        """A request that was counted held the event loop for longer than was known."""
        with self._lock:
            self._group(key).stall += seconds

    def groups(self) -> dict[Key, Group]:
        """All groups as they are now."""
        with self._lock:
            return {key: group.copy() for key, group in self._groups.items()}

    @property
    def in_flight(self) -> int:
        """Requests that are served now."""
        return self._in_flight

    def get_request_stats(self) -> RequestReport:
        """As of now; what the tracer records is known half a second later."""
        groups = sorted(self.groups().items(), key=lambda pair: -pair[1].durations.count)
        return RequestReport(
            started=self._started,
            errors=self.errors,
            in_flight=self._in_flight,
            in_flight_most=self._in_flight_most,
            requests=[_shown(key, group) for key, group in groups],
        )

    def totals(self) -> Totals:
        """All requests together."""
        times = Histogram()
        with self._lock:
            for group in self._groups.values():
                times.merge(group.durations)
            failed = sum(group.failed for group in self._groups.values())
            tokens = sum(group.tokens for group in self._groups.values())
            return Totals("request", times, self._since, failed, tokens, self._in_flight_most)

    def _tell(self, what: Callable[[Exporter], None]) -> None:
        """A failure of an exporter never reaches the application."""
        for exporter in self.exporters:
            try:
                what(exporter)
            except Exception:
                self.errors += 1

    def _group(self, key: Key) -> Group:
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= _GROUPS:
                key = key._replace(route=_OTHER_ROUTES, status=key.status // 100 * 100)
            group = self._groups.setdefault(key, Group())
        return group


def known_method(method: str) -> str:
    """`method`, or `_OTHER`: anybody can make one up."""
    return method if method in _METHODS else OTHER_METHOD


def _shown(key: Key, group: Group) -> RequestGroup:
    durations, first_bytes = group.durations, group.first_bytes
    return RequestGroup(
        method=key.method,
        route=key.route,
        status=key.status,
        count=durations.count,
        failed=group.failed,
        disconnected=group.disconnected,
        duration_mean=durations.mean,
        duration_p50=durations.quantile(0.5),
        duration_p95=durations.quantile(0.95),
        duration_p99=durations.quantile(0.99),
        duration_max=durations.most,
        first_byte_p50=first_bytes.quantile(0.5),
        first_byte_p95=first_bytes.quantile(0.95),
        traced=group.traced,
        queries=Share(mean=_mean(group.queries, group), max=group.queries_most),
        tokens=Share(mean=_mean(group.tokens, group), max=group.tokens_most),
        stall_seconds=group.stall,
    )


def _mean(total: int, group: Group) -> float:
    return total / group.traced if group.traced else 0.0
