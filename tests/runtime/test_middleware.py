"""The middleware around applications of real frameworks, asked in process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fastapi
import flask
import httpx
import litestar
import pytest
from prometheus_client.parser import text_string_to_metric_families
from runtime.recorded import run
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from agentperf_runtime import PerformanceMiddleware, RequestStats, WsgiPerformanceMiddleware
from agentperf_runtime.middleware.otel import OpenTelemetryMetrics
from agentperf_runtime.middleware.prometheus import metrics_asgi, metrics_text, metrics_wsgi
from agentperf_runtime.middleware.requests import Counts, Key, Request, RequestGroup

Shown = tuple[str, str, int, int]


def ask(app: Any, *paths: str) -> list[httpx.Response]:
    """GET each path of an ASGI application, or `METHOD /path`."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            words = [path.rpartition(" ") for path in paths]
            return [await client.request(method or "GET", path) for method, _, path in words]

    return asyncio.run(main())


def groups(stats: Any) -> list[Shown]:
    """(method, route, status, count)."""
    report = stats.get_request_stats()
    assert report["errors"] == report["in_flight"] == 0
    return sorted((each["method"], each["route"], each["status"], each["count"]) for each in report["requests"])


def only(stats: Any) -> RequestGroup:
    (group,) = stats.get_request_stats()["requests"]
    found: RequestGroup = group
    return found


async def hello(request: Any) -> PlainTextResponse:
    return PlainTextResponse("hello")


def test_starlette_routes_have_templates_and_nothing_else_a_path() -> None:
    app = Starlette(
        routes=[
            Route("/items/{item:int}", hello),
            Mount("/{tenant}/v1", routes=[Route("/users/{user}", hello)]),
            Mount("/static", app=PlainTextResponse("file")),
        ]
    )
    measured = PerformanceMiddleware(app)
    ask(
        measured, "/items/1", "/items/0002", "/acme/v1/users/acme", "/static/a/b.css", "/acme/v1/nothing", "/nowhere/7",
        "POST /items/3", "FOO /items/3",
    )  # fmt: skip
    assert groups(measured) == [
        ("GET", "(unmatched)", 404, 1),
        ("GET", "/items/{item}", 200, 2),
        ("GET", "/static/*", 200, 1),
        ("GET", "/{tenant}/v1/*", 404, 1),
        ("GET", "/{tenant}/v1/users/{user}", 200, 1),
        ("POST", "/items/{item}", 405, 1),
        ("_OTHER", "/items/{item}", 405, 1),
    ]


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Callable[[Any], Any]) -> Any:
        return await call_next(request)


def test_fastapi_with_the_middleware_among_others() -> None:
    stats = RequestStats()
    app = fastapi.FastAPI(middleware=[Middleware(Passing), Middleware(PerformanceMiddleware, stats=stats)])
    inner = fastapi.FastAPI()
    router = fastapi.APIRouter(prefix="/orders")

    @router.get("/{order_id}")
    async def order(order_id: int) -> int:
        if order_id == 13:
            raise fastapi.HTTPException(418)
        return order_id

    @inner.get("/teams/{name}")
    def team(name: str) -> str:
        return name

    app.include_router(router)
    app.mount("/v2", inner)
    ask(app, "/orders/1", "/orders/13", "/orders/x", "/v2/teams/red")
    assert groups(stats) == [
        ("GET", "/orders/{order_id}", 200, 1),
        ("GET", "/orders/{order_id}", 418, 1),
        ("GET", "/orders/{order_id}", 422, 1),
        ("GET", "/v2/teams/{name}", 200, 1),
    ]


def test_litestar() -> None:
    @litestar.get("/books/{book:int}")
    async def book(request: litestar.Request[Any, Any, Any]) -> int:
        number: int = request.path_params["book"]
        if number == 13:
            raise ValueError
        return number

    measured = PerformanceMiddleware(litestar.Litestar([book], logging_config=None))
    ask(measured, "/books/1", "/books/2", "/books/13", "/books/x")
    assert groups(measured) == [
        ("GET", "(unmatched)", 404, 1),
        ("GET", "/books/{book}", 200, 2),
        ("GET", "/books/{book}", 500, 1),
    ]


DJANGO = """
import asyncio, json, sys, warnings
import django, httpx
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path, re_path
from agentperf_runtime import PerformanceMiddleware, WsgiPerformanceMiddleware

def order(request, pk):
    if pk == 13:
        raise ValueError
    return HttpResponse(pk)

async def lines(request, name):
    return HttpResponse(name)

urlpatterns = [
    path("shop/", include([path("orders/<int:pk>/", order)])),
    re_path(r"^lines/(?P<name>\\w+)$", lines),
]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", LOGGING_CONFIG=None)
django.setup()
paths = ["/shop/orders/1/", "/shop/orders/2/", "/shop/orders/13/", "/lines/a", "/nowhere/1"]

async def by_asgi(app):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in paths:
            await client.get(path)

def by_wsgi(app):
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        for path in paths:
            client.get(path)

if sys.argv[1] == "asgi":
    measured = PerformanceMiddleware(get_asgi_application())
    asyncio.run(by_asgi(measured))
else:
    measured = WsgiPerformanceMiddleware(get_wsgi_application())
    by_wsgi(measured)
print(json.dumps(measured.get_request_stats()))
"""


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_django(interface: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(DJANGO, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run(
        [sys.executable, "app.py", interface], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment
    )
    report = json.loads(shown.stdout)
    assert (report["errors"], report["in_flight"]) == (0, 0)
    assert sorted((each["route"], each["status"], each["count"], each["failed"]) for each in report["requests"]) == [
        ("(unmatched)", 404, 1, 0),
        (r"/^lines/(?P<name>\w+)$", 200, 1, 0),
        ("/shop/orders/<int:pk>/", 200, 2, 0),
        ("/shop/orders/<int:pk>/", 500, 1, 1),
    ]


def ask_wsgi(app: Any, *paths: str) -> list[httpx.Response]:
    transport = httpx.WSGITransport(app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://test") as client:
        return [client.get(path) for path in paths]


def test_flask() -> None:
    app = flask.Flask("shop")

    @app.get("/orders/<int:pk>")
    def order(pk: int) -> str:
        if pk == 13:
            raise ValueError
        return str(pk)

    @app.get("/rows")
    def rows() -> Iterable[str]:
        return (str(number) for number in range(3))

    measured = app.wsgi_app = WsgiPerformanceMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    answers = ask_wsgi(app, "/orders/1", "/orders/2", "/orders/13", "/rows", "/nowhere/1")
    assert answers[3].text == "012"
    assert groups(measured) == [
        ("GET", "(unmatched)", 404, 1),
        ("GET", "/orders/<int:pk>", 200, 2),
        ("GET", "/orders/<int:pk>", 500, 1),
        ("GET", "/rows", 200, 1),
    ]


def test_a_route_that_only_the_application_knows() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("ok")(scope, receive, send)

    measured = PerformanceMiddleware(app, route_of=lambda scope: scope["path"].partition("-")[0])
    ask(measured, "/order-1", "/order-2")
    assert groups(measured) == [("GET", "/order", 200, 2)]


def test_a_route_that_cannot_be_read_is_no_failure_of_the_application() -> None:
    measured = PerformanceMiddleware(Starlette(routes=[Route("/", hello)]), route_of=lambda scope: 1 / 0)  # type: ignore[arg-type, return-value]
    (answer,) = ask(measured, "/")
    assert answer.text == "hello"
    report = measured.get_request_stats()
    assert report["errors"] == 1
    assert report["requests"][0]["route"] == "(unmatched)"


# --- how a request ends ---------------------------------------------------------------------------------------


def test_what_the_application_raises_is_counted_and_raised_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("gone")

    measured = PerformanceMiddleware(app)
    with pytest.raises(LookupError, match="gone"):
        TestClient(measured).get("/")
    group = only(measured)
    assert (group["status"], group["count"], group["failed"], group["disconnected"]) == (500, 1, 1, 0)


class Server:
    """Asks an ASGI application for one answer, step by step."""

    def __init__(self, app: Any) -> None:
        self.sent: list[Any] = []
        self.is_gone = asyncio.Event()
        self._has_asked = False
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "query_string": b""}
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))

    async def receive(self) -> Any:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.is_gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def until(self, pieces: int) -> None:
        while len(self.sent) < pieces:
            await asyncio.sleep(0)


def test_a_streamed_answer_lasts_until_its_last_byte() -> None:
    go_on = asyncio.Event()

    async def pieces() -> Any:
        yield "first"
        await go_on.wait()
        yield "last"

    async def main() -> None:
        measured = PerformanceMiddleware(StreamingResponse(pieces()))
        server = Server(measured)
        await server.until(2)
        await asyncio.sleep(0.03)
        report = measured.get_request_stats()
        assert (report["in_flight"], report["requests"]) == (1, [])
        go_on.set()
        await server.task
        group = only(measured)
        assert group["duration_max"] >= 0.03
        assert group["first_byte_p50"] < group["duration_max"]
        assert measured.get_request_stats()["in_flight"] == 0
        assert measured.get_request_stats()["in_flight_most"] == 1

    asyncio.run(main())


def test_background_tasks_are_not_of_the_request() -> None:
    go_on = asyncio.Event()

    async def main() -> None:
        measured = PerformanceMiddleware(PlainTextResponse("ok", background=BackgroundTask(go_on.wait)))
        server = Server(measured)
        await server.until(2)
        assert measured.get_request_stats()["in_flight"] == 0
        assert only(measured)["count"] == 1
        assert not server.task.done()
        go_on.set()
        await server.task
        assert only(measured)["count"] == 1

    asyncio.run(main())


def test_a_failure_in_the_background_is_not_of_the_request() -> None:
    async def fails() -> None:
        raise ValueError

    async def main() -> None:
        measured = PerformanceMiddleware(PlainTextResponse("ok", background=BackgroundTask(fails)))
        with pytest.raises(ValueError):  # noqa: PT011  # it has no message
            await Server(measured).task
        assert (only(measured)["status"], only(measured)["failed"]) == (200, 0)

    asyncio.run(main())


def test_a_client_that_leaves_a_stream() -> None:
    async def endless() -> Any:
        while True:
            yield "more"
            await asyncio.sleep(0)

    async def main() -> None:
        measured = PerformanceMiddleware(StreamingResponse(endless()))
        server = Server(measured)
        await server.until(4)
        server.is_gone.set()
        await server.task
        group = only(measured)
        assert (group["status"], group["disconnected"], group["failed"]) == (200, 1, 0)

    asyncio.run(main())


def test_a_client_that_leaves_before_there_is_an_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async def main() -> None:
        measured = PerformanceMiddleware(app)
        server = Server(measured)
        server.is_gone.set()
        await server.task
        assert (only(measured)["status"], only(measured)["disconnected"], only(measured)["failed"]) == (499, 1, 0)

    asyncio.run(main())


def test_a_request_that_the_server_cancels() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        measured = PerformanceMiddleware(app)
        server = Server(measured)
        await asyncio.sleep(0)
        server.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server.task
        assert (only(measured)["status"], only(measured)["disconnected"], only(measured)["failed"]) == (499, 1, 0)

    asyncio.run(main())


def test_websockets_and_lifespan_are_handed_through() -> None:
    started: list[str] = []

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        started.append("up")
        yield
        started.append("down")

    app = Starlette(routes=[WebSocketRoute("/echo", echo)], lifespan=lifespan)
    measured = PerformanceMiddleware(app)
    with TestClient(measured) as client, client.websocket_connect("/echo") as websocket:
        websocket.send_text("hello")
        assert websocket.receive_text() == "hello"
    assert started == ["up", "down"]
    assert measured.get_request_stats()["requests"] == []


def answered(app: Any, **environ: Any) -> Any:
    """What a WSGI application returns to its server."""
    base = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.url_scheme": "http"}
    return app({**base, **environ}, lambda status, headers, exc_info=None: None)


def test_wsgi_answers_last_until_the_server_has_taken_them() -> None:
    closed: list[str] = []

    class Pieces:
        def __iter__(self) -> Any:
            return iter([b"a", b"b"])

        def close(self) -> None:
            closed.append("closed")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Pieces()

    measured = WsgiPerformanceMiddleware(app)
    answer = answered(measured)
    assert measured.get_request_stats()["in_flight"] == 1
    assert b"".join(answer) == b"ab"
    assert measured.get_request_stats()["in_flight"] == 0
    answer.close()
    assert closed == ["closed"]
    assert (only(measured)["count"], only(measured)["disconnected"]) == (1, 0)

    answer = answered(measured)
    assert next(answer) == b"a"
    answer.close()
    assert (only(measured)["count"], only(measured)["disconnected"]) == (2, 1)


def test_lists_and_files_reach_the_server_as_they_are() -> None:
    class FileWrapper:
        def __iter__(self) -> Any:
            return iter([b"file"])

    file, pieces = FileWrapper(), [b"list"]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return file if environ["PATH_INFO"] == "/file" else pieces

    measured = WsgiPerformanceMiddleware(app)
    assert answered(measured) is pieces
    assert answered(measured, PATH_INFO="/file", **{"wsgi.file_wrapper": FileWrapper}) is file
    assert groups(measured) == [("GET", "(unmatched)", 200, 2)]


def test_a_wsgi_application_that_raises() -> None:
    def at_once(environ: Any, start_response: Any) -> Any:
        raise LookupError

    def later(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"a"
        raise LookupError

    for app, status in ((at_once, 500), (later, 200)):
        measured = WsgiPerformanceMiddleware(app)
        with pytest.raises(LookupError):
            b"".join(answered(measured))
        assert (only(measured)["status"], only(measured)["failed"]) == (status, 1)


# --- figures ------------------------------------------------------------------------------------------------------


def request(route: str = "/", duration: float = 0.1, status: int = 200, method: str = "GET") -> Request:
    return Request(Key(method, route, status), duration, duration / 2, status >= 500, False, "http", "")


def test_groups_are_bounded() -> None:
    stats = RequestStats()
    for number in range(3_000):
        stats.begin("GET", "http")
        stats.end(request(f"/{number}", status=404))
    report = stats.get_request_stats()["requests"]
    assert len(report) == 2_001
    assert (report[0]["route"], report[0]["status"], report[0]["count"]) == ("(others)", 400, 1_000)


def test_figures_of_a_group() -> None:
    stats = RequestStats()
    for number in range(1, 101):
        stats.begin("GET", "http")
        stats.end(request(duration=number / 100))
    stats.count(Key("GET", "/", 200), Counts(queries=4, tokens=10, stall=0.5))
    stats.count(Key("GET", "/", 200), Counts(queries=2, tokens=0, stall=0.0))
    stats.add_stall(Key("GET", "/", 200), 0.25)
    group = only(stats)
    assert group["duration_mean"] == pytest.approx(0.505)
    assert [group[name] for name in ("duration_p50", "duration_p95", "duration_p99")] == pytest.approx(  # type: ignore[literal-required]
        [0.5, 0.95, 0.99], rel=0.01
    )
    assert group["duration_max"] == 1
    assert group["first_byte_p95"] == pytest.approx(0.475, rel=0.01)
    assert (group["traced"], group["queries"], group["tokens"]) == (2, {"mean": 3, "max": 4}, {"mean": 5, "max": 10})
    assert group["stall_seconds"] == 0.75


def test_threads_lose_nothing() -> None:
    stats = RequestStats()

    def serve() -> None:
        for _ in range(500):
            stats.begin("GET", "http")
            stats.end(request())

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only(stats)["count"] == 2_000
    report = stats.get_request_stats()
    assert report["in_flight"] == 0
    assert 1 <= report["in_flight_most"] <= 4


def test_an_exporter_that_fails_is_no_failure_of_the_application() -> None:
    class Broken:
        def started(self, method: str, scheme: str) -> None:
            raise RuntimeError

        def ended(self, request: Request) -> None:
            raise RuntimeError

    stats = RequestStats([Broken()])
    (answer,) = ask(PerformanceMiddleware(Starlette(routes=[Route("/", hello)]), stats), "/")
    assert answer.text == "hello"
    assert stats.get_request_stats()["errors"] == 2


# --- with the tracer ----------------------------------------------------------------------------------------------

TRACED = """
import asyncio, json, sqlite3, sys, time
import httpx
from fastapi import BackgroundTasks, FastAPI
from agentperf_runtime import PerformanceMiddleware, RequestStats, operation
from agentperf_runtime.tracer import active

connection = sqlite3.connect(":memory:", check_same_thread=False)
stats = RequestStats()
app = FastAPI()

@app.get("/users/{user_id}")
async def user(user_id: int, tasks: BackgroundTasks):
    for number in range(user_id):
        connection.execute("select ?", (number,)).fetchall()
    tasks.add_task(connection.execute, "select 'later'")
    return user_id

@app.get("/teams/{name}")
def team(name: str):  # in a thread
    connection.execute("select ?", (name,)).fetchall()
    return name

@app.get("/slow")
async def slow():
    time.sleep(0.12)
    return "slow"

@app.get("/plain")
async def plain():
    return "plain"

if sys.argv[1] == "inside":
    app.add_middleware(PerformanceMiddleware, stats=stats)
    measured = app
else:
    measured = PerformanceMiddleware(app, stats)

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(measured), base_url="http://test") as client:
        for path in ("/users/3", "/users/5", "/teams/red", "/slow", "/plain"):
            assert (await client.get(path)).status_code == 200
    for _ in range(200):  # a stall is told by another thread
        await asyncio.sleep(0.01)
        active().flush()
        if any(each["stall_seconds"] for each in stats.get_request_stats()["requests"]):
            break

asyncio.run(main())
with open("stats.json", "w") as file:
    json.dump(stats.get_request_stats(), file)
"""


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_queries_and_stalls_are_counted_where_the_tracer_runs(tmp_path: Path, place: str) -> None:
    trace = run(tmp_path, TRACED, place)
    report = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    found = {each["route"]: each for each in report["requests"]}
    assert {route: (each["traced"], each["queries"]) for route, each in found.items()} == {
        "/users/{user_id}": (2, {"mean": 4, "max": 5}),
        "/teams/{name}": (1, {"mean": 1, "max": 1}),
        "/slow": (1, {"mean": 0, "max": 0}),
        "/plain": (1, {"mean": 0, "max": 0}),
    }
    assert found["/slow"]["stall_seconds"] >= 0.05
    assert len(trace.of("sql")) == 3 + 5 + 1 + 2  # the trace has the background's as well


TOKENS = """
import asyncio, json, sys
import httpx, openai
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from agentperf_runtime import PerformanceMiddleware, root
from agentperf_runtime.tracer import active

client = openai.AsyncOpenAI(base_url=sys.argv[1] + "/v1", api_key="x")

async def answer(request):
    with root("agent run"):  # what a part of the request makes is the request's
        message = {"role": "user", "content": "?"}
        await client.chat.completions.create(model="m", messages=[message])
    return PlainTextResponse("ok")

measured = PerformanceMiddleware(Starlette(routes=[Route("/ask", answer)]))

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(measured), base_url="http://test") as asking:
        await asking.get("/ask")
    await client.close()
    active().flush()

asyncio.run(main())
with open("stats.json", "w") as file:
    json.dump(measured.get_request_stats(), file)
"""


def test_tokens_are_counted(tmp_path: Path, http_url: str) -> None:
    run(tmp_path, TOKENS, http_url)
    (group,) = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["requests"]
    assert group["tokens"] == {"mean": 14, "max": 14}


FLASK = """
import json, sqlite3
import flask, httpx
from agentperf_runtime import WsgiPerformanceMiddleware
from agentperf_runtime.tracer import active

app = flask.Flask("shop")

@app.get("/rows/<int:count>")
def rows(count):
    connection = sqlite3.connect(":memory:")
    for number in range(count):
        connection.execute("select ?", (number,)).fetchall()
    return str(count)

app.wsgi_app = WsgiPerformanceMiddleware(app.wsgi_app)
with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
    client.get("/rows/2")
    client.get("/rows/6")
active().flush()
with open("stats.json", "w") as file:
    json.dump(app.wsgi_app.get_request_stats(), file)
"""


def test_queries_of_wsgi_requests_are_counted(tmp_path: Path) -> None:
    run(tmp_path, FLASK)
    (group,) = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))["requests"]
    assert (group["traced"], group["queries"]) == (2, {"mean": 4, "max": 6})


# --- elsewhere ----------------------------------------------------------------------------------------------------


def served() -> RequestStats:
    stats = RequestStats()
    measured = PerformanceMiddleware(Starlette(routes=[Route("/items/{item}", hello)]), stats)
    ask(measured, "/items/1", "/items/2", "/nowhere")
    stats.count(Key("GET", "/items/{item}", 200), Counts(queries=3, tokens=7, stall=0.5))
    return stats


def test_prometheus_is_told() -> None:
    stats = served()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics_text(stats))
        for sample in family.samples
    }
    labels = (("http_request_method", "GET"), ("http_response_status_code", "200"), ("http_route", "/items/{item}"))
    assert samples["http_server_request_duration_seconds_count", labels] == 2
    assert samples["http_server_active_requests", ()] == 0
    assert samples["agentperf_queries_total", labels] == 3
    assert samples["agentperf_tokens_total", labels] == 7
    assert samples["agentperf_stall_seconds_total", labels] == 0.5
    assert samples["agentperf_failed_requests_total", labels] == 0


def test_buckets_for_prometheus_add_up() -> None:
    stats = RequestStats()
    for duration in (0.001, 0.004, 0.06, 0.2, 0.2, 3.0, 60.0):
        stats.begin("GET", "http")
        stats.end(request(duration=duration))
    buckets = {
        sample.labels["le"]: sample.value
        for family in text_string_to_metric_families(metrics_text(stats))
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_bucket"
    }
    assert buckets == {
        "0.005": 2, "0.01": 2, "0.025": 2, "0.05": 2, "0.075": 3, "0.1": 3, "0.25": 5, "0.5": 5, "0.75": 5, "1.0": 5,
        "2.5": 5, "5.0": 6, "7.5": 6, "10.0": 6, "+Inf": 7,
    }  # fmt: skip


def test_prometheus_asks_by_asgi_and_wsgi() -> None:
    stats = served()
    (by_asgi,), (by_wsgi,) = ask(metrics_asgi(stats), "/metrics"), ask_wsgi(metrics_wsgi(stats), "/metrics")
    for answer in (by_asgi, by_wsgi):
        assert answer.status_code == 200
        assert 'http_route="/items/{item}"' in answer.text


def test_opentelemetry_is_told() -> None:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    stats = RequestStats([OpenTelemetryMetrics(provider)])

    async def fails(request: Any) -> None:
        raise LookupError

    app = Starlette(routes=[Route("/items/{item}", hello), Route("/fails", fails)])
    ask(PerformanceMiddleware(app, stats), "/items/1", "/items/2", "/nowhere", "/fails")
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    duration = metrics["http.server.request.duration"]
    assert duration.unit == "s"
    points: list[Any] = list(duration.data.data_points)
    shown = {
        (each.attributes.get("http.route"), each.attributes["http.response.status_code"],
         each.attributes.get("error.type"), each.count)
        for each in points
    }  # fmt: skip
    assert shown == {("/items/{item}", 200, None, 2), (None, 404, None, 1), ("/fails", 500, "500", 1)}
    assert {each.attributes["http.request.method"] for each in points} == {"GET"}
    assert tuple(points[0].explicit_bounds)[:3] == (0.005, 0.01, 0.025)
    assert [each.value for each in metrics["http.server.active_requests"].data.data_points] == [0]
    provider.shutdown()


@pytest.mark.parametrize(
    ("library", "module", "extra"),
    [("prometheus_client", "prometheus", "prometheus"), ("opentelemetry.metrics", "otel", "otel")],
)
def test_a_library_that_is_missing_is_named(library: str, module: str, extra: str) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import agentperf_runtime.middleware.{module}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert shown.stderr.splitlines()[-1].startswith("ImportError: ")
    assert f"pip install 'agentperf-lint[{extra}]'" in shown.stderr


def test_nothing_of_other_libraries_is_loaded() -> None:
    code = "import sys, agentperf_runtime.middleware as m; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = set(shown.stdout.split())
    assert not loaded & {"prometheus_client", "opentelemetry", "starlette", "django", "flask", "asyncio"}
    assert "agentperf_runtime.tracer" not in loaded


def test_a_forked_worker_counts_its_own_requests() -> None:
    code = """
import os
from agentperf_runtime.middleware.requests import Key, Request, RequestStats
stats = RequestStats()
def serve():
    stats.begin("GET", "http")
    stats.end(Request(Key("GET", "/", 200), 0.1, 0.1, False, False, "http", ""))
serve()
stats.begin("GET", "http")
pid = os.fork()
if pid == 0:
    serve()
    print(stats.totals().times.count, stats.in_flight, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(stats.totals().times.count, stats.in_flight)
"""
    runtime = Path(__file__).parents[2] / "runtime"
    done = subprocess.run([sys.executable, "-c", code], cwd=runtime, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0", "1", "1"]
