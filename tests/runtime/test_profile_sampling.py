"""Samples show where operations run and where they wait."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop

from agentperf_lint.checklist.profiles import read_profiles
from agentperf_runtime import PerformanceProfiler
from agentperf_runtime.profiling.operations import Ledger, Nesting, Operation
from agentperf_runtime.profiling.sampling import Sampler
from agentperf_runtime.profiling.stack_tree import RUNNING, WAITING, StackTree
from agentperf_runtime.profiling.waiting import await_chain

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Stacks = dict[tuple[str, str], dict[str, int]]
PATIENCE = 20.0
INTERVAL = 0.002


def run_uvloop(main: Coroutine[Any, Any, Any]) -> Any:
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


both_loops = pytest.mark.parametrize("run", [asyncio.run, run_uvloop])


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    with PerformanceProfiler(interval=INTERVAL) as profiler:
        yield profiler
    assert profiler.errors == 0


def stacks(profiler: PerformanceProfiler) -> Stacks:
    """Samples by operation and state, and by the functions of the stack, innermost first."""
    document = profiler.to_document()
    found: Stacks = {}
    for stack in document["stacks"]:
        operation = document["operations"][stack["operation"]]["operation"]
        functions = " < ".join(document["frames"][number][2].rpartition(".")[2] for number in stack["frames"])
        of_state = found.setdefault((operation, stack["state"]), {})
        of_state[functions] = of_state.get(functions, 0) + stack["samples"]
    return found


def samples(profiler: PerformanceProfiler, operation: str, state: str) -> int:
    return sum(stacks(profiler).get((operation, state), {}).values())


def is_seen(profiler: PerformanceProfiler, operation: str, state: str, times: int = 5) -> Callable[[], bool]:
    return lambda: samples(profiler, operation, state) >= times


def compute(until: Callable[[], bool]) -> None:
    """Use the processor until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        calculate()


def calculate() -> None:
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        pass


async def pause(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def test_synchronous_code_is_seen_to_run(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation"):
        compute(is_seen(profiler, "operation", "running"))
    shown = profiler.get_profile_stats("agent", "operation", top_n=50)
    assert "calculate (" in shown
    assert f"({Path(__file__)}:" in shown
    top = shown.partition("Top Time-Consuming Operations:\n")[2].splitlines()
    assert top[0].split()[1:3] == ["samples,", "each"]
    first = top[2].split()
    assert first[0] == "100.0%"
    assert first[3] == "test_synchronous_code_is_seen_to_run"
    assert len(profiler.get_profile_stats("agent", "operation", top_n=1).splitlines()) < len(shown.splitlines())


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="needs processor clocks of threads")
def test_synchronous_code_is_seen_to_wait(profiler: PerformanceProfiler) -> None:
    released = threading.Event()

    def work() -> None:
        with profiler.profile_operation("agent", "operation"):
            released.wait()

    thread = threading.Thread(target=work)
    thread.start()
    compute(is_seen(profiler, "operation", "waiting", times=20))
    released.set()
    thread.join()
    found = stacks(profiler)
    assert samples(profiler, "operation", "waiting") > 5 * samples(profiler, "operation", "running")
    waiting = found["operation", "waiting"]
    assert max(waiting, key=waiting.__getitem__).startswith("wait < wait < work")


@both_loops
def test_the_operation_of_the_task_that_runs_is_seen(profiler: PerformanceProfiler, run: Run) -> None:
    async def works() -> None:
        async with profiler.profile_operation("agent", "works"):
            for _ in range(200):
                calculate()
                await asyncio.sleep(0)
                if samples(profiler, "works", "running") > 20 and samples(profiler, "waits", "waiting") > 20:
                    break

    async def waits(done: asyncio.Event) -> None:
        async with profiler.profile_operation("agent", "waits"):
            await inner(done)

    async def inner(done: asyncio.Event) -> None:
        await done.wait()

    async def main() -> None:
        done = asyncio.Event()
        task = asyncio.create_task(waits(done))
        await works()
        done.set()
        await task

    run(main())
    found = stacks(profiler)
    assert ("waits", "running") not in found
    assert "calculate < works" in found["works", "running"]
    assert set(found["waits", "waiting"]) == {"wait < inner < waits"}
    document = {each["operation"]: each for each in profiler.to_document()["operations"]}
    assert document["works"]["running_seconds"] > 0.5 * document["works"]["total_seconds"]
    assert document["waits"]["running_seconds"] < 0.2 * document["waits"]["total_seconds"]
    assert document["waits"]["cpu_seconds"] <= document["waits"]["running_seconds"]


def test_the_place_of_waiting_leads_through_a_stepped_coroutine(profiler: PerformanceProfiler) -> None:
    @profiler.profile_operation("agent", "operation")
    async def work() -> None:
        await inner()

    async def inner() -> None:
        await pause(is_seen(profiler, "operation", "waiting"))

    asyncio.run(work())
    assert set(stacks(profiler)["operation", "waiting"]) == {"sleep < pause < inner < work"}
    assert "sleep" in profiler.get_profile_stats("agent", "operation")


def test_work_of_child_tasks_belongs_to_the_operation(profiler: PerformanceProfiler) -> None:
    async def child() -> None:
        compute(is_seen(profiler, "operation", "running"))

    async def main() -> None:
        async with profiler.profile_operation("agent", "operation"):
            await asyncio.create_task(child())

    asyncio.run(main())
    assert any(stack.endswith("compute < child") for stack in stacks(profiler)["operation", "running"])
    # The operation's own task waited for it.
    (operation,) = profiler.to_document()["operations"]
    assert operation["running_seconds"] < 0.5 * operation["total_seconds"]


def test_the_innermost_operation_has_the_samples_and_the_outer_one_shows_them(profiler: PerformanceProfiler) -> None:
    def inside() -> None:
        with profiler.profile_operation("agent", "inner"):
            compute(is_seen(profiler, "inner", "running"))

    with profiler.profile_operation("agent", "outer"):
        inside()
    assert samples(profiler, "outer", "running") < samples(profiler, "inner", "running")
    outer, inner = (profiler.get_profile_stats("agent", name, 50) for name in ("outer", "inner"))
    assert "calculate (" in outer
    assert re.search(r"[ .]inside \(", outer)
    assert "the_outer_one_shows_them (" in outer
    assert "the_outer_one_shows_them (" not in inner


def test_what_runs_inside_runs_in_the_outer_one_too(profiler: PerformanceProfiler) -> None:
    async def main() -> None:
        async with profiler.profile_operation("agent", "outer"), profiler.profile_operation("agent", "inner"):
            compute(is_seen(profiler, "inner", "running", times=20))

    asyncio.run(main())
    for operation in profiler.to_document()["operations"]:
        assert operation["running_seconds"] > 0.5 * operation["total_seconds"]
        assert operation["self_seconds"] < 0.5 * operation["total_seconds"] or operation["operation"] == "inner"


def test_several_loops_and_threads_are_seen_at_once(profiler: PerformanceProfiler) -> None:
    names = ["loop 0", "loop 1", "thread 0", "thread 1"]

    def all_seen() -> bool:
        found = stacks(profiler)
        return all(sum(sum(found.get((name, state), {}).values()) for state in (RUNNING, WAITING)) for name in names)

    async def main(name: str) -> None:
        async with profiler.profile_operation("agent", name):
            compute(all_seen)

    def work(name: str) -> None:
        if name.startswith("loop"):
            asyncio.run(main(name))
            return
        with profiler.profile_operation("agent", name):
            compute(all_seen)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, names))
    assert all_seen()


def test_operations_in_worker_threads_are_seen(profiler: PerformanceProfiler) -> None:
    def work() -> None:
        with profiler.profile_operation("agent", "inner"):
            compute(is_seen(profiler, "inner", "running"))
            compute(is_seen(profiler, "outer", "waiting"))

    async def main() -> None:
        async with profiler.profile_operation("agent", "outer"):
            await asyncio.to_thread(work)

    asyncio.run(main())
    assert any(stack.startswith("to_thread < main") for stack in stacks(profiler)["outer", "waiting"])


def test_of_many_waiting_operations_some_stand_for_all(profiler: PerformanceProfiler) -> None:
    async def waits(done: asyncio.Event) -> None:
        async with profiler.profile_operation("agent", "waits"):
            await done.wait()

    async def main() -> None:
        done = asyncio.Event()
        tasks = [asyncio.create_task(waits(done)) for _ in range(200)]
        await pause(is_seen(profiler, "waits", "waiting", times=5 * 200))
        done.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    document = profiler.to_document()
    (operation,) = document["operations"]
    seconds = samples(profiler, "waits", "waiting") * document["interval_seconds"]
    assert seconds <= 2 * operation["total_seconds"]


def test_memory_is_looked_at_while_an_operation_goes_on(profiler: PerformanceProfiler) -> None:
    with profiler.profile_operation("agent", "operation") as metric:
        kept: bytearray | None = bytearray(b"x") * (64 << 20)
        compute(lambda: metric.memory_mb_peak - metric.memory_mb_start > 48)
        kept = None
    assert kept is None
    assert metric.memory_mb_peak - metric.memory_mb_start > 48


def is_asleep(profiler: PerformanceProfiler) -> bool:
    assert profiler._sampler is not None
    return profiler._sampler._asleep


def test_the_thread_sleeps_when_nothing_is_active(profiler: PerformanceProfiler) -> None:
    sampler = profiler._sampler
    assert sampler is not None
    assert sampler._thread == 0
    for _ in range(2):
        with profiler.profile_operation("agent", "operation"):
            assert not is_asleep(profiler)
            before = samples(profiler, "operation", "running")
            compute(is_seen(profiler, "operation", "running", before + 2))
        deadline = time.monotonic() + PATIENCE
        while not is_asleep(profiler):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        looks = sampler._last
        time.sleep(0.02)
        assert sampler._last == looks


def test_start_and_stop_may_be_repeated(profiler: PerformanceProfiler) -> None:
    profiler.stop()
    profiler.stop()
    with profiler.profile_operation("agent", "operation"):
        time.sleep(0.02)
        assert stacks(profiler) == {}
        profiler.start()
        profiler.start()
        compute(is_seen(profiler, "operation", "running"))
        profiler.stop()
        seen = stacks(profiler)
        time.sleep(0.02)
        assert stacks(profiler) == seen
    assert profiler.metrics[0].outcome == "completed"


def test_the_thread_ends_with_its_profiler() -> None:
    profiler = PerformanceProfiler(interval=INTERVAL)
    with profiler.profile_operation("agent", "operation"):
        time.sleep(0.01)
    sampler, reference = profiler._sampler, weakref.ref(profiler)
    assert sampler is not None
    assert sampler._thread
    del profiler
    gc.collect()
    assert reference() is None
    assert sampler._thread == 0


def test_failures_of_the_sampler_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("from the tree")

    monkeypatch.setattr(StackTree, "add", fails)
    with PerformanceProfiler(interval=INTERVAL) as profiler, profiler.profile_operation("agent", "operation"):
        compute(lambda: profiler.errors > 1)


def test_a_late_look_counts_for_the_time_since_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentperf_runtime.profiling.sampling.perf_counter", lambda: now)
    ledger, tree = Ledger(10, 10), StackTree()
    sampler = Sampler(ledger, tree, interval=0.01)
    with PerformanceProfiler(sampling=False) as profiler:
        profiler._ledger = ledger
        with profiler.profile_operation("agent", "operation"):
            for now in (100.016, 100.021, 100.521, 400.0):  # noqa: B007  # what the clock tells
                sampler._look()
    assert sum(stack.samples for stack in tree.stacks()) == 1 + 1 + 50 + 1000


def test_late_looks_count_where_operations_wait_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("agentperf_runtime.profiling.sampling.perf_counter", lambda: now)
    ledger, tree = Ledger(10, 10), StackTree()
    sampler = Sampler(ledger, tree, interval=0.01)

    async def waits() -> None:
        async with profiler.profile_operation("agent", "operation"):
            await asyncio.sleep(10)

    async def main() -> None:
        nonlocal now
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        for _ in range(10):
            now += 0.03
            sampler._look()
        task.cancel()

    with PerformanceProfiler(sampling=False) as profiler:
        profiler._ledger = ledger
        asyncio.run(main())
    assert 29 <= sum(stack.samples for stack in tree.stacks() if stack.state == WAITING) <= 30


def test_trees_are_bounded() -> None:
    tree = StackTree(most=3)
    nesting = Nesting(Operation("agent", "operation"))
    codes = [compile("pass", str(number), "exec") for number in range(5)]
    tree.add([(code, 0) for code in codes], nesting, RUNNING, 2)
    tree.add([(codes[0], 0), (codes[1], 2)], nesting, WAITING, 1)
    found = {
        (tuple(code.co_filename for code, _ in stack.codes), stack.state): stack.samples for stack in tree.stacks()
    }
    assert found == {(("0", "1", "2"), RUNNING): 2, (("0",), WAITING): 1}


def test_chains_of_awaits_are_followed() -> None:
    async def inner() -> None:
        await asyncio.sleep(10)

    async def generator() -> Any:
        await inner()
        yield 1

    class Awaitable:
        def __await__(self) -> Any:
            yield from inner().__await__()

    async def outer(awaited: Any) -> None:
        await awaited

    async def main() -> list[list[str]]:
        found = []
        for awaited in (inner(), Awaitable(), generator().__anext__()):
            task = asyncio.create_task(outer(awaited))
            await asyncio.sleep(0)
            found.append([code.co_name for code, _ in await_chain(task.get_coro(), None)])
            task.cancel()
        return found

    plain, through_object, through_generator = asyncio.run(main())
    assert plain == ["outer", "inner", "sleep"]
    assert through_object[:2] == ["outer", "__await__"]
    assert through_generator == ["outer"]
    assert await_chain(None, None) == []
    finished = inner()
    finished.close()
    assert await_chain(finished, None) == []


@pytest.fixture
def sampled(profiler: PerformanceProfiler) -> PerformanceProfiler:
    """A profiler with samples of two operations, one of them with a difficult name."""

    async def main() -> None:
        async with profiler.profile_operation("agent", "runs"):
            compute(is_seen(profiler, "runs", "running"))
        async with profiler.profile_operation("agent", "waits; long"):
            await pause(is_seen(profiler, "waits; long", "waiting"))

    asyncio.run(main())
    profiler.stop()
    return profiler


def test_the_document_has_the_stacks(sampled: PerformanceProfiler, tmp_path: Path) -> None:
    sampled.save(tmp_path / "app.profile")
    document = json.loads((tmp_path / "app.profile").read_text())
    assert document["interval_seconds"] == INTERVAL
    for path, line, function in document["frames"]:
        assert isinstance(path, str)
        assert line >= 1
        assert function
        assert "agentperf_runtime" not in path
    for stack in document["stacks"]:
        assert stack.keys() == {"operation", "state", "frames", "samples"}
        assert 0 <= stack["operation"] < len(document["operations"])
        assert all(0 <= number < len(document["frames"]) for number in stack["frames"])
        assert stack["samples"] > 0
    lines = Path(__file__).read_text().splitlines()
    innermost = document["frames"][document["stacks"][0]["frames"][0]]
    assert innermost[0] != __file__ or lines[innermost[1] - 1].strip()


def test_the_report_reads_the_file(sampled: PerformanceProfiler, tmp_path: Path) -> None:
    sampled.save(tmp_path / "app.profile")
    (profile,) = read_profiles([str(tmp_path / "app.profile")])
    assert [operation.name for operation in profile.operations] == ["agent:runs", "agent:waits; long"]
    assert {(spent.operation, spent.waiting) for spent in profile.spent} >= {
        ("agent:runs", False),
        ("agent:waits; long", True),
    }
    assert sum(spent.seconds for spent in profile.spent) == pytest.approx(
        INTERVAL * sum(sum(each.values()) for each in stacks(sampled).values())
    )


def test_speedscope_gets_sampled_profiles(sampled: PerformanceProfiler, tmp_path: Path) -> None:
    path = tmp_path / "app.speedscope.json"
    sampled.export_speedscope(path)
    exported = json.loads(path.read_text())
    assert exported["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    names = [profile["name"] for profile in exported["profiles"]]
    assert names == sorted(names)
    assert {"agent:runs (running)", "agent:waits; long (waiting)"} <= set(names)
    frames = exported["shared"]["frames"]
    assert all(frame.keys() == {"name", "file", "line"} for frame in frames)
    for profile in exported["profiles"]:
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("sampled", "seconds", 0)
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] == pytest.approx(sum(profile["weights"]))
    runs = exported["profiles"][names.index("agent:runs (running)")]
    assert {frames[stack[0]]["name"].rpartition(".")[2] for stack in runs["samples"]} == {"main"}


def test_collapsed_stacks_are_lines(sampled: PerformanceProfiler, tmp_path: Path) -> None:
    path = tmp_path / "app.collapsed"
    sampled.export_collapsed(path)
    lines = path.read_text().splitlines()
    assert sum(int(line.rpartition(" ")[2]) for line in lines) == sum(
        sum(each.values()) for each in stacks(sampled).values()
    )
    starts = {tuple(line.split(";")[:2]) for line in lines}
    assert {("agent:runs", "running"), ("agent:waits, long", "waiting")} <= starts
    assert all("main (test_profile_sampling.py:" in line.split(";")[2] for line in lines)
