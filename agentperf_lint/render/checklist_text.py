"""What a checklist comes to, in words: shared by the formats that people read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentperf_lint.render.base import MEGABYTE, duration, plural

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import MemoryEvidence, ProfileEvidence, ProfileRun, Summary
    from agentperf_lint.checklist.kpis import Kpis
    from agentperf_lint.checklist.loads import LoadRun


def counts(summary: Summary) -> str:
    """How many items there are of each status."""
    by_status = (
        ("confirmed", summary.confirmed),
        ("observed", summary.observed),
        ("suspected", summary.suspected),
    )
    found = [f"{plural(count, 'item')} {status}" for status, count in by_status if count]
    return ", ".join(found) if found else "Nothing found"


def traced(summary: Summary) -> list[str]:
    """What was measured, a line each."""
    lines = [_of_trace(summary)] if summary.processes else []
    lines += [_of_profile(each) for each in summary.profiles]
    lines += _felt(summary.kpis)
    for load in summary.loads:
        lines += _of_load(load)
    return lines


def _of_trace(summary: Summary) -> str:
    parts = [
        f"{duration(summary.wall_seconds)} traced",
        plural(summary.operations, "operation"),
        plural(summary.roots, "root"),
        "1 process" if summary.processes == 1 else f"{summary.processes} processes",
    ]
    if summary.dropped:
        parts.append(f"{summary.dropped:,} operations dropped")
    return ", ".join(parts)


def _of_profile(profile: ProfileRun) -> str:
    operations = f", {plural(profile.operations, 'operation')}" if profile.operations else ""
    return f"{duration(profile.seconds)} profiled by {profile.profiler}{operations} ({profile.file})"


def _of_load(load: LoadRun) -> Iterator[str]:
    users = f" by {plural(load.users, 'user')}" if load.users else ""
    failed = f" ({load.failed:,} failed)" if load.failed else ""
    yield f"{plural(load.requests, 'request')}{users} to {load.target} in {duration(load.duration_seconds)}{failed}"
    times = ", ".join(
        f"{duration(seconds)} {name}"
        for name, seconds in (("p50", load.p50_seconds), ("p95", load.p95_seconds), ("p99", load.p99_seconds))
    )
    yield f"{load.throughput:,.1f} per second, {times}, {duration(load.worst_seconds)} at worst"


def _felt(kpis: Kpis) -> Iterator[str]:
    """Response times and the like, as far as there are any."""
    if kpis.count:
        times = (
            f"{duration(kpis.response_p50_seconds)} p50, {duration(kpis.response_p95_seconds)} p95, "
            f"{duration(kpis.response_worst_seconds)} at worst"
        )
        failed = f" ({kpis.failed:,} failed)" if kpis.failed else ""
        yield f"{plural(kpis.count, kpis.of)} ended{failed}: {times}"
        at_once = f"{kpis.concurrency:.1f} at once on average"
        if kpis.concurrency_most:
            at_once += f", {kpis.concurrency_most:,} at most"
        yield f"{kpis.throughput:,.1f} {kpis.of}s per second, {at_once}"
    spent = []
    if kpis.input_tokens or kpis.output_tokens:
        each = f" ({kpis.tokens_each:,.0f} for each {kpis.of})" if kpis.tokens_each else ""
        spent.append(f"{kpis.input_tokens:,} tokens in, {kpis.output_tokens:,} out{each}")
    if kpis.loop_lag_seconds:
        spent.append(f"event loop late by {duration(kpis.loop_lag_seconds)} at most")
    if kpis.cpu_utilization:
        spent.append(f"{kpis.cpu_utilization:.2f} processors in use")
    if kpis.read_bytes or kpis.written_bytes:
        transferred = f"{kpis.read_bytes / MEGABYTE:,.1f} MB read, {kpis.written_bytes / MEGABYTE:,.1f} MB written"
        spent.append(transferred)
    if kpis.peak_rss_bytes:
        spent.append(f"{kpis.peak_rss_bytes / MEGABYTE:,.0f} MB of memory at most")
    if spent:
        yield ", ".join(spent)


def profiled(evidence: ProfileEvidence) -> str:
    """What a profile says of an operation or a line."""
    if not evidence.operation:
        return f"{duration(evidence.seconds)} spent here ({evidence.profiler})"
    failed = f" ({evidence.failed:,} failed)" if evidence.failed else ""
    return (
        f"{plural(evidence.executions, 'execution')} of {evidence.operation}{failed}: "
        f"{duration(evidence.mean_seconds)} on average, {duration(evidence.p95_seconds)} p95; "
        f"{duration(evidence.running_seconds)} running, {duration(evidence.waiting_seconds)} waiting"
    )


def grown(evidence: MemoryEvidence) -> str:
    """What memory grew by."""
    grown_by = evidence.grown_bytes / MEGABYTE
    objects = f" in {plural(evidence.objects, 'object')}" if evidence.objects else ""
    return f"{grown_by:,.1f} MB more{objects} after {duration(evidence.seconds)}"
