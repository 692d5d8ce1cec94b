"""The key performance indicators: what each means, and in which unit, wherever it was measured."""

from __future__ import annotations

from time import perf_counter, process_time
from typing import Any, Protocol

from agentperf_runtime.forks import renew_in_child
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.process_figures import now_resident_bytes, now_transferred_bytes, peak_resident_bytes
from agentperf_runtime.totals import Totals

DEFINITIONS: dict[str, str] = {
    "of": "What the figures are of: requests; where none ended, tasks and other roots; of a profile, operations.",
    "count": "How many of them ended.",
    "failed": "How many of these raised or were answered with 5xx.",
    "response_p50_seconds": "Response time in seconds: half of them took no longer.",
    "response_p95_seconds": "Response time in seconds: 95 % of them took no longer.",
    "response_worst_seconds": "Response time in seconds: the longest.",
    "throughput": "How many ended per second, from the first start to the last end.",
    "concurrency": "How many ran at once on average: their times added up, by the time from first to last.",
    "concurrency_most": "How many ran at once at most, 0 if unknown.",
    "input_tokens": "Tokens that language models were given; those of profiles and live figures are all here.",
    "output_tokens": "Tokens that language models answered with.",
    "tokens_each": "Tokens, given and answered, for each of what is counted.",
    "loop_lag_seconds": "The longest step of an event loop in seconds, 0 if none was sampled.",
    "cpu_utilization": "Processors in use on average, 1.0 is one whole; 0 if unknown.",
    "peak_rss_bytes": "Resident memory of the largest process in bytes, 0 if unknown.",
    "read_bytes": "Bytes read from storage while measured, by all processes; 0 if unknown.",
    "written_bytes": "Bytes written to storage while measured, by all processes; 0 if unknown.",
}


class Measuring(Protocol):
    """A `PerformanceProfiler`, an `AsyncPerformanceMonitor`, the `RequestStats` of a middleware."""

    def totals(self) -> Totals:
        """All that has ended."""
        ...


class LiveKpis:
    """The indicators of this process, as far as `sources` know them.

    What is counted are the units of work of the first source that has seen some end, all that it has seen. How many ran
    at once and how late the event loop was may be known by another one. Processor time and storage are the process's
    since this object was made, or the process was forked.
    """

    def __init__(self, *sources: Measuring) -> None:
        self._sources = sources
        self._begin()
        renew_in_child(self, LiveKpis._begin)

    def _begin(self) -> None:
        self._started, self._cpu = perf_counter(), process_time()
        self._transferred = now_transferred_bytes()

    def get_kpis(self) -> dict[str, Any]:
        """All of DEFINITIONS by name; 0 where nothing is known. Quantiles are off by 1 % at most."""
        now = perf_counter()
        read, written = now_transferred_bytes()
        known = [source.totals() for source in self._sources]
        counted = next((each for each in known if each.times.count), Totals("request", Histogram(), self._started))
        times, seconds = counted.times, now - counted.since
        return {
            "of": counted.of,
            "count": times.count,
            "failed": counted.failed,
            "response_p50_seconds": times.quantile(0.5),
            "response_p95_seconds": times.quantile(0.95),
            "response_worst_seconds": times.most,
            "throughput": times.count / seconds,
            "concurrency": times.total / seconds,
            "concurrency_most": counted.most_at_once or max((each.most_at_once for each in known), default=0),
            "input_tokens": counted.tokens,
            "output_tokens": 0,
            "tokens_each": counted.tokens / times.count if times.count else 0.0,
            "loop_lag_seconds": max((each.loop_lag for each in known), default=0.0),
            "cpu_utilization": (process_time() - self._cpu) / (now - self._started),
            "peak_rss_bytes": peak_resident_bytes(now_resident_bytes()),
            "read_bytes": read - self._transferred[0],
            "written_bytes": written - self._transferred[1],
        }
