"""What is imported into a running process: the standard library is all that it loads.

Names are imported when they are first used, so that `import agentperf_runtime` takes about a millisecond.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers know it: importing typing would cost several times what the rest does
if TYPE_CHECKING:
    from typing import Any

    from agentperf_runtime.kpis import LiveKpis
    from agentperf_runtime.load.tester import LoadTester
    from agentperf_runtime.memory import MemoryOptimizer
    from agentperf_runtime.middleware.asgi import PerformanceMiddleware
    from agentperf_runtime.middleware.requests import RequestStats
    from agentperf_runtime.middleware.wsgi import WsgiPerformanceMiddleware
    from agentperf_runtime.monitor import AsyncPerformanceMonitor
    from agentperf_runtime.optimization_checker import OptimizationChecker
    from agentperf_runtime.profiling import PerformanceMetrics, PerformanceProfiler
    from agentperf_runtime.remedies.batch import BatchProcessor
    from agentperf_runtime.remedies.cache import IntelligentCache
    from agentperf_runtime.remedies.pool import ConnectionPool
    from agentperf_runtime.sources.any_dbapi import trace_dbapi
    from agentperf_runtime.tracer import Options, Tracer, operation, root, start, stop

__all__ = [
    "AsyncPerformanceMonitor",
    "BatchProcessor",
    "ConnectionPool",
    "IntelligentCache",
    "LiveKpis",
    "LoadTester",
    "MemoryOptimizer",
    "OptimizationChecker",
    "Options",
    "PerformanceMetrics",
    "PerformanceMiddleware",
    "PerformanceProfiler",
    "RequestStats",
    "Tracer",
    "WsgiPerformanceMiddleware",
    "operation",
    "root",
    "start",
    "stop",
    "trace_dbapi",
]

_HOMES = dict.fromkeys(__all__, "agentperf_runtime.tracer")
_HOMES["AsyncPerformanceMonitor"] = "agentperf_runtime.monitor"
_HOMES["LiveKpis"] = "agentperf_runtime.kpis"
_HOMES["LoadTester"] = "agentperf_runtime.load.tester"
_HOMES["MemoryOptimizer"] = "agentperf_runtime.memory"
_HOMES["OptimizationChecker"] = "agentperf_runtime.optimization_checker"
_HOMES["PerformanceMetrics"] = _HOMES["PerformanceProfiler"] = "agentperf_runtime.profiling"
_HOMES["PerformanceMiddleware"] = "agentperf_runtime.middleware.asgi"
_HOMES["RequestStats"] = "agentperf_runtime.middleware.requests"
_HOMES["WsgiPerformanceMiddleware"] = "agentperf_runtime.middleware.wsgi"
_HOMES["BatchProcessor"] = "agentperf_runtime.remedies.batch"
_HOMES["ConnectionPool"] = "agentperf_runtime.remedies.pool"
_HOMES["IntelligentCache"] = "agentperf_runtime.remedies.cache"
_HOMES["trace_dbapi"] = "agentperf_runtime.sources.any_dbapi"


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
