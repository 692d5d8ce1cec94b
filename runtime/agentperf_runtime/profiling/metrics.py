"""What is measured of one execution of an operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["active", "completed", "failed", "cancelled"]


@dataclass(slots=True)
class PerformanceMetrics:
    """One execution. The code that is measured adds to `tokens_used`, `cache_hits`, `cache_misses`, `custom_metrics`.

    `start_time`, `end_time`: seconds since the epoch, `end_time` None while it is active. `duration`: seconds on a
    clock that is never set. `self_seconds`: of these, those in which no operation inside this one was active.
    `cpu_seconds`: processor time of its thread meanwhile; of an `async with` in a task that is a limit, for other tasks
    use the thread too.

    `cpu_percent_start`: processor time of the whole process, in per cent of one processor, from an earlier reading to
    the start (0 before there is one); `cpu_percent_end`: from the start to the end. Memory: what is resident of the
    whole process, MB of 2**20 bytes; `memory_mb_peak`: the most that was seen at the start, at the end and, with
    sampling, about every 100 ms. Operations that run at the same time share these.

    Numbers in `custom_metrics` are summed up for each operation.
    """

    agent_name: str
    operation: str
    start_time: float
    end_time: float | None = None
    cpu_percent_start: float = 0.0
    cpu_percent_end: float = 0.0
    memory_mb_start: float = 0.0
    memory_mb_end: float = 0.0
    tokens_used: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    custom_metrics: dict[str, Any] = field(default_factory=dict)
    duration: float = 0.0
    self_seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory_mb_peak: float = 0.0
    outcome: Outcome = "active"
