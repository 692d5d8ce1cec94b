"""Jinja: which line of a template its code stands for. The code has the template's name and lines of its own."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sites import template_lines

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_MOST_TEMPLATES = 10_000


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `jinja2.environment`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        method = original.__func__  # type: ignore[attr-defined]

        def _from_namespace(cls: Any, environment: Any, namespace: Any, *args: Any, **kwargs: Any) -> Any:
            template = method(cls, environment, namespace, *args, **kwargs)
            try:
                _note(template, namespace)
            except Exception:
                instrument.recorder.errors += 1
            return template

        return _from_namespace

    instrument.patches.replace(module.Template, "_from_namespace", make)


def _note(template: Any, namespace: Any) -> None:
    filename = namespace["root"].__code__.co_filename
    if filename.startswith("<") or len(template_lines) >= _MOST_TEMPLATES:
        return
    template_lines[filename] = tuple(template.debug_info)
