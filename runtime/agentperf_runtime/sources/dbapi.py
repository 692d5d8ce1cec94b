"""Cursors of DB-API 2.0 drivers (PEP 249)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sized
from threading import get_ident
from time import perf_counter_ns
from typing import Any

from agentperf_runtime import scopes
from agentperf_runtime.recorder import DONE, RAISED, Recorder
from agentperf_runtime.scopes import is_muted

_getframe = sys._getframe

Names = tuple[str, str]
"""How a driver calls the first two parameters of `execute`, for applications that pass them by name."""

traced_modules: set[str] = set()
"""Names of drivers of which every statement is recorded, so that nothing needs to be recorded above them."""


def execute(
    original: Callable[..., Any],
    recorder: Recorder,
    names: Names = ("operation", "parameters"),
    batch_of: Callable[[Any], int] | None = None,
) -> Any:
    """The replacement of a cursor's `execute(operation, parameters)`.

    `batch_of` tells, for drivers that expand tuples, how many elements the parameters carry.
    """
    record = recorder.record
    describe = describer(recorder, names, batch_of)

    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_muted():
            return original(self, *args, **kwargs)
        start = perf_counter_ns()
        try:
            result = original(self, *args, **kwargs)
        except BaseException:
            record("sql", *describe(self, args, kwargs, start), -1, RAISED)
            raise
        end = perf_counter_ns()
        record("sql", *describe(self, args, kwargs, start), rowcount_of(self), DONE, end=end)
        return result

    return traced


def awaited_execute(
    original: Callable[..., Any],
    recorder: Recorder,
    names: Names = ("operation", "parameters"),
    batch_of: Callable[[Any], int] | None = None,
) -> Any:
    """The same for a coroutine method."""
    record = recorder.record
    describe = describer(recorder, names, batch_of)

    async def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_muted():
            return await original(self, *args, **kwargs)
        start = perf_counter_ns()
        try:
            result = await original(self, *args, **kwargs)
        except BaseException:
            record("sql", *describe(self, args, kwargs, start), -1, RAISED, blocking=False)
            raise
        end = perf_counter_ns()
        record("sql", *describe(self, args, kwargs, start), rowcount_of(self), DONE, blocking=False, end=end)
        return result

    return traced


Described = tuple[Any, int, int, int]
"""Text, start, hash of the parameters, batch: what `Recorder.record` takes after the kind."""


def describer(
    recorder: Recorder, names: Names, batch_of: Callable[[Any], int] | None = None
) -> Callable[[Any, tuple[Any, ...], dict[str, Any], int], Described]:
    """A function that reads what a call is recorded with: `(cursor, args, kwargs, start)`. It never raises."""
    hash_of = recorder.hash_of

    def describe(cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], start: int) -> Described:
        try:
            operation = args[0] if args else kwargs.get(names[0], "")
            parameters = args[1] if len(args) > 1 else kwargs.get(names[1])
            if type(operation) is not str:
                operation = text_of(operation, cursor)
            if batch_of is length_of:
                return operation, start, 0, length_of(parameters)
            params, batch = hash_of(parameters)
            if batch_of is not None and parameters:
                batch = batch_of(parameters)
            return operation, start, params, batch
        except Exception:
            recorder.errors += 1
            return "", start, 0, 0

    return describe


def text_of(query: Any, cursor: Any) -> str | bytes:
    """The text of a query that may be an object of the driver: composed SQL, or a template string."""
    if isinstance(query, (str, bytes)):
        return query
    as_string = getattr(query, "as_string", None)
    if as_string is not None:
        text: str = as_string(cursor)
        return text
    return "?".join(query.strings) if hasattr(query, "strings") else type(query).__name__


def rowcount_of(cursor: Any) -> int:
    """Rows that a cursor's last statement gave or changed, -1 where it does not know."""
    try:
        rows: int = cursor.rowcount
        return rows if rows >= 0 else -1
    except Exception:
        return -1


def longest_sequence(parameters: Any) -> int:
    """The length of the longest tuple, list or set among the parameters, 0 for less than two."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    longest = 0
    for value in values if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else ():
        if isinstance(value, (tuple, list, set, frozenset)):
            longest = max(longest, len(value))
    return longest if longest > 1 else 0


def execute_plain(original: Callable[..., Any], recorder: Recorder) -> Any:
    """`execute` for drivers that take nothing else: the shortest way from the call to the queue.

    What `Recorder.record` does is written out here, as far as nothing unusual is met: calls are what costs.
    """
    record, hash_of, salt = recorder.record, recorder.hash_of, recorder.salt
    queue, most, recent, guesses = recorder.queue, recorder.max_pending, recorder.recent, recorder.guesses
    append, scope_of = queue.append, scopes.current.get

    def traced(self: Any, operation: Any, parameters: Any = ()) -> Any:
        scope = scope_of()
        if scope is not None and scope.muted:
            return original(self, operation, parameters)
        start = perf_counter_ns()
        try:
            result = original(self, operation, parameters)
        except BaseException:
            record("sql", operation, start, *hash_of(parameters), -1, RAISED)
            raise
        end = perf_counter_ns()
        try:
            if scope is not None and len(queue) < most:
                frame: Any = _getframe(1)
                site = recent.get(frame.f_lasti)
                if site is None or site.code is not frame.f_code:
                    # Frames that are not looked at cost nothing: straight to where the application began last time.
                    for depth, library in guesses.get(id(frame.f_code), ()):
                        guessed: Any = _getframe(1 + depth)
                        if guessed.f_code is library:
                            frame = guessed.f_back
                            site = recent.get(frame.f_lasti)
                            break
                if site is not None and site.code is frame.f_code and not site.samples:
                    params = hash((salt, parameters)) if parameters else 0
                    on_loop = 1 if scope.ident and scope.ident == get_ident() else 0
                    append(("sql", operation, start, end, params, 0, -1, 0, scope, site, on_loop, None))
                    return result
        except (TypeError, ValueError, AttributeError):
            pass  # parameters that cannot be hashed as they are, or a stack that is not as deep as was guessed
        record("sql", operation, start, *hash_of(parameters), -1, DONE, end=end)
        return result

    return traced


def executemany(
    original: Callable[..., Any], recorder: Recorder, names: Names = ("operation", "seq_of_parameters")
) -> Any:
    """The replacement of a cursor's `executemany(operation, seq_of_parameters)`: one operation, however many sets.

    For drivers that do not call their own `execute` for it; `calls` has what silences that.
    """
    record = recorder.record
    many = describer(recorder, names, length_of)

    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_muted():
            return original(self, *args, **kwargs)
        start = perf_counter_ns()
        try:
            result = original(self, *args, **kwargs)
        except BaseException:
            record("sql", *many(self, args, kwargs, start), -1, RAISED)
            raise
        record("sql", *many(self, args, kwargs, start), rowcount_of(self), DONE)
        return result

    return traced


def awaited_executemany(
    original: Callable[..., Any], recorder: Recorder, names: Names = ("operation", "seq_of_parameters")
) -> Any:
    """The same for a coroutine method."""
    record = recorder.record
    many = describer(recorder, names, length_of)

    async def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_muted():
            return await original(self, *args, **kwargs)
        start = perf_counter_ns()
        try:
            result = await original(self, *args, **kwargs)
        except BaseException:
            record("sql", *many(self, args, kwargs, start), -1, RAISED, blocking=False)
            raise
        record("sql", *many(self, args, kwargs, start), rowcount_of(self), DONE, blocking=False)
        return result

    return traced


def length_of(sets: Any) -> int:
    """How many elements a call carries, 0 for one. What an iterator gave can no longer be counted: it is more."""
    if not isinstance(sets, Sized):
        return 2
    return len(sets) if len(sets) > 1 else 0
