"""Middleware for ASGI applications: Starlette, FastAPI, Django, Litestar and others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any

from agentperf_runtime.middleware.operations import active_counter, present_root
from agentperf_runtime.middleware.requests import (
    CLIENT_GONE,
    FIRST_SERVER_ERROR,
    UNMATCHED,
    Key,
    Request,
    RequestReport,
    RequestStats,
    known_method,
)
from agentperf_runtime.middleware.routes import asgi_route, watch_django

if TYPE_CHECKING:
    from agentperf_runtime.scopes import Root

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
RouteOf = Callable[[Scope], "str | None"]

_LAST_MESSAGES = frozenset({"http.response.pathsend", "http.response.zerocopysend"})


class PerformanceMiddleware:
    """Measures each HTTP request of `app` until its last byte is sent, by method, route template and status.

    `stats` is what counts them, of its own unless given; `route_of` reads the template from a request's scope after it
    was served, for frameworks that are not known. What the application raises is counted as 500 and raised again.
    Websockets and lifespan are handed through. Where the tracer runs, queries, tokens and stalls are counted as well.
    """

    def __init__(self, app: Application, stats: RequestStats | None = None, *, route_of: RouteOf = asgi_route) -> None:
        self.app = app
        self.stats = stats or RequestStats()
        self._route_of = route_of
        watch_django(app)

    def get_request_stats(self) -> RequestReport:
        """What was measured, see `RequestStats.get_request_stats`."""
        return self.stats.get_request_stats()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self.stats, scope, self._route_of)

        async def sent(message: Any) -> None:
            await send(message)
            exchange.sent(message)

        async def received() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                exchange.is_disconnected = True
            return message

        try:
            await self.app(scope, received, sent)
        except BaseException as error:
            exchange.end(error)
            raise
        exchange.end(None)


class _Exchange:
    """A request that is being served."""

    __slots__ = (
        "_first_byte",
        "_has_ended",
        "_method",
        "_root",
        "_route_of",
        "_scheme",
        "_scope",
        "_started",
        "_stats",
        "_status",
        "is_disconnected",
    )  # fmt: skip

    def __init__(self, stats: RequestStats, scope: Scope, route_of: RouteOf) -> None:
        self._stats = stats
        self._scope = scope
        self._route_of = route_of
        self._method = known_method(scope["method"])
        self._scheme: str = scope.get("scheme", "http")
        self._status = 0
        self._first_byte: float | None = None
        self._has_ended = self.is_disconnected = False
        self._root: Root | None = None
        self._started = stats.begin(self._method, self._scheme)

    def sent(self, message: Any) -> None:
        """A message has gone to the server."""
        kind = message["type"]
        if kind == "http.response.start":
            self._status = message["status"]
            self._root = present_root()
        elif kind == "http.response.body":
            if self._first_byte is None:
                self._first_byte = perf_counter() - self._started
            if not message.get("more_body", False):
                self.end(None)
        elif kind in _LAST_MESSAGES:
            self.end(None)

    def end(self, error: BaseException | None) -> None:
        """The last byte is sent, or will never be. What follows (background tasks) is not of the request."""
        if self._has_ended:
            return
        self._has_ended = True
        try:
            self._report(perf_counter() - self._started, error)
        except Exception:
            self._stats.errors += 1

    def _report(self, duration: float, error: BaseException | None) -> None:
        is_left = self.is_disconnected or (error is not None and not isinstance(error, Exception))
        if not self._status:
            self._status = CLIENT_GONE if is_left else FIRST_SERVER_ERROR
        failed = self._status >= FIRST_SERVER_ERROR or isinstance(error, Exception)
        key = Key(self._method, self._route(), self._status)
        name = type(error).__qualname__ if error is not None else ""
        self._stats.end(Request(key, duration, self._first_byte, failed, is_left, self._scheme, name))
        counter = active_counter()
        root = self._root or present_root()
        if counter is not None and root is not None:
            counter.finish(root, self._stats, key, perf_counter_ns())

    def _route(self) -> str:
        try:
            return self._route_of(self._scope) or UNMATCHED
        except Exception:
            self._stats.errors += 1
            return UNMATCHED
