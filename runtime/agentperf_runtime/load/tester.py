"""Load tests in the closed model (users who wait for each answer) and the open one (requests that come when they come).

In the closed model a slow answer delays the next request of its user, so that the time in which the target is slow is
measured less often than it is felt: coordinated omission (Gil Tene: "How NOT to Measure Latency", 2013). The open model
avoids it: requests are due by a schedule, and what they take is counted from then.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import types
from collections import deque
from collections.abc import Generator, Iterator
from time import perf_counter
from typing import NamedTuple

from agentperf_runtime.load.arrivals import due_times
from agentperf_runtime.load.measurements import LoadResult, Measurements, Progress, Sample
from agentperf_runtime.load.targets import Caller, TestFunction, is_threaded, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agentperf_runtime.load.arrivals import Arrivals


_REQUESTS = 10  # of a user


class _Plan(NamedTuple):
    """What is to be done. `requests` per user, None: until the time is over."""

    users: int
    requests: int | None
    ramp_up: float
    duration: float | None
    rate: float | None
    arrivals: Arrivals
    seed: int
    most_in_flight: int
    timeout: float | None


class LoadTester:
    """Runs load tests, one at a time. `results` has the last `keep_results` requests, the figures cover all of them.

    Function and test share a process and, where the function is asynchronous, an event loop: what the function computes
    delays the others. A process reaches some thousand requests a second; several testers in several processes more.
    """

    def __init__(self, keep_results: int = 1_000) -> None:
        self._keep = keep_results
        self._measured = Measurements(keep_results)
        self._driver: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._is_ending = False

    async def run_load_test(
        self,
        test_func: TestFunction | str,
        concurrent_users: int = 10,
        requests_per_user: int | None = None,
        ramp_up_time: float = 0.0,
        *,
        duration: float | None = None,
        arrival_rate: float | None = None,
        arrivals: Arrivals = "constant",
        seed: int = 0,
        max_in_flight: int = 1_000,
        timeout: float | None = None,
        grace: float = 30.0,
    ) -> LoadResult:
        """Call `test_func(user_id, request_id)`, or `test_func()` where it takes nothing, or GET a URL, many times.

        Synchronous functions run in threads, one for each user. What a call raises is a failed request, as is an answer
        of 400 or more, and a call that takes longer than `timeout` seconds, which is cancelled (threads go on, and keep
        their user from the next call). All times are in seconds.

        Closed model: `concurrent_users` users, the last of whom begins after `ramp_up_time`, make `requests_per_user`
        requests each, one after the other. Open model, with `arrival_rate` (requests per second): requests begin when
        they are due, whether others have ended or not, at equal distances or (`arrivals="poisson"`, drawn with `seed`)
        at random ones; the rate grows from 0 during the ramp-up, `max_in_flight` run at once at most, and response
        times count from when the request was due. Users are numbers then, dealt out in turn; of a synchronous function
        as many requests run as there are users.

        After `duration` no request begins, or is due; without it `requests_per_user` is 10 unless given. Requests that
        run are waited for, `grace` seconds at most. Cancelling the call ends the test; `get_load_stats` has what was
        measured.

        Raises ValueError for numbers that make no test, TypeError for a function with other parameters, ImportError for
        a URL without httpx, RuntimeError while another test of this tester runs.
        """
        if requests_per_user is None and duration is None:
            requests_per_user = _REQUESTS
        plan = _Plan(
            concurrent_users, requests_per_user, ramp_up_time, duration, arrival_rate, arrivals, seed,
            min(max_in_flight, concurrent_users) if is_threaded(test_func) else max_in_flight, timeout,
        )  # fmt: skip
        _check(plan)
        if self._loop is not None:
            raise RuntimeError("a load test of this tester runs already")
        self._loop = asyncio.get_running_loop()
        try:
            async with opened(test_func, concurrent_users) as call:
                await self._run(call, plan, None if duration is None else duration + grace)
        finally:
            self._loop = None
        return self._measured.result()

    def stop(self) -> None:
        """End the test at once, from any thread or signal handler: `run_load_test` returns what was measured."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._interrupt)

    def get_load_stats(self) -> LoadResult:
        """What was measured so far, or by the last test."""
        return self._measured.result()

    @property
    def results(self) -> deque[Sample]:
        """The last requests that ended."""
        return self._measured.samples

    def progress(self) -> Progress:
        """How far the test is: what a display may ask for several times a second."""
        return self._measured.progress()

    async def _run(self, call: Caller, plan: _Plan, patience: float | None) -> None:
        self._measured = Measurements(self._keep)
        self._is_ending = False
        drive = self._users(call, plan) if plan.rate is None else self._arrivals(call, plan, plan.rate)
        self._driver = asyncio.create_task(drive)
        try:
            await asyncio.wait({self._driver}, timeout=patience)
        except asyncio.CancelledError:
            self._measured.interrupted = True
            raise
        finally:
            await self._end(self._driver)
            self._driver = None

    def _interrupt(self) -> None:
        if self._driver is not None:
            self._measured.interrupted = True
            self._is_ending = True
            self._driver.cancel()

    async def _end(self, driver: asyncio.Task[None]) -> None:
        """Cancel what still runs. Raises what the driver raised."""
        self._is_ending = True
        driver.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.wait({driver, *self._running})
        self._running.clear()
        self._measured.end()
        if not driver.cancelled():
            driver.result()

    # --- closed model -------------------------------------------------------------------------------------

    async def _users(self, call: Caller, plan: _Plan) -> None:
        users = [asyncio.create_task(self._user(call, plan, user_id)) for user_id in range(plan.users)]
        self._running.update(users)
        await asyncio.gather(*users)

    async def _user(self, call: Caller, plan: _Plan, user_id: int) -> None:
        comes = user_id * plan.ramp_up / plan.users
        if plan.duration is not None and comes >= plan.duration:
            return
        begun = self._measured.begun
        await asyncio.sleep(max(0.0, begun + comes - perf_counter()))
        last = None if plan.duration is None else begun + plan.duration
        self._measured.starts()
        try:
            request_id = 0
            while request_id != plan.requests and not self._is_ending and (last is None or perf_counter() < last):
                await self._request(call, plan, user_id, request_id)
                request_id += 1
                await _others()
        finally:
            self._measured.leaves()

    async def _request(
        self, call: Caller, plan: _Plan, user_id: int, request_id: int, due: float | None = None
    ) -> None:
        try:
            called = await call(user_id, request_id, plan.timeout)
        except asyncio.CancelledError:
            if self._is_ending or _is_cancelled():
                self._measured.unfinished += 1
                raise
            self._measured.cancelled += 1  # by what the function called
            return
        self._measured.record(user_id, request_id, called, due)

    # --- open model ---------------------------------------------------------------------------------------

    async def _arrivals(self, call: Caller, plan: _Plan, rate: float) -> None:
        free = asyncio.Semaphore(plan.most_in_flight)
        begun, due = self._measured.begun, 0.0
        schedule = _until_end(due_times(rate, plan.ramp_up, plan.arrivals, plan.seed), plan)
        try:
            for number, due in schedule:
                await asyncio.sleep(max(0.0, begun + due - perf_counter()))
                if free.locked():
                    self._measured.held_back += 1
                await free.acquire()
                self._start(call, plan, number, begun + due, free)
        except asyncio.CancelledError:
            now = perf_counter() - begun
            waiting = itertools.chain([due], (later for _, later in schedule))
            self._measured.unstarted = sum(1 for _ in itertools.takewhile(lambda each: each <= now, waiting))
            raise
        while self._running:
            await asyncio.wait(set(self._running))

    def _start(self, call: Caller, plan: _Plan, number: int, due: float, free: asyncio.Semaphore) -> None:
        def ended(request: asyncio.Task[None]) -> None:
            self._running.discard(request)
            self._measured.leaves()
            free.release()

        self._measured.starts()
        request_id, user_id = divmod(number, plan.users)
        request = asyncio.create_task(self._request(call, plan, user_id, request_id, due))
        self._running.add(request)
        request.add_done_callback(ended)


@types.coroutine
def _others() -> Generator[None, None, None]:
    """Lets the other tasks run, which a function that never waits would keep from it."""
    yield


def _until_end(schedule: Iterator[float], plan: _Plan) -> Iterator[tuple[int, float]]:
    """The requests of `plan`, by number, and when they are due."""
    numbered = enumerate(schedule)
    if plan.requests is not None:
        numbered = itertools.islice(numbered, plan.users * plan.requests)  # type: ignore[assignment]
    duration = math.inf if plan.duration is None else plan.duration
    return itertools.takewhile(lambda each: each[1] < duration, numbered)


def _is_cancelled() -> bool:
    """Whether somebody wants the present task to end; before Python 3.11 that is not known."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is not None and cancelling() > 0


def _check(plan: _Plan) -> None:
    """Raises ValueError for numbers that make no test."""
    for name, number in (
        ("concurrent_users", plan.users), ("requests_per_user", plan.requests), ("max_in_flight", plan.most_in_flight)
    ):  # fmt: skip
        if number is not None and number < 1:
            raise ValueError(f"{name} must be 1 or more, not {number}")
    for name, amount in (("duration", plan.duration), ("arrival_rate", plan.rate), ("timeout", plan.timeout)):
        if amount is not None and not 0 < amount < math.inf:
            raise ValueError(f"{name} must be above 0, not {amount}")
    if not 0 <= plan.ramp_up < math.inf:
        raise ValueError(f"ramp_up_time must be 0 or more, not {plan.ramp_up}")
    if plan.arrivals not in ("constant", "poisson"):
        raise ValueError(f"arrivals must be constant or poisson, not {plan.arrivals!r}")
