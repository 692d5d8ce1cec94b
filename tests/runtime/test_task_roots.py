"""Roots of tasks, threads and blocks, on every kind of loop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runtime.recorded import run
from runtime.serving import roots_of

QUERY = """
import asyncio, sqlite3, threading
import agentperf_runtime
connection = sqlite3.connect(":memory:", check_same_thread=False)

def query(value):
    return connection.execute("select ?", (value,)).fetchone()[0]

async def one(value):
    query(value)
"""


def names(trace: object) -> list[str]:
    return [each.root for each in trace.of("sql")]  # type: ignore[attr-defined]


def distinct(trace: object) -> int:
    return len({each.root_id for each in trace.of("sql")})  # type: ignore[attr-defined]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_connections_and_callbacks(tmp_path: Path, loop: str) -> None:
    trace = run(
        tmp_path,
        QUERY
        + f"""
async def serve(reader, writer):
    await asyncio.gather(*(one(line) for line in (await reader.read(10)).split()))
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    for _ in range(2):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"1 2")
        await reader.read()
        writer.close()
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: loop.create_task(one("soon")))
    loop.call_later(0.001, lambda: asyncio.ensure_future(one("later")))
    await asyncio.sleep(0.02)
    query("main")
    server.close()

if "{loop}" == "uvloop":
    import uvloop
    uvloop.install()
asyncio.run(main())
""",
        check=loop == "asyncio",  # installing uvloop warns on some versions
    )
    assert names(trace) == [*["task serve"] * 4, *["task one"] * 2, "task main"]
    assert distinct(trace) == 5
    assert len({each.task for each in trace.of("sql")}) == 7


def test_tasks_that_are_created_before_their_loop_runs(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
loop = asyncio.new_event_loop()
for number in range(2):
    loop.run_until_complete(one(number))
task = loop.create_task(one("early"))
loop.run_until_complete(task)

def factory(loop, coroutine, **options):
    return asyncio.Task(coroutine, loop=loop, **options)

loop.set_task_factory(factory)
loop.run_until_complete(asyncio.wait_for(one("made"), 1))
loop.close()
""",
    )
    assert set(names(trace)) <= {"task one", "task wait_for"}
    assert distinct(trace) == 4
    stacks = {tuple(line for _, line, _ in each["frames"]) for each in trace.all("stack")}
    assert (7, 10, 14) in stacks


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup and Runner are new in 3.11")
def test_groups_and_runners(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(one(number))

with asyncio.Runner() as runner:
    runner.run(main())
    runner.run(main())
""",
    )
    assert names(trace) == ["task main"] * 6
    assert distinct(trace) == 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await asyncio.gather(*(one(number) for number in range(3)))
    query("main")
    asyncio.get_running_loop().call_soon(lambda: asyncio.create_task(one("soon")))
    await asyncio.sleep(0.001)

asyncio.run(main())
""",
    )
    assert names(trace) == [*["task main"] * 4, "task one"]
    assert len({each.task for each in trace.of("sql")}) == 5
    assert ("task one", "ok") in roots_of(trace, "task")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="contexts of tasks can be had from 3.12 on")
def test_a_context_that_is_in_use(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import contextvars

async def main():
    await asyncio.create_task(one(1), context=asyncio.current_task().get_context())
    shared = contextvars.copy_context()
    await asyncio.gather(*(asyncio.create_task(one(number), context=shared) for number in (2, 3)))

asyncio.run(main())
""",
    )
    assert names(trace) == ["task main"] * 3
    assert distinct(trace) == 1


def test_how_tasks_end(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
async def fail():
    query("fail")
    raise ValueError("seen")

async def wait():
    query("wait")
    await asyncio.sleep(10)

async def nothing():
    await asyncio.sleep(0)

async def main():
    loop = asyncio.get_running_loop()
    complaints = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))
    tasks = []
    for coroutine in (one(1), fail(), wait(), nothing()):
        loop.call_soon(lambda coroutine=coroutine: tasks.append(loop.create_task(coroutine)))
    await asyncio.sleep(0.01)
    tasks[2].cancel()
    await asyncio.sleep(0.01)
    tasks.clear()
    import gc
    gc.collect()
    assert complaints == ["Task exception was never retrieved"], complaints

asyncio.run(main())
""",
    )
    assert sorted(roots_of(trace, "task")) == [
        ("task fail", "error"),
        ("task main", "ok"),
        ("task one", "ok"),
        ("task wait", "error"),
    ]
    ends = {each["id"]: each["end"] for each in trace.all("root_end")}
    assert all(ends[each["id"]] >= each["start"] for each in trace.all("root"))


def test_blocks_of_the_application(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import concurrent.futures

async def agent():
    with agentperf_runtime.root("inner"):
        await asyncio.gather(one(1), one(2))
        await asyncio.to_thread(query, 3)

with agentperf_runtime.root("run"):
    query("sync")
    asyncio.run(one("in a loop"))
    with concurrent.futures.ThreadPoolExecutor() as executor:
        list(executor.map(query, range(2)))
asyncio.run(agent())
try:
    with agentperf_runtime.root("import", kind="celery"):
        raise ValueError
except ValueError:
    pass
query("after")
""",
    )
    assert names(trace) == [*["agent run"] * 4, *["agent inner"] * 3, "script main"]
    assert distinct(trace) == 3
    assert roots_of(trace) == [("agent run", "ok"), ("agent inner", "ok"), ("celery import", "error")]


def test_work_for_the_loop_of_another_thread(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import anyio.from_thread
from asgiref.sync import async_to_sync, sync_to_async

loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
with agentperf_runtime.root("run"):
    for number in range(2):
        asyncio.run_coroutine_threadsafe(one(number), loop).result()
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(one, "portal")
    async_to_sync(one)("bridge")

async def main():
    await sync_to_async(async_to_sync(one))("there and back")
    await anyio.to_thread.run_sync(query, "anyio")
    await sync_to_async(query)("asgiref")

asyncio.run(main())
asyncio.run_coroutine_threadsafe(one("of the script"), loop).result()
loop.call_soon_threadsafe(loop.stop)
thread.join()
""",
    )
    assert names(trace) == [*["agent run"] * 4, *["task main"] * 3, "task one"]
    assert distinct(trace) == 3


def test_threads(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
def work():
    query(1)
    query(2)

class Own(threading.Thread):
    def run(self):
        query(3)

def start():
    for thread in (threading.Thread(target=work, name="first"), Own(name="second")):
        thread.start()
        thread.join()
    bare = threading.Thread(target=connection.execute, args=("select 'bare'",), name="third")
    bare.start()
    bare.join()

with agentperf_runtime.root("run"):
    start()
""",
    )
    assert names(trace) == ["thread first", "thread first", "thread second", "thread third"]
    roots = {each["name"]: each for each in trace.all("root")}
    assert {roots[name]["parent"] for name in ("first", "second", "third")} == {roots["run"]["id"]}
    bare = trace.of("sql")[-1]
    assert (bare.line, bare.function) == (25, "start")
    stacks = [[line for _, line, _ in each["frames"]] for each in trace.all("stack")]
    assert [7, 13, 22, 29] in stacks


def test_a_sleeping_coroutine_is_found_by_its_frame(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
import asyncio

def frames(coroutine):
    while coroutine is not None and hasattr(coroutine, "cr_frame"):
        yield coroutine.cr_frame.f_code
        coroutine = coroutine.cr_await

async def main():
    task = asyncio.create_task(asyncio.sleep(0.02))
    await asyncio.sleep(0)
    sleeping = [code.co_filename for code in frames(task.get_coro()) if code.co_name == "sleep"]
    assert sleeping == [asyncio.tasks.__file__], sleeping
    assert asyncio.sleep.__name__ == "sleep"
    await task

asyncio.run(main())
""",
    )
    assert len(trace.of("sleep")) == 1


def test_what_a_coroutine_hands_back_to_the_thread_that_waits_for_it(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
from asgiref.sync import async_to_sync, sync_to_async

async def view():
    await sync_to_async(connection.execute)("select 1")

def middleware():
    async_to_sync(view)()

middleware()
""",
    )
    assert [each.function for each in trace.of("sql")] == ["view"]
