"""Finds what holds the event loop: which line of the application, for how long, while it still does.

A *step* is what an event loop does between two waits for events; while it lasts, nothing else on that loop runs. A
*stall* is a step over the limit. Steps are timed exactly, at about 0.1 µs each; only of those that last does a
thread of its own look at the stack.
"""

from agentperf_runtime.stalls.records import Frame, LoopSample, Stall
from agentperf_runtime.stalls.watcher import StallWatcher

__all__ = ["Frame", "LoopSample", "Stall", "StallWatcher"]
