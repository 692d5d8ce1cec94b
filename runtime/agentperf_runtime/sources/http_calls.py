"""What operations over HTTP have in common, whichever client makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.sources.calls import Call, Result
from agentperf_runtime.sources.fingerprint import of_body, procedure_of
from agentperf_runtime.statements import PROCEDURE

_TRY_AGAIN = frozenset({408, 425, 429})


def request_of(method: Any, url: Any, body: Any = None) -> Call:
    """The call of one request. The writer takes the values out of the URL."""
    method = method.decode("ascii", "replace") if isinstance(method, bytes) else str(method)
    url = url.decode("ascii", "replace") if isinstance(url, bytes) else str(url)
    if body is None or body == b"":
        return Call(f"{method.upper()} {url}", (url,))
    content = of_body(body)
    text = f"{method.upper()} {url}{called_by(body)}"
    return Call(text, (url, content.value), content.longest if content.longest > 1 else 0)


def called_by(body: Any) -> str:
    """What the text of a request adds to its URL where the body tells what is called."""
    procedure = procedure_of(body)
    return f"{PROCEDURE}{procedure}" if procedure else ""


def outcome_of(status: int) -> int:
    """What an HTTP status says of the request: asked for something that is not there is an answer too."""
    return status if status >= 500 or status in _TRY_AGAIN else DONE


def answered(attribute: str) -> Callable[[Any], Result]:
    """Reads a response, or an exception that stands for one, whose status is in `attribute`."""

    def inspect(response: Any) -> Result:
        status = getattr(response, attribute, None)
        if isinstance(status, int):
            return Result(outcome=outcome_of(status))
        return Result(outcome=RAISED if isinstance(response, BaseException) else DONE)

    return inspect
