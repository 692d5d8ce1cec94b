"""Requests of ASGI applications, under servers and in process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from runtime.recorded import run
from runtime.serving import CLIENT, roots_of

from agentperf_runtime.tracer import Options

FASTAPI = """
import asyncio, sqlite3
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
connection = sqlite3.connect(":memory:", check_same_thread=False)

class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)

app = FastAPI(middleware=[Middleware(Passing)])
inner = FastAPI()
app.mount("/v2", inner)

def session():
    connection.execute("select 'dependency'")

@app.get("/users/{user_id}", dependencies=[Depends(session)])
async def user(user_id: int):
    connection.execute("select ?", (user_id,))
    return user_id

@inner.get("/teams/{name}")
def team(name: str):
    connection.execute("select ?", (name,))
    return name

@app.get("/missing")
async def missing():
    raise HTTPException(404)

@app.get("/later")
async def later(tasks: BackgroundTasks):
    tasks.add_task(connection.execute, "select 'later'")

@app.get("/rows")
async def rows():
    async def lines():
        for number in range(2):
            yield str(connection.execute("select ?", (number,)).fetchone()[0])
    return StreamingResponse(lines())
"""


def test_requests_in_process_have_roots_of_their_own(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FASTAPI
        + """
import httpx

async def main():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        for number in (1, 2):
            assert (await client.get(f"/users/{number}")).json() == number
        assert (await client.get("/v2/teams/red")).json() == "red"
        assert (await client.get("/missing")).status_code == 404
        await client.get("/later")
        assert (await client.get("/rows")).text == "01"

asyncio.run(main())
""",
    )
    assert roots_of(trace) == [
        ("request GET /users/{user_id}", "200"),
        ("request GET /users/{user_id}", "200"),
        ("request GET /v2/teams/{name}", "200"),
        ("request GET /missing", "404"),
        ("request GET /later", "200"),
        ("request GET /rows", "200"),
    ]
    queries = trace.of("sql")
    assert len(queries) == 8
    assert len({each.root_id for each in queries}) == 5
    assert {each.root.split()[0] for each in queries} == {"request"}
    assert [each.on_loop for each in queries] == [False, True, False, True, False, False, True, True]


def test_a_share_of_the_requests_is_recorded_whole(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FASTAPI
        + """
import httpx

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        for number in range(100):
            await client.get(f"/users/{number}")
            await client.get(f"/v2/teams/{number}")

asyncio.run(main())
""",
        options=Options(sample=0.5),
    )
    names = {end["id"]: end["name"] for kind, end in trace.ended_roots() if kind == "request"}
    asked = Counter(names.values())
    assert 20 < asked["GET /users/{user_id}"] < 80
    assert 20 < asked["GET /v2/teams/{name}"] < 80
    assert asked.total() < 160
    # A query of the dependency and one of the endpoint, one of the team's.
    queries = Counter(names[each.root_id] for each in trace.of("sql"))
    assert queries["GET /users/{user_id}"] == 2 * asked["GET /users/{user_id}"]
    assert queries["GET /v2/teams/{name}"] == asked["GET /v2/teams/{name}"]
    assert trace.all("counters")[-1]["errors"] == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_connection_of_uvicorn_carries_many_requests(tmp_path: Path, loop: str) -> None:
    trace = run(
        tmp_path,
        FASTAPI
        + CLIENT
        + f"""
import threading, uvicorn
port = free_port()
server = uvicorn.Server(uvicorn.Config(app, port=port, loop="{loop}", log_level="error"))
threading.Thread(target=server.run).start()
wait_for(port)
assert ask(port, "/users/1", "/users/2", "/v2/teams/red") == ["1", "2", '"red"']
server.should_exit = True
""",
    )
    assert [name for name, _ in roots_of(trace)] == [
        "request GET /users/{user_id}",
        "request GET /users/{user_id}",
        "request GET /v2/teams/{name}",
    ]
    assert len({each.root_id for each in trace.of("sql")}) == 3


UNKNOWN = """
import sqlite3
connection = sqlite3.connect(":memory:", check_same_thread=False)

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    connection.execute("select ?", (scope["path"],))
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def test_an_application_that_is_not_known_under_uvicorn(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        UNKNOWN
        + CLIENT
        + """
import threading, uvicorn
port = free_port()
server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
threading.Thread(target=server.run).start()
wait_for(port)
assert ask(port, "/orders/17", "/orders/18") == ["ok", "ok"]
server.should_exit = True
""",
    )
    assert roots_of(trace) == [("request GET /orders/{}", "201")] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2
    assert not [each for each in trace.all("root") if "17" in each["name"]]


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_what_uvicorn_has_loaded_stays_the_application(tmp_path: Path, http: str) -> None:
    trace = run(
        tmp_path,
        UNKNOWN
        + CLIENT
        + f"""
import threading, uvicorn
port = free_port()
config = uvicorn.Config(app, port=port, log_level="error", proxy_headers=False, http="{http}")
config.load()
assert config.loaded_app is app
server = uvicorn.Server(config)
threading.Thread(target=server.run).start()
wait_for(port)
assert ask(port, "/orders/17") == ["ok"]
assert config.loaded_app is app
server.should_exit = True
""",
    )
    assert roots_of(trace) == [("request GET /orders/{}", "201")]


def test_an_application_that_is_not_known_under_hypercorn(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        UNKNOWN
        + CLIENT
        + """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
port = free_port()

async def main():
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.errorlog = None
    ended = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=ended.wait))
    await asyncio.to_thread(wait_for, port)
    assert await asyncio.to_thread(ask, port, "/orders/17", "/orders/18") == ["ok", "ok"]
    ended.set()
    await serving

asyncio.run(main())
""",
    )
    assert roots_of(trace) == [("request GET /orders/{}", "201")] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2


def test_litestar(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
import asyncio, sqlite3, httpx
from litestar import Litestar, get
connection = sqlite3.connect(":memory:")

@get("/users/{user_id:int}")
async def user(user_id: int) -> int:
    connection.execute("select ?", (user_id,))
    return user_id

app = Litestar([user], logging_config=None)

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        for number in (1, 2):
            assert (await client.get(f"/users/{number}")).json() == number

asyncio.run(main())
""",
    )
    assert [name for name, _ in roots_of(trace)] == ["request GET /users/{user_id}"] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2


def test_quart(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
import asyncio, sqlite3
from quart import Quart
connection = sqlite3.connect(":memory:")
app = Quart(__name__)

@app.get("/users/<int:user_id>")
async def user(user_id):
    connection.execute("select ?", (user_id,))
    return str(user_id)

async def main():
    client = app.test_client()
    for number in (1, 2):
        assert await (await client.get(f"/users/{number}")).get_data(as_text=True) == str(number)

asyncio.run(main())
""",
    )
    assert [name for name, _ in roots_of(trace)] == ["request GET /users/<int:user_id>"] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2


def test_every_message_of_a_websocket_is_a_unit(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        CLIENT
        + """
import asyncio, sqlite3, threading, uvicorn
from fastapi import FastAPI, WebSocket
from websockets.sync.client import connect
connection = sqlite3.connect(":memory:", check_same_thread=False)
app = FastAPI()

@app.websocket("/rooms/{room}")
async def talk(socket: WebSocket, room: str):
    await socket.accept()
    connection.execute("select 'joined'")
    async for text in socket.iter_text():
        connection.execute("select ?", (text,))
        await socket.send_text(text)

port = free_port()
server = uvicorn.Server(uvicorn.Config(app, port=port, ws="websockets-sansio", log_level="error"))
thread = threading.Thread(target=server.run)
thread.start()
wait_for(port)
with connect(f"ws://127.0.0.1:{port}/rooms/red") as client:
    for text in ("a", "b", "c"):
        client.send(text)
        assert client.recv() == text
server.should_exit = True
thread.join()
""",
    )
    queries = trace.of("sql")
    assert len({each.root_id for each in queries}) == len(queries) == 4
    assert {each["name"] for each in trace.all("root_end") if each["name"].startswith("WS")} == {"WS /rooms/{room}"}


def test_what_a_framework_does_with_an_answer_is_told_at_its_function(tmp_path: Path) -> None:
    """Attributes that are read when the answer is written are nobody's call: the function returned them."""
    trace = run(
        tmp_path,
        CLIENT
        + """
import sqlite3, threading, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
connection = sqlite3.connect(":memory:", check_same_thread=False)

class Lazy:
    pass

class Answer(BaseModel, from_attributes=True):
    value: int

# As a library's code: an ORM loads what is read.
exec(compile("def lazily(row): return connection.execute('select 1').fetchone()[0]", "<generated>", "exec"))
Lazy.value = property(lazily)

app = FastAPI()

@app.get("/waiting", response_model=Answer)
async def waiting():
    row = Lazy()
    return row

@app.get("/threaded", response_model=Answer)
def threaded():
    row = Lazy()
    return row

port = free_port()
server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
thread = threading.Thread(target=server.run)
thread.start()
wait_for(port)
assert ask(port, "/waiting", "/threaded") == ['{"value":1}'] * 2
server.should_exit = True
thread.join()
""",
    )
    source = (tmp_path / "app.py").read_text(encoding="utf-8").splitlines()
    returns = [number for number, line in enumerate(source, start=1) if line == "    return row"]
    told = [(each.function, each.line) for each in trace.of("sql")]
    assert told == list(zip(["waiting", "threaded"], returns))


def test_applications_may_copy_scopes_and_write_them_into_logs(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        import asyncio, copy, httpx, json, sqlite3
        connection = sqlite3.connect(":memory:")

        async def inner(scope, receive, send):
            connection.execute("select 1")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def app(scope, receive, send):
            plain = {name: value for name, value in scope.items() if not isinstance(value, (bytes, list))}
            assert json.loads(json.dumps(plain))["path"] == "/users"
            transport = httpx.ASGITransport(inner)
            await transport.app(copy.deepcopy(scope), receive, send)

        async def main():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
                assert (await client.get("/users")).status_code == 200

        asyncio.run(main())
        """,
    )
    assert [each.root for each in trace.of("sql")] == ["request GET /users"]
