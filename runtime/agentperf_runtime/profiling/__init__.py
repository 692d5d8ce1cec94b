"""Measures operations of an application: how long they take, what they wait for, and in which functions.

Start and end of an operation are recorded exactly and summed up at once, so that memory stays the same over days. Where
the time goes in between is sampled: a thread looks every few milliseconds at what the operations that are active do.
"""

from agentperf_runtime.profiling.metrics import PerformanceMetrics
from agentperf_runtime.profiling.profiler import PerformanceProfiler

__all__ = ["PerformanceMetrics", "PerformanceProfiler"]
