"""Whatever fails inside the tracer, the application does not notice; its failures stay what they are."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastapi
import flask
import httpx
import pytest

import agentperf_runtime
from agentperf_runtime import recorder, scopes, sites, tasks, writer
from agentperf_runtime.sources import asgi, calls, units, wsgi
from agentperf_runtime.tracer import Options, Tracer

LOCK = threading.Lock()


def query(value: object) -> object:
    with LOCK:
        connection = sqlite3.connect(":memory:")
        try:
            return connection.execute("select ?", (value,)).fetchone()[0]
        finally:
            connection.close()


async def one(value: object) -> object:
    await asyncio.sleep(0.0001)
    return query(value)


async def fail() -> None:
    query("failing")
    raise LookupError("the application's own")


api = fastapi.FastAPI()


@api.get("/users/{user_id}")
async def user(user_id: int) -> object:
    return await one(user_id)


web = flask.Flask("app")


@web.get("/users/<int:user_id>")
def flask_user(user_id: int) -> str:
    return str(asyncio.run(one(user_id)))


async def at_once() -> list[object]:
    loop = asyncio.get_running_loop()
    made = loop.create_future()
    loop.call_soon(lambda: made.set_result(asyncio.ensure_future(one("soon"))))
    results: list[object] = list(await asyncio.gather(one(1), one(2), fail(), return_exceptions=True))
    results += [await asyncio.to_thread(query, 3), await (await made)]
    transport = httpx.ASGITransport(api)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        results.append((await client.get("/users/4")).json())
    with agentperf_runtime.root("block"), agentperf_runtime.operation("search", "index", key=[{}]):
        results.append(await one(5))
    return results


def workload() -> list[object]:
    results = asyncio.run(at_once())
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        results += executor.map(query, [6, 7])
    thread = threading.Thread(target=lambda: results.append(query(8)))
    thread.start()
    thread.join()
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever)
    running.start()
    results.append(asyncio.run_coroutine_threadsafe(one(9), loop).result(10))
    loop.call_soon_threadsafe(loop.stop)
    running.join()
    loop.close()
    results.append(web.test_client().get("/users/10").text)
    try:
        query(object())
    except sqlite3.Error as error:
        results.append(type(error))
    return [repr(result) for result in results]


PARTS = [
    (recorder.Recorder, "put"),
    (recorder.Recorder, "site"),
    (recorder, "_frozen"),
    (scopes.Root, "__init__"),
    (scopes.Scope, "__init__"),
    (scopes.Scope, "as_handed"),
    (scopes.Scope, "as_muted"),
    (scopes.Scopes, "begin"),
    (scopes.Scopes, "current"),
    (scopes.Scopes, "end"),
    (scopes.Scopes, "finish"),
    (scopes.Scopes, "finish_with"),
    (scopes.Scopes, "of_thread"),
    (scopes.Scopes, "open"),
    (scopes.Scopes, "skipped"),
    (scopes, "of_task"),
    (sites.Files, "__missing__"),
    (sites.Stacks, "frames"),
    (sites.Stacks, "outer_site"),
    (sites, "site_of"),
    (tasks.Carried, "__init__"),
    (tasks, "_belongs_to"),
    (asgi.Exchange, "__init__"),
    (asgi.Exchange, "_name_by_route"),
    (asgi, "Target"),
    (wsgi.Exchange, "__init__"),
    (wsgi, "name_current"),
    (units, "_begin"),
    (calls.Pending, "__init__"),
    (writer.Writer, "_write"),
    (writer.Writer, "_write_operations"),
    (writer.Writer, "_write_stack"),
    (writer, "cleaned"),
    (writer, "place_of"),
]


class InsideError(Exception):
    """Of the tracer's; the application must never see it."""


def failing(*args: Any, **kwargs: Any) -> Any:
    raise InsideError


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("owner", "name"), PARTS, ids=[f"{owner.__name__}.{name}" for owner, name in PARTS])
def test_a_part_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    expected = workload()
    starts_after = owner is not writer.Writer and (owner, name) != (recorder.Recorder, "put")
    if starts_after:
        monkeypatch.setattr(owner, name, failing)
    tracer = Tracer(tmp_path / "app.trace", Options(stall_limit=5)).start()
    try:
        if not starts_after:
            monkeypatch.setattr(owner, name, failing)
        assert workload() == expected
        tracer.flush()
        monkeypatch.undo()
        assert workload() == expected
    finally:
        tracer.stop()
    assert workload() == expected


def test_everything_is_put_back(tmp_path: Path) -> None:
    import os
    import signal

    kept: list[tuple[Any, str]] = [
        (asyncio.BaseEventLoop, "create_task"),
        (asyncio.BaseEventLoop, "call_soon_threadsafe"),
        (threading.Thread, "start"),
        (concurrent.futures.ThreadPoolExecutor, "submit"),
        (fastapi.applications.Starlette, "__call__"),
        (flask.Flask, "__call__"),
        (flask.Flask, "preprocess_request"),
        (sqlite3, "connect"),
        (asyncio, "sleep"),
        (os, "_exit"),
        (os, "kill"),
        (signal, "raise_signal"),
    ]
    before: list[Callable[..., Any]] = [getattr(owner, name) for owner, name in kept]
    with Tracer(tmp_path / "app.trace"):
        during = [getattr(owner, name) for owner, name in kept]
    assert [getattr(owner, name) for owner, name in kept] == before
    assert not [new for new, old in zip(during, before) if new is old]
    assert [new.__name__ for new in during] == [old.__name__ for old in before]


def test_no_lock_is_held_while_the_application_works(tmp_path: Path) -> None:
    """A thread that waits in a query, and a writer that waits for the disk, keep nobody from recording."""
    with Tracer(tmp_path / "app.trace") as tracer:
        assert tracer._writer is not None
        waiting, go = threading.Event(), threading.Event()

        def slow(value: int) -> int:
            waiting.set()
            go.wait(10)
            return value

        def work() -> None:
            with contextlib.closing(sqlite3.connect(":memory:")) as connection:
                connection.create_function("slow", 1, slow)
                connection.execute("select slow(1)")

        thread = threading.Thread(target=work)
        thread.start()
        assert waiting.wait(10)
        with tracer._writer._lock:
            assert query(1) == 1
            assert asyncio.run(one(2)) == 2
        tracer.flush()
        go.set()
        thread.join()
