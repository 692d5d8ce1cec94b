"""ConnectionPool: who gets a connection, and what happens to it then."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import aiohttp
import anyio
import asyncpg
import httpx
import pytest
import redis.asyncio
import uvloop

from agentperf_runtime import ConnectionPool


class Connection:
    """One to a server that counts them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.is_open = True
        self.is_broken = False

    async def aclose(self) -> None:
        await self.server.pause()
        assert self.is_open
        self.is_open = False
        self.server.open -= 1
        if self.is_broken:
            raise OSError("was broken")


class Server:
    """Opens connections, `delay` iterations of the loop after it was asked to."""

    def __init__(self, limit: int = 1_000, delay: int = 1) -> None:
        self.limit, self.delay = limit, delay
        self.open = self.most = self.asked = 0
        self.failures: list[BaseException] = []
        self.gate: asyncio.Event | None = None
        self.made: list[Connection] = []

    async def connect(self) -> Connection:
        self.asked += 1
        self.open += 1  # as soon as it is asked for: half of a connection counts for a server
        self.most = max(self.most, self.open)
        assert self.open <= self.limit
        try:
            await self.pause()
            if self.gate is not None:
                await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
        except BaseException:
            self.open -= 1
            raise
        connection = Connection(self)
        self.made.append(connection)
        return connection

    async def pause(self) -> None:
        for _ in range(self.delay):
            await asyncio.sleep(0)

    def pool(self, minimum: int = 0, maximum: int = 5, **options: Any) -> ConnectionPool[Connection]:
        self.limit = maximum
        return ConnectionPool(self.connect, minimum, maximum, **options)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it in a loop of asyncio and one of uvloop; nothing may be left for their exception handlers."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main()
        await settle()
        gc.collect()

    asyncio.run(watched())
    uvloop.run(watched())
    assert not complaints


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise TimeoutError


def figures(pool: ConnectionPool[Any]) -> tuple[int, int, int]:
    """Connections in total, in use and available."""
    stats = pool.get_pool_stats()
    return stats["total_connections"], stats["active_connections"], stats["available_connections"]


# The scenario of the guidelines


def test_connections_are_acquired_and_released() -> None:
    async def main() -> None:
        pool = Server().pool(2, 5)
        await pool.initialize()
        assert figures(pool) == (2, 0, 2)
        connections = [await pool.acquire() for _ in range(3)]
        assert figures(pool) == (3, 3, 0)
        for connection in connections:
            await pool.release(connection)
        assert figures(pool) == (3, 0, 3)
        stats = pool.get_pool_stats()
        assert (stats["connections_created"], stats["connections_reused"]) == (3, 2)
        assert stats["connection_reuse_rate"] == 0.4
        await pool.close()

    run(main)


def test_statistics_have_always_the_same_keys() -> None:
    async def main() -> None:
        pool = Server().pool()
        empty = pool.get_pool_stats()
        assert set(empty.values()) == {0}
        async with pool, pool.acquire():
            assert pool.get_pool_stats().keys() == empty.keys()
        assert pool.get_pool_stats()["wait_time_total"] > 0

    run(main)


def test_blocks() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(1, 2) as pool:
            async with pool.acquire() as one, pool.connection() as other:
                assert one is not other
                assert figures(pool) == (2, 2, 0)
            assert figures(pool) == (2, 0, 2)
            lent = pool.acquire()
            async with lent:
                with pytest.raises(RuntimeError, match="entered"):
                    await lent.__aenter__()
        assert server.open == 0

    run(main)


def test_limits_that_contradict_each_other() -> None:
    for limits in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match="connections"):
            ConnectionPool(Server().connect, *limits)
    for options in ({"connection_timeout": -1.0}, {"idle_timeout": float("nan")}):
        with pytest.raises(ValueError, match="timeout"):
            ConnectionPool(Server().connect, **options)  # type: ignore[arg-type]


def test_what_is_no_factory_is_refused() -> None:
    async def main() -> None:
        opening = Server().connect()
        for wrong in (5, opening):
            with pytest.raises(TypeError, match="factory is an async callable"):
                ConnectionPool(wrong)  # type: ignore[arg-type]
        opening.close()
        pool = ConnectionPool(object, 0)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="cannot be awaited: make it an async function"):
            await pool.acquire()
        assert pool.get_pool_stats()["total_connections"] == 0

    run(main)


# Limits and order


def test_no_more_than_the_limit_and_first_come_first_served() -> None:
    async def main() -> None:
        server = Server(delay=2)
        served: list[int] = []
        async with server.pool(0, 3) as pool:

            async def work(number: int) -> None:
                async with pool.acquire():
                    served.append(number)
                    await asyncio.sleep(0)

            await asyncio.gather(*(work(number) for number in range(50)))
            assert served == list(range(50))
            assert server.most == 3
            assert pool.get_pool_stats()["connection_reuse_rate"] == 47 / 50

    run(main)


def test_a_newcomer_does_not_overtake() -> None:
    async def main() -> None:
        async with Server().pool(0, 1) as pool:
            connection = await pool.acquire()
            first = asyncio.ensure_future(pool.acquire().__aenter__())
            await settle()
            await pool.release(connection)
            newcomer = asyncio.ensure_future(pool.acquire().__aenter__())
            await settle()
            assert (first.done(), newcomer.done()) == (True, False)
            await pool.release(await first)
            await pool.release(await newcomer)

    run(main)


def test_a_timeout_tells_how_many_are_in_use() -> None:
    async def main() -> None:
        async with Server().pool(0, 2) as pool, pool.acquire(), pool.acquire():
            waiting = asyncio.ensure_future(pool.acquire().__aenter__())
            await settle()
            with pytest.raises(TimeoutError, match="2 of 2 are in use, 1 other"):
                await pool.acquire(timeout=0.01)
            with pytest.raises(TimeoutError):
                await pool.acquire(timeout=0)
            waiting.cancel()

    run(main)


def test_opening_counts_for_the_timeout() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(0, 1, connection_timeout=0.01) as pool:
            server.gate = asyncio.Event()
            with pytest.raises(TimeoutError, match="0 of 1"):
                await pool.acquire()
            server.gate.set()
            await settle()
            assert figures(pool) == (0, 0, 0)
            async with pool.acquire(timeout=30):
                pass
            assert pool.get_pool_stats()["connection_errors"] == 1

    run(main)


# Failures


def test_a_factory_that_fails_wakes_the_next() -> None:
    async def main() -> None:
        server = Server()
        server.failures = [OSError("refused"), asyncio.TimeoutError("of the library")]
        async with server.pool(0, 1) as pool:
            results = await asyncio.gather(*(pool.acquire().__aenter__() for _ in range(3)), return_exceptions=True)
            assert [str(error) for error in results[:2]] == ["refused", "of the library"]
            assert figures(pool) == (1, 1, 0)
            assert pool.get_pool_stats()["connection_errors"] == 2
            assert isinstance(results[2], Connection)
            await pool.release(results[2])

    run(main)


def test_a_factory_that_returns_the_same_again() -> None:
    async def main() -> None:
        only = Connection(Server())

        async def factory() -> Connection:
            return only

        pool = ConnectionPool(factory, 0, 2)
        assert await pool.acquire() is only
        for _ in range(3):
            with pytest.raises(RuntimeError, match="in the pool already"):
                await pool.acquire()

    run(main)


def test_initialize_that_fails_leaves_nothing_open() -> None:
    async def main() -> None:
        server = Server()
        pool = server.pool(3, 5)
        server.failures = [OSError("refused")]
        with pytest.raises(OSError, match="refused"):
            await pool.initialize()
        await settle()
        assert (server.open, figures(pool)) == (0, (0, 0, 0))
        with pytest.raises(RuntimeError, match="closed"):
            await pool.acquire()

        server.gate = asyncio.Event()
        pool.connection_timeout = 0.01
        with pytest.raises(TimeoutError, match="no 3 connections"):
            await pool.initialize()
        initializing = asyncio.ensure_future(pool.initialize())
        await asyncio.sleep(0)
        initializing.cancel()
        await asyncio.wait([initializing])
        await settle()
        assert (server.open, figures(pool)) == (0, (0, 0, 0))
        server.gate.set()
        async with pool:
            assert figures(pool) == (3, 0, 3)
            await pool.initialize()
            assert figures(pool) == (3, 0, 3)
        assert server.open == 0

    run(main)


def test_releasing_what_is_not_lent() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool() as pool:
            connection = await pool.acquire()
            await pool.release(connection)
            with pytest.raises(RuntimeError, match="released already"):
                await pool.release(connection)
            with pytest.raises(ValueError, match="not acquired"):
                await pool.release(Connection(server))
            assert figures(pool) == (1, 0, 1)

    run(main)


def test_what_is_discarded_is_closed() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(0, 1) as pool:
            connection = await pool.acquire()
            await pool.release(connection, discard=True)
            assert not connection.is_open
            with pytest.raises(ValueError, match="closed already"):
                await pool.release(connection)
            for error, stays in ((ValueError(), True), (OSError(), False), (asyncio.TimeoutError(), False)):
                with pytest.raises(type(error)):
                    async with pool.acquire() as connection:
                        raise error
                assert connection.is_open == stays
            with anyio.move_on_after(0.01):
                async with pool.acquire() as connection:
                    await asyncio.sleep(60)
            await until(lambda: not connection.is_open)
            await settle()
            assert figures(pool) == (0, 0, 0)

    run(main)


def test_discarding_can_be_left_to_the_library() -> None:
    async def main() -> None:
        async with Server().pool(0, 1, discard_on=()) as pool:
            with pytest.raises(OSError, match="of the block"):
                async with pool.acquire() as connection:
                    raise OSError("of the block")
            assert connection.is_open

    run(main)


def test_connections_that_cannot_be_closed_count_as_errors() -> None:
    async def main() -> None:
        pool = Server().pool(0, 1, connection_timeout=0.01)
        connection = await pool.acquire()
        connection.is_broken = True
        await pool.release(connection, discard=True)
        connection = await pool.acquire()
        connection.server.delay = 1_000_000
        await pool.release(connection, discard=True)  # which does not take for ever
        connection.server.delay = 0
        assert pool.get_pool_stats()["connection_errors"] == 2
        assert figures(pool) == (0, 0, 0)
        await pool.close()

    run(main)


def test_how_connections_are_closed() -> None:
    class Plain:
        closed = 0

        def close(self) -> None:
            self.closed += 1

    async def plain() -> Plain:
        return Plain()

    async def number() -> object:
        return object()

    async def main() -> None:
        async with ConnectionPool(plain, 1) as pool, pool.acquire() as connection:
            pass
        assert connection.closed == 1
        async with ConnectionPool(plain, 1, close=lambda it: it.close()) as pool, pool.acquire() as connection:
            pass
        assert connection.closed == 1
        async with ConnectionPool(number, 1) as others:
            pass
        assert others.get_pool_stats()["connection_errors"] == 0

    run(main)


# Health and idleness


@pytest.mark.parametrize("kind", ["plain", "async", "handing on", "in a task"])
def test_broken_connections_are_replaced(kind: str) -> None:
    def check(connection: Connection) -> bool:
        if connection.is_broken:
            return False
        if not connection.is_open:
            raise OSError("closed by the server")
        return True

    async def checking(connection: Connection) -> bool | None:
        await asyncio.sleep(0)
        return check(connection) and None  # nothing to complain of

    async def main() -> None:
        server = Server()
        checks: dict[str, Any] = {
            "plain": check,
            "async": checking,
            "handing on": lambda it: checking(it),
            "in a task": lambda it: asyncio.ensure_future(checking(it)),
        }
        async with server.pool(3, 3, health_check=checks[kind]) as pool:
            one, other, third = server.made
            other.is_broken = third.is_broken = True
            assert await pool.acquire() is one
            assert figures(pool) == (1, 1, 0)
            assert pool.get_pool_stats()["connection_errors"] == 2 + 2  # broken, and broken when it is closed
            assert (one.is_open, other.is_open, third.is_open) == (True, False, False)
            assert await pool.acquire() not in (one, other, third)
            await pool.release(one)
            one.is_open = False
            again = await pool.acquire()
            assert again is not one
            assert server.most == 3

    run(main)


def test_a_check_that_is_cancelled_closes_the_connection() -> None:
    async def main() -> None:
        server = Server(delay=3)
        never = asyncio.Event()

        async def check(_: Connection) -> bool:
            return await never.wait()

        async with server.pool(1, 1, health_check=check) as pool:
            for _ in range(2):
                waiting = asyncio.ensure_future(pool.acquire().__aenter__())
                await settle()
                waiting.cancel()
                async with pool.acquire():  # not before the other is closed
                    assert server.most == 1
            with pytest.raises(TimeoutError):
                await pool.acquire(timeout=0.01)

    run(main)


def test_who_is_cancelled_while_a_broken_connection_is_closed() -> None:
    async def main() -> None:
        server = Server(delay=20)
        async with server.pool(1, 1, health_check=lambda connection: not connection.is_broken) as pool:
            server.made[0].is_broken = True
            waiting = asyncio.ensure_future(pool.acquire().__aenter__())
            for _ in range(5):
                await asyncio.sleep(0)
            waiting.cancel()
            async with pool.acquire() as connection:  # not before the other is closed
                assert connection is server.made[1]
                assert server.most == 1

    run(main)


def test_idle_connections_are_closed_down_to_the_minimum() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(1, 5, idle_timeout=0.02) as pool:
            connections = [await pool.acquire() for _ in range(4)]
            for connection in connections[:3]:
                await pool.release(connection)
            await until(lambda: figures(pool) == (1, 1, 0))
            await pool.release(connections[3])
            await asyncio.sleep(0.05)
            assert figures(pool) == (1, 0, 1)
            assert connections[3].is_open
            assert pool._timer is None

    run(main)


def test_those_used_last_are_used_next() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(0, 5, idle_timeout=0.05) as pool:
            one, other = await pool.acquire(), await pool.acquire()
            await pool.release(other)
            await pool.release(one)

            for _ in range(1_000):
                async with pool.acquire() as connection:
                    assert connection is one
                if not other.is_open:
                    break
                await asyncio.sleep(0.005)
            assert one.is_open
            assert not other.is_open

    run(main)


# Cancellation


def test_who_is_cancelled_gives_way() -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(0, 1) as pool:
            connection = await pool.acquire()
            waiting = [asyncio.ensure_future(pool.acquire().__aenter__()) for _ in range(3)]
            await settle()
            waiting[1].cancel()
            await pool.release(connection)
            waiting[0].cancel()  # it has a slot by now, and has not run since
            await settle()
            assert waiting[2].done()
            assert figures(pool) == (1, 1, 0)
            await pool.release(await waiting[2])

            server.gate = asyncio.Event()
            await pool.release(await pool.acquire(), discard=True)
            opening = asyncio.ensure_future(pool.acquire().__aenter__())
            await asyncio.sleep(0)
            opening.cancel()  # before the factory has been called
            opening = asyncio.ensure_future(pool.acquire().__aenter__())
            await settle()
            opening.cancel()  # while it connects
            await settle()
            server.gate.set()
            async with pool.acquire(timeout=30):
                assert figures(pool) == (1, 1, 0)

    run(main)


def test_a_connection_that_comes_when_nobody_wants_it_any_more_is_kept() -> None:
    async def main() -> None:
        server = Server(delay=0)

        async def stubborn() -> Connection:
            while True:
                try:
                    await gate.wait()
                    return await server.connect()
                except asyncio.CancelledError:
                    pass

        gate = asyncio.Event()
        pool = ConnectionPool(stubborn, 0, 1)
        opening = asyncio.ensure_future(pool.acquire().__aenter__())
        await settle()
        opening.cancel()
        await settle()
        assert opening.cancelled()
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=0.01)
        gate.set()
        await settle()
        assert figures(pool) == (1, 0, 1)
        opening = asyncio.ensure_future(pool.acquire().__aenter__())
        await asyncio.sleep(0)
        await pool.release(await opening, discard=True)
        gate.clear()
        opening = asyncio.ensure_future(pool.acquire().__aenter__())
        await settle()
        closing = asyncio.ensure_future(pool.close())
        await settle()
        gate.set()
        with pytest.raises(RuntimeError, match="closed"):
            await opening
        await closing
        assert server.open == 0

    run(main)


def test_releasing_is_not_undone_by_cancellation() -> None:
    async def main() -> None:
        server = Server(delay=3)
        async with server.pool(0, 1) as pool:
            connection = await pool.acquire()
            releasing = asyncio.ensure_future(pool.release(connection, discard=True))
            await asyncio.sleep(0)
            releasing.cancel()
            await settle()
            assert not connection.is_open
            assert figures(pool) == (0, 0, 0)

    run(main)


@pytest.mark.parametrize("seed", range(6))
def test_cancellations_at_random(seed: int) -> None:
    random_ = random.Random(seed)

    async def main() -> None:
        server = Server(delay=seed % 3)

        async def check(connection: Connection) -> bool:
            await asyncio.sleep(0)
            return random_.random() < 0.9

        pool = server.pool(seed % 2, 3, health_check=check if seed % 2 else None, idle_timeout=0.001)
        lent: set[Connection] = set()

        async def work() -> None:
            try:
                async with pool.acquire(timeout=random_.choice((None, 0.0005, 10))) as connection:
                    assert connection.is_open
                    assert connection not in lent
                    lent.add(connection)
                    try:
                        for _ in range(random_.randrange(3)):
                            await asyncio.sleep(0)
                        if random_.random() < 0.1:
                            raise OSError("of the block")
                    finally:
                        lent.discard(connection)
            except (OSError, TimeoutError):
                pass

        async with pool:
            tasks: list[asyncio.Future[None]] = []
            for _ in range(300):
                tasks.append(asyncio.ensure_future(work()))
                if random_.random() < 0.4:
                    random_.choice(tasks[-20:]).cancel()
                if random_.random() < 0.05:
                    server.failures.append(OSError("refused"))
                if random_.random() < 0.6:
                    await asyncio.sleep(0)
                total, active, available = figures(pool)
                assert active + available <= total <= 3
                assert server.open <= 3
            await asyncio.wait(tasks)
            assert not [task for task in tasks if not task.cancelled() and task.exception()]
            await until(lambda: pool._slots.free == 3)
            assert pool._slots.waiting == 0
            server.failures.clear()
            async with pool.acquire(), pool.acquire(), pool.acquire():  # no slot is lost
                assert figures(pool) == (3, 3, 0)
            stats = pool.get_pool_stats()
        await settle()
        assert (server.open, server.most) == (0, 3)
        assert stats["connections_created"] == len(server.made)
        assert not pool._opening
        assert not pool._closing

    run(main)


# Closing and loops


def test_closing() -> None:
    async def main() -> None:
        server = Server()
        pool = server.pool(2, 2)
        await pool.initialize()
        used, other = await pool.acquire(), await pool.acquire()
        await pool.release(other)
        used_too = await pool.acquire()
        waiting = asyncio.ensure_future(pool.acquire().__aenter__())
        await settle()
        await pool.release(used_too)
        await pool.close()  # the one who waits has been given a slot, and does not know yet
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
        assert (used.is_open, other.is_open) == (True, False)
        with pytest.raises(RuntimeError, match="closed"):
            await pool.acquire()
        with pytest.raises(RuntimeError, match="1 of its connections"):
            await pool.initialize()
        await pool.release(used)
        assert not used.is_open
        await pool.close()
        async with pool, pool.acquire() as connection:
            assert connection.is_open
        assert server.open == 0

    run(main)


def test_closing_while_connections_are_opened() -> None:
    async def main() -> None:
        server = Server()
        server.gate = asyncio.Event()
        pool = server.pool(0, 1)
        opening = asyncio.ensure_future(pool.acquire().__aenter__())
        waiting = asyncio.ensure_future(pool.acquire().__aenter__())
        await settle()
        await pool.close()
        for each in (opening, waiting):
            with pytest.raises(RuntimeError, match="closed"):
                await each
        assert server.open == 0

    run(main)


def test_a_pool_belongs_to_a_loop() -> None:
    server = Server()
    pool = server.pool(1, 2)

    async def use() -> None:
        async with pool, pool.acquire() as connection:
            assert connection.is_open

    asyncio.run(use())
    uvloop.run(use())
    assert server.open == 0

    async def leave_open() -> None:
        await pool.initialize()
        errors: list[Exception] = []

        def elsewhere() -> None:
            for call in (pool.acquire().__aenter__, pool.initialize, pool.close):
                try:
                    asyncio.run(call())
                except RuntimeError as error:
                    errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert [str(error) for error in errors] == ["the pool belongs to another event loop: make one for each"] * 3

    asyncio.run(leave_open())

    async def come_back() -> None:
        with pytest.raises(RuntimeError, match="loop is closed"):
            await pool.acquire()
        server.open = 0
        await use()
        assert figures(pool) == (0, 0, 0)

    asyncio.run(come_back())
    asyncio.run(leave_open())
    asyncio.run(pool.close())
    assert figures(pool) == (0, 0, 0)


def test_those_who_gave_up_leave_no_trace() -> None:
    async def main() -> None:
        async with Server().pool(0, 1) as pool, pool.acquire():
            tasks = [asyncio.ensure_future(pool.acquire().__aenter__()) for _ in range(1_000)]
            await asyncio.sleep(0)
            for task in tasks[::-1]:
                task.cancel()
            await asyncio.wait(tasks)
            assert pool._slots.waiting == 0

    run(main)


# Real ones


def test_asyncpg(postgres: str) -> None:
    async def main() -> None:
        pool = ConnectionPool(
            lambda: asyncpg.connect(postgres), 1, 3, health_check=lambda connection: not connection.is_closed()
        )
        async with pool:

            async def ask(number: int) -> int:
                async with pool.acquire() as connection:
                    answer: int = await connection.fetchval("select $1::int", number)
                    return answer

            assert await asyncio.gather(*(ask(number) for number in range(30))) == list(range(30))
            async with pool.acquire() as connection:
                mine = await connection.fetchval("select pg_backend_pid()")
                async with pool.acquire() as other:
                    await other.execute("select pg_terminate_backend($1)", mine)
                    await until(connection.is_closed)
            assert await ask(1) == 1
            with pytest.raises(asyncio.TimeoutError):
                async with pool.acquire() as connection:
                    await asyncio.wait_for(connection.execute("select pg_sleep(60)"), 0.05)
            assert await ask(2) == 2
            stats = pool.get_pool_stats()
            assert 3 <= stats["connections_created"] <= 6
            assert stats["total_connections"] <= 3

    run(main)


def test_redis(redis_url: str) -> None:
    async def connect() -> redis.asyncio.Redis:
        return redis.asyncio.from_url(redis_url, single_connection_client=True)

    async def main() -> None:
        async with ConnectionPool(connect, 2, 4, health_check=lambda client: client.ping()) as pool:

            async def count(number: int) -> None:
                async with pool.acquire() as client:
                    await client.set(f"pool {number}", number)
                    assert await client.get(f"pool {number}") == str(number).encode()

            await asyncio.gather(*(count(number) for number in range(30)))
            assert figures(pool)[0] <= 4

    asyncio.run(main())


def test_http_clients(http_url: str) -> None:
    async def httpx_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=http_url)

    async def new_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(http_url)

    async def main() -> None:
        async with ConnectionPool(httpx_client, 1, 2) as clients, ConnectionPool(new_session, 1, 2) as sessions:

            async def get(path: str) -> None:
                async with clients.acquire() as client:
                    assert (await client.get(path)).json() == {"path": path}
                async with sessions.acquire() as session, session.get(path) as response:
                    assert await response.json() == {"path": path}

            await asyncio.gather(*(get(f"/{number}") for number in range(10)))
            async with sessions.acquire() as session:
                pass
        assert session.closed

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Tasks and transports that are left complain when they are collected."""
    yield
    gc.collect()
