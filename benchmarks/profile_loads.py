"""The loads of `benchmarks.profiling`, run by another interpreter: one load under one profiler, in one process.

`profile_loads.py TOOL LOAD` serves rounds: for every line on standard input it runs that many units of the load, once
without and once with the profiler, in turns the one or the other first, and prints seconds of processor time and of
wall time for both. `profile_loads.py operations` prints what measuring one operation adds, in microseconds, as JSON.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from statistics import median
from typing import Any

Measure = Callable[[str], AbstractContextManager[Any]]
"""What puts a block of an agent's under measurement, by the name of its operation."""

_AT_ONCE = 20
_WORDS = [f"word{number * 7919 % 1009}" for number in range(400)]
_OPERATIONS, _REPEATS = 5_000, 7


def _score(document: list[str], wanted: set[str]) -> int:
    return sum(_weight(word) for word in document if word in wanted)


def _weight(word: str) -> int:
    return len(word) % 7 + 1


def _counted(document: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in document:
        counts[word] = counts.get(word, 0) + _weight(word)
    return counts


def _ranked(number: int) -> list[tuple[str, int]]:
    text = json.dumps({"number": number, "words": _WORDS})
    words = json.loads(text)["words"]
    counts = _counted(words)
    wanted = set(sorted(counts)[:200])
    for start in range(0, 400, 40):
        counts[f"score {start}"] = _score(words[start : start + 200], wanted)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _compute(number: int, times: int) -> None:
    for each in range(times):
        _ranked(number + each)


async def _request(number: int, measure: Measure) -> None:
    with measure("request"):
        await asyncio.sleep(0.001)
        _compute(number, 2)
        with measure("search"):
            await asyncio.sleep(0.002)
            _compute(number, 2)
        await asyncio.sleep(0)


async def requests(units: int, measure: Measure) -> None:
    """Tasks, 20 at a time: each waits three times, computes for about a millisecond, and is two operations."""
    numbers = iter(range(units))

    async def worker() -> None:
        for number in numbers:
            await _request(number, measure)

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


async def computing(units: int, measure: Measure) -> None:
    """Synchronous code that computes for about 3 ms in each operation."""
    for number in range(units):
        with measure("computing"):
            _compute(number, 10)


LOADS: dict[str, Callable[[int, Measure], Awaitable[None]]] = {"requests": requests, "computing": computing}


def _unmeasured(_: str) -> AbstractContextManager[Any]:
    return _NOTHING


_NOTHING = nullcontext()


def nothing(_: ExitStack) -> Measure:
    return _unmeasured


def operations(stack: ExitStack) -> Measure:
    from agentperf_runtime import PerformanceProfiler

    profiler = stack.enter_context(PerformanceProfiler(sampling=False))
    return lambda name: profiler.profile_operation("agent", name)


def sampling(stack: ExitStack) -> Measure:
    from agentperf_runtime import PerformanceProfiler

    profiler = stack.enter_context(PerformanceProfiler())
    return lambda name: profiler.profile_operation("agent", name)


def pyinstrument(stack: ExitStack) -> Measure:
    from pyinstrument import Profiler

    profiler = Profiler(interval=0.01)
    profiler.start()
    stack.callback(profiler.stop)
    return _unmeasured


def cprofile(stack: ExitStack) -> Measure:
    profiler = cProfile.Profile()
    profiler.enable()
    stack.callback(profiler.disable)
    return _unmeasured


TOOLS: dict[str, Callable[[ExitStack], Measure]] = {
    tool.__name__: tool for tool in (nothing, operations, sampling, pyinstrument, cprofile)
}


async def serve(tool: str, load: str) -> None:
    run = LOADS[load]
    is_measured_first = False
    while line := await asyncio.to_thread(sys.stdin.readline):
        figures: dict[bool, tuple[float, float]] = {}
        for is_measured in (is_measured_first, not is_measured_first):
            with ExitStack() as stack:
                measure = TOOLS[tool if is_measured else "nothing"](stack)
                processor, wall = time.process_time(), time.perf_counter()
                await run(int(line), measure)
                figures[is_measured] = time.process_time() - processor, time.perf_counter() - wall
        is_measured_first = not is_measured_first
        print(*figures[False], *figures[True], flush=True)


def _per_operation() -> dict[str, dict[str, float]]:
    from agentperf_runtime import AsyncPerformanceMonitor, PerformanceProfiler

    with PerformanceProfiler(sampling=False) as plain, PerformanceProfiler() as sampled:
        return {
            "with, synchronous": _in_turns(_blocks, plain, sampled),
            "async with": _in_turns(_async_blocks, plain, sampled),
            "async with, inside another one": _in_turns(_nested_blocks, plain, sampled),
            "function, decorated": _in_turns(_calls, plain, sampled),
            "coroutine function, decorated, with one wait": _in_turns(_coroutines, plain, sampled),
            "AsyncPerformanceMonitor, async with": {"added": _monitored(AsyncPerformanceMonitor())},
        }


def _in_turns(load: Callable[[Any], float], plain: Any, sampled: Any) -> dict[str, float]:
    rounds = [(load(None), load(plain), load(sampled)) for _ in range(_REPEATS)]
    return {
        "added": median(with_ - without for without, with_, _ in rounds),
        "added with sampling": median(with_ - without for without, _, with_ in rounds),
    }


def _microseconds(started: float) -> float:
    return (time.perf_counter() - started) / _OPERATIONS * 1e6


def _block(profiler: Any) -> Any:
    return _NOTHING if profiler is None else profiler.profile_operation("agent", "operation")


def _blocks(profiler: Any) -> float:
    started = time.perf_counter()
    for _ in range(_OPERATIONS):
        with _block(profiler):
            pass
    return _microseconds(started)


def _async_blocks(profiler: Any) -> float:
    async def main() -> float:
        started = time.perf_counter()
        for _ in range(_OPERATIONS):
            async with _block(profiler):
                pass
        return _microseconds(started)

    return asyncio.run(main())


def _nested_blocks(profiler: Any) -> float:
    async def main() -> float:
        async with _block(profiler):
            started = time.perf_counter()
            for _ in range(_OPERATIONS):
                async with _block(profiler):
                    pass
            return _microseconds(started)

    return asyncio.run(main())


def _calls(profiler: Any) -> float:
    def function() -> None:
        pass

    called = function if profiler is None else _block(profiler)(function)
    started = time.perf_counter()
    for _ in range(_OPERATIONS):
        called()
    return _microseconds(started)


def _coroutines(profiler: Any) -> float:
    async def function() -> None:
        await asyncio.sleep(0)

    called = function if profiler is None else _block(profiler)(function)

    async def main() -> float:
        started = time.perf_counter()
        for _ in range(_OPERATIONS):
            await called()
        return _microseconds(started)

    return asyncio.run(main())


def _monitored(monitor: Any) -> float:
    async def main() -> float:
        started = time.perf_counter()
        for _ in range(_OPERATIONS):
            async with monitor.monitor_async_operation("operation"):
                pass
        return _microseconds(started)

    return median(asyncio.run(main()) - _async_blocks(None) for _ in range(_REPEATS))


if __name__ == "__main__":
    if sys.argv[1:] == ["operations"]:
        print(json.dumps(_per_operation()))
    else:
        asyncio.run(serve(*sys.argv[1:]))
