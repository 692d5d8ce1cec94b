from __future__ import annotations

from agentperf_rules.base import Needs, Shape, callee
from agentperf_rules.blocking.base import BlockingRule
from agentperf_rules.model import Confidence, Suspect

_LOCKS = frozenset({"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "acquire"})


class BlockingThreadSync(BlockingRule):
    """## What it does
    Finds waits for threads in async functions: `Lock.acquire`, `Queue.get`, `Thread.join`, `Event.wait`,
    `concurrent.futures.Future.result`, and a `with lock:` whose body awaits. Calls that cannot wait are not reported:
    `acquire(blocking=False)`, `get_nowait()`, `timeout=0`, the result of a future that is known to be done.

    ## Why is this bad?
    The event loop stops until another thread acts. When that thread waits for the event loop in turn, both wait
    forever.

    ## Example
    ```python
    import queue

    jobs = queue.Queue()

    async def worker():
        while True:
            job = jobs.get()
            await job()
    ```

    ## Use instead
    ```python
    import asyncio

    jobs = asyncio.Queue()

    async def worker():
        while True:
            job = await jobs.get()
            await job()
    ```
    """

    code = "APL113"
    name = "blocking-thread-sync-in-async"
    severity = "medium"
    what = "blocking wait for a thread"
    needs = "function"

    valid = (
        """\
import queue
import threading
from concurrent.futures import Future

jobs = queue.Queue()
lock = threading.Lock()

async def worker(future: Future):
    jobs.get_nowait()
    jobs.get(block=False)
    lock.acquire(blocking=False)
    if future.done():
        return future.result()
""",
        """\
import asyncio
import threading

lock = threading.Lock()

async def count(items: list):
    with lock:
        items.append(1)
    await asyncio.sleep(1)
""",
        """\
import asyncio
from concurrent.futures import Future

def outcome(future: Future):
    return future.result()

async def look_up(lookup: Future, other: Future):
    if lookup.done():
        return outcome(lookup)
    try:
        return await asyncio.wait_for(asyncio.shield(other), 1)
    except OSError:
        return outcome(other)
""",
    )
    invalid = (
        """\
import queue

jobs = queue.Queue()

async def worker():
    return jobs.get()  # expect
""",
        """\
from concurrent.futures import ThreadPoolExecutor

async def total(pool: ThreadPoolExecutor, numbers):
    future = pool.submit(sum, numbers)
    return future.result()  # expect
""",
        """\
from concurrent.futures import Future

def outcome(future: Future):
    return future.result()

async def look_up(lookup: Future, other: Future):
    if not lookup.done():
        return outcome(other)  # expect
""",
    )

    def reads(self, suspect: Suspect) -> Needs:
        if len(suspect.chain) > 1:
            return "function" if _is_future(suspect) else "place"
        called = callee(suspect.call)
        entered = _is_lock(suspect) and not called.endswith("acquire")
        return "function" if entered or called.endswith((".result", ".exception", ".get")) else "statement"

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        if len(suspect.chain) > 1:
            if _is_lock(suspect):
                return None  # a helper gives its lock back before it returns
            return None if _is_future(suspect) and _is_given_done(shape) else suspect.confidence
        if shape.node is None:
            return suspect.confidence
        from agentperf_rules.calls import holds_across_await, waits

        if _is_lock(suspect) and holds_across_await(shape) is False:
            return None
        return suspect.confidence if waits(shape) else None


def _is_lock(suspect: Suspect) -> bool:
    """Whether the sink takes a lock, as against waiting for a value."""
    return not _LOCKS.isdisjoint(suspect.sink.split("."))


def _is_future(suspect: Suspect) -> bool:
    return suspect.sink.endswith((".result", ".exception"))


def _is_given_done(shape: Shape) -> bool:
    """Whether the helper is given a future that is known to be done, or that is awaited and so blocks nothing."""
    if shape.node is None:
        return False
    from agentperf_rules.calls import is_given_done

    return is_given_done(shape)
