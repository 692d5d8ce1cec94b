"""The key performance indicators: what each means, and in which unit, wherever it was measured."""

from __future__ import annotations

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
    "input_tokens": "Tokens that language models were given.",
    "output_tokens": "Tokens that language models answered with.",
    "tokens_each": "Tokens, given and answered, for each of what is counted.",
    "loop_lag_seconds": "The longest step of an event loop in seconds, 0 if none was sampled.",
    "cpu_utilization": "Processors in use on average, 1.0 is one whole; 0 if unknown.",
    "peak_rss_bytes": "Resident memory of the largest process in bytes, 0 if unknown.",
    "read_bytes": "Bytes read from storage while measured, by all processes; 0 if unknown.",
    "written_bytes": "Bytes written to storage while measured, by all processes; 0 if unknown.",
}
