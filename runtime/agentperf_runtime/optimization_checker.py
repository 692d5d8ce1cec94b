"""The checks of the guidelines on bare data: timestamps of operations, names of functions that are called.

They know neither requests nor statements nor parameters. Where there is a trace, `agentperf-lint report` knows better
(the rule for timestamps reached a precision of 0.43 and a recall of 0.64 on 54 applications), and for source
`agentperf-lint check` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST_APART = 0.1  # seconds between two operations of one cluster
MORE_THAN = 10  # operations of one type
CLUSTERS_OVER = 5  # operations in a cluster

_SYNC_IO = ("time.sleep", "requests.get", "open(", "file.read", "file.write")


def gap_clusters(timestamps: Iterable[float], most_apart: float = MOST_APART) -> list[list[float]]:
    """The clusters among the `timestamps` (seconds) of operations of one type.

    There are none among ten operations or fewer. A cluster has more than five, each less than `most_apart` after the
    one before.
    """
    ordered = sorted(timestamps)
    if len(ordered) <= MORE_THAN:
        return []
    clusters = [[ordered[0]]]
    for time in ordered[1:]:
        if time - clusters[-1][-1] < most_apart:
            clusters[-1].append(time)
        else:
            clusters.append([time])
    return [cluster for cluster in clusters if len(cluster) > CLUSTERS_OVER]


class OptimizationChecker:
    """Checks for common opportunities to optimise."""

    @staticmethod
    def check_n_plus_one_queries(operations: Iterable[Mapping[str, Any]]) -> list[str]:
        """What looks like N+1 queries, in words, a line for each type.

        `operations` have a `type` and a `timestamp` in seconds each. Raises KeyError where one is missing.
        """
        by_type: dict[str, list[float]] = {}
        for operation in operations:
            by_type.setdefault(operation["type"], []).append(operation["timestamp"])
        issues = []
        for kind, timestamps in by_type.items():
            clusters = gap_clusters(timestamps)
            if clusters:
                mean = sum(map(len, clusters)) / len(clusters)
                size = f"{len(clusters)} clusters with avg size {mean:.1f}"
                issues.append(f"Potential N+1 query pattern detected for {kind}: {size}")
        return issues

    @staticmethod
    def check_synchronous_io(code_metrics: Mapping[str, Sequence[str]]) -> list[str]:
        """Synchronous calls among `code_metrics["function_calls"]`, a line for each kind.

        A call is a name as it is written, with or without what is in its parentheses.
        """
        called = code_metrics.get("function_calls", ())
        found = (pattern for pattern in _SYNC_IO if any(_is_call_of(call, pattern) for call in called))
        return [f"Synchronous I/O detected: {pattern}. Consider using async alternative." for pattern in found]


def _is_call_of(call: str, pattern: str) -> bool:
    return call.partition("(")[0].strip() == pattern.rstrip("(")
