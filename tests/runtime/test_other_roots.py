"""Requests of asynchronous servers with protocols of their own, and jobs."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run
from runtime.serving import CLIENT, roots_of

QUERY = """
import asyncio, sqlite3
connection = sqlite3.connect(":memory:", check_same_thread=False)

def query(value):
    return connection.execute("select ?", (value,)).fetchone()[0]
"""


def test_aiohttp(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + CLIENT
        + """
from aiohttp import ClientSession, web

async def user(request):
    return web.Response(text=str(query(request.match_info["user_id"])))

async def missing(request):
    raise web.HTTPNotFound(text="none")

async def talk(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(query(message.data))
    return socket

async def main():
    app, inner = web.Application(), web.Application()
    app.add_routes([web.get("/users/{user_id}", user), web.get("/missing", missing), web.get("/rooms/{room}", talk)])
    inner.add_routes([web.get("/users/{user_id}", user)])
    app.add_subapp("/v2", inner)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    answers = await asyncio.to_thread(ask, port, "/users/1", "/users/2", "/v2/users/3", "/missing")
    assert answers == ["1", "2", "3", "none"]
    async with ClientSession() as session, session.ws_connect(f"http://127.0.0.1:{port}/rooms/red") as socket:
        for text in "abc":
            await socket.send_str(text)
            assert (await socket.receive()).data == text
    await runner.cleanup()

asyncio.run(main())
""",
    )
    assert [each for each in roots_of(trace) if each[0].startswith(("request", "websocket"))] == [
        ("request GET /users/{user_id}", "200"),
        ("request GET /users/{user_id}", "200"),
        ("request GET /v2/users/{user_id}", "200"),
        ("request GET /missing", "404"),
        *[("websocket WS /rooms/{room}", "ok")] * 3,
        ("request GET /rooms/{room}", "101"),
    ]
    assert len({each.root_id for each in trace.of("sql")}) == 6


def test_a_low_level_server_of_aiohttp(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + CLIENT
        + """
from aiohttp import web

async def handler(request):
    return web.Response(text=query(request.path))

async def main():
    server = web.Server(handler)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    assert await asyncio.to_thread(ask, port, "/users/1", "/users/2") == ["/users/1", "/users/2"]
    listening.close()
    await server.shutdown()

asyncio.run(main())
""",
    )
    assert roots_of(trace) == [("request GET /users/{}", "200")] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2


def test_tornado(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + CLIENT
        + """
import logging
from tornado.web import Application, RequestHandler
logging.disable()

class User(RequestHandler):
    async def get(self, user_id):
        await asyncio.sleep(0)
        self.write(str(query(user_id)))

class Plain(RequestHandler):
    def get(self):
        self.set_status(202)
        self.write(query("plain"))

async def main():
    server = Application([(r"/users/(\\d+)", User), (r"/plain", Plain)]).listen(0, "127.0.0.1")
    port = next(iter(server._sockets.values())).getsockname()[1]
    assert await asyncio.to_thread(ask, port, "/users/1", "/users/2", "/plain") == ["1", "2", "plain"]
    server.stop()

asyncio.run(main())
""",
    )
    assert roots_of(trace) == [
        ("request GET /users/{1}", "200"),
        ("request GET /users/{1}", "200"),
        ("request GET /plain", "202"),
    ]
    assert len({each.root_id for each in trace.of("sql")}) == 3


def test_sanic(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + CLIENT
        + """
import threading
from sanic import Sanic
from sanic.response import text
port = free_port()
app = Sanic("app", configure_logging=False)
app.config.MOTD = False
app.config.USE_UVLOOP = False  # for which it sets a policy, of which 3.14 complains

@app.get("/users/<user_id:int>")
async def user(request, user_id):
    return text(str(query(user_id)), 203)

@app.before_server_start
async def tables(app):
    pass

@app.after_server_start
async def client(app):
    async def use():
        assert await asyncio.to_thread(ask, port, "/users/1", "/users/2") == ["1", "2"]
        app.stop()
    app.add_task(use())

if __name__ == "__main__":
    app.run("127.0.0.1", port, single_process=True, access_log=False)
""",
    )
    assert roots_of(trace) == [("request GET /users/<user_id:int>", "203")] * 2
    assert len({each.root_id for each in trace.of("sql")}) == 2


def test_celery(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
from celery import Celery
app = Celery("app", broker="memory://", backend="cache+memory://")

@app.task
def add(number):
    async def both():
        await asyncio.gather(one(number), one(number + 1))

    async def one(value):
        query(value)

    query(number)
    asyncio.run(both())

@app.task
def fail():
    query("failing")
    raise ValueError

@app.task(bind=True, max_retries=1)
def again(self):
    query("again")
    if not self.request.retries:
        raise self.retry(countdown=0)

for number in range(2):
    add.apply((number,))
fail.apply()
again.apply()
query("outside")
""",
    )
    assert [each for each in roots_of(trace) if each[0].startswith("celery")] == [
        ("celery app.add", "ok"),
        ("celery app.add", "ok"),
        ("celery app.fail", "error"),
        ("celery app.again", "retry"),
        ("celery app.again", "ok"),
    ]
    queries = trace.of("sql")
    assert [each.root.split()[0] for each in queries] == ["celery"] * 9 + ["script"]
    assert len({each.root_id for each in queries}) == 6


def test_a_worker_of_celery(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import threading
from celery import Celery
from celery.contrib.testing.worker import start_worker
app = Celery("app", broker="memory://", backend="cache+memory://")

@app.task
def add(number):
    return query(number)

with start_worker(app, pool="threads", concurrency=2, perform_ping_check=False, loglevel="CRITICAL"):
    results = [add.delay(number) for number in range(3)]
    assert [result.get(timeout=10) for result in results] == [0, 1, 2]
""",
        check=False,
    )
    assert roots_of(trace) == [("celery app.add", "ok")] * 3
    assert len({each.root_id for each in trace.of("sql")}) == 3
