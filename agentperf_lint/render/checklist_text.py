"""What a checklist comes to, in words: shared by the formats that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentperf_lint.render.base import duration, plural

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import Summary


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
    return [", ".join(parts)]
