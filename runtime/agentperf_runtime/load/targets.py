"""What a load test calls: asynchronous and synchronous functions, and URLs."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from time import perf_counter
from typing import Any, NamedTuple

from agentperf_runtime.functions import is_async

TestFunction = Callable[..., Any]
"""Takes the numbers of the user and of its request, or nothing. What it raises is a failure of the request."""

_FAILURES = (Exception, SystemExit)  # a function that ends the process has failed, the test goes on


THREADS = "load-user"
"""How the names of threads begin that call a synchronous function."""

_FIRST_ERROR = 400


class HttpStatusError(Exception):
    """An answer with a status of 400 or more."""


class Call(NamedTuple):
    """One call: when it began and ended, in seconds of `time.perf_counter`, and what it raised."""

    started: float
    ended: float
    error: BaseException | None = None


Caller = Callable[[int, int, "float | None"], Awaitable[Call]]
"""Calls the target for a user and a request, for so many seconds at most."""


def name_of(target: TestFunction | str) -> str:
    """`module:function`, or the URL."""
    if isinstance(target, str):
        return target
    module = getattr(target, "__module__", None) or type(target).__module__
    return f"{module}:{getattr(target, '__qualname__', type(target).__qualname__)}"


def is_threaded(target: TestFunction | str) -> bool:
    """Whether calls of `target` run in threads."""
    return not isinstance(target, str) and not is_async(target)


@asynccontextmanager
async def opened(target: TestFunction | str, users: int) -> AsyncIterator[Caller]:
    """What calls `target`; `users` threads at most where it is synchronous.

    Raises TypeError for a function with other parameters, ImportError for a URL without httpx, ValueError for
    something that is no HTTP URL.
    """
    if isinstance(target, str):
        async with _http_client(target, users) as get:
            yield _awaiting(_traced_async(get, target))
        return
    function = _with_parameters(target)
    if is_async(target):
        yield _awaiting(_traced_async(function, name_of(target)))
        return
    threads = ThreadPoolExecutor(users, thread_name_prefix=THREADS)
    try:
        yield _threaded(_traced(function, name_of(target)), threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _with_parameters(function: TestFunction) -> TestFunction:
    """`function` as one that takes two numbers."""
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C, and silent about its parameters
        return function
    if _fits(signature, 0, 0):
        return function
    if _fits(signature):
        return lambda user_id, request_id: function()
    parameters = ", ".join(signature.parameters)
    raise TypeError(f"{name_of(function)}({parameters}) takes neither (user_id, request_id) nor nothing")


def _fits(signature: inspect.Signature, *arguments: int) -> bool:
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _awaiting(function: TestFunction) -> Caller:
    async def call(user_id: int, request_id: int, timeout: float | None) -> Call:
        error: BaseException | None = None
        started = perf_counter()
        try:
            answer = function(user_id, request_id)
            await (answer if timeout is None else asyncio.wait_for(answer, timeout))
        except _FAILURES as raised:
            error = raised
        return Call(started, perf_counter(), error)

    return call


def _threaded(function: TestFunction, threads: ThreadPoolExecutor) -> Caller:
    """Times are taken in the thread: what it takes to get there is not the target's."""

    def timed(user_id: int, request_id: int) -> tuple[Call, Any]:
        answer, error = None, None
        started = perf_counter()
        try:
            answer = function(user_id, request_id)
        except _FAILURES as raised:
            error = raised
        return Call(started, perf_counter(), error), answer

    async def call(user_id: int, request_id: int, timeout: float | None) -> Call:
        asked = perf_counter()
        context = copy_context()
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(threads, lambda: context.run(timed, user_id, request_id))
        try:
            called, answer = await (running if timeout is None else asyncio.wait_for(running, timeout))
            if not inspect.isawaitable(answer):
                return called
            left = None if timeout is None else max(0.0, timeout - (perf_counter() - asked))
            await asyncio.wait_for(answer, left)  # a plain function that returns a coroutine
        except _FAILURES as raised:
            return Call(asked, perf_counter(), raised)
        return called._replace(ended=perf_counter())

    return call


def _traced(function: TestFunction, name: str) -> TestFunction:
    """`function`, each call of which is a root of its own for the tracer, where one is active."""
    tracer = _active_tracer()
    if tracer is None:
        return function

    def traced(user_id: int, request_id: int) -> Any:
        with tracer.root(name, "request"):
            return function(user_id, request_id)

    return traced


def _traced_async(function: TestFunction, name: str) -> TestFunction:
    tracer = _active_tracer()
    if tracer is None:
        return function
    shown = sys.modules["agentperf_runtime.statements"].cleaned("http", f"GET {name}").text if "://" in name else name

    async def traced(user_id: int, request_id: int) -> Any:
        with tracer.root(shown, "request"):
            return await function(user_id, request_id)

    return traced


def _active_tracer() -> Any:
    """The module of the tracer, None where no tracer runs; it is not loaded for the question."""
    module: Any = sys.modules.get("agentperf_runtime.tracer")
    return module if module is not None and module.active() is not None else None


@asynccontextmanager
async def _http_client(url: str, users: int) -> AsyncIterator[TestFunction]:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL that begins with http:// or https://")
    try:
        import httpx
    except ImportError as error:
        raise ImportError("a load test of a URL needs httpx: pip install 'agentperf-lint[load]'") from error
    try:
        host = httpx.URL(url).host
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r}: {error}") from error
    if not host:
        raise ValueError(f"{url!r} names no host")
    import anyio.lowlevel

    await anyio.lowlevel.checkpoint()  # loads what httpx waits with, else within the first request
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=users)
    # Below the client, whose redirects, cookies and logs cost a third of what httpx takes for a request.
    async with httpx.AsyncHTTPTransport(limits=limits) as transport:
        request = httpx.Request("GET", url, headers={"User-Agent": "agentperf-lint", "Accept": "*/*"})

        async def get(user_id: int, request_id: int) -> None:
            answer = await transport.handle_async_request(request)
            try:
                async for _ in answer.aiter_raw():
                    pass
            finally:
                await answer.aclose()
            if answer.status_code >= _FIRST_ERROR:
                raise HttpStatusError(f"HTTP {answer.status_code}")

        yield get
