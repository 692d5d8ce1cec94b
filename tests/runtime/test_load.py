"""Load tests of functions and of a real server. No figure here depends on how fast the machine is."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from runtime.recorded import Trace

from agentperf_runtime import LoadTester
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.load.arrivals import due_times
from agentperf_runtime.load.measurements import LATE_SECONDS, LoadResult, Measurements
from agentperf_runtime.load.targets import Call
from agentperf_runtime.tracer import Tracer


def run(*args: Any, **options: Any) -> LoadResult:
    return asyncio.run(LoadTester().run_load_test(*args, **options))


async def quick(user_id: int, request_id: int) -> None:
    await asyncio.sleep(0.001)


def test_every_user_makes_every_request() -> None:
    seen: Counter[tuple[int, int]] = Counter()

    async def noted(user_id: int, request_id: int) -> None:
        seen[user_id, request_id] += 1
        await asyncio.sleep(0)

    result = run(noted, concurrent_users=5, requests_per_user=7, ramp_up_time=0.01)
    assert seen == Counter(itertools.product(range(5), range(7)))
    assert (result["total_requests"], result["successful_requests"], result["failed_requests"]) == (35, 35, 0)
    assert result["error_rate"] == 0
    assert sum(slot["requests"] for slot in result["series"]) == 35
    assert result["active_most"] <= 5
    assert not result["interrupted"]


def test_figures_are_those_of_the_requests() -> None:
    async def waits(user_id: int, request_id: int) -> None:
        await asyncio.sleep(0.02 if request_id < 9 else 0.06)

    before = time.time()
    result = run(waits, 4, 10)
    times = result["response_time"]
    assert 0.02 <= times["min"] <= times["median"] <= times["p95"] <= times["p99"] <= times["max"]
    assert times["max"] >= 0.06
    assert times["min"] <= times["mean"] <= times["max"]
    assert result["duration_seconds"] >= 9 * 0.02 + 0.06
    assert result["throughput_rps"] == pytest.approx(40 / result["duration_seconds"])
    assert Histogram.from_json(result["histogram"]).count == 40
    assert before <= result["started"] <= time.time()


def test_exceptions_are_failures_counted_by_type() -> None:
    async def fails(user_id: int, request_id: int) -> None:
        if request_id == 0:
            raise ValueError("x" * 10_000)
        if request_id == 1:
            raise ConnectionRefusedError("nobody there")
        if request_id == 2:
            sys.exit(3)

    result = run(fails, 3, 4)
    assert (result["total_requests"], result["failed_requests"], result["error_rate"]) == (12, 9, 0.75)
    assert result["successful_response_time"]["max"] <= result["response_time"]["max"]
    counted = {error["error"]: error["count"] for error in result["errors"]}
    assert counted == {"ValueError": 3, "ConnectionRefusedError": 3, "SystemExit": 3}
    assert all(len(error["example"]) <= 200 for error in result["errors"])


def test_kinds_of_errors_are_bounded() -> None:
    async def fails(user_id: int, request_id: int) -> None:
        raise type(f"Error{request_id}", (Exception,), {})

    result = run(fails, 1, 150)
    assert len(result["errors"]) == 101
    assert result["errors"][0] == {"error": "(other)", "count": 50, "example": ""}


def test_an_error_whose_message_cannot_be_made_is_counted() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    async def fails() -> None:
        raise MuteError

    (error,) = run(fails, 1, 2)["errors"]
    assert error["error"].endswith("MuteError")
    assert (error["count"], error["example"]) == (2, "")


def test_last_results_are_kept() -> None:
    async def fails(user_id: int, request_id: int) -> None:
        raise ValueError(f"{user_id} {request_id}")

    tester = LoadTester(keep_results=3)
    asyncio.run(tester.run_load_test(fails, 1, 10))
    assert [each["error"] for each in tester.results] == ["ValueError: 0 7", "ValueError: 0 8", "ValueError: 0 9"]
    assert not any(each["success"] for each in tester.results)
    assert abs(tester.results[-1]["timestamp"] - time.time()) < 60


def test_functions_that_take_nothing() -> None:
    calls: list[str] = []

    async def of_nothing() -> None:
        calls.append("nothing")

    async def of_own(client: str = "own") -> None:
        calls.append(client)

    class CallableObject:
        async def __call__(self, user_id: int, request_id: int) -> None:
            calls.append("object")

    async def of_three(what: str, user_id: int, request_id: int) -> None:
        calls.append(what)

    for function in (of_nothing, of_own, CallableObject(), functools.partial(of_three, "partial")):
        assert run(function, 1, 2)["successful_requests"] == 2
    assert calls == [each for name in ("nothing", "own", "object", "partial") for each in (name, name)]


def test_functions_with_other_parameters_are_refused() -> None:
    async def of_one(user_id: int) -> None: ...

    with pytest.raises(TypeError, match=r"of_one\(user_id\) takes neither \(user_id, request_id\) nor nothing"):
        run(of_one)
    with pytest.raises(TypeError, match="cannot be called"):
        run(3)


def test_synchronous_functions_run_in_threads_side_by_side() -> None:
    meeting = threading.Barrier(4, timeout=20)
    threads: set[str] = set()

    def meets(user_id: int, request_id: int) -> None:
        threads.add(threading.current_thread().name)
        meeting.wait()

    assert run(meets, 4, 3)["successful_requests"] == 12
    assert len(threads) == 4


def test_a_plain_function_may_return_a_coroutine() -> None:
    ended: list[int] = []

    async def late(user_id: int) -> None:
        await asyncio.sleep(0.02)
        ended.append(user_id)

    result = run(lambda user_id, request_id: late(user_id), 2, 1)
    assert sorted(ended) == [0, 1]
    assert result["response_time"]["min"] >= 0.02


@pytest.mark.parametrize("is_async", [True, False])
def test_a_request_that_takes_too_long_is_a_failure(is_async: bool) -> None:
    release = threading.Event()

    async def hangs() -> None:
        await asyncio.sleep(20)

    try:
        result = run(hangs if is_async else lambda: release.wait(20), 2, 1, timeout=0.03)
    finally:
        release.set()
    assert result["errors"] == [{"error": "TimeoutError", "count": 2, "example": ""}]
    assert result["response_time"]["min"] >= 0.029


def test_time_ends_a_test_and_requests_that_run_are_waited_for() -> None:
    async def slow() -> None:
        await asyncio.sleep(0.05)

    result = run(slow, 3, duration=0.12)
    assert result["total_requests"] in (3, 6, 9)
    assert result["unfinished_requests"] == 0
    assert run(slow, 2, 1, duration=30)["total_requests"] == 2


def test_patience_with_requests_that_run_has_an_end() -> None:
    async def hangs() -> None:
        await asyncio.sleep(60)

    result = run(hangs, 3, duration=0.02, grace=0.02)
    assert (result["total_requests"], result["unfinished_requests"]) == (0, 3)
    assert result["throughput_rps"] == 0
    assert result["response_time"]["min"] == 0


def test_users_whose_time_has_not_come_do_not_come() -> None:
    result = run(quick, 10, 1, ramp_up_time=60, duration=0.02)
    assert result["total_requests"] == 1


def test_a_test_can_be_stopped() -> None:
    tester = LoadTester()

    async def stops(user_id: int, request_id: int) -> None:
        if request_id == 5:
            tester.stop()
            await asyncio.sleep(60)

    result = asyncio.run(tester.run_load_test(stops, 1, 100))
    assert result["interrupted"]
    assert (result["total_requests"], result["unfinished_requests"], result["failed_requests"]) == (5, 1, 0)
    tester.stop()  # nothing runs: nothing happens


def test_a_function_that_never_waits_can_be_stopped() -> None:
    tester = LoadTester()

    async def computes(user_id: int, request_id: int) -> None:
        if request_id == 5:
            tester.stop()

    assert asyncio.run(tester.run_load_test(computes, 2, 1_000_000))["total_requests"] < 100


def test_a_function_that_swallows_cancellation_is_not_called_again() -> None:
    tester = LoadTester()

    async def stubborn(user_id: int, request_id: int) -> None:
        tester.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    assert asyncio.run(tester.run_load_test(stubborn, 1, 100))["total_requests"] == 1


def test_cancelling_leaves_what_was_measured() -> None:
    async def main() -> None:
        tester = LoadTester()
        task = asyncio.create_task(tester.run_load_test(quick, 2, duration=60))
        while tester.progress().requests < 4:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        result = tester.get_load_stats()
        assert result["interrupted"]
        assert result["total_requests"] >= 4
        assert result["failed_requests"] == 0

    asyncio.run(main())


def test_a_request_that_is_cancelled_from_within_is_no_failure() -> None:
    async def cancelled(user_id: int, request_id: int) -> None:
        if request_id % 2:
            asyncio.get_running_loop().call_soon(inner.cancel)
            await inner

    async def main() -> LoadResult:
        nonlocal inner
        inner = asyncio.get_running_loop().create_future()
        return await LoadTester().run_load_test(cancelled, 1, 4)

    inner: asyncio.Future[None]
    result = asyncio.run(main())
    assert (result["successful_requests"], result["failed_requests"], result["cancelled_requests"]) == (2, 0, 2)


def test_one_test_at_a_time() -> None:
    async def main() -> None:
        tester = LoadTester()
        first = asyncio.create_task(tester.run_load_test(quick, 1, 3))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="runs already"):
            await tester.run_load_test(quick)
        assert (await first)["total_requests"] == 3
        assert (await tester.run_load_test(quick, 1, 2))["total_requests"] == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"concurrent_users": 0}, "concurrent_users must be 1 or more, not 0"),
        ({"requests_per_user": -1}, "requests_per_user"),
        ({"ramp_up_time": -1}, "ramp_up_time"),
        ({"duration": 0}, "duration must be above 0"),
        ({"arrival_rate": math.nan}, "arrival_rate"),
        ({"timeout": math.inf}, "timeout"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"arrivals": "uniform"}, "arrivals must be constant or poisson"),
    ],
)
def test_numbers_that_make_no_test_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run(quick, **options)


# --- open model -----------------------------------------------------------------------------------------------


def test_constant_arrivals_ramp_up_and_go_on_at_their_rate() -> None:
    assert list(itertools.islice(due_times(100), 4)) == pytest.approx([0, 0.01, 0.02, 0.03])
    ramped = list(itertools.islice(due_times(100, 2), 300))
    assert ramped[50] == pytest.approx(1.414, abs=0.001)  # a quarter of the requests in half of the squared time
    assert ramped[100] == pytest.approx(2)
    assert ramped[250] - ramped[249] == pytest.approx(0.01)
    assert ramped == sorted(ramped)


def test_poisson_arrivals_are_random_and_repeatable() -> None:
    drawn = list(itertools.islice(due_times(50, 0, "poisson", seed=4), 5_000))
    assert drawn == list(itertools.islice(due_times(50, 0, "poisson", seed=4), 5_000))
    assert drawn != list(itertools.islice(due_times(50, 0, "poisson", seed=5), 5_000))
    gaps = [later - earlier for earlier, later in itertools.pairwise(drawn)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.1)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.1)  # as of an exponential distribution


def test_requests_come_whether_or_not_others_have_ended() -> None:
    release = asyncio.Event()
    seen: list[tuple[int, int]] = []

    async def waits(user_id: int, request_id: int) -> None:
        seen.append((user_id, request_id))
        if len(seen) == 6:
            release.set()
        await release.wait()

    result = run(waits, 3, 2, arrival_rate=500)
    assert seen == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert (result["total_requests"], result["active_most"]) == (6, 6)


def test_response_times_count_from_when_a_request_was_due() -> None:
    async def slow() -> None:
        await asyncio.sleep(0.05)

    result = run(slow, 1, 4, arrival_rate=1_000, max_in_flight=1)
    assert result["held_back"] >= 3
    assert result["active_most"] == 1
    assert result["late_starts"] >= 3
    assert result["most_late_seconds"] >= 0.14
    assert result["response_time"]["max"] >= 0.19  # three others of 50 ms came before it


def test_a_target_that_stands_still_is_felt_by_all_who_come_meanwhile() -> None:
    def target() -> Callable[[], Awaitable[None]]:
        begun = time.perf_counter()

        async def answers() -> None:
            still = begun + 0.5 - time.perf_counter()
            await asyncio.sleep(still if 0 < still < 0.4 else 0.002)  # from 0.1 s to 0.5 s nothing is answered

        return answers

    closed = run(target(), 2, duration=0.6)
    opened = run(target(), 2, duration=0.6, arrival_rate=200)
    slow = [Histogram.from_json(result["histogram"]).share_above(0.1) for result in (closed, opened)]
    assert slow[0] < 0.2 < slow[1]  # two requests; half of them


def test_a_late_start_counts_and_the_coarseness_of_timers_does_not() -> None:
    measured = Measurements(keep=10)
    begun = measured.begun
    measured.record(0, 0, Call(begun + LATE_SECONDS / 2, begun + 0.1), due=begun)
    measured.record(0, 1, Call(begun + 1.0, begun + 1.1), due=begun + 0.2)
    assert [each["response_time"] for each in measured.samples] == pytest.approx([0.1 - LATE_SECONDS / 2, 0.9])
    result = measured.result()
    assert (result["late_starts"], result["most_late_seconds"]) == (1, pytest.approx(0.8))


def test_requests_that_were_due_and_never_began_are_told() -> None:
    async def hangs() -> None:
        await asyncio.sleep(60)

    result = run(hangs, 1, arrival_rate=100, duration=0.1, max_in_flight=2, grace=0.02)
    assert (result["unfinished_requests"], result["unstarted_requests"]) == (2, 8)


def test_a_synchronous_function_runs_as_often_at_once_as_there_are_users() -> None:
    running = itertools.count()
    most: list[int] = []
    lock = threading.Lock()
    active = 0

    def works() -> None:
        nonlocal active
        with lock:
            active += 1
            most.append(active)
        time.sleep(0.01)
        with lock:
            active -= 1
        next(running)

    result = run(works, 2, 5, arrival_rate=2_000)
    assert result["total_requests"] == next(running) == 10
    assert max(most) <= 2


# --- what is kept -----------------------------------------------------------------------------------------------


def test_series_of_any_length_have_a_bounded_number_of_slots() -> None:
    measured = Measurements(keep=0)
    for second in range(5_000):
        moment = measured.begun + second
        error = ValueError() if second % 10 == 0 else None
        measured.record(0, second, Call(moment + 0.25, moment + 0.5, error), None)
    series = measured.result()["series"]
    assert 150 <= len(series) <= 300
    assert {slot["seconds"] for slot in series} == {32.0}
    assert [slot["start"] for slot in series] == [32.0 * number for number in range(len(series))]
    assert sum(slot["requests"] for slot in series) == 5_000
    assert sum(slot["failed"] for slot in series) == 500


def test_seconds_in_which_nothing_happened_are_told() -> None:
    measured = Measurements(keep=0)
    measured.active = 3
    for moment in (0.5, 4.5):
        measured.record(0, 0, Call(measured.begun, measured.begun + moment), None)
    series = measured.result()["series"]
    assert [slot["requests"] for slot in series] == [1, 0, 0, 0, 1]
    assert [slot["active"] for slot in series] == [3, 3, 3, 3, 3]


# --- URLs, and the tracer ---------------------------------------------------------------------------------------


def test_a_url_is_requested(http_url: str) -> None:
    result = run(f"{http_url}/slow/20", 3, 2)
    assert result["successful_requests"] == 6
    assert result["response_time"]["min"] >= 0.02


def test_no_request_pays_for_imports(http_url: str) -> None:
    """The first one is as fast as the others, also in a process that has loaded nothing yet."""
    script = f"""
import asyncio, sys
from agentperf_runtime.load.targets import opened

async def main():
    async with opened({http_url!r}, 1) as call:
        before = set(sys.modules)
        assert (await call(0, 0, None)).error is None
        print([name for name in set(sys.modules) - before if name.startswith(("anyio", "asyncio", "httpcore"))])

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_answers_of_400_and_more_are_failures(http_url: str) -> None:
    result = run(f"{http_url}/status/503", 2, 2)
    assert result["errors"] == [{"error": "HTTP 503", "count": 4, "example": ""}]
    assert run(f"{http_url}/redirect/1", 1, 1)["failed_requests"] == 0


def test_nobody_there_is_a_failure() -> None:
    result = run("http://127.0.0.1:9/", 2, 2)
    assert [error["error"] for error in result["errors"]] == ["httpx.ConnectError"]


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://host:port/"])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=url):
        run(url)


def test_a_url_without_httpx_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ImportError, match=r"agentperf-lint\[load\]"):
        run("http://localhost/")


def test_each_request_is_a_root_of_the_trace(tmp_path: Any, http_url: str) -> None:
    def works() -> None:
        time.sleep(0.001)

    async def fails() -> None:
        raise ValueError

    here = works.__qualname__.rpartition(".")[0]
    with Tracer(tmp_path / "load.trace"):
        for target in (quick, works, fails, f"{http_url}/users/12345?token=secret"):
            run(target, 2, 1)
    trace = Trace(tmp_path / "load.trace")
    kinds = {each["id"]: each["kind"] for each in trace.all("root")}
    ended = Counter(
        (each["name"].removeprefix(f"{__name__}:").removeprefix(f"{here}."), each["outcome"])
        for each in trace.all("root_end")
        if kinds[each["id"]] == "request"
    )
    url = f"GET {http_url}/users/{{}}?token"
    assert ended == {("quick", "ok"): 2, ("works", "ok"): 2, ("fails", "error"): 2, (url, "ok"): 2}
