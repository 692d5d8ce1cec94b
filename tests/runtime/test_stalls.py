"""The stall watcher on real event loops that are really blocked."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, ParamSpec

import pytest
from runtime.blocking_calls import ASYNC_KINDS, KINDS, SECONDS

from agentperf_runtime.sites import lines_of
from agentperf_runtime.stalls import LoopSample, Stall, StallWatcher
from agentperf_runtime.stalls.loops import Hooks
from agentperf_runtime.stalls.pauses import GarbageCollections
from agentperf_runtime.stalls.running import EndedStep, Step
from agentperf_runtime.stalls.stacks import Place
from agentperf_runtime.stalls.verdict import stalls_of
from runtime import blocking_calls

uvloop = pytest.importorskip("uvloop") if sys.platform != "win32" else None

LIMIT = 0.05
APPLICATION = Path(blocking_calls.__file__)
TEXT = APPLICATION.read_text(encoding="utf-8").splitlines()
Run = Callable[[Coroutine[Any, Any, Any]], Any]
P = ParamSpec("P")


def is_app(code: CodeType) -> bool:
    return code.co_filename == str(APPLICATION)


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    assert uvloop is not None
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


class Watched:
    """A watcher and what it reported."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.stalls: list[Stall] = []
        self.samples: list[LoopSample] = []
        self.watcher = StallWatcher(self.stalls.append, limit=limit, is_app=is_app, sample=self.samples.append)

    def __enter__(self) -> Watched:
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.watcher.stop()
        assert self.watcher.errors == 0

    @property
    def final(self) -> list[Stall]:
        return [stall for stall in self.stalls if not stall.ongoing]

    @property
    def only(self) -> Stall:
        assert len(self.final) == 1, self.final
        (stall,) = self.final
        return stall


def seconds(stall: Stall) -> float:
    return stall.duration / 1e9


def line_of(stall: Stall) -> str:
    """The text of the reported line."""
    assert stall.code is not None, stall
    assert is_app(stall.code)
    return TEXT[lines_of(stall.code, stall.lasti)[0] - 1]


async def settled(blocking: Callable[[], Any]) -> float:
    """Block in the middle of a loop that is otherwise at rest. Returns the seconds that it took."""
    await asyncio.sleep(0.02)
    began = time.perf_counter()
    result = blocking()
    if isinstance(result, Awaitable):
        await result
    took = time.perf_counter() - began
    await asyncio.sleep(0.01)
    return took


def may_be_disturbed(test: Callable[P, None]) -> Callable[P, None]:
    """On a machine that does much else, figures of single runs are wrong now and then; three in a row are not."""

    @functools.wraps(test)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> None:
        for _ in range(2):
            try:
                return test(*args, **kwargs)
            except AssertionError:
                time.sleep(0.1)
        return test(*args, **kwargs)

    return repeated


def make_lookups_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any) -> list[Any]:
        time.sleep(SECONDS)
        return []

    monkeypatch.setattr("_socket.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("kind", KINDS)
@may_be_disturbed
def test_every_kind_of_blocking_is_found_at_its_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "name_lookup":
        make_lookups_slow(monkeypatch)
    block = KINDS[kind](tmp_path)
    with Watched() as watched:
        took = asyncio.run(settled(block))
    assert line_of(watched.only).endswith("# blocks"), watched.only
    assert seconds(watched.only) == pytest.approx(took, abs=0.03, rel=0.1)
    assert watched.only.reason == "call"
    assert 0 < watched.only.samples <= watched.only.total_samples


@pytest.mark.parametrize("kind", ["sleep", "json_loads", "sorting", "python_loop", "queue_get", "many_short_sleeps"])
@may_be_disturbed
def test_every_kind_of_blocking_is_found_on_uvloop(kind: str, tmp_path: Path) -> None:
    block = KINDS[kind](tmp_path)
    with Watched() as watched:
        took = run_uvloop(settled(block))
    assert line_of(watched.only).endswith("# blocks"), watched.only
    assert seconds(watched.only) == pytest.approx(took, abs=0.045, rel=0.1)


@pytest.mark.parametrize("run", [asyncio.run, run_uvloop])
@pytest.mark.parametrize("kind", ASYNC_KINDS)
@may_be_disturbed
def test_blocking_is_found_wherever_the_loop_called_it(kind: str, run: Run) -> None:
    with Watched() as watched:
        took = run(settled(ASYNC_KINDS[kind]))
    assert line_of(watched.only).endswith(f"# blocks: {kind}")
    assert SECONDS - 0.03 < seconds(watched.only) < took + 0.03


@may_be_disturbed
def test_each_of_two_calls_in_one_step_is_reported() -> None:
    with Watched() as watched:
        asyncio.run(settled(blocking_calls.two_calls_in_turn))
        asyncio.run(settled(blocking_calls.two_tasks_at_once))
    assert sorted(line_of(stall).partition("# blocks: ")[2] for stall in watched.final) == [
        "first of two", "first task", "second of two", "second task",
    ]  # fmt: skip
    assert [seconds(stall) for stall in watched.final] == pytest.approx([SECONDS] * 4, abs=0.045)
    assert len({stall.start for stall in watched.final}) == 4


def test_the_stack_ends_at_the_event_loop() -> None:
    with Watched() as watched:
        asyncio.run(settled(ASYNC_KINDS["in an inner coroutine"]))
    functions = [frame.function.rpartition(".")[2] for frame in watched.only.frames]
    assert functions[0] == "inner"
    assert "_run" not in functions
    assert "_run_once" not in functions
    assert not any("agentperf_runtime" in frame.path for frame in watched.only.frames)


def test_the_task_is_told() -> None:
    names: list[str] = []

    async def main() -> None:
        await asyncio.create_task(settled(KINDS["sleep"](Path())), name="the one that sleeps")

    stalls: list[Stall] = []
    watcher = StallWatcher(stalls.append, is_app=is_app, identify=lambda task: task.get_name())
    watcher.start()
    asyncio.run(main())
    watcher.stop()
    names = [str(stall.task) for stall in stalls]
    assert names == ["the one that sleeps"]


@pytest.mark.parametrize("run", [asyncio.run, run_uvloop])
@may_be_disturbed
def test_awaiting_is_no_stall(run: Run) -> None:
    async def main() -> None:
        lock = asyncio.Lock()

        async def contended() -> None:
            async with lock:
                await asyncio.sleep(0.05)

        await asyncio.gather(*(contended() for _ in range(4)))
        await asyncio.to_thread(time.sleep, 0.1)
        for _ in range(20):
            time.sleep(0.01)
            await asyncio.sleep(0)

    time.sleep(0.1)
    with Watched() as watched:
        time.sleep(0.1)
        run(main())
    assert watched.stalls == []


@may_be_disturbed
def test_work_in_a_thread_that_keeps_the_lock_is_not_the_loops(tmp_path: Path) -> None:
    block = KINDS["catastrophic_regex"](tmp_path)

    async def main() -> None:
        working = asyncio.create_task(asyncio.to_thread(block))
        while not working.done():
            await asyncio.sleep(0.001)

    with Watched() as watched:
        asyncio.run(main())
    assert watched.stalls == []


def test_time_between_two_runs_of_a_loop_is_not_the_loops() -> None:
    with Watched() as watched:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.sleep(0.01))
        time.sleep(0.1)
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
    assert watched.stalls == []


@may_be_disturbed
def test_the_last_step_of_a_loop_counts() -> None:
    async def main() -> None:
        await asyncio.sleep(0.01)
        KINDS["sleep"](Path())()

    with Watched() as watched:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        time.sleep(0.1)
        loop.close()
    assert seconds(watched.only) == pytest.approx(SECONDS, abs=0.03)


@pytest.mark.parametrize("run", [asyncio.run, run_uvloop])
@may_be_disturbed
def test_a_deadlock_is_reported_while_it_lasts(run: Run) -> None:
    lock = threading.Lock()
    lock.acquire()
    with Watched() as watched:
        thread = threading.Thread(target=lambda: run(settled(lambda: blocking_calls.deadlock(lock))))
        thread.start()
        time.sleep(1.3)
        reported = list(watched.stalls)
        lock.release()
        thread.join()
    (ongoing,) = reported
    assert ongoing.ongoing
    assert line_of(ongoing).endswith("# blocks: deadlock")
    assert 1.0 <= seconds(ongoing) < 1.3
    assert watched.only.start == ongoing.start
    assert seconds(watched.only) == pytest.approx(1.3, abs=0.1)


def test_a_cold_import_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.15)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with Watched() as watched:
        asyncio.run(settled(lambda: blocking_calls.cold_import("slow_to_import")))
    assert watched.only.reason == "import"
    assert line_of(watched.only).endswith("# blocks: import")


@may_be_disturbed
def test_garbage_collection_is_told_apart() -> None:
    blocking_calls.collected()
    gc.freeze()
    gc.unfreeze()
    keep = [[number] for number in range(800_000)]
    with Watched() as watched:
        asyncio.run(settled(gc.collect))
    del keep
    assert watched.only.reason == "gc"


@may_be_disturbed
def test_a_stopped_process_is_no_stall() -> None:
    async def main() -> None:
        await asyncio.sleep(0.02)
        pid = os.getpid()
        resume = f"sleep 0.3; kill -CONT {pid}"
        child = await asyncio.create_subprocess_exec("sh", "-c", resume)
        for _ in range(3):
            time.sleep(0.01)
            await asyncio.sleep(0)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.01)
        await child.wait()

    with Watched() as watched:
        asyncio.run(main())
    assert watched.stalls == []


@pytest.mark.parametrize("run", [asyncio.run, run_uvloop])
def test_a_loop_that_runs_already_is_watched(run: Run) -> None:
    started, begin = threading.Event(), threading.Event()

    async def main() -> None:
        started.set()
        while not begin.is_set():
            await asyncio.sleep(0.005)
        await settled(KINDS["sleep"](Path()))

    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    started.wait()
    with Watched() as watched:
        time.sleep(0.03)
        begin.set()
        thread.join()
    assert line_of(watched.only).endswith("# blocks")


def test_a_watcher_may_be_started_and_stopped_inside_a_loop() -> None:
    async def main() -> list[Stall]:
        with Watched() as watched:
            await settled(KINDS["sleep"](Path()))
            KINDS["through_a_helper"](Path())()
        return watched.final

    assert [line_of(stall).endswith("# blocks") for stall in asyncio.run(main())] == [True, True]


def test_loops_in_several_threads_are_watched() -> None:
    with Watched() as watched:
        threads = [
            threading.Thread(target=lambda: asyncio.run(settled(ASYNC_KINDS["in a callback"]))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [line_of(stall).endswith("in a callback") for stall in watched.final] == [True] * 3


@pytest.fixture
def originals() -> Iterator[None]:
    """Everything that is replaced is as before afterwards."""
    events = sys.modules["asyncio.events"]
    before = events._set_running_loop, uvloop.Loop.run_forever if uvloop is not None else None, list(gc.callbacks)
    threads = threading.enumerate()
    yield
    now = events._set_running_loop, uvloop.Loop.run_forever if uvloop is not None else None, list(gc.callbacks)
    assert now == before
    assert threading.enumerate() == threads


@pytest.mark.usefixtures("originals")
def test_nothing_is_left_behind() -> None:
    async def main() -> None:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        with Watched():
            assert "select" in vars(selector)
            await asyncio.sleep(0.01)
        assert "select" not in vars(selector)
        await asyncio.sleep(0.01)
        assert [thread.name for thread in threading.enumerate()] == [threading.current_thread().name]

    asyncio.run(main())
    loop = asyncio.new_event_loop()
    with Watched():
        loop.run_until_complete(asyncio.sleep(0))
        assert "select" not in vars(loop._selector)  # type: ignore[attr-defined]
    loop.close()


def test_two_watchers_do_not_disturb_each_other() -> None:
    with Watched() as first, Watched() as second:
        asyncio.run(settled(KINDS["sleep"](Path())))
        first.watcher.stop()
        asyncio.run(settled(KINDS["sleep"](Path())))
    assert len(first.final) == 1
    assert len(second.final) == 2


def test_failures_stay_inside() -> None:
    def report(_: Stall) -> None:
        raise ValueError("from the report")

    watcher = StallWatcher(report, is_app=is_app)
    watcher.start()
    asyncio.run(settled(KINDS["sleep"](Path())))
    watcher.stop()
    assert watcher.errors == 1

    def is_app_fails(_: CodeType) -> bool:
        raise ValueError("from is_app")

    watcher = StallWatcher(report, is_app=is_app_fails)
    watcher.start()
    asyncio.run(settled(KINDS["sleep"](Path())))
    watcher.stop()
    assert watcher.errors > 1


@may_be_disturbed
def test_a_flood_of_stalls_is_cut() -> None:
    def blocked() -> None:
        time.sleep(0.002)

    async def main() -> None:
        for _ in range(400):
            blocked()
            await asyncio.sleep(0)

    with Watched(limit=0.001) as watched:
        asyncio.run(main())
    assert 0 < len(watched.stalls) <= 400
    assert len(watched.stalls) + watched.watcher.dropped >= 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_goes_on() -> None:
    with Watched() as watched:

        async def main() -> None:
            await asyncio.sleep(0.01)

        asyncio.run(main())
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                watched.watcher.after_fork()
                asyncio.run(settled(KINDS["sleep"](Path())))
                watched.watcher.stop()
                status = 0 if line_of(watched.only).endswith("# blocks") else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(pid, 0)
    assert status == 0
    assert watched.stalls == []


@may_be_disturbed
def test_activity_is_sampled() -> None:
    async def main() -> None:
        for _ in range(100):
            await asyncio.sleep(0.00001)
        time.sleep(0.06)
        await asyncio.sleep(0.06)

    with Watched() as watched:
        asyncio.run(main())
    assert sum(sample.iterations for sample in watched.samples) >= 90
    assert 0.055e9 < sum(sample.busy for sample in watched.samples) < 0.11e9
    assert max(sample.longest for sample in watched.samples) == pytest.approx(0.06e9, rel=0.3)


def test_without_asyncio_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "asyncio")
    watcher = StallWatcher(lambda _: None, is_app=is_app)
    watcher.start()
    watcher.stop()
    assert "asyncio" not in sys.modules
    assert Hooks(lambda _: None) is not None


class Unexcluded:
    """A loop of which nothing is left out."""

    def excluded_between(self, started: float, ended: float) -> float:
        return 0.0


@pytest.mark.parametrize("started", [(48_218_000_000_000 + number * 7_919) / 1e9 for number in range(20)])
def test_stalls_of_a_step_that_was_told_before_begin_at_different_times(started: float) -> None:
    """The first one replaces what was told, so that no other may seem to begin when it does."""
    step = Step(started, None)
    for seconds, function in ((0.2, run_uvloop), (1.2, is_app)):
        code = function.__code__
        for late in (seconds / 2, seconds):
            step.samples.add(started + late, Place(code, code, 1, 0, False, ()), None, 0.0, False)
    step.told_at = 0.9
    ended = EndedStep(started, started + 1.2, None)
    found = stalls_of(Unexcluded(), step, ended, LIMIT, GarbageCollections(), False)  # type: ignore[arg-type]
    assert [stall.code for stall in found] == [is_app.__code__, run_uvloop.__code__]
    assert len({stall.start for stall in found}) == 2


def test_heavy_allocation_is_a_cause_and_one_collection_is_none() -> None:
    code = is_app.__code__
    for pauses, reason in (([(0.0, 0.18)], "gc"), ([(0.0, 0.06), (0.07, 0.13), (0.14, 0.2)], "call")):
        step, garbage = Step(0.0, None), GarbageCollections()
        garbage._pauses.extend(pauses)
        step.samples.add(0.2, Place(code, code, 1, 0, False, ()), None, 0.0, True)
        ended = EndedStep(0.0, 0.2, None)
        (stall,) = stalls_of(Unexcluded(), step, ended, LIMIT, garbage, False)  # type: ignore[arg-type]
        assert stall.reason == reason
