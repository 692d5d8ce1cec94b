"""What a checklist comes to, in words: shared by the formats that people read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agentperf_lint.render.base import duration, plural

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import Summary
    from agentperf_lint.checklist.kpis import Kpis

_MEGABYTE = 1_000_000


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
    """What was traced, a line each."""
    parts = [
        f"{duration(summary.wall_seconds)} traced",
        plural(summary.operations, "operation"),
        plural(summary.roots, "root"),
        "1 process" if summary.processes == 1 else f"{summary.processes} processes",
    ]
    if summary.dropped:
        parts.append(f"{summary.dropped:,} operations dropped")
    return [", ".join(parts), *_felt(summary.kpis)]


def _felt(kpis: Kpis) -> Iterator[str]:
    """Response times and the like, as far as there are any."""
    if kpis.count:
        times = (
            f"{duration(kpis.response_p50_seconds)} p50, {duration(kpis.response_p95_seconds)} p95, "
            f"{duration(kpis.response_worst_seconds)} at worst"
        )
        failed = f" ({kpis.failed:,} failed)" if kpis.failed else ""
        yield f"{plural(kpis.count, kpis.of)} ended{failed}: {times}"
        at_once = f"{kpis.concurrency:.1f} at once on average, {kpis.concurrency_most:,} at most"
        yield f"{kpis.throughput:,.1f} {kpis.of}s per second, {at_once}"
    spent = []
    if kpis.input_tokens or kpis.output_tokens:
        spent.append(f"{kpis.input_tokens:,} tokens in, {kpis.output_tokens:,} out")
    if kpis.loop_lag_seconds:
        spent.append(f"event loop late by {duration(kpis.loop_lag_seconds)} at most")
    if kpis.peak_rss_bytes:
        spent.append(f"{kpis.peak_rss_bytes / _MEGABYTE:,.0f} MB of memory at most")
    if spent:
        yield ", ".join(spent)
