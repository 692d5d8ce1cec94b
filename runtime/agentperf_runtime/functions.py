"""Kinds of functions that are decorated or called on behalf of others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call returns a coroutine: also of a partial, a bound method, and an object with an async `__call__`."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def check_decorated(function: object, decorator: str) -> None:
    """Raise TypeError where `decorator` would wrap what only a class makes callable, or nothing callable at all."""
    if isinstance(function, (staticmethod, classmethod, property)):
        raise TypeError(f"@{type(function).__name__} belongs above {decorator}, not below")
    if not callable(function):
        raise TypeError(f"{decorator} decorates functions, not {function!r}")
