"""What everything that measures units of work can say of all of them together."""

from __future__ import annotations

from typing import NamedTuple

from agentperf_runtime.histograms import Histogram


class Totals(NamedTuple):
    """Units of work that ended: `of` is what they are, `times` how long they took in seconds.

    `since`: when it was begun to count them, in seconds on `perf_counter`; the rest of the process may be older.
    `failed` of them raised, were cancelled or were answered with 5xx. `tokens` are those of language models,
    `most_at_once` how many ran at once at most (0: unknown), `loop_lag` the longest delay of the event loop in seconds.
    """

    of: str
    times: Histogram
    since: float
    failed: int = 0
    tokens: int = 0
    most_at_once: int = 0
    loop_lag: float = 0.0
