"""aiohttp's client.

Its own hooks (`TraceConfig`) are given by the application to each session and do not run where the body is read, so the
method that every request comes to is wrapped.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import RAISED
from agentperf_runtime.sources.calls import Call, Pending, Result, awaited
from agentperf_runtime.sources.fingerprint import fingerprint
from agentperf_runtime.sources.http_calls import answered, called_by, request_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_PENDING = "_agentperf_pending"
_SWITCHING_PROTOCOLS = 101
_answered = answered("status")


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiohttp.client`."""
    instrument.patches.replace(
        module.ClientSession,
        "_request",
        awaited(instrument, "http", _describe, _answered, failure=_answered, prolong=_until_body),
    )

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def close(response: Any) -> Any:
            pending = vars(response).pop(_PENDING, None)
            if pending is not None:
                pending.record(Result(outcome=RAISED))  # closed before its end: broken off
            return original(response)

        return close

    instrument.patches.replace(module.ClientResponse, "close", make)


def _describe(session: Any, method: str, str_or_url: Any, **kwargs: Any) -> Call:
    url = session._build_url(str_or_url)
    if kwargs.get("params"):
        url = url.update_query(kwargs["params"])
    if kwargs.get("json") is None:
        return request_of(method, url, kwargs.get("data"))
    call = request_of(method, url)
    content = fingerprint(kwargs["json"])
    return Call(
        call.text + called_by(kwargs["json"]), (*call.key, content.value), content.longest if content.longest > 1 else 0
    )


def _until_body(pending: Pending, response: Any) -> bool:
    """Lets the operation end when the body has come: it is mostly read by the next line of the application."""
    if response.status == _SWITCHING_PROTOCOLS or response.content.is_eof():
        return False
    setattr(response, _PENDING, pending)
    result = _answered(response)
    pending.goes_on()
    response.content.on_eof(functools.partial(pending.record, result))
    weakref.finalize(response, pending.drop, result)  # of one that nobody reads
    return True
