"""The file that a report reads: one JSON document. docs/profiling.md describes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from agentperf_runtime.process_figures import now_resident_bytes, peak_resident_bytes
from agentperf_runtime.profiling.operations import Operation
from agentperf_runtime.profiling.stack_tree import Place, Stack, State, place_finder

TYPE = "agentperf-profile"
VERSION = 1


def profile_document(
    operations: list[Operation],
    stacks: Iterable[Stack],
    lock: AbstractContextManager[object],
    *,
    wall_start: float,
    seconds: float,
    cpu_seconds: float,
    interval: float,
) -> dict[str, Any]:
    """The document. `wall_start`: since the epoch; `interval`: seconds for which a sample stands.

    `cpu_seconds`: that the process used within `seconds`.

    `lock`: of the operations; it is held for one of them at a time, for the application waits for it.
    """
    frames, counted = _numbered(operations, stacks)
    resident = now_resident_bytes()
    return {
        "type": TYPE,
        "version": VERSION,
        "tool": "agentperf-lint",
        "pid": os.getpid(),
        "wall_start": wall_start,
        "seconds": seconds,
        "interval_seconds": interval,
        "operations": [_operation(operation, lock) for operation in operations],
        "frames": [list(frame) for frame in frames],
        "stacks": counted,
        "process": {
            "cpu_seconds": cpu_seconds,
            "rss_bytes": resident,
            "peak_rss_bytes": peak_resident_bytes(resident),
        },
    }


def as_json(document: Any) -> str:
    """A document as text; what is no number in JSON is not in it."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"


def _operation(operation: Operation, lock: AbstractContextManager[object]) -> dict[str, Any]:
    with lock:
        return _figures(operation)


def _figures(operation: Operation) -> dict[str, Any]:
    return {
        "agent_name": operation.agent_name,
        "operation": operation.operation,
        "executions": operation.executions,
        "failed": operation.failed,
        "cancelled": operation.cancelled,
        "active": operation.active,
        "total_seconds": operation.total_seconds,
        "cpu_seconds": operation.cpu_seconds,
        "running_seconds": operation.running_seconds,
        "waiting_seconds": operation.waiting_seconds,
        "self_seconds": operation.self_seconds,
        "max_seconds": operation.duration.most,
        "duration": operation.duration.to_json(),
        "memory_delta_mb_total": operation.memory_delta_mb,
        "memory_peak_mb": operation.memory_peak_mb,
        "tokens_used": operation.tokens_used,
        "cache_hits": operation.cache_hits,
        "cache_misses": operation.cache_misses,
        "custom_metrics": {name: values.to_json() for name, values in operation.custom_metrics.items()},
    }


def _numbered(operations: list[Operation], stacks: Iterable[Stack]) -> tuple[list[Place], list[dict[str, Any]]]:
    """The places that there are, and the stacks in numbers, equal ones (but for the instruction) added up."""
    place_of = place_finder()
    number_of = {id(operation): number for number, operation in enumerate(operations)}
    frames: dict[Place, int] = {}
    counted: dict[tuple[int | None, State, tuple[int, ...]], int] = {}
    for stack in stacks:
        places = [place_of(code, lasti) for code, lasti in reversed(stack.codes)]
        key = (
            number_of.get(id(stack.nesting.operation)),
            stack.state,
            tuple(frames.setdefault(place, len(frames)) for place in places),
        )
        counted[key] = counted.get(key, 0) + stack.samples
    return list(frames), [
        {"operation": operation, "state": state, "frames": list(numbers), "samples": samples}
        for (operation, state, numbers), samples in counted.items()
    ]
