"""redis-py (and its twin valkey) against a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import Recorded, run
from runtime.server_processes import redis_server

from agentperf_runtime.sources.redis import elements, key_of


def program(tmp_path: Path, url: str, source: str) -> list[Recorded]:
    trace = run(tmp_path, "import asyncio, os\nurl = os.environ['URL']\n" + source, environment={"URL": url})
    assert not trace.all("note")
    assert trace.all("counters")[-1]["errors"] == 0
    return trace.operations


_COMMANDS = """\
import {library} as library
client = library.from_url(url)
client.ping()
client.mset({{"a": 1, "b": 2}})
client.set("a", "x")
client.set("a", "y")
client.get("a")
client.get("c")
client.mget("a", "b", "c")
client.hset("h", mapping={{"f": 1, "g": 2}})
client.hgetall("h")
with client.pipeline() as pipeline:
    pipeline.get("a").set("b", 1).get("b")
    assert len(pipeline.execute()) == 3
with client.pipeline() as pipeline:
    pipeline.watch("a")
    pipeline.get("a")
    pipeline.multi()
    pipeline.set("a", 2)
    pipeline.execute()
client.blpop("nothing", timeout=0.05)
try:
    client.lpush("a", 1)
except library.ResponseError:
    pass
client.close()
"""


def _check_commands(operations: list[Recorded]) -> None:
    mset, first, again, found, missing, many, fields, whole, pipeline, watched, inside, transaction, wait, failed = (
        operations
    )
    assert [each.line for each in operations] == [6, 7, 8, 9, 10, 11, 12, 13, 16, 18, 19, 22, 23, 25]
    assert [(each.text, each.batch) for each in (mset, many, fields, whole)] == [
        ("MSET", 2),
        ("MGET", 3),
        ("HSET", 2),
        ("HGETALL", 0),
    ]
    assert first.params == again.params != 0
    assert found.params == inside.params != missing.params
    assert (found.rows, missing.rows, many.rows) == (1, 0, 3)
    assert (pipeline.text, pipeline.batch) == ("PIPELINE GET SET", 3)
    assert (watched.text, transaction.text, transaction.batch) == ("WATCH", "PIPELINE SET", 1)
    assert (wait.kind, wait.text, wait.duration > 40e6) == ("sleep", "BLPOP", True)
    assert (failed.text, failed.outcome) == ("LPUSH", 1)
    assert {each.kind for each in operations if each is not wait} == {"redis"}


@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_commands(tmp_path: Path, redis_url: str, library: str) -> None:
    _check_commands(program(tmp_path, redis_url, _COMMANDS.format(library=library)))


@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_the_little_server_answers_like_the_real_one(tmp_path: Path, library: str) -> None:
    with redis_server(is_real=False) as url:
        _check_commands(program(tmp_path, url, _COMMANDS.format(library=library)))


def test_asynchronous_commands(tmp_path: Path, redis_url: str) -> None:
    operations = program(
        tmp_path,
        redis_url,
        """\
import inspect
import redis.asyncio as redis
assert inspect.iscoroutinefunction(redis.Redis.execute_command)

async def main():
    client = redis.from_url(url)
    await asyncio.gather(*(client.get(f"k{item}") for item in range(3)))
    async with client.pipeline(transaction=False) as pipeline:
        for item in range(12):
            pipeline.get(f"k{item}")
        await pipeline.execute()
    async with client.pipeline() as pipeline:
        await pipeline.watch("a")
        await pipeline.get("a")
    try:
        await asyncio.wait_for(client.brpop("nothing", timeout=1), 0.02)
    except asyncio.TimeoutError:
        pass
    await client.aclose()

asyncio.run(main())
""",
    )
    assert [(each.text, each.line, each.outcome) for each in operations] == [
        ("GET", 9, 0),
        ("GET", 9, 0),
        ("GET", 9, 0),
        ("PIPELINE GET", 13, 0),
        ("WATCH", 15, 0),
        ("GET", 16, 0),
        ("BRPOP", 18, 1),
    ]
    assert operations[3].batch == 12
    assert {each.root for each in operations} == {"task main"}
    assert not any(each.on_loop for each in operations)


def test_listening_is_no_operation(tmp_path: Path, redis_url: str) -> None:
    operations = program(
        tmp_path,
        redis_url,
        """\
import redis.asyncio as redis

async def main():
    client = redis.from_url(url)
    async with client.pubsub() as channel:
        await channel.subscribe("news")
        await client.publish("news", "x")
        for _ in range(3):
            await channel.get_message(timeout=0.01)
    await client.aclose()

asyncio.run(main())
""",
    )
    assert [(each.kind, each.text) for each in operations] == [("redis", "PUBLISH")]


@pytest.mark.parametrize(
    ("command", "key", "count"),
    [
        ("GET a", "a", 0),
        ("SET a secret", "a", 0),
        ("MSET a 1 b 2", "a b", 2),
        ("HSET h f 1", "h f", 0),
        ("HSET h f 1 g 2", "h f g", 2),
        ("HINCRBY h f 1", "h f", 0),
        ("DEL a b c", "a b c", 3),
        ("LPUSH a x y", "a x y", 2),
        ("ZADD a 1 x 2 y", "a 1 x 2 y", 2),
        ("EVALSHA sha 2 a b v", "sha 2 a b v", 2),
        ("HMGET h f g", "h f g", 2),
        ("EXPIRE a 10", "a", 0),
    ],
)
def test_what_tells_commands_apart(command: str, key: str, count: int) -> None:
    args = command.split()
    assert key_of(args[0], args) == tuple(key.split())
    assert elements(args[0], args) == count
