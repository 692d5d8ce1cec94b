"""A cache for the results of functions that knows what they cost."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar
from math import inf, isnan
from typing import Any, NamedTuple, TypedDict, TypeVar, cast

from agentperf_runtime.forks import renew_in_child
from agentperf_runtime.functions import check_decorated, is_async
from agentperf_runtime.remedies.cache_entries import Entries, Entry, Key, Outcome, remove_value
from agentperf_runtime.remedies.call_keys import KeyOf, Origin, custom_keys_of, keys_of, unhashable_argument

F = TypeVar("F", bound=Callable[..., Any])

_ATTRIBUTE = "__agentperf_cached__"


class CacheStats(TypedDict):
    """What `IntelligentCache.get_cache_stats` tells; times in seconds, counts since the cache was made."""

    cache_size: int
    hit_rate: float  # total_hits / (total_hits + total_misses), 0 before the first call
    total_hits: int  # calls that were answered from the cache
    total_misses: int  # computations that were started
    total_shared: int  # calls that waited for a computation which another one had started
    estimated_time_saved: float  # for each hit, what the value had taken to compute
    avg_computation_time: float  # of the computations that came to an end, also by an exception
    evictions: int
    expirations: int


class IntelligentCache:
    """Keeps results of functions, at most `max_size` of all functions together, and evicts what saves the least time.

    `ttl_seconds` is the age at which a value is computed anew, on a clock that never goes back: None is never, and at 0
    nothing is kept, while calls at the same time still share one computation. `timer` is that clock, in seconds.
    Raises ValueError for a `max_size` below 1 and a negative time.

    The value of an entry is its accesses times its computation time over its age, where "over its age" is a count that
    fades by half in 15 x `max_size` accesses (LRFU, weighted by cost; see `cache_entries.Entries`). A call costs
    O(log n) amortised, a hit O(1). For the memory of evicted keys, 2 x `max_size` hashes are kept besides the entries.

    What it claims: it may be used from any number of threads, tasks and event loops at once, of asyncio and uvloop.
    A cached value is shared by all. While a value is computed, other calls with the same key wait for it: threads for
    the thread that computes it; tasks for a task of its own, in the loop in which they run (so two loops that want the
    same at once compute it twice). A fork inherits the values.

    Its limits: it lives in one process. A value is handed out as it is, so whoever changes it changes it for all. A
    synchronous function blocks the thread that waits for it, and with it that thread's event loop.
    """

    def __init__(
        self,
        max_size: int = 1000,
        ttl_seconds: float | None = 3600,
        *,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        if max_size < 1:
            raise ValueError(f"max_size must be at least 1, not {max_size}")
        self.max_size = max_size
        self.ttl_seconds = ttl_seconds
        self._default_ttl = inf if ttl_seconds is None else _checked(ttl_seconds)
        self._timer = timer
        self._lock = threading.RLock()  # hashing and comparing arguments, under it, may come back here
        self._entries = Entries(max_size)
        self._threads: dict[Key, _ThreadFlight] = {}
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Key, _TaskFlight]]
        self._loops = weakref.WeakKeyDictionary()
        self._tasks: set[asyncio.Task[Outcome]] = set()  # asyncio keeps no reference
        self._dead: deque[Origin] = deque()
        self._hits = self._misses = self._shared = self._computed = 0
        self._saved = self._computing = 0.0
        renew_in_child(self, IntelligentCache._after_fork)

    def cached(
        self,
        ttl_override: float | None = None,
        *,
        key: Callable[..., Hashable] | None = None,
        cache_errors: type[Exception] | tuple[type[Exception], ...] = (),
        error_ttl: float | None = None,
    ) -> Callable[[F], F]:
        """Cache what the decorated function returns, a plain or an async one, also None.

        `ttl_override`: seconds instead of the cache's; None takes the cache's, 0 keeps nothing, `math.inf` keeps a
        value until it is evicted. `cache_errors`: exceptions that are kept and raised again, none by default, for
        `error_ttl` seconds (None: as long as values).

        Calls are the same when their arguments are, in value and type, whether they are given by position, by name or
        by default: `f(1)` and `f(x=1)` are, 1, 1.0 and True are not, inside of tuples neither (inside of other
        containers Python's equality decides). Two functions never share a value. The `self` of a method is told apart
        by identity and not kept alive: the values of an instance that died go at the next computation; instances
        without weak references are arguments like others. `key` is called with the arguments and returns what
        identifies the call instead, for instance where they cannot be hashed; a `self` in it is kept alive.

        An exception reaches all calls that waited for the computation, and the next call computes anew. What is no
        Exception (KeyboardInterrupt, SystemExit) only hits the call that computes, and one that waits takes over. A
        task that is cancelled leaves the computation to those that wait with it; when nobody waits any more, it is
        cancelled, too. It runs in a copy of the context of the task that wanted it first. A computation that comes to
        need itself computes again instead of waiting for itself; so do greenlets of one thread.

        The decorator raises TypeError for generator functions, whose results can be used only once, and for static,
        class and property objects (which belong outside of it); calls do for arguments that cannot be hashed, and for
        plain functions that return an awaitable.
        """
        if callable(ttl_override):
            raise TypeError("cached() takes options, not the function: write @cache.cached()")
        ttl = self._default_ttl if ttl_override is None else _checked(ttl_override)
        errors = _Errors(cache_errors, ttl if error_ttl is None else _checked(error_ttl))

        def decorate(function: F) -> F:
            _check_function(function)
            origin = Origin()
            key_of = keys_of(function, origin, self._dead) if key is None else custom_keys_of(key, origin)
            cached = _Cached(function, origin, key_of, ttl, errors)
            wrapper = self._async_wrapper(cached) if is_async(function) else self._sync_wrapper(cached)
            functools.update_wrapper(wrapper, function)
            setattr(wrapper, _ATTRIBUTE, cached)
            return cast("F", wrapper)

        return decorate

    def invalidate(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Forget the value of the call `function(*args, **kwargs)`; whether there was one.

        A computation of it that is under way goes to those that wait for it already, and is not kept. Methods are given
        bound: `cache.invalidate(user.orders, 5)`. Raises TypeError for a function that this decorator did not make.
        """
        cached = _cached_of(function)
        if inspect.ismethod(function):
            args = (function.__self__, *args)
        key = cached.key_of(args, kwargs)
        return self._forget(lambda each: each == key) > 0

    def invalidate_function(self, function: Callable[..., Any]) -> int:
        """Forget all values of a function, or of a method for all instances; how many there were."""
        origin = _cached_of(function).origin
        return self._forget(lambda each: _origin_of(each).function is origin)

    def clear(self) -> None:
        """Forget all values, also those that are being computed. Statistics go on."""
        with self._lock:
            gone = self._entries.clear()
            self._discard_flights(lambda _: True)
        _let_go(gone)

    def get_cache_stats(self) -> CacheStats:
        """Statistics, always with the same keys; those of evicted values are included."""
        with self._lock:
            gone = self._sweep()
            calls = self._hits + self._misses
            stats = CacheStats(
                cache_size=len(self._entries),
                hit_rate=self._hits / calls if calls else 0.0,
                total_hits=self._hits,
                total_misses=self._misses,
                total_shared=self._shared,
                estimated_time_saved=self._saved,
                avg_computation_time=self._computing / self._computed if self._computed else 0.0,
                evictions=self._entries.evictions,
                expirations=self._entries.expirations,
            )
        _let_go(gone)
        return stats

    def _sync_wrapper(self, cached: _Cached) -> Callable[..., Any]:
        key_of = cached.key_of

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = key_of(args, kwargs)
            found = self._find(cached, key)
            if found is None:
                found = self._shared_by_threads(cached, key, args, kwargs)
            if found.error is None:
                return found.value
            try:
                raise found.error
            finally:
                del found  # or the exception would refer to itself, by way of this frame

        return wrapper

    def _async_wrapper(self, cached: _Cached) -> Callable[..., Coroutine[Any, Any, Any]]:
        key_of = cached.key_of

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            key = key_of(args, kwargs)
            found = self._find(cached, key)
            if found is None:
                found = await self._shared_by_tasks(cached, key, args, kwargs)
            if found.error is None:
                return found.value
            try:
                raise found.error
            finally:
                del found

        return wrapper

    def _find(self, cached: _Cached, key: Key) -> Outcome | None:
        with self._lock:
            try:
                entry = self._entries.find(key, self._timer())
            except TypeError as error:
                explained = unhashable_argument(cached.function, key)
                if explained is None:
                    raise
                raise explained from error
            if entry is None:
                return None
            self._hits += 1
            self._saved += entry.cost
            found = entry.outcome
        if found is not None and found.error is not None:
            found.error.__traceback__ = None  # or it would grow with each hit
        return found

    def _shared_by_threads(self, cached: _Cached, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
        while True:
            with self._lock:
                found = self._find(cached, key)  # since it was looked for, another thread may have come to an end
                if found is not None:
                    return found
                flight = self._threads.get(key)
                if flight is None or flight.is_of_this_thread() or not flight.computation.may_be_awaited():
                    flight = _ThreadFlight(hash(key))
                    self._threads.setdefault(key, flight)
                    self._misses += 1
                    break
                if flight.landed is None:
                    flight.landed = threading.Event()
            try:
                flight.landed.wait()
            finally:
                flight.computation.is_awaited_no_more()
            if flight.outcome is not None:
                with self._lock:
                    self._shared += 1
                return flight.outcome
        return self._computed_by_thread(cached, key, flight, args, kwargs)

    def _computed_by_thread(
        self, cached: _Cached, key: Key, flight: _ThreadFlight, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome:
        outcome = None
        try:
            outcome = self._timed_by_thread(cached, key, flight, args, kwargs)
            return outcome
        finally:
            with self._lock:
                remove_value(self._threads, key, flight)
                if flight.landed is not None:
                    flight.outcome = outcome
                    flight.landed.set()
            del outcome  # an exception refers to this frame, so it would refer to itself

    def _timed_by_thread(
        self, cached: _Cached, key: Key, flight: _ThreadFlight, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome:
        flight.computation.may_be_awaited()
        token = _current.set(flight.computation)
        started = self._timer()
        try:
            outcome = _outcome(cached.function, args, kwargs)
        finally:
            _current.reset(token)
            flight.computation.is_awaited_no_more()
        try:
            self._keep(cached, key, flight, outcome, self._timer() - started)
            return outcome
        finally:
            del outcome

    async def _shared_by_tasks(
        self, cached: _Cached, key: Key, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        with self._lock:
            flights = self._flights_of(loop)
            flight = flights.get(key)
            starts = flight is None or not flight.computation.may_be_awaited()
            if flight is None or starts:
                flight = _TaskFlight(hash(key), loop)
                flights.setdefault(key, flight)
                self._misses += 1
            else:
                self._shared += 1
        if starts:
            flight.computation.may_be_awaited()
            self._start(flights, key, flight, self._computed_by_task(cached, key, flight, args, kwargs))
        flight.waiting += 1
        try:
            await asyncio.wait((flight.landed,))
        finally:
            flight.waiting -= 1
            flight.computation.is_awaited_no_more()
            if not flight.waiting and not flight.landed.done():
                self._abandon(flights, key, flight)
        return flight.landed.result()

    async def _computed_by_task(
        self, cached: _Cached, key: Key, flight: _TaskFlight, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Outcome:
        _current.set(flight.computation)  # in the context of this task
        started = self._timer()
        outcome = await _awaited_outcome(cached.function, args, kwargs)
        self._keep(cached, key, flight, outcome, self._timer() - started)
        return outcome

    def _start(
        self,
        flights: dict[Key, _TaskFlight],
        key: Key,
        flight: _TaskFlight,
        computation: Coroutine[Any, Any, Outcome],
    ) -> None:
        def ended(task: asyncio.Task[Outcome]) -> None:
            with self._lock:
                self._tasks.discard(task)
            self._remove_flight(flights, key, flight)
            flight.land(task)

        # Not under the lock: with an eager task factory the computation begins here.
        flight.task = asyncio.get_running_loop().create_task(computation)
        flight.task.add_done_callback(ended)
        with self._lock:
            self._tasks.add(flight.task)

    def _abandon(self, flights: dict[Key, _TaskFlight], key: Key, flight: _TaskFlight) -> None:
        self._remove_flight(flights, key, flight)  # the next call starts anew
        if flight.task is not None:
            flight.task.cancel()

    def _remove_flight(self, flights: dict[Key, _TaskFlight], key: Key, flight: _TaskFlight) -> None:
        with self._lock:
            remove_value(flights, key, flight)

    def _flights_of(self, loop: asyncio.AbstractEventLoop) -> dict[Key, _TaskFlight]:
        flights = self._loops.get(loop)
        if flights is None:
            for each in list(self._loops):
                if each.is_closed():  # with computations that never end, which would keep it alive
                    del self._loops[each]
            self._tasks = {task for task in self._tasks if not task.get_loop().is_closed()}
            flights = self._loops[loop] = {}
        return flights

    def _keep(
        self, cached: _Cached, key: Key, flight: _ThreadFlight | _TaskFlight, outcome: Outcome, seconds: float
    ) -> None:
        ttl = cached.ttl
        if outcome.error is not None:
            ttl = cached.errors.ttl if isinstance(outcome.error, cached.errors.kinds) else 0
        origin = _origin_of(key)
        with self._lock:
            # What changes its arguments has a result for those that are no more.
            is_kept = ttl > 0 and not flight.is_discarded and _has_hash(key, flight.key_hash)
            self._computed += 1
            self._computing += seconds
            gone = self._sweep()
            if is_kept:
                now = self._timer()
                siblings = None if origin.reference is None else origin.entries
                gone += self._entries.put(Entry(key, outcome, seconds, now + ttl, siblings), now)
        _let_go(gone)

    def _sweep(self) -> list[Entry]:
        gone = self._entries.expire(self._timer())
        while self._dead:
            gone += [self._entries.remove(entry) for entry in list(self._dead.popleft().entries)]
        return gone

    def _forget(self, is_meant: Callable[[Key], bool]) -> int:
        with self._lock:
            gone = [self._entries.remove(entry) for entry in list(self._entries) if is_meant(entry.key)]
            self._discard_flights(is_meant)
        _let_go(gone)
        return len(gone)

    def _discard_flights(self, is_meant: Callable[[Key], bool]) -> None:
        every: list[dict[Key, Any]] = [self._threads, *self._loops.values()]
        for flights in every:
            for key, flight in [each for each in flights.items() if is_meant(each[0])]:
                remove_value(flights, key, flight)
                flight.is_discarded = True

    def _after_fork(self) -> None:
        """In the child, where only the forking thread goes on."""
        global _waits
        _waits = threading.Lock()
        if not self._lock.acquire(blocking=False):  # another thread was in the midst of changing the entries
            self._entries = Entries(self.max_size)
        self._lock = threading.RLock()
        self._threads = {}
        self._loops = weakref.WeakKeyDictionary()
        self._tasks = set()


class _Errors(NamedTuple):
    """The exceptions that are kept, and for how many seconds."""

    kinds: type[Exception] | tuple[type[Exception], ...]
    ttl: float


class _Cached(NamedTuple):
    """A decorated function. `ttl` in seconds."""

    function: Callable[..., Any]
    origin: Origin
    key_of: KeyOf
    ttl: float
    errors: _Errors


class _Computation:
    """One under way. `awaits` are those that it waits for, so that none comes to wait for itself."""

    def __init__(self) -> None:
        self.awaits: set[_Computation] = set()

    def may_be_awaited(self) -> bool:
        """False where the computation that asks is one that this one waits for; else it is noted that it waits."""
        asking = _current.get()
        if asking is None:
            return True
        with _waits:
            if self._needs(asking):
                return False
            asking.awaits.add(self)
        return True

    def is_awaited_no_more(self) -> None:
        """By the computation that asks."""
        asking = _current.get()
        if asking is not None:
            with _waits:
                asking.awaits.discard(self)

    def _needs(self, other: _Computation) -> bool:
        reached: set[_Computation] = {self}
        ahead: list[_Computation] = [self]
        while ahead:
            computation = ahead.pop()
            if computation is other:
                return True
            ahead.extend(each for each in computation.awaits if each not in reached)
            reached |= computation.awaits
        return False


class _ThreadFlight:
    """A computation of a thread. Landed without an outcome, one of those who wait has to start anew."""

    def __init__(self, key_hash: int) -> None:
        self.computation = _Computation()
        self.key_hash = key_hash
        self.is_discarded = False  # what comes out is not to be kept
        self.landed: threading.Event | None = None  # until someone waits for it
        self.outcome: Outcome | None = None
        self._thread = threading.get_ident()

    def is_of_this_thread(self) -> bool:
        """Which cannot wait for itself: it has come back by recursion, or by switching to another greenlet."""
        return self._thread == threading.get_ident()


class _TaskFlight:
    """A computation in a task of its own, and how many wait for it."""

    def __init__(self, key_hash: int, loop: asyncio.AbstractEventLoop) -> None:
        self.computation = _Computation()
        self.key_hash = key_hash
        self.is_discarded = False
        self.landed: asyncio.Future[Outcome] = loop.create_future()
        self.task: asyncio.Task[Outcome] | None = None
        self.waiting = 0

    def land(self, task: asyncio.Task[Outcome]) -> None:
        """With what the task has come to."""
        if task.cancelled():
            self.landed.cancel()
            return
        error = task.exception()
        if error is None:
            self.landed.set_result(task.result())
        else:
            self.landed.set_exception(error)
            self.landed.exception()  # it is nobody's when all who waited were cancelled


_current: ContextVar[_Computation | None] = ContextVar("agentperf_computation", default=None)
_waits = threading.Lock()


def _outcome(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    # A frame of its own, which does not refer to the outcome: exceptions refer to the frames that they passed.
    try:
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise TypeError(f"{function!r} returned an awaitable, which can be awaited only once: make it async def")
        return Outcome(value, None)
    except Exception as error:
        return Outcome(None, error)


async def _awaited_outcome(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    try:
        return Outcome(await function(*args, **kwargs), None)
    except Exception as error:
        return Outcome(None, error)


def _let_go(gone: list[Entry]) -> None:
    # Not under the lock: finalizers may come back to the cache. Heaps still refer to the entries.
    for entry in gone:
        entry.outcome = None


def _has_hash(key: Key, expected: int) -> bool:
    try:
        return hash(key) == expected
    except Exception:  # of the argument
        return False


def _origin_of(key: Key) -> Origin:
    return cast("Origin", key[0])


def _checked(seconds: float) -> float:
    if isnan(seconds) or seconds < 0:
        raise ValueError(f"a time to live is 0 or more seconds, not {seconds}")
    return seconds


def _check_function(function: object) -> None:
    check_decorated(function, "cached()")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is a generator function: what it returns can be used only once")


def _cached_of(function: Callable[..., Any]) -> _Cached:
    cached = getattr(function, _ATTRIBUTE, None)
    if not isinstance(cached, _Cached):
        raise TypeError(f"{function!r} is not a cached function")
    return cached
