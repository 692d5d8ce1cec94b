"""The loads of `benchmarks.stalls`, run by another interpreter: one load under one tool, in one process.

`stall_loads.py TOOL LOAD` serves rounds: for every line on standard input it runs that many units of the load, once
not watched and once watched, in turns the one or the other first, and prints seconds of processor time and of wall time
for both. A tool that cannot be stopped again is there all the time: its first two figures are worth nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

Load = Callable[[int], Awaitable[None]]
LIMIT = 0.05  # seconds
Stop = Callable[[], object]


def _database() -> sqlite3.Cursor:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "create table orders(id integer primary key, user int, total int); create index of_user on orders(user)"
    )
    connection.executemany(
        "insert into orders values (?, ?, ?)", [(each, each % 1_000, each) for each in range(20_000)]
    )
    return connection.cursor()


def _orders(cursor: sqlite3.Cursor, user: int) -> list[Any]:
    return cursor.execute("select id, total from orders where user = ? order by id", (user,)).fetchall()


async def awaits(_: AsyncExitStack) -> Load:
    """Iterations of the loop that do nothing."""

    async def run(count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    return run


async def queries(_: AsyncExitStack) -> Load:
    """Short queries of SQLite on the loop, one in each iteration."""
    cursor = _database()

    async def run(count: int) -> None:
        for number in range(count):
            _orders(cursor, number % 1_000)
            await asyncio.sleep(0)

    return run


async def application(stack: AsyncExitStack) -> Load:
    """Requests to an aiohttp application with a query of SQLite each, and the client that sends them."""
    from aiohttp import ClientSession, web

    cursor = _database()

    async def read(request: web.Request) -> web.Response:
        rows = _orders(cursor, int(request.match_info["user"]))
        return web.json_response([{"id": order, "total": total} for order, total in rows])

    app = web.Application()
    app.router.add_get("/orders/{user}", read)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    session = await stack.enter_async_context(ClientSession())

    async def run(count: int) -> None:
        for number in range(count):
            async with session.get(f"http://{host}:{port}/orders/{number % 1_000}") as response:
                await response.json()

    return run


LOADS: dict[str, Callable[[AsyncExitStack], Awaitable[Load]]] = {
    "awaits": awaits,
    "queries": queries,
    "application": application,
}


def agentperf() -> Stop:
    from agentperf_runtime.stalls import StallWatcher

    watcher = StallWatcher(_ignore, limit=LIMIT, is_app=lambda code: code.co_filename == __file__, sample=_ignore)
    watcher.start()
    return watcher.stop


def blockbuster() -> Stop:
    from blockbuster import BlockBuster

    watcher = BlockBuster()
    for function in watcher.functions.values():  # what blocks here is on purpose
        function.can_block_in("stall_loads.py", {"_orders", "serve"})
    watcher.activate()
    return watcher.deactivate


def aiocop() -> None:
    import aiocop

    if aiocop.is_monitoring_active():
        return
    aiocop.patch_audit_functions()
    aiocop.start_blocking_io_detection()
    aiocop.detect_slow_tasks(threshold_ms=int(LIMIT * 1000), on_slow_task=_ignore)
    aiocop.activate()


def debug() -> Stop:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    return lambda: loop.set_debug(False)


def nothing() -> Stop:
    return lambda: None


TOOLS: dict[str, Callable[[], Stop | None]] = {
    tool.__name__: tool for tool in (nothing, agentperf, blockbuster, aiocop, debug)
}


def _ignore(_: object) -> None:
    pass


async def serve(tool: str, load: str) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with AsyncExitStack() as stack:
        run = await LOADS[load](stack)
        watched_first = False
        while line := await reader.readline():
            unwatched: tuple[float, ...] = ()
            if not watched_first:
                unwatched = await measured(run, int(line))
            stop = TOOLS[tool]()
            await asyncio.sleep(0)
            watched = await measured(run, int(line))
            if stop is not None:
                stop()
            if watched_first:
                unwatched = await measured(run, int(line))
            watched_first = not watched_first
            print(*unwatched, *watched, flush=True)


async def measured(run: Load, units: int) -> tuple[float, ...]:
    processor, wall = time.process_time(), time.perf_counter()
    await run(units)
    return time.process_time() - processor, time.perf_counter() - wall


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
