"""Cursors of DB-API 2.0 drivers (PEP 249)."""

from __future__ import annotations

from collections.abc import Callable, Sized
from time import perf_counter_ns
from typing import Any

from agentperf_runtime.recorder import Recorder

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
