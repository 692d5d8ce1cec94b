"""Flask: a root for each request, named by its rule."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.wsgi import application, name_current

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `flask.app`."""
    closing_iterator = sys.modules["werkzeug.wsgi"].ClosingIterator
    current_request = sys.modules["flask.globals"].request

    def is_streamed(answer: Any) -> bool:
        return isinstance(answer, closing_iterator)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def preprocess_request(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                rule = current_request.url_rule
                if rule is not None:
                    name_current(current_request.method, rule.rule)
            except Exception:
                instrument.recorder.errors += 1
            return original(self, *args, **kwargs)

        return preprocess_request

    instrument.patches.replace(module.Flask, "__call__", application(instrument, is_streamed))
    instrument.patches.replace(module.Flask, "preprocess_request", make)
