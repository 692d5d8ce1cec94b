"""What users of the traced program felt: response times, throughput, concurrency, and what models were given."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from agentperf_lint.checklist.profiles import Profile
from agentperf_lint.checklist.trace import NANOSECONDS, Sample, Trace
from agentperf_lint.checklist.units import WEBSOCKET, ended_units
from agentperf_runtime.histograms import Histogram

Measured = Literal["request", "root", "operation"]


class Kpis(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the requests that ended; where there was none, of other units of work that did, or of operations.

    `agentperf_runtime.kpis.DEFINITIONS` says what each means. Percentiles are those of the nearest rank.
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
    tokens_each: float = 0.0
    loop_lag_seconds: float = 0.0
    cpu_utilization: float = 0.0
    peak_rss_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


def kpis_of(trace: Trace) -> Kpis:
    """The figures of `trace`."""
    ended = ended_units(trace)
    requests = [unit for unit in ended if unit.is_request]
    measured = requests or [unit for unit in ended if unit.kind != WEBSOCKET]  # whose length says nothing of an answer
    spans = [(unit.start, unit.end) for unit in measured]
    seconds = sorted(unit.seconds for unit in measured)
    wall = max((end for _, end in spans), default=0.0) - min((start for start, _ in spans), default=0.0)
    samples = [sample for piece in trace.pieces for sample in piece.samples]
    held = [stall.duration for piece in trace.pieces for stall in piece.stalls.values()]  # the last before the end, too
    used = _used(trace)
    given = sum(sum(piece.operations.input_tokens) for piece in trace.pieces)
    answered = sum(sum(piece.operations.output_tokens) for piece in trace.pieces)
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
        input_tokens=given,
        output_tokens=answered,
        tokens_each=(given + answered) / len(measured) if measured else 0.0,
        loop_lag_seconds=max([0, *(sample.lag for sample in samples), *held]) / NANOSECONDS,
        cpu_utilization=used.cpu / used.time if used.time else 0.0,
        peak_rss_bytes=max((sample.rss for sample in samples), default=0),
        read_bytes=used.read,
        written_bytes=used.written,
    )


def kpis_of_profile(profile: Profile) -> Kpis:
    """The figures of the operations of a profile that has some."""
    times = Histogram()
    for operation in profile.operations:
        times.merge(operation.duration)
    tokens = sum(operation.tokens for operation in profile.operations)
    seconds = profile.seconds
    return Kpis(
        of="operation",
        count=times.count,
        failed=sum(operation.failed for operation in profile.operations),
        response_p50_seconds=times.quantile(0.5),
        response_p95_seconds=times.quantile(0.95),
        response_worst_seconds=times.most,
        throughput=times.count / seconds if seconds > 0 else 0.0,
        concurrency=times.total / seconds if seconds > 0 else 0.0,
        input_tokens=tokens,
        tokens_each=tokens / times.count if times.count else 0.0,
        cpu_utilization=profile.cpu_seconds / seconds if seconds > 0 else 0.0,
        peak_rss_bytes=profile.peak_rss_bytes,
    )


class _Used(msgspec.Struct):
    """What all processes used between their first sample and their last; times in nanoseconds.

    `time` is that of the process that was sampled longest.
    """

    time: int = 0
    cpu: int = 0
    read: int = 0
    written: int = 0


def _used(trace: Trace) -> _Used:
    by_process: dict[int, list[Sample]] = defaultdict(list)
    for piece in trace.pieces:
        by_process[piece.header.pid].extend(piece.samples)
    used = _Used()
    for samples in by_process.values():
        ordered = sorted((sample for sample in samples if sample.cpu), key=lambda sample: sample.cpu)
        if len(ordered) > 1:
            first, last = ordered[0], ordered[-1]
            used.time = max(used.time, last.time - first.time)
            used.cpu += last.cpu - first.cpu
            used.read += last.read - first.read
            used.written += last.written - first.written
    return used


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
