"""Middleware for WSGI applications: Flask, Django and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any

from agentperf_runtime.middleware.operations import active_counter, present_root
from agentperf_runtime.middleware.requests import (
    FIRST_SERVER_ERROR,
    UNMATCHED,
    Key,
    Request,
    RequestReport,
    RequestStats,
    known_method,
)
from agentperf_runtime.middleware.routes import watch_django, wsgi_route

if TYPE_CHECKING:
    from agentperf_runtime.scopes import Root

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
RouteOf = Callable[[Environ], "str | None"]


class WsgiPerformanceMiddleware:
    """Measures each request of `app` until its last byte is taken by the server; else as `PerformanceMiddleware`.

    `route_of` reads the template from a request's environ when the answer begins. What is handed to the server as a
    list, or as a file (`wsgi.file_wrapper`), counts until it is handed over.
    """

    def __init__(self, app: Application, stats: RequestStats | None = None, *, route_of: RouteOf = wsgi_route) -> None:
        self.app = app
        self.stats = stats or RequestStats()
        self._route_of = route_of
        watch_django(app)

    def get_request_stats(self) -> RequestReport:
        """What was measured, see `RequestStats.get_request_stats`."""
        return self.stats.get_request_stats()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        exchange = _Exchange(self.stats, environ, self._route_of)

        def started(status: str, *args: Any, **kwargs: Any) -> Any:
            exchange.starts(status)
            return start_response(status, *args, **kwargs)

        try:
            answer = self.app(environ, started)
        except BaseException as error:
            exchange.end(error)
            raise
        if isinstance(answer, (list, tuple)) or _is_file(answer, environ):
            exchange.end(None)
            return answer
        return _Answer(answer, exchange)


def _is_file(answer: Any, environ: Environ) -> bool:
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(answer, wrapper)


class _Exchange:
    """A request that is being served."""

    __slots__ = (
        "_environ", "_first_byte", "_has_ended", "_method", "_root", "_route", "_route_of", "_scheme", "_started",
        "_stats", "_status",
    )  # fmt: skip

    def __init__(self, stats: RequestStats, environ: Environ, route_of: RouteOf) -> None:
        self._stats = stats
        self._environ = environ
        self._route_of = route_of
        self._route: str | None = None
        self._method = known_method(environ["REQUEST_METHOD"])
        self._scheme: str = environ.get("wsgi.url_scheme", "http")
        self._status = 0
        self._first_byte: float | None = None
        self._has_ended = False
        self._root: Root | None = None
        self._started = stats.begin(self._method, self._scheme)

    def starts(self, status: str) -> None:
        """The application knows its answer, and its framework the route."""
        self._status = int(status[:3]) if status[:3].isdigit() else 0
        self._find_route()
        self._root = present_root()

    def sent(self) -> None:
        """The server takes a piece of the answer."""
        if self._first_byte is None:
            self._first_byte = perf_counter() - self._started

    def end(self, error: BaseException | None, is_left: bool = False) -> None:
        """The last byte is taken, or will never be."""
        if self._has_ended:
            return
        self._has_ended = True
        try:
            self._report(perf_counter() - self._started, error, is_left)
        except Exception:
            self._stats.errors += 1

    def _report(self, duration: float, error: BaseException | None, is_left: bool) -> None:
        first_byte = duration if self._first_byte is None and error is None and not is_left else self._first_byte
        if not self._status:
            self._status = FIRST_SERVER_ERROR
        if self._route is None:
            self._find_route()
        key = Key(self._method, self._route or UNMATCHED, self._status)
        failed = self._status >= FIRST_SERVER_ERROR or error is not None
        name = type(error).__qualname__ if error is not None else ""
        self._stats.end(Request(key, duration, first_byte, failed, is_left, self._scheme, name))
        counter = active_counter()
        root = self._root or present_root()
        if counter is not None and root is not None:
            counter.finish(root, self._stats, key, perf_counter_ns())

    def _find_route(self) -> None:
        try:
            self._route = self._route_of(self._environ)
        except Exception:
            self._stats.errors += 1


class _Answer:
    """An answer that is made while the server takes it."""

    def __init__(self, answer: Iterable[bytes], exchange: _Exchange) -> None:
        self._answer = answer
        self._exchange = exchange
        self._pieces: Iterator[bytes] | None = None

    def __iter__(self) -> _Answer:
        return self

    def __next__(self) -> bytes:
        try:
            if self._pieces is None:
                self._pieces = iter(self._answer)
            piece = next(self._pieces)
        except StopIteration:
            self._exchange.end(None)
            raise
        except BaseException as error:
            self._exchange.end(error)
            raise
        self._exchange.sent()
        return piece

    def close(self) -> None:
        """The server needs no more: it has everything, or its client has left."""
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.end(None, is_left=True)
