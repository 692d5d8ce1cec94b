"""What users of the traced program felt: response times, throughput, concurrency, and what models were given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from agentperf_lint.checklist.trace import NANOSECONDS, Trace
from agentperf_lint.checklist.units import WEBSOCKET, ended_units

Measured = Literal["request", "root"]


class Kpis(msgspec.Struct, frozen=True):
    """The figures of the requests that ended; where there was none, of the tasks and other units of work that did.

    `count` are these, `failed` the ones of them that raised or were answered with 5xx. Response times are in seconds
    (percentiles by nearest rank), `throughput` per second between the first start and the last end, `concurrency` how
    many ran at once on average and at most. Tokens are those of all operations. `loop_lag_seconds` is the longest step
    of an event loop, `peak_rss_bytes` the resident memory of the largest process; 0 where nothing was sampled.
    """

    of: Measured = "request"
    count: int = 0
    failed: int = 0
    response_p50_seconds: float = 0.0
    response_p95_seconds: float = 0.0
    response_worst_seconds: float = 0.0
    throughput: float = 0.0
    concurrency: float = 0.0
    concurrency_most: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    loop_lag_seconds: float = 0.0
    peak_rss_bytes: int = 0


def kpis_of(trace: Trace) -> Kpis:
    """The figures of `trace`."""
    ended = ended_units(trace)
    requests = [unit for unit in ended if unit.is_request]
    measured = requests or [unit for unit in ended if unit.kind != WEBSOCKET]  # whose length says nothing of an answer
    spans = [(unit.start, unit.end) for unit in measured]
    seconds = sorted(unit.seconds for unit in measured)
    wall = max((end for _, end in spans), default=0.0) - min((start for start, _ in spans), default=0.0)
    samples = [sample for piece in trace.pieces for sample in piece.samples]
    return Kpis(
        of="request" if requests or not measured else "root",
        count=len(measured),
        failed=sum(unit.failed for unit in measured),
        response_p50_seconds=percentile(seconds, 0.5),
        response_p95_seconds=percentile(seconds, 0.95),
        response_worst_seconds=seconds[-1] if seconds else 0.0,
        throughput=len(measured) / wall if wall > 0 else 0.0,
        concurrency=sum(seconds) / wall if wall > 0 else 0.0,
        concurrency_most=most_at_once(spans),
        input_tokens=sum(sum(piece.operations.input_tokens) for piece in trace.pieces),
        output_tokens=sum(sum(piece.operations.output_tokens) for piece in trace.pieces),
        loop_lag_seconds=max((sample.lag for sample in samples), default=0) / NANOSECONDS,
        peak_rss_bytes=max((sample.rss for sample in samples), default=0),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ascending values that at least `share` of them do not exceed; 0 without values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """The largest number of (start, end) that overlap; one that starts when another ends does not."""
    steps = sorted(step for start, end in spans for step in ((start, 1), (end, -1)))
    running = most = 0
    for _, change in steps:
        running += change
        most = max(most, running)
    return most
