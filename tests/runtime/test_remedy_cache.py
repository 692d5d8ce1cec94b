"""IntelligentCache: what it keeps, what it lets go of, and who computes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import random
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import greenlet
import pytest
import uvloop

from agentperf_runtime import IntelligentCache
from agentperf_runtime.remedies.cache_entries import Entries, Entry, Outcome


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(main: Coroutine[Any, Any, Any]) -> None:
    """Run it; nothing may be left for the loop's exception handler."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(watched())
    assert not complaints


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if condition():
            return
        time.sleep(0.002)
    raise TimeoutError


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# The scenario of the guidelines


def test_the_second_call_is_answered_from_the_cache() -> None:
    cache = IntelligentCache(max_size=3)
    calls = 0

    @cache.cached()
    def expensive(x: int) -> int:
        nonlocal calls
        calls += 1
        time.sleep(0.01)
        return x * 2

    assert expensive(5) == 10
    assert expensive(5) == 10
    assert calls == 1
    stats = cache.get_cache_stats()
    assert stats["hit_rate"] == 0.5
    assert stats["estimated_time_saved"] >= 0.01
    assert stats["avg_computation_time"] >= 0.01


# Keys


def test_arguments_are_the_same_however_they_are_given() -> None:
    cache = IntelligentCache()
    calls = []

    @cache.cached()
    def f(x: int, y: int = 2, *, z: int = 3) -> int:
        calls.append((x, y, z))
        return x

    for call in (lambda: f(1), lambda: f(x=1), lambda: f(1, 2), lambda: f(1, z=3), lambda: f(z=3, y=2, x=1)):
        call()
    assert calls == [(1, 2, 3)]
    for wrong in ({}, {"x": 1, "unknown": 2}, {"y": 1}):
        with pytest.raises(TypeError, match="argument"):
            f(**wrong)
    with pytest.raises(TypeError, match="multiple values"):
        f(1, x=1)
    with pytest.raises(TypeError, match="too many positional"):
        f(1, 2, 3)
    assert len(calls) == 1


def test_variable_and_positional_only_arguments() -> None:
    cache = IntelligentCache()
    calls = []

    @cache.cached()
    def f(x: int, /, *args: int, **kwargs: int) -> None:
        calls.append((x, args, kwargs))

    f(1, 2, a=3, b=4)
    f(1, 2, b=4, a=3)
    f(1, x=2)
    f(1, 2)
    f(1)
    f(1)
    assert calls == [(1, (2,), {"a": 3, "b": 4}), (1, (), {"x": 2}), (1, (2,), {}), (1, (), {})]


def test_equal_arguments_of_other_types_are_others() -> None:
    cache = IntelligentCache()
    given = [1, 1.0, True, (1,), (1.0,), ((True,),), ((1,),)]

    @cache.cached()
    def f(x: object) -> str:
        return repr(x)

    for _ in range(2):
        assert [f(value) for value in given] == [repr(value) for value in given]
    assert cache.get_cache_stats()["total_hits"] == len(given)


def test_functions_of_one_name_share_nothing() -> None:
    cache = IntelligentCache()

    def make(result: str) -> Callable[[int], str]:
        @cache.cached()
        def f(x: int) -> str:
            return result

        return f

    assert (make("a")(1), make("b")(1)) == ("a", "b")


def test_what_cannot_be_hashed_is_told_and_may_be_given_a_key() -> None:
    cache = IntelligentCache()

    @cache.cached()
    def total(numbers: list[int], default: list[int] = []) -> int:  # noqa: B006
        return sum(numbers)

    with pytest.raises(TypeError, match=r"total\(\) was called with a list.*key="):
        total([1, 2])
    assert total((1, 2)) == total((1, 2)) == 3  # type: ignore[arg-type]

    @cache.cached(key=lambda numbers: tuple(numbers))
    def keyed(numbers: list[int]) -> int:
        return sum(numbers)

    assert keyed([1, 2]) == keyed([1, 2]) == 3
    assert cache.get_cache_stats()["total_hits"] == 2


def test_type_errors_of_comparisons_stay_themselves() -> None:
    class Odd:
        def __hash__(self) -> int:
            raise TypeError("odd")

    class Strange:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise TypeError("strange")

    cache = IntelligentCache()

    @cache.cached()
    def f(x: object) -> int:
        return 1

    with pytest.raises(TypeError, match="Odd") as caught:
        f(Odd())
    assert "odd" in str(caught.value.__cause__)
    f(Strange())
    with pytest.raises(TypeError, match="strange"):
        f(Strange())


class Account:
    calls: Counter[str] = Counter()  # noqa: RUF012
    cache = IntelligentCache()

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1

    @cache.cached()
    def balance(self, currency: str = "EUR") -> list[str]:
        self.calls[self.name] += 1
        return [self.name, currency]

    @staticmethod
    @cache.cached()
    def rate(currency: str) -> str:
        return currency

    @classmethod
    @cache.cached()
    def bank(cls) -> str:
        return cls.__name__


def test_methods_tell_instances_apart_and_do_not_keep_them() -> None:
    one, other = Account("one"), Account("other")
    assert one.balance() == one.balance("EUR") == Account.balance(one, currency="EUR") == ["one", "EUR"]
    assert other.balance() == ["other", "EUR"]
    assert Account.calls == {"one": 1, "other": 1}
    assert Account.rate("EUR") == "EUR"
    assert Account.bank() == Account.bank() == "Account"
    size = Account.cache.get_cache_stats()["cache_size"]
    value = weakref.ref(one)
    del one
    gc.collect()
    assert value() is None
    assert Account.cache.get_cache_stats()["cache_size"] == size - 1
    assert Account.cache.invalidate(other.balance)
    assert not Account.cache.invalidate(other.balance)
    Account("third").balance()
    other.balance()
    assert Account.cache.invalidate_function(Account.balance) == 1  # the third is dead


def test_instances_without_weak_references_are_arguments() -> None:
    cache = IntelligentCache()

    class Point(tuple[int, int]):
        __slots__ = ()

        @cache.cached()
        def norm(self) -> int:
            return self[0] ** 2 + self[1] ** 2

    Point.norm.__qualname__  # noqa: B018  # a class inside of a function
    assert Point((3, 4)).norm() == Point((3, 4)).norm() == 25


def test_instances_of_a_module_without_weak_references() -> None:
    assert Slotted(3).double() == Slotted(3).double() == 6
    assert Slotted.cache.get_cache_stats()["total_hits"] == 1


class Slotted:
    __slots__ = ("number",)
    cache = IntelligentCache()

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and other.number == self.number

    def __hash__(self) -> int:
        return hash(self.number)

    @cache.cached()
    def double(self) -> int:
        return self.number * 2


def test_builtins_without_a_signature() -> None:
    cache = IntelligentCache()
    maximum = cache.cached()(max)
    assert maximum(1, 2) == maximum(1, 2) == 2
    assert maximum("aa", "b", key=len) == "aa"
    assert cache.get_cache_stats()["total_hits"] == 1


# What is decorated


def test_the_function_stays_what_it_is() -> None:
    cache = IntelligentCache()

    @cache.cached()
    async def fetch(x: int, y: str = "a") -> int:
        """Fetch."""
        return x

    @cache.cached()
    def load(x: int) -> None:
        """Load."""

    assert inspect.iscoroutinefunction(fetch)
    assert not inspect.iscoroutinefunction(load)
    assert (fetch.__name__, fetch.__doc__, str(inspect.signature(fetch))) == (
        "fetch",
        "Fetch.",
        "(x: 'int', y: 'str' = 'a') -> 'int'",
    )
    assert load(1) is None
    assert load(1) is None
    assert cache.get_cache_stats()["total_hits"] == 1


def test_what_cannot_be_cached_is_refused() -> None:
    cache = IntelligentCache()

    def numbers() -> Any:
        yield 1

    async def later() -> Any:
        yield 1

    async def answer() -> int:
        return 1

    for wrong in (numbers, later, staticmethod(answer), classmethod(answer), property(numbers), 1):
        with pytest.raises(TypeError):
            cache.cached()(wrong)  # type: ignore[type-var]
    with pytest.raises(TypeError, match=r"cached\(\)"):
        cache.cached(answer)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="async def"):
        cache.cached()(lambda: answer())()
    with pytest.raises(TypeError, match="not a cached function"):
        cache.invalidate(answer)
    for options in ({"max_size": 0}, {"ttl_seconds": -1}, {"ttl_seconds": float("nan")}):
        with pytest.raises(ValueError, match="not"):
            IntelligentCache(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="-1"):
        cache.cached(-1)


# Time to live


def test_values_expire() -> None:
    clock = Clock()
    cache = IntelligentCache(ttl_seconds=10, timer=clock)
    calls: Counter[str] = Counter()

    def counting(name: str, **options: Any) -> Callable[[], int]:
        @cache.cached(**options)
        def f() -> int:
            calls[name] += 1
            return calls[name]

        return f

    usual = counting("usual")
    short = counting("short", ttl_override=5)
    none = counting("none", ttl_override=0)
    ever = counting("ever", ttl_override=float("inf"))
    for at in (100, 104.9, 105, 109.9, 110, 10_000):
        clock.now = at
        for f in (usual, short, none, ever):
            f()
    assert calls == {"usual": 3, "short": 4, "none": 6, "ever": 1}
    clock.now += 1_000
    assert cache.get_cache_stats()["cache_size"] == 1
    assert cache.get_cache_stats()["expirations"] == 3 + 4


def test_without_a_time_nothing_expires() -> None:
    clock = Clock()
    cache = IntelligentCache(ttl_seconds=None, timer=clock)

    @cache.cached()
    def f() -> float:
        return clock.now

    assert f() == 100
    clock.now = 1e12
    assert f() == 100


def test_the_expired_go_first() -> None:
    clock = Clock()
    cache = IntelligentCache(max_size=2, ttl_seconds=None, timer=clock)

    @cache.cached(ttl_override=1)
    def brief(seconds: float) -> None:
        clock.now += seconds

    @cache.cached()
    def lasting(seconds: float) -> None:
        clock.now += seconds

    brief(50)
    lasting(0.1)
    clock.now += 2
    lasting(0.2)
    lasting(0.1)
    stats = cache.get_cache_stats()
    assert (stats["total_hits"], stats["evictions"], stats["expirations"]) == (1, 0, 1)


# Eviction


def test_what_was_dear_or_is_wanted_stays() -> None:
    clock = Clock()
    cache = IntelligentCache(max_size=3, timer=clock)

    @cache.cached()
    def f(name: str, seconds: float) -> str:
        clock.now += seconds
        return name

    f("dear", 10)
    f("wanted", 1)
    for _ in range(20):
        f("wanted", 1)
    for number in range(20):
        f(f"once {number}", 1)
    before = cache.get_cache_stats()
    f("dear", 10)
    f("wanted", 1)
    after = cache.get_cache_stats()
    assert after["total_hits"] == before["total_hits"] + 2
    assert before["evictions"] == 19
    assert before["estimated_time_saved"] == pytest.approx(20)
    assert before["avg_computation_time"] == pytest.approx((10 + 21) / 22)


def test_what_is_no_longer_wanted_goes() -> None:
    entries = Entries(5)
    for _ in range(100):
        _access(entries, "old", 1.0)
    for round_ in range(600):
        _access(entries, f"new {round_ % 5}", 1.0)
    assert all(entry.key != ("old",) for entry in entries)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_evictions_are_those_of_the_definition(size: int) -> None:
    """Beside a model that computes all values anew, which shows what rescaling does, too."""
    random_ = random.Random(size)
    entries, model = Entries(size), _Model(size)
    costs = {number: random_.choice((0.1, 1.0, 1.5, 7.0)) for number in range(4 * size + 8)}
    for _ in range(9_000 if size < 3 else 3_000):
        number = min(int(random_.expovariate(1 / size)), 4 * size + 7)
        _access(entries, number, costs[number])
        model.access(number, costs[number])
        assert {entry.key[0] for entry in entries} == model.held.keys()
    assert entries.evictions == model.evictions > 100


def _access(entries: Entries, name: object, cost: float) -> None:
    if entries.find((name,), 0.0) is None:
        entries.put(Entry((name,), Outcome(name, None), cost, 1.0, None), 0.0)


class _Model:
    """Each access of each key fades by half in 15 accesses per place; the last evicted keys are remembered."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.now = 0
        self.held: dict[object, float] = {}
        self.evictions = 0
        self._accesses: dict[object, list[int]] = {}
        self._remembered: list[object] = []

    def access(self, name: object, cost: float) -> None:
        self.now += 1
        if name not in self.held:
            if name in self._remembered:
                self._remembered.remove(name)
            else:
                self._accesses[name] = []
            if len(self.held) == self.size:
                self._evict()
            self.held[name] = cost
        self._accesses[name].append(self.now)

    def _evict(self) -> None:
        worst = min(self.held, key=lambda name: (self.held[name] * self._count(name), self._accesses[name][-1]))
        del self.held[worst]
        self._remembered = [*self._remembered, worst][-2 * self.size :]
        self.evictions += 1

    def _count(self, name: object) -> float:
        return sum(0.5 ** ((self.now - at) / (15 * self.size)) for at in self._accesses[name][-3_000:])


def test_memory_is_bounded() -> None:
    cache = IntelligentCache(max_size=10)

    @cache.cached()
    def f(x: int) -> int:
        return x

    for number in range(3_000):
        f(number)
        if number % 3 == 0:
            cache.invalidate(f, number)
    entries = cache._entries
    assert len(entries) <= 10
    assert len(entries._by_score) < 100
    assert len(entries._by_expiry) < 100
    assert len(entries._remembered) <= 20
    assert cache.get_cache_stats()["total_misses"] == 3_000


def test_values_that_are_let_go_of_are_free_at_once() -> None:
    cache = IntelligentCache(max_size=2)

    class Value:
        pass

    @cache.cached()
    def f(x: int) -> Value:
        return Value()

    values = [weakref.ref(f(number)) for number in range(5)]
    assert [value() is not None for value in values].count(True) == 2
    cache.clear()
    assert not any(value() for value in values)
    values = [weakref.ref(f(number)) for number in range(2)]
    cache.invalidate(f, 0)
    assert [value() is not None for value in values] == [False, True]


def test_finalizers_and_comparisons_may_use_the_cache() -> None:
    cache = IntelligentCache(max_size=2)

    @cache.cached()
    def f(x: object) -> object:
        return Odd()

    class Odd:
        def __hash__(self) -> int:
            g(1)
            return 1

        def __eq__(self, other: object) -> bool:
            g(2)
            return self is other

        def __del__(self) -> None:
            g(3)

    @cache.cached()
    def g(x: int) -> int:
        return x

    for _ in range(50):
        f(Odd())
    assert cache.get_cache_stats()["cache_size"] <= 2


# Statistics and invalidation


def test_statistics_have_always_the_same_keys() -> None:
    cache = IntelligentCache(max_size=1)

    @cache.cached()
    def f(x: int) -> int:
        return x

    empty = cache.get_cache_stats()
    assert set(empty.values()) == {0}
    f(1), f(1), f(2), f(2), f(1)
    stats = cache.get_cache_stats()
    assert stats.keys() == empty.keys()
    assert (stats["total_hits"], stats["total_misses"], stats["evictions"], stats["cache_size"]) == (2, 3, 2, 1)
    cache.clear()
    cleared = cache.get_cache_stats()
    assert (cleared["cache_size"], cleared["total_hits"], cleared["total_misses"]) == (0, 2, 3)


def test_invalidation() -> None:
    cache = IntelligentCache()

    @cache.cached()
    def f(x: int, y: int = 0) -> int:
        return x

    @cache.cached()
    def g(x: int) -> int:
        return x

    f(1), f(2), f(3), g(1)
    assert cache.invalidate(f, x=1, y=0)
    assert not cache.invalidate(f, 1)
    assert cache.invalidate_function(f) == 2
    assert cache.get_cache_stats()["cache_size"] == 1
    cache.clear()
    assert cache.get_cache_stats()["cache_size"] == 0


def test_what_is_invalidated_while_it_is_computed_is_not_kept() -> None:
    cache = IntelligentCache()
    computing, go_on = threading.Event(), threading.Event()
    values = iter(["old", "new"])

    @cache.cached()
    def f() -> str:
        value = next(values)
        computing.set()
        if value == "old":
            assert go_on.wait(10)
        return value

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(f)
        assert computing.wait(10)
        cache.invalidate(f)
        assert f() == "new"
        go_on.set()
        assert first.result() == "old"
    assert f() == "new"

    async def main() -> None:
        values = iter(["old", "new"])
        go_on = asyncio.Event()

        @cache.cached()
        async def g() -> str:
            value = next(values)
            if value == "old":
                await go_on.wait()
            return value

        first = asyncio.ensure_future(g())
        await settle()
        cache.clear()
        assert await g() == "new"
        go_on.set()
        assert await first == "old"
        assert await g() == "new"

    run(main())


# Exceptions


def test_exceptions_are_not_kept_unless_asked_for() -> None:
    clock = Clock()
    cache = IntelligentCache(timer=clock)
    calls: Counter[str] = Counter()

    def failing(name: str, **options: Any) -> Callable[[], None]:
        @cache.cached(**options)
        def f() -> None:
            calls[name] += 1
            raise KeyError(name)

        return f

    usual = failing("usual")
    kept = failing("kept", cache_errors=LookupError, error_ttl=5)
    other = failing("other", cache_errors=(ValueError, OSError))
    for at in (100, 101, 104, 105, 106):
        clock.now = at
        for f in (usual, kept, other):
            with pytest.raises(KeyError):
                f()
    assert calls == {"usual": 5, "kept": 2, "other": 5}


def test_an_exception_that_is_kept_does_not_grow() -> None:
    cache = IntelligentCache()

    @cache.cached(cache_errors=ValueError)
    def f() -> None:
        raise ValueError

    lengths = []
    for _ in range(5):
        with pytest.raises(ValueError, match=r"^$") as caught:
            f()
        lengths.append(len(caught.traceback))
    assert lengths[1:] == [2, 2, 2, 2]


def test_an_exception_leaves_no_garbage() -> None:
    cache = IntelligentCache()

    class Held:
        pass

    @cache.cached()
    def f() -> None:
        held = Held()
        references.append(weakref.ref(held))
        raise ValueError

    references: list[weakref.ref[Held]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with contextlib.suppress(ValueError):
                f()
        assert not any(reference() for reference in references)
    finally:
        gc.enable()


# Threads


def test_threads_compute_once() -> None:
    cache = IntelligentCache()
    calls = []
    together = threading.Barrier(8)
    go_on = threading.Event()

    @cache.cached()
    def f(x: int) -> list[int]:
        calls.append(x)
        assert go_on.wait(10)
        return [x]

    def call() -> list[int]:
        together.wait(10)
        return f(1)

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(call) for _ in range(8)]
        wait_until(lambda: bool(calls))
        go_on.set()
        first, *others = [result.result(10) for result in results]
    assert calls == [1]
    assert all(other is first for other in others)
    stats = cache.get_cache_stats()
    assert stats["total_misses"] == 1
    assert stats["total_hits"] + stats["total_shared"] == 7


def _waiting_for(cache: IntelligentCache, call: Callable[[], Any], leads: Any, others: int) -> list[Any]:
    """Results of `leads` and of calls that came while it was computing."""
    with ThreadPoolExecutor(others + 1) as pool:
        first = pool.submit(call)
        wait_until(leads.computing.is_set)
        rest = [pool.submit(call) for _ in range(others)]
        time.sleep(0.05)  # they are waiting then, or else they come later, which is as good
        leads.go_on.set()
        return [each.exception(10) or each.result() for each in (first, *rest)]


class _Leader:
    """Fails at its first call in the given way, once it is told to go on."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.computing, self.go_on = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        self.computing.set()
        assert self.go_on.wait(10)
        if self.calls == 1:
            raise self.error
        return "done"


def test_a_failure_reaches_those_that_waited_and_no_later_call() -> None:
    cache = IntelligentCache()
    leader = _Leader(ValueError("failed"))
    results = _waiting_for(cache, cache.cached()(leader), leader, 1)
    assert isinstance(results[0], ValueError)
    assert results[1] in (results[0], "done")
    assert cache.cached()(leader)() == "done"
    assert not cache._threads


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupt_hits_only_the_thread_that_computes(error: BaseException) -> None:
    cache = IntelligentCache()
    leader = _Leader(error)
    first, *others = _waiting_for(cache, cache.cached()(leader), leader, 3)
    assert first is error
    assert others == ["done"] * 3
    assert leader.calls == 2


def test_recursion() -> None:
    cache = IntelligentCache()

    @cache.cached()
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(80) == 23416728348467685
    assert cache.get_cache_stats()["total_misses"] == 81


def test_a_computation_that_needs_itself_computes_again() -> None:
    cache = IntelligentCache()
    depth = 0

    @cache.cached()
    def f() -> int:
        nonlocal depth
        depth += 1
        return depth if depth == 3 else f()

    assert f() == 3

    @cache.cached()
    async def g() -> int:
        nonlocal depth
        depth += 1
        return depth if depth == 6 else (await asyncio.gather(g()))[0]

    run(asyncio.wait_for(g(), 10))
    assert depth == 6


def test_greenlets_of_a_thread_do_not_wait_for_each_other() -> None:
    cache = IntelligentCache()
    calls = 0

    @cache.cached()
    def f() -> int:
        nonlocal calls
        calls += 1
        mine = calls
        if mine == 1:
            greenlet.getcurrent().parent.switch()
        return mine

    first = greenlet.greenlet(f)
    first.switch()
    assert f() == 2
    assert first.switch() == 1
    assert not cache._threads


def test_computations_that_need_each_other_do_not_wait_for_ever() -> None:
    cache = IntelligentCache()
    both = threading.Barrier(2)
    began: set[str] = set()

    @cache.cached()
    def f(name: str, other: str) -> str:
        if name in began:
            return name
        began.add(name)
        both.wait(10)
        return name + f(other, name)

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(f, "a", "b"), pool.submit(f, "b", "a")]
        assert sorted(len(each.result(10)) for each in results) == [2, 3]  # one computed the other's anew
    assert not cache._threads


def test_threads_at_random() -> None:
    cache = IntelligentCache(max_size=8, ttl_seconds=None)
    now_computing: Counter[int] = Counter()
    most = 0
    lock = threading.Lock()

    @cache.cached(ttl_override=0.001)
    def f(x: int) -> int:
        nonlocal most
        with lock:
            now_computing[x] += 1
            most = max(most, now_computing[x])
        time.sleep(0.0002)
        with lock:
            now_computing[x] -= 1
        if x == 3:
            raise ValueError(x)
        return x * x

    def work(seed: int) -> int:
        random_ = random.Random(seed)
        for _ in range(150):
            x = random_.randrange(20)
            try:
                assert f(x) == x * x
            except ValueError:
                assert x == 3
            if random_.random() < 0.02:
                cache.get_cache_stats()
        return 150

    with ThreadPoolExecutor(6) as pool:
        done = sum(pool.map(work, range(6)))
    stats = cache.get_cache_stats()
    assert stats["total_hits"] + stats["total_misses"] + stats["total_shared"] == done
    assert most == 1
    assert stats["cache_size"] <= 8
    assert not cache._threads


def test_a_fork_has_the_values_and_waits_for_nobody(tmp_path: Any) -> None:
    program = textwrap.dedent(
        """
        import os, threading, warnings
        from agentperf_runtime import IntelligentCache

        warnings.simplefilter("ignore")
        cache = IntelligentCache()
        computing, go_on = threading.Event(), threading.Event()

        @cache.cached()
        def f(x):
            if x == 2 and not go_on.is_set():
                computing.set()
                go_on.wait(30)
            return x

        f(1)
        thread = threading.Thread(target=f, args=(2,))
        thread.start()
        computing.wait()
        hold = threading.Event()
        if os.fork() == 0:
            go_on.set()
            assert f(1) == 1 and cache.get_cache_stats()["total_hits"] == 1
            assert f(2) == 2
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        go_on.set()
        thread.join()

        def keep():
            with cache._lock:
                computing.set()
                hold.wait(30)

        computing.clear()
        thread = threading.Thread(target=keep)
        thread.start()
        computing.wait()
        if os.fork() == 0:
            assert cache.get_cache_stats()["cache_size"] == 0  # the lock was held: what it guards may be anything
            assert f(1) == 1
            os._exit(8)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 8
        hold.set()
        thread.join()
        """
    )
    environment = {"PYTHONPATH": str(_RUNTIME)}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)


_RUNTIME = sys.modules["agentperf_runtime"].__file__.rpartition("agentperf_runtime")[0]  # type: ignore[union-attr]


# Tasks


class Slow:
    """An async function that ends when it is told to."""

    def __init__(self, cache: IntelligentCache, result: Any = "done") -> None:
        self.go_on = asyncio.Event()
        self.calls = self.cancelled = 0
        self.result = result
        self.f = cache.cached()(self._call)

    async def _call(self, x: int = 0) -> Any:
        self.calls += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def test_tasks_compute_once() -> None:
    async def main() -> None:
        cache = IntelligentCache()
        slow = Slow(cache)
        tasks = [asyncio.ensure_future(slow.f(1)) for _ in range(10)]
        await settle()
        slow.go_on.set()
        assert await asyncio.gather(*tasks) == ["done"] * 10
        assert await slow.f(1) == "done"
        stats = cache.get_cache_stats()
        assert (slow.calls, stats["total_misses"], stats["total_shared"], stats["total_hits"]) == (1, 1, 9, 1)

    run(main())
    uvloop.run(main())


def test_a_task_that_is_cancelled_takes_nobody_with_it() -> None:
    async def main() -> None:
        slow = Slow(IntelligentCache())
        first, *others = [asyncio.ensure_future(slow.f()) for _ in range(5)]
        await settle()
        first.cancel()
        others.pop().cancel()
        await settle()
        assert first.cancelled()
        slow.go_on.set()
        assert await asyncio.gather(*others) == ["done"] * 3
        assert (slow.calls, slow.cancelled) == (1, 0)

    run(main())


def test_a_computation_that_nobody_waits_for_is_cancelled() -> None:
    async def main() -> None:
        slow = Slow(IntelligentCache())
        tasks = [asyncio.ensure_future(slow.f()) for _ in range(3)]
        await settle()
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        again = asyncio.ensure_future(slow.f())  # while the first is being cancelled
        await settle()
        assert (slow.calls, slow.cancelled) == (2, 1)
        slow.go_on.set()
        assert await again == "done"

    run(main())


def test_a_failure_reaches_all_tasks_that_waited() -> None:
    async def main() -> None:
        cache = IntelligentCache()
        slow = Slow(cache, ValueError("failed"))
        tasks = [asyncio.ensure_future(slow.f()) for _ in range(3)]
        await settle()
        tasks.pop().cancel()
        slow.go_on.set()
        assert await asyncio.gather(*tasks, return_exceptions=True) == [slow.result] * 2
        slow.result = "done"
        assert await slow.f() == "done"
        slow.go_on.clear()
        slow.result = ValueError("of nobody")
        alone = asyncio.ensure_future(slow.f(2))
        await settle()
        slow.go_on.set()
        alone.cancel()
        await asyncio.wait([alone])

    run(main())


def test_timeouts_of_asyncio_and_anyio() -> None:
    async def main() -> None:
        slow = Slow(IntelligentCache())
        patient = asyncio.ensure_future(slow.f())
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slow.f(), 0.01)
        with anyio.move_on_after(0.01) as scope:
            await slow.f()
        assert scope.cancel_called
        async with anyio.create_task_group() as group:
            group.start_soon(slow.f)
            await settle()
            group.cancel_scope.cancel()
        slow.go_on.set()
        assert await patient == "done"
        assert slow.calls == 1

    run(main())
    anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})


def test_a_computation_that_is_cancelled_from_outside() -> None:
    async def main() -> None:
        cache = IntelligentCache()
        slow = Slow(cache)
        waiting = asyncio.ensure_future(slow.f())
        await asyncio.sleep(0)
        (computing,) = cache._tasks  # before it has begun
        computing.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        slow.go_on.set()
        assert await asyncio.wait_for(slow.f(), 10) == "done"

    run(main())


def test_a_cache_outlives_its_loops() -> None:
    cache = IntelligentCache()
    calls: Counter[int] = Counter()

    @cache.cached()
    async def f(x: int) -> int:
        calls[x] += 1
        if x == 2 and calls[x] == 1:
            await asyncio.sleep(60)
        return x

    async def leave() -> None:
        assert await f(1) == 1
        waiting.append(asyncio.ensure_future(f(2)))
        await settle()

    waiting: list[asyncio.Future[int]] = []
    asyncio.run(leave())
    assert waiting[0].cancelled()

    loop = asyncio.new_event_loop()  # one that ends without cancelling anything
    calls.clear()
    cache.clear()
    loop.run_until_complete(leave())
    left = asyncio.all_tasks(loop)
    loop.close()

    async def come_back() -> None:
        assert await asyncio.wait_for(f(1), 10) == 1
        assert await asyncio.wait_for(f(2), 10) == 2

    run(come_back())
    assert calls == {1: 1, 2: 2}
    assert loop not in cache._loops
    assert not cache._tasks
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        with contextlib.suppress(RuntimeError):  # it cleans up in a loop that is closed
            task.get_coro().close()


def test_loops_of_several_threads_at_once() -> None:
    cache = IntelligentCache()
    calls: Counter[int] = Counter()
    lock = threading.Lock()

    @cache.cached()
    async def f(x: int) -> int:
        with lock:
            calls[x] += 1
        await asyncio.sleep(0.001)
        return x

    def work(seed: int) -> None:
        async def main() -> None:
            for _ in range(20):
                assert await asyncio.gather(*(f(x) for x in range(20))) == list(range(20))

        asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert max(calls.values()) <= 4  # at most once for each loop
    assert not any(cache._loops.values())


def test_tasks_at_random() -> None:
    async def main(seed: int) -> None:
        random_ = random.Random(seed)
        cache = IntelligentCache(max_size=6)
        computing: Counter[int] = Counter()

        @cache.cached()
        async def f(x: int) -> int:
            computing[x] += 1
            assert computing[x] == 1
            try:
                for _ in range(random_.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                computing[x] -= 1
            if random_.random() < 0.2:
                raise KeyError(x)
            return x

        async def call(x: int) -> None:
            with contextlib.suppress(KeyError):
                assert await f(x) == x

        tasks: list[asyncio.Future[None]] = []
        for _ in range(400):
            tasks.append(asyncio.ensure_future(call(random_.randrange(10))))
            if random_.random() < 0.4:
                random_.choice(tasks).cancel()
            if random_.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
        await settle()
        assert not any(cache._loops.values())
        assert not cache._tasks
        stats = cache.get_cache_stats()
        assert stats["cache_size"] <= 6
        assert stats["total_hits"] + stats["total_misses"] + stats["total_shared"] <= 400

    for seed in range(5):
        run(main(seed))


def test_eager_tasks() -> None:
    async def main() -> None:
        if sys.version_info >= (3, 12):
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        cache = IntelligentCache()
        slow = Slow(cache)
        tasks = [asyncio.ensure_future(slow.f()) for _ in range(3)]
        slow.go_on.set()
        assert await asyncio.gather(*tasks) == ["done"] * 3
        assert await slow.f(1) == "done"
        assert slow.calls == 2

    run(main())


class Numbered:
    """An argument whose identity may be changed: by number, which None is not."""

    __slots__ = ("number",)

    def __init__(self, number: int | None) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbered) and other.number == self.number

    def __hash__(self) -> int:
        if self.number is None:
            raise TypeError("without a number it cannot be hashed")
        return hash(self.number)


@pytest.mark.parametrize("number", [100, None])
def test_arguments_that_are_changed_afterwards_break_nothing(number: int | None) -> None:
    clock = Clock()
    cache = IntelligentCache(max_size=3, ttl_seconds=5, timer=clock)
    calls = Counter[int]()

    @cache.cached()
    def f(x: Numbered) -> int:
        assert x.number is not None
        calls[x.number] += 1
        return x.number

    for first in range(10):
        argument = Numbered(first)
        assert f(argument) == first
        argument.number = number
    assert cache.get_cache_stats()["evictions"] == 7
    assert f(Numbered(1)) == 1
    clock.now += 6
    assert cache.get_cache_stats()["cache_size"] == 0
    assert f(Numbered(1)) == f(Numbered(1)) == 1
    assert calls[1] == 3
    cache.clear()
    assert cache.get_cache_stats()["cache_size"] == 0


@pytest.mark.parametrize("number", [100, None])
def test_what_changes_its_arguments_is_not_kept(number: int | None) -> None:
    cache = IntelligentCache()

    @cache.cached()
    def f(x: Numbered) -> int | None:
        found, x.number = x.number, number
        return found

    @cache.cached()
    async def g(x: Numbered) -> int | None:
        found, x.number = x.number, number
        return found

    assert [f(Numbered(1)), f(Numbered(100)), f(Numbered(1))] == [1, 100, 1]
    assert not cache._threads

    async def main() -> None:
        assert [await g(Numbered(1)), await g(Numbered(100)), await g(Numbered(1))] == [1, 100, 1]
        await settle()
        assert not any(cache._loops.values())

    run(main())
    cache.clear()
