"""What a load test measures, in memory that does not grow with the number of requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from time import perf_counter
from typing import Any, NamedTuple, TypedDict

from agentperf_runtime.histograms import Histogram
from agentperf_runtime.load.targets import Call, HttpStatusError

LATE_SECONDS = 0.005
"""A request of a schedule that begins later than this is late. Event loops wake up a millisecond after time (epoll
counts in milliseconds), threads begin some later; no user comes at an instant that is that exact."""

_KINDS_OF_ERRORS = 100
_MESSAGE_LENGTH = 200
_OTHER_ERRORS = "(other)"
_SLOTS = 300


class ResponseTime(TypedDict):
    """Seconds. `min`, `max` and `mean` are exact, the others to 1 %."""

    min: float
    max: float
    mean: float
    median: float
    p95: float
    p99: float


class ErrorCount(TypedDict):
    """`error` is the exception's class, or `HTTP 503`; `example` the message of the first one, its beginning."""

    error: str
    count: int
    example: str


class Slot(TypedDict):
    """The requests that ended within `seconds` from `start`, counted from the beginning of the test. `active`: how many
    users there were at most, in an open model how many requests ran; `p50`, `p95` and `max` in seconds.
    """

    start: float
    seconds: float
    requests: int
    failed: int
    active: int
    p50: float
    p95: float
    max: float


class LoadResult(TypedDict):
    """What a load test measured. Times are in seconds; rates of requests count failed ones too.

    `total_requests` are those that ended, by themselves or by the timeout. `response_time` is that of all of them,
    `successful_response_time` that of those that did not fail; in an open model they count from when a request was
    due. `error_rate` is a share, 0 to 1. `throughput_rps` is per second between the first start and the last end,
    `duration_seconds` apart.

    `started` is in seconds since 1970. `interrupted`: the test was ended before its time. `unfinished_requests` were
    ended with it, `cancelled_requests` by somebody else; `unstarted_requests` were due and never began.
    `late_starts`: requests that began more than 5 ms after they were due, `most_late_seconds` at most; `held_back`: as
    many as were allowed ran already. `active_most` ran at once. `generator_cpu` is the processor time of this process
    over the duration, 1 for a whole processor.

    `histogram` is read by `Histogram.from_json`; `series` are at most 300 slots of time, of a second or longer.
    """

    total_requests: int
    successful_requests: int
    failed_requests: int
    error_rate: float
    throughput_rps: float
    response_time: ResponseTime
    successful_response_time: ResponseTime
    duration_seconds: float
    started: float
    interrupted: bool
    unfinished_requests: int
    cancelled_requests: int
    unstarted_requests: int
    late_starts: int
    most_late_seconds: float
    held_back: int
    active_most: int
    generator_cpu: float
    errors: list[ErrorCount]
    series: list[Slot]
    histogram: dict[str, Any]


class Sample(TypedDict):
    """One request; `timestamp` is its start in seconds since 1970, `error` the beginning of class and message."""

    user_id: int
    request_id: int
    response_time: float
    success: bool
    error: str | None
    timestamp: float


class Progress(NamedTuple):
    """How far a test is after `seconds`: users at work (open model: requests that run), requests that have ended, those
    of them that failed, and the 95th percentile of their response times in seconds.
    """

    seconds: float
    active: int
    requests: int
    failed: int
    p95: float


class _Second:
    """What a slot of the series is made of."""

    __slots__ = ("active", "active_last", "failed", "times")

    def __init__(self) -> None:
        self.times = Histogram()
        self.failed = 0
        self.active = self.active_last = 0

    def note(self, active: int) -> None:
        if active > self.active:
            self.active = active
        self.active_last = active

    def merge(self, later: _Second) -> None:
        self.times.merge(later.times)
        self.failed += later.failed
        self.active = max(self.active, later.active)
        self.active_last = later.active_last


class Measurements:
    """Counts the requests of one test, on the event loop's thread. `keep`: how many samples stay."""

    def __init__(self, keep: int) -> None:
        self.samples: deque[Sample] = deque(maxlen=keep)
        self.begun = perf_counter()
        self.wall = time.time()
        self.active = self.active_most = 0
        self.unfinished = self.cancelled = self.unstarted = 0
        self.late_starts = self.held_back = 0
        self.most_late = 0.0
        self.interrupted = False
        self._used = time.process_time()
        self._used_until_end = 0.0
        self._first = self._last = 0.0
        self._succeeded, self._failed = Histogram(), Histogram()
        self._errors: dict[str, ErrorCount] = {}
        self._width = 1
        self._seconds: dict[int, _Second] = {}

    def starts(self) -> None:
        """A request begins, or a user comes."""
        self.active += 1
        self.active_most = max(self.active_most, self.active)
        self._second(perf_counter()).note(self.active)

    def leaves(self) -> None:
        """A request has ended, or a user goes."""
        self._second(perf_counter()).note(self.active)  # was there in this second
        self.active -= 1
        self._second(perf_counter()).note(self.active)

    def record(self, user_id: int, request_id: int, call: Call, due: float | None) -> None:
        """Count a request that has ended; `due`: when its schedule wanted it to start, if it has one."""
        is_late = due is not None and call.started - due > LATE_SECONDS
        started = due if due is not None and is_late else call.started
        took = call.ended - started
        self._first = min(self._first or started, started)
        self._last = max(self._last, call.ended)
        second = self._second(call.ended)
        second.times.record(took)
        second.note(self.active)
        problem = None
        if call.error is None:
            self._succeeded.record(took)
        else:
            self._failed.record(took)
            second.failed += 1
            problem = self._count(call.error)
        if is_late:
            self.late_starts += 1
            self.most_late = max(self.most_late, call.started - started)
        self.samples.append(
            Sample(
                user_id=user_id,
                request_id=request_id,
                response_time=took,
                success=problem is None,
                error=problem,
                timestamp=self.wall + started - self.begun,
            )
        )

    def end(self) -> None:
        """The test has ended."""
        self._used_until_end = time.process_time() - self._used

    def histogram(self) -> Histogram:
        """The response times of all requests."""
        both = Histogram()
        both.merge(self._succeeded)
        both.merge(self._failed)
        return both

    def progress(self) -> Progress:
        """As of now; much cheaper than `result`."""
        times = self.histogram()
        seconds = perf_counter() - self.begun
        return Progress(seconds, self.active, times.count, self._failed.count, times.quantile(0.95))

    def result(self) -> LoadResult:
        """As of now."""
        times = self.histogram()
        duration = self._last - self._first
        used = self._used_until_end or time.process_time() - self._used
        return LoadResult(
            total_requests=times.count,
            successful_requests=self._succeeded.count,
            failed_requests=self._failed.count,
            error_rate=self._failed.count / times.count if times.count else 0.0,
            throughput_rps=times.count / duration if duration else 0.0,
            response_time=_response_time(times),
            successful_response_time=_response_time(self._succeeded),
            duration_seconds=duration,
            started=self.wall,
            interrupted=self.interrupted,
            unfinished_requests=self.unfinished,
            cancelled_requests=self.cancelled,
            unstarted_requests=self.unstarted,
            late_starts=self.late_starts,
            most_late_seconds=self.most_late,
            held_back=self.held_back,
            active_most=self.active_most,
            generator_cpu=used / duration if duration else 0.0,
            errors=sorted(self._errors.values(), key=lambda each: -each["count"]),
            series=self._series(),
            histogram=times.to_json(),
        )

    def _count(self, error: BaseException) -> str:
        name, message = _described(error)
        counted = self._errors.get(name)
        if counted is None:
            if len(self._errors) >= _KINDS_OF_ERRORS:
                name, message = _OTHER_ERRORS, ""
            counted = self._errors.setdefault(name, ErrorCount(error=name, count=0, example=message))
        counted["count"] += 1
        return f"{name}: {message}" if message else name

    def _second(self, moment: float) -> _Second:
        number = int((moment - self.begun) / self._width)
        second = self._seconds.get(number)
        if second is not None:
            return second
        while number >= _SLOTS:
            self._widen()
            number //= 2
        return self._seconds.setdefault(number, _Second())

    def _widen(self) -> None:
        """Make one slot of two: a test of days has as many as one of minutes."""
        self._width *= 2
        seconds, self._seconds = self._seconds, {}
        for number in sorted(seconds):
            self._seconds.setdefault(number // 2, _Second()).merge(seconds[number])

    def _series(self) -> list[Slot]:
        slots: list[Slot] = []
        active = 0
        for number in range(max(self._seconds, default=-1) + 1):
            second = self._seconds.get(number)
            if second is None:  # nothing began or ended
                second = _Second()
                second.note(active)
            active = second.active_last
            slots.append(
                Slot(
                    start=float(number * self._width),
                    seconds=float(self._width),
                    requests=second.times.count,
                    failed=second.failed,
                    active=second.active,
                    p50=second.times.quantile(0.5),
                    p95=second.times.quantile(0.95),
                    max=second.times.most,
                )
            )
        return slots


def _response_time(times: Histogram) -> ResponseTime:
    return ResponseTime(
        min=times.least if times.count else 0.0,
        max=times.most,
        mean=times.mean,
        median=times.quantile(0.5),
        p95=times.quantile(0.95),
        p99=times.quantile(0.99),
    )


def _described(error: BaseException) -> tuple[str, str]:
    """The name under which an error is counted, and what it says, cut off."""
    if isinstance(error, HttpStatusError):
        return str(error), ""
    if isinstance(error, asyncio.TimeoutError):  # has a module of its own before Python 3.11
        return "TimeoutError", ""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        return name, str(error)[:_MESSAGE_LENGTH]
    except Exception:  # a message that cannot be made
        return name, ""
