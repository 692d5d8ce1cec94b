"""A pool of connections of any kind, for one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypedDict, TypeVar

from agentperf_runtime.functions import is_async
from agentperf_runtime.remedies.slots import Slots

C = TypeVar("C")

# TimeoutError is an OSError; that of asyncio is another one before Python 3.11.
_UNSURE = (asyncio.CancelledError, asyncio.TimeoutError, OSError)


class PoolStats(TypedDict):
    """What `ConnectionPool.get_pool_stats` tells; counts and seconds since the pool was made."""

    total_connections: int  # open: in use, available, being checked or closed
    active_connections: int  # acquired and not released
    available_connections: int
    connection_reuse_rate: float  # connections_reused / (connections_created + connections_reused), 0 before the first
    connections_created: int
    connections_reused: int
    connection_errors: int  # connections that could not be opened or closed, or failed their health check
    wait_time_total: float  # that callers of acquire() have waited, opening connections included


class ConnectionPool(Generic[C]):
    """Lends out at most `max_connections` connections that `factory`, an async callable, opens.

        pool = ConnectionPool(lambda: asyncpg.connect(dsn), max_connections=10)
        async with pool:  # initialize() and close()
            async with pool.acquire() as connection: ...
            connection = await pool.acquire()
            await pool.release(connection)

    `min_connections` are opened by `initialize` and kept when others are closed for having been idle; all further ones
    are opened when they are needed. `connection_timeout` is the seconds that `acquire` may take, opening and checking
    included (None: no limit), and that closing a connection may take. `health_check` is called before an idle
    connection is handed out; one that returns False or raises makes it be closed, and the next one is tried, at last a
    new one. `idle_timeout` is the seconds after which an idle connection is closed (None: never). `close` closes a
    connection; by default its method `aclose` or `close` does. Both may be async or not. A connection whose `async
    with` block ended by one of `discard_on` is closed instead of being used again: by default cancellation, timeouts
    and errors of the operating system, after which an answer may still be on its way. Use `()` where the library takes
    care of that itself, as asyncpg does. Raises ValueError where the limits contradict each other, and TypeError for a
    factory that cannot be called; `acquire` does for one that is not async.

    What it claims: it belongs to the event loop in which it is first used, of asyncio or uvloop, and any number of its
    tasks may use it. Callers are served in the order in which they came. At no time are there more than
    `max_connections`, counting those that are being opened and closed, whoever is cancelled at whatever point. The
    most recently used connection is used next, so that the others can become idle.

    Its limits: other threads and loops are refused with a RuntimeError. It must be closed before its loop ends.
    A connection that is released twice is noticed unless another task has it by then; `async with` releases once.
    A connection that nobody releases is lost to the pool. The health check is one more round trip at each `acquire`.
    """

    def __init__(
        self,
        factory: Callable[[], Awaitable[C]],
        min_connections: int = 5,
        max_connections: int = 20,
        connection_timeout: float | None = 30.0,
        *,
        health_check: Callable[[C], object] | None = None,
        idle_timeout: float | None = None,
        close: Callable[[C], object] | None = None,
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = _UNSURE,
    ) -> None:
        if not callable(factory):
            raise TypeError(f"factory is an async callable that opens a connection, not {factory!r}")
        if max_connections < 1 or not 0 <= min_connections <= max_connections:
            raise ValueError(f"{min_connections} to {max_connections} connections: needed is 0 <= min <= max, 1 <= max")
        for seconds in (connection_timeout, idle_timeout):
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"a timeout is 0 or more seconds, not {seconds}")
        self.min_connections = min_connections
        self.max_connections = max_connections
        self.connection_timeout = connection_timeout
        self.idle_timeout = idle_timeout
        self.discard_on = discard_on
        self._factory = factory
        self._health_check = health_check
        self._check_has_to_wait = health_check is not None and is_async(health_check)
        self._close: Callable[[C], object] = close or _close
        self._created = self._reused = self._errors = 0
        self._waited = 0.0
        self._forget()

    async def initialize(self) -> None:
        """Open connections until there are `min_connections`; a pool that was closed is opened again.

        What cannot be opened closes the pool, and raises what the factory raised; after `connection_timeout` seconds it
        raises TimeoutError. Without this call a pool is usable, too.
        """
        self._open_again()
        self._check_usable()
        missing = self.min_connections - self._slots.held - len(self._idle)
        tasks = [self._start(self._made()) for _ in range(missing) if self._slots.take_now()]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=self.connection_timeout, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if not task.done():
                    self._errors += 1
                    raise TimeoutError(f"no {self.min_connections} connections within {self.connection_timeout} s")
                task.result()
        except BaseException as error:
            self._shut_down()
            for task in tasks:
                self._abandon(task)
            if isinstance(error, Exception):
                await self.close()
            raise
        for task in tasks:
            self._take_back(task)

    def acquire(self, timeout: float | None = None) -> Acquisition[C]:
        """A connection: `await pool.acquire()` or `async with pool.acquire() as connection`.

        `timeout`: seconds instead of the pool's. Raises TimeoutError (the builtin one) when that has passed, what the
        factory raises, and RuntimeError when the pool is closed or belongs to another loop.
        """
        return Acquisition(self, timeout)

    def connection(self, timeout: float | None = None) -> Acquisition[C]:
        """The same as `acquire`, for `async with pool.connection() as connection`."""
        return Acquisition(self, timeout)

    async def release(self, connection: C, *, discard: bool = False) -> None:
        """Give a connection back; with `discard` it is closed, for instance when its state is unknown.

        Whatever becomes of the caller, the connection is given back. Raises RuntimeError when it was released before,
        and ValueError when it is not of this pool.
        """
        self._check_loop()
        if self._active.pop(id(connection), None) is None:
            if any(idle.connection is connection for idle in self._idle):
                raise RuntimeError(f"{connection!r} has been released already")
            raise ValueError(f"{connection!r} was not acquired from this pool, or has been released and closed already")
        if discard or self._is_closed:
            await asyncio.wait((self._close_for_good(connection),))
        else:
            self._put_back(connection)

    async def close(self) -> None:
        """Close what is available and wait for that; callers that wait for a connection get a RuntimeError.

        A connection that is in use is closed when it is released, which this does not wait for. A connection that
        cannot be closed counts as an error.
        """
        if self._loop is not None and self._loop.is_closed():
            self._forget()
        if self._loop is not None:
            self._check_loop()
        self._shut_down()
        while self._slots.held > len(self._active):
            tasks = self._opening | self._closing
            if tasks:
                await asyncio.wait(tasks)
            else:  # someone got a connection and runs next
                await asyncio.sleep(0)

    async def __aenter__(self) -> ConnectionPool[C]:
        await self.initialize()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_pool_stats(self) -> PoolStats:
        """Statistics, always with the same keys."""
        return PoolStats(
            total_connections=self._open,
            active_connections=len(self._active),
            available_connections=len(self._idle),
            connection_reuse_rate=self._reused / max(self._created + self._reused, 1),
            connections_created=self._created,
            connections_reused=self._reused,
            connection_errors=self._errors,
            wait_time_total=self._waited,
        )

    def _forget(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._open = 0
        # A slot is held by whoever has a connection, is about to get one, or closes one. A connection is opened only by
        # a holder that finds none available, so there are never more connections than slots.
        self._slots = Slots(self.max_connections)
        self._idle: deque[_Idle[C]] = deque()  # the one used last is last
        self._active: dict[int, C] = {}
        self._opening: set[asyncio.Task[C]] = set()  # asyncio keeps no reference to tasks
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def _open_again(self) -> None:
        if self._loop is not None and self._loop.is_closed():
            self._forget()  # nothing can be done to what belongs to a loop that is closed
        elif self._is_closed:
            if self._slots.held:
                raise RuntimeError(f"the pool was closed, and {self._slots.held} of its connections are still in use")
            self._forget()

    def _check_usable(self) -> None:
        self._check_loop()
        if self._is_closed:
            raise self._closed_error()

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop.is_closed():
            raise RuntimeError("the pool's event loop is closed: close() the pool before, and initialize() it anew")
        elif self._loop is not loop:
            raise RuntimeError("the pool belongs to another event loop: make one for each")

    def _closed_error(self) -> RuntimeError:
        return RuntimeError("the pool is closed")

    async def _acquired(self, timeout: float | None) -> C:
        self._check_usable()
        started = time.perf_counter()
        try:
            connection = await self._lent(self.connection_timeout if timeout is None else timeout)
        finally:
            self._waited += time.perf_counter() - started
        self._active[id(connection)] = connection
        return connection

    async def _lent(self, timeout: float | None) -> C:
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        if not self._slots.take_now():
            try:
                await self._slots.take(timeout)
            except TimeoutError:
                raise self._timed_out(timeout) from None
            if self._is_closed:
                self._slots.give()
                raise self._closed_error()
        if self._idle and self._is_healthy_at_once(self._idle[-1].connection):
            self._reused += 1
            return self._idle.pop().connection
        task = self._start(self._found() if self._idle else self._made())
        try:
            await asyncio.wait((task,), timeout=None if until is None else until - asyncio.get_running_loop().time())
        except BaseException:
            self._abandon(task)
            raise
        if not task.done():
            self._abandon(task)
            self._errors += 1
            raise self._timed_out(timeout)
        if self._is_closed:
            self._abandon(task)
            raise self._closed_error()
        return task.result()

    def _timed_out(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(
            f"no connection within {timeout} s: {len(self._active)} of {self.max_connections} are in use,"
            f" {self._slots.waiting} other callers are waiting"
        )

    async def _found(self) -> C:
        while self._idle:
            connection = self._idle.pop().connection
            if await self._is_healthy(connection):
                self._reused += 1
                return connection
        return await self._made()

    def _is_healthy_at_once(self, connection: C) -> bool:
        """Whether that can be said without waiting, for which a task is needed, which costs more than all the rest."""
        if self._health_check is None:
            return True
        if self._check_has_to_wait:
            return False
        try:
            verdict = self._health_check(connection)
        except Exception:
            return False  # it is checked again, and closed, where one can wait
        if inspect.isawaitable(verdict):
            self._check_has_to_wait = True
            if isinstance(verdict, Coroutine):
                verdict.close()
            elif isinstance(verdict, asyncio.Future):
                verdict.cancel()
            return False
        return verdict is not False

    async def _is_healthy(self, connection: C) -> bool:
        assert self._health_check is not None
        try:
            with contextlib.suppress(Exception):  # an exception is an answer, too
                if await _resolved(self._health_check(connection)) is not False:
                    return True
        except BaseException:
            await self._closed(connection)
            raise
        self._errors += 1
        await self._closed(connection)
        return False

    async def _closed(self, connection: C) -> None:
        """Close a connection in a task that gets another one, which keeps its slot until then, also when cancelled."""
        closing = self._close_later(connection)
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.wait((closing,))
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    async def _made(self) -> C:
        try:
            opening = self._factory()
            if not inspect.isawaitable(opening):
                raise TypeError(f"factory returned {opening!r}, which cannot be awaited: make it an async function")
            connection = await opening
        except Exception:
            self._errors += 1
            raise
        if id(connection) in self._active or any(idle.connection is connection for idle in self._idle):
            raise RuntimeError(f"the factory returned {connection!r}, which is in the pool already")
        self._created += 1
        self._open += 1
        self._watch_idle()
        return connection

    def _start(self, work: Coroutine[Any, Any, C]) -> asyncio.Task[C]:
        """Start what gets a connection, for which a slot was taken: when it fails, the slot is free again."""

        def ended(task: asyncio.Task[C]) -> None:
            # Not at the end of the coroutine: a task that is cancelled before it begins does not run at all.
            self._opening.discard(task)
            if task.cancelled() or task.exception() is not None:
                self._slots.give()

        task = asyncio.get_running_loop().create_task(work)
        self._opening.add(task)
        task.add_done_callback(ended)
        return task

    def _abandon(self, task: asyncio.Task[C]) -> None:
        task.cancel()
        task.add_done_callback(self._take_back)

    def _take_back(self, task: asyncio.Task[C]) -> None:
        """The connection that a task got after all; its slot is held."""
        if task.cancelled() or task.exception() is not None:
            return
        if self._is_closed:
            self._close_for_good(task.result())
        else:
            self._put_back(task.result())

    def _put_back(self, connection: C) -> None:
        self._idle.append(_Idle(connection, asyncio.get_running_loop().time()))
        self._slots.give()
        self._watch_idle()

    def _close_for_good(self, connection: C) -> asyncio.Task[None]:
        """Close a connection whose slot is held, which is free afterwards."""
        task = self._close_later(connection)
        task.add_done_callback(lambda _: self._slots.give())
        return task

    def _close_later(self, connection: C) -> asyncio.Task[None]:
        def ended(task: asyncio.Task[None]) -> None:
            self._closing.discard(task)
            self._open -= 1

        task = asyncio.get_running_loop().create_task(self._shut(connection))
        self._closing.add(task)
        task.add_done_callback(ended)
        return task

    async def _shut(self, connection: C) -> None:
        try:
            await asyncio.wait_for(_resolved(self._close(connection)), self.connection_timeout)
        except Exception:
            self._errors += 1

    def _watch_idle(self) -> None:
        if self.idle_timeout is None or self._timer is not None or self._is_closed or not self._idle:
            return
        if self._surplus() > 0:
            due = self._idle[0].since + self.idle_timeout
            self._timer = asyncio.get_running_loop().call_at(due, self._close_idle)

    def _surplus(self) -> int:
        return self._open - len(self._closing) - self.min_connections

    def _close_idle(self) -> None:
        self._timer = None
        assert self.idle_timeout is not None
        due = asyncio.get_running_loop().time() - self.idle_timeout
        while self._surplus() > 0 and self._idle and self._idle[0].since <= due and self._slots.take_now():
            self._close_for_good(self._idle.popleft().connection)
        self._watch_idle()

    def _shut_down(self) -> None:
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.refuse(self._closed_error)
        for task in self._opening:
            task.cancel()
        while self._idle:
            self._slots.free -= 1  # also one that was given to someone who does not know yet that the pool is closed
            self._close_for_good(self._idle.pop().connection)


@dataclass(frozen=True)
class _Idle(Generic[C]):
    connection: C
    since: float  # seconds of the loop's clock


class Acquisition(Generic[C]):
    """What `ConnectionPool.acquire` returns, to be awaited or to be entered once."""

    __slots__ = ("_connection", "_pool", "_timeout")

    def __init__(self, pool: ConnectionPool[C], timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._connection: list[C] = []

    def __await__(self) -> Generator[Any, None, C]:
        return self._pool._acquired(self._timeout).__await__()  # pyright: ignore[reportPrivateUsage]

    async def __aenter__(self) -> C:
        if self._connection:
            raise RuntimeError("this has been entered: call acquire() once for each connection")
        connection = await self
        self._connection.append(connection)
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        discard = kind is not None and issubclass(kind, self._pool.discard_on)
        await self._pool.release(self._connection.pop(), discard=discard)


async def _resolved(value: object) -> object:
    return await value if inspect.isawaitable(value) else value


def _close(connection: object) -> object:
    for name in ("aclose", "close"):
        method = getattr(connection, name, None)
        if callable(method):
            return method()
    return None
