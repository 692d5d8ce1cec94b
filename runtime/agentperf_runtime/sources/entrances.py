"""The application's function behind a route.

What a view returns may load more when the framework turns it into an answer: nothing of the application is on the
stack then, but that function is where it came from.
"""

from __future__ import annotations

import functools
import inspect
import sys
from types import CodeType
from typing import Any

from agentperf_runtime.sites import Files


def code_of(endpoint: Any, method: str, files: Files) -> CodeType | None:
    """The code of a route's `endpoint`, a function or class, for requests of `method`; None when it has none.

    A class that leaves everything to the library's is told by its own lines.
    """
    owner = getattr(endpoint, "view_class", None) or getattr(endpoint, "cls", None)
    if owner is None and isinstance(endpoint, type):
        owner = endpoint
    if owner is None:
        while isinstance(endpoint, functools.partial):
            endpoint = endpoint.func
        return getattr(inspect.unwrap(endpoint), "__code__", None)
    name = method.lower()
    name = (getattr(endpoint, "actions", None) or {}).get(name, name)  # of a view set
    code: CodeType | None = getattr(inspect.unwrap(getattr(owner, name, None)), "__code__", None)  # type: ignore[arg-type]
    if code is not None and files.is_application(code):
        return code
    return _of_class(owner)


@functools.lru_cache(maxsize=256)
def _of_class(owner: type[Any]) -> CodeType | None:
    """Code that stands for a class: of its name, at its first line."""
    try:
        path = inspect.getsourcefile(owner)
        line = getattr(owner, "__firstlineno__", 0) or inspect.getsourcelines(owner)[1]
    except (OSError, TypeError):
        return None
    code = code_of.__code__.replace(co_filename=path or "", co_firstlineno=line, co_name=owner.__name__)
    code = code.replace(co_linetable=b"")  # every instruction is at the first line
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=owner.__qualname__)
    return code
