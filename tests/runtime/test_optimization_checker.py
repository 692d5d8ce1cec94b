from __future__ import annotations

from agentperf_runtime import OptimizationChecker


def operations(kind: str, *timestamps: float) -> list[dict[str, object]]:
    return [{"type": kind, "timestamp": each} for each in timestamps]


def test_operations_that_follow_each_other() -> None:
    close = operations("db", *(n / 100 for n in range(12)))
    apart = operations("http", *range(50))
    few = operations("cache", *(n / 100 for n in range(10)))
    assert OptimizationChecker.check_n_plus_one_queries([*close, *apart, *few]) == [
        "Potential N+1 query pattern detected for db: 1 clusters with avg size 12.0"
    ]


def test_order_does_not_matter() -> None:
    reversed_ones = operations("db", *(n / 100 for n in range(12, 0, -1)))
    assert len(OptimizationChecker.check_n_plus_one_queries(reversed_ones)) == 1
    assert OptimizationChecker.check_n_plus_one_queries([]) == []


def test_synchronous_calls() -> None:
    calls = ["time.sleep", "open('a.txt')", "asyncio.sleep", "reopen()", "session.requests.get"]
    assert OptimizationChecker.check_synchronous_io({"function_calls": calls}) == [
        "Synchronous I/O detected: time.sleep. Consider using async alternative.",
        "Synchronous I/O detected: open(. Consider using async alternative.",
    ]
    assert OptimizationChecker.check_synchronous_io({}) == []
