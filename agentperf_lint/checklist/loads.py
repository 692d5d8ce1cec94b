"""Reads what `agentperf-lint load -o FILE` wrote."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agentperf_runtime.histograms import Histogram

VERSION = 1
_TYPE = "agentperf-load"


class LoadError(Exception):
    """A result of a load test cannot be read; the message names the file and says why."""


class LoadErrors(msgspec.Struct, frozen=True):
    """How many requests failed with one error."""

    error: str
    count: int


class LoadRun(msgspec.Struct, frozen=True, kw_only=True):
    """A load test. Times in seconds, `started` since 1970, `error_rate` 0 to 1, `throughput` per second."""

    target: str
    arrival: str
    users: int
    started: float
    duration_seconds: float
    requests: int
    failed: int
    error_rate: float
    throughput: float
    mean_seconds: float
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    worst_seconds: float
    errors: tuple[LoadErrors, ...] = ()


class Load(msgspec.Struct, frozen=True):
    """The figures to show, and all response times to judge by."""

    file: str
    run: LoadRun
    duration: Histogram


class _Results(msgspec.Struct):
    total_requests: int
    failed_requests: int
    error_rate: float
    throughput_rps: float


class _Document(msgspec.Struct):
    type: str
    version: int
    target: str
    arrival: str
    started: float
    duration_seconds: float
    results: _Results
    duration: dict[str, object]
    users: int | None = None
    errors: list[LoadErrors] = []


def read_loads(files: Sequence[str]) -> list[Load]:
    """Reads `files`. Raises `LoadError`."""
    return [_read(file) for file in dict.fromkeys(files)]


def _read(file: str) -> Load:
    try:
        with open(file, "rb") as stream:
            document = msgspec.json.decode(stream.read(), type=_Document)
        if document.type != _TYPE:
            raise LoadError(f"{file!r} holds {document.type!r}, not the result of a load test")
        return _load(file, document, Histogram.from_json(document.duration))
    except OSError as error:
        raise LoadError(f"load test {file!r} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise LoadError(f"{file!r} is not the result of a load test: {error}") from error


def _load(file: str, document: _Document, times: Histogram) -> Load:
    results = document.results
    run = LoadRun(
        target=document.target,
        arrival=document.arrival,
        users=document.users or 0,
        started=document.started,
        duration_seconds=document.duration_seconds,
        requests=results.total_requests,
        failed=results.failed_requests,
        error_rate=results.error_rate,
        throughput=results.throughput_rps,
        mean_seconds=times.mean,
        p50_seconds=times.quantile(0.5),
        p95_seconds=times.quantile(0.95),
        p99_seconds=times.quantile(0.99),
        worst_seconds=times.most,
        errors=tuple(document.errors),
    )
    return Load(file, run, times)
