"""Cursors of DB-API 2.0 drivers (PEP 249)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sized
from threading import get_ident
from time import perf_counter_ns
from typing import Any

from agentperf_runtime import scopes
from agentperf_runtime.recorder import DONE, RAISED, Recorder

_getframe = sys._getframe

_ABSENT: Any = object()


def execute(original: Callable[..., Any], recorder: Recorder, batch_of: Callable[[Any], int] | None = None) -> Any:
    """The replacement of a cursor's `execute(operation, parameters)`.

    `batch_of` tells, for drivers that expand tuples, how many elements the parameters carry.
    """
    record, hash_of = recorder.record, recorder.hash_of

    def traced(self: Any, operation: Any, parameters: Any = _ABSENT, *args: Any, **kwargs: Any) -> Any:
        start = perf_counter_ns()
        failed = 1
        try:
            if parameters is _ABSENT:
                result = original(self, operation, *args, **kwargs)
            else:
                result = original(self, operation, parameters, *args, **kwargs)
            failed = 0
            return result
        finally:
            end = perf_counter_ns()
            params, batch = (0, 0) if parameters is _ABSENT or parameters is None else hash_of(parameters)
            if batch_of is not None:
                batch = batch_of(parameters) or batch
            record("sql", operation, start, params, batch, -1, failed, end=end)

    return traced


def execute_plain(original: Callable[..., Any], recorder: Recorder) -> Any:
    """`execute` for drivers that take nothing else: the shortest way from the call to the queue.

    What `Recorder.record` does is written out here, as far as nothing unusual is met: calls are what costs.
    """
    record, hash_of, salt = recorder.record, recorder.hash_of, recorder.salt
    queue, most, recent, guesses = recorder.queue, recorder.max_pending, recorder.recent, recorder.guesses
    append, scope_of = queue.append, scopes.current.get

    def traced(self: Any, operation: Any, parameters: Any = ()) -> Any:
        start = perf_counter_ns()
        try:
            result = original(self, operation, parameters)
        except BaseException:
            record("sql", operation, start, *hash_of(parameters), -1, RAISED)
            raise
        end = perf_counter_ns()
        try:
            scope = scope_of()
            if scope is not None and len(queue) < most:
                if scope.muted:
                    return result
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


def executemany(original: Callable[..., Any], recorder: Recorder) -> Any:
    """The replacement of a cursor's `executemany(operation, seq_of_parameters)`: one operation, however many sets."""
    record = recorder.record

    def traced(self: Any, operation: Any, parameters: Any = (), *args: Any, **kwargs: Any) -> Any:
        start = perf_counter_ns()
        failed = 1
        try:
            result = original(self, operation, parameters, *args, **kwargs)
            failed = 0
            return result
        finally:
            # What an iterator gave can no longer be counted; one set would not have needed executemany.
            record("sql", operation, start, 0, len(parameters) if isinstance(parameters, Sized) else 2, -1, failed)

    return traced
