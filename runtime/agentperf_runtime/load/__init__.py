"""Load tests: many calls of a function or requests to a URL, and how long each of them took."""

from __future__ import annotations

from agentperf_runtime.load.measurements import LoadResult
from agentperf_runtime.load.tester import LoadTester

__all__ = ["LoadResult", "LoadTester"]
