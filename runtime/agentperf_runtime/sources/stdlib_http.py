"""The standard library's HTTP clients: `urllib.request`, and `http.client` where nothing above it is traced."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.calls import Call, begin, end, fail, raised, synchronous
from agentperf_runtime.sources.http_calls import answered, request_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_PENDING = "_agentperf_pending"
_HTTPS = 443
_answered = answered("status")


def install_urllib(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `urllib.request`: `urlopen` opens by an opener, which opens redirects again."""
    instrument.patches.replace(
        module.OpenerDirector,
        "open",
        synchronous(instrument, "http", _opened, _answered, failure=answered("code")),
    )


def _opened(opener: Any, fullurl: Any, data: Any = None, *args: Any, **kwargs: Any) -> Call | None:
    if isinstance(fullurl, str):
        method, url = "GET" if data is None else "POST", fullurl
    else:
        data = fullurl.data if data is None else data
        method, url = fullurl.get_method(), fullurl.full_url
    if not url.lower().startswith(("http:", "https:")):
        return None
    return request_of(method, url, data)


def install_client(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `http.client`: a request is sent by one call and answered by another."""

    def request(original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(connection: Any, *args: Any, **kwargs: Any) -> Any:
            pending = begin(instrument, "http", _sent, (connection, *args), kwargs, blocking=True)
            if pending is None:
                return original(connection, *args, **kwargs)
            try:
                returned = original(connection, *args, **kwargs)
            except BaseException as error:
                fail(instrument, pending, raised, error)
                raise
            pending.leave()
            vars(connection)[_PENDING] = pending
            return returned

        return traced

    def getresponse(original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(connection: Any, *args: Any, **kwargs: Any) -> Any:
            pending = vars(connection).pop(_PENDING, None)
            if pending is None:
                return original(connection, *args, **kwargs)
            try:
                returned = original(connection, *args, **kwargs)
            except BaseException as error:
                fail(instrument, pending, raised, error)
                raise
            end(instrument, pending, _answered, returned)
            return returned

        return traced

    instrument.patches.replace(module.HTTPConnection, "request", request)
    instrument.patches.replace(module.HTTPConnection, "getresponse", getresponse)


def _sent(connection: Any, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> Call:
    if url.startswith("/"):
        scheme = "https" if connection.default_port == _HTTPS else "http"
        url = f"{scheme}://{connection.host}:{connection.port}{url}"
    return request_of(method, url, body)
