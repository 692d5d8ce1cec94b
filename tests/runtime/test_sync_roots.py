"""Requests of synchronous servers and frameworks, and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import run
from runtime.serving import CLIENT, roots_of

FLASK = """
import asyncio, sqlite3, threading
from flask import Flask, abort, stream_with_context
app = Flask(__name__)

def query(value):
    return sqlite3.connect(":memory:").execute("select ?", (value,)).fetchone()[0]

@app.get("/users/<int:user_id>")
def user(user_id):
    query(user_id)
    return str(user_id)

@app.get("/rows")
def rows():
    return stream_with_context(str(query(number)) for number in range(3)), 202

@app.get("/missing")
def missing():
    abort(404)

@app.get("/loop")
def loop():
    async def both():
        async def one(number):
            query(number)
        await asyncio.gather(one(1), one(2))
    asyncio.run(both())
    return "done"

@app.get("/broken")
def broken():
    raise ValueError
"""


def test_flask(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FLASK
        + """
client = app.test_client()
assert [client.get(f"/users/{number}").text for number in (1, 2)] == ["1", "2"]
assert client.get("/rows").text == "012"
assert "Not Found" in client.get("/missing").text
assert client.get("/loop").text == "done"
app.testing = True
try:
    client.get("/broken")
except ValueError:
    pass
query("outside")
""",
    )
    assert roots_of(trace) == [
        ("request GET /users/<int:user_id>", "200"),
        ("request GET /users/<int:user_id>", "200"),
        ("request GET /rows", "202"),
        ("request GET /missing", "404"),
        ("request GET /loop", "200"),
        ("request GET /broken", "error"),
    ]
    queries = trace.of("sql")
    assert [each.root for each in queries] == [
        *["request GET /users/<int:user_id>"] * 2,
        *["request GET /rows"] * 3,
        *["request GET /loop"] * 2,
        "script main",
    ]
    assert len({each.root_id for each in queries}) == 5


def test_flask_under_a_server_of_the_standard_library(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FLASK
        + CLIENT
        + """
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
threading.Thread(target=server.serve_forever).start()
assert ask(server.server_port, "/users/1", "/users/2", "/rows", connection="each") == ["1", "2", "012"]
server.shutdown()
""",
    )
    assert roots_of(trace) == [
        ("request GET /users/<int:user_id>", "200"),
        ("request GET /users/<int:user_id>", "200"),
        ("request GET /rows", "202"),
    ]
    assert {each.root.split()[0] for each in trace.of("sql")} == {"request"}


def test_an_answer_that_is_not_read_to_its_end(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        FLASK
        + """
from werkzeug.test import EnvironBuilder
answer = app(EnvironBuilder("/rows").get_environ(), lambda status, headers, error=None: None)
assert next(iter(answer)) == b"0"
query("between")
assert next(answer) == b"1"
answer.close()
""",
    )
    assert [each.root for each in trace.of("sql")] == [
        "request GET /rows",
        "script main",
        "request GET /rows",
    ]
    assert roots_of(trace) == [("request GET /rows", "202")]


@pytest.mark.parametrize("server", ["HTTPServer", "ThreadingHTTPServer"])
def test_requests_over_one_connection_of_http_server(tmp_path: Path, server: str) -> None:
    trace = run(
        tmp_path,
        f"""
import http.server, sqlite3, threading
{CLIENT}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        sqlite3.connect(":memory:").execute("select ?", (self.path,))
        self.send_response(200 if self.path != "/none" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

server = http.server.{server}(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever)
thread.start()
assert ask(server.server_port, "/users/1?secret=hunter2", "/users/2", "/none") == ["ok"] * 3
server.shutdown()
server.server_close()
""",
    )
    assert roots_of(trace) == [
        ("request GET /users/{}", "200"),
        ("request GET /users/{}", "200"),
        ("request GET /none", "404"),
    ]
    assert len({each.root_id for each in trace.of("sql")}) == 3


def test_connections_of_a_socket_server(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
import socket, socketserver, sqlite3, threading

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        sqlite3.connect(":memory:").execute("select ?", (line,))
        self.wfile.write(line)

server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever).start()
for number in range(3):
    with socket.create_connection(server.server_address) as client:
        client.sendall(b"%d\\n" % number)
        assert client.recv(10) == b"%d\\n" % number
server.shutdown()
server.server_close()
""",
    )
    assert roots_of(trace) == [("request Handler", "ok")] * 3
    assert len({each.root_id for each in trace.of("sql")}) == 3


DJANGO = """
import asyncio, sys, types
from django.conf import settings
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", SECRET_KEY="x",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "app.db"}},
)
import django
django.setup()
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

def query(value):
    with connection.cursor() as cursor:
        return cursor.execute("select %s", (value,)).fetchone()[0]

def user(request, user_id):
    return HttpResponse(query(user_id))

async def team(request, name):
    return HttpResponse(await sync_to_async(query)(name))

def rows(request):
    return StreamingHttpResponse(str(query(number)) for number in range(3))

def bridged(request):
    async def inner():
        return await sync_to_async(query)("bridged")
    return HttpResponse(async_to_sync(inner)())

urls = types.ModuleType("urls")
urls.urlpatterns = [
    path("users/<int:user_id>/", user), path("teams/<str:name>/", team), path("rows/", rows), path("bridged/", bridged),
]
sys.modules["urls"] = urls
paths = ["/users/1/", "/users/2/", "/teams/red/", "/rows/", "/bridged/"]
answers = ["1", "2", "red", "012", "bridged"]
"""
SERVED = {
    "test client": """
from django.test import Client
assert [Client().get(path).getvalue().decode() for path in paths] == answers
""",
    "asynchronous test client": """
from django.test import AsyncClient

async def main():
    for path, answer in zip(paths, answers):
        response = await AsyncClient().get(path)
        assert await sync_to_async(response.getvalue)() == answer.encode()

asyncio.run(main())
""",
    "ASGI": """
import httpx, warnings
from django.core.asgi import get_asgi_application
warnings.simplefilter("ignore")  # a stream that Django would rather have asynchronous

async def main():
    transport = httpx.ASGITransport(get_asgi_application())
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        assert [(await client.get(path)).text for path in paths] == answers

asyncio.run(main())
""",
    "WSGI": CLIENT
    + """
import threading
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application

class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass

server = ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
server.set_app(get_wsgi_application())
threading.Thread(target=server.serve_forever).start()
assert ask(server.server_port, *paths) == answers
server.shutdown()
""",
}


@pytest.mark.parametrize("served", SERVED)
def test_django(tmp_path: Path, served: str) -> None:
    trace = run(tmp_path, DJANGO + SERVED[served])
    assert [each for each in roots_of(trace) if each[0].startswith("request")] == [
        ("request GET /users/<int:user_id>/", "200"),
        ("request GET /users/<int:user_id>/", "200"),
        ("request GET /teams/<str:name>/", "200"),
        ("request GET /rows/", "200"),
        ("request GET /bridged/", "200"),
    ]
    queries = [each for each in trace.of("sql") if each.text == "select ?"]
    # A test client hands out the stream, which the test then reads.
    streamed = 3 if "client" in served else 0
    assert len([each for each in queries if each.root.startswith("request")]) == 7 - streamed
    assert len({each.root_id for each in queries}) == 5
