"""Mako and Tornado: which file and line of a template its code stands for. The code has a name and lines of its own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sites import template_lines, template_paths

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_MOST_TEMPLATES = 10_000
_METADATA = re.compile(r"__M_BEGIN_METADATA(.+?)__M_END_METADATA", re.DOTALL)
_COMMENT = re.compile(r"  # (\S+):(\d+)(?: \(via .*\))?$")


def install_mako(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `mako.template`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(info: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(info, *args, **kwargs)
            try:
                _note_mako(info, *args)
            except Exception:
                instrument.recorder.errors += 1

        return __init__

    instrument.patches.replace(module.ModuleInfo, "__init__", make)


def _note_mako(info: Any, module: Any, module_filename: Any, template: Any, template_filename: Any, *rest: Any) -> None:
    found = _METADATA.search(info.code)
    if template_filename is None or found is None or len(template_lines) >= _MOST_TEMPLATES:
        return
    lines = json.loads(found[1])["line_map"]
    filename = module_filename or module.__name__
    template_lines[filename] = tuple((written, int(compiled)) for compiled, written in lines.items())
    template_paths[filename] = ((os.path.abspath(template_filename), 0),)


def install_tornado(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `tornado.template`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(template: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(template, *args, **kwargs)
            try:
                _note_tornado(template)
            except Exception:
                instrument.recorder.errors += 1

        return __init__

    instrument.patches.replace(module.Template, "__init__", make)


def _note_tornado(template: Any) -> None:
    root = getattr(template.loader, "root", None)
    if root is None or len(template_lines) >= _MOST_TEMPLATES:
        return  # made of a text
    comments = [(number, _COMMENT.search(line)) for number, line in enumerate(template.code.splitlines(), start=1)]
    known = [(number, found[1], int(found[2])) for number, found in comments if found is not None]
    filename = template.compiled.co_filename
    template_lines[filename] = tuple((written, number) for number, _, written in known)
    template_paths[filename] = tuple((os.path.join(root, name), number) for number, name, _ in known)
