"""HTTP clients against a server: one operation for a call, with the line that made it and how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import Recorded, run

from agentperf_runtime.sources.fingerprint import of_body, procedure_of
from agentperf_runtime.statements import PROCEDURE, cleaned


def program(tmp_path: Path, url: str, source: str) -> list[Recorded]:
    trace = run(tmp_path, "import asyncio, os\nurl = os.environ['URL']\n" + source, environment={"URL": url})
    assert not trace.all("note")
    assert trace.all("counters")[-1]["errors"] == 0
    return trace.of("http")


def shown(operations: list[Recorded], url: str) -> list[tuple[str, int, int]]:
    return [(each.text.replace(url, ""), each.line, each.outcome) for each in operations]


def test_httpx(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import httpx
heard = []
hooks = {"response": [lambda response: heard.append(response.status_code)]}
with httpx.Client(base_url=url, event_hooks=hooks) as client:
    client.get("/items/7", params={"b": "x", "a": "y"})
    client.get("/redirect/2", follow_redirects=True)
    for status in (404, 408, 425, 429, 500, 503):
        client.get(f"/status/{status}")
    client.post("/echo", json={"ids": list(range(12))})
    client.post("/echo", json={"vector": [number / 3 for number in range(12)]})
    try:
        client.get("/slow/2000", timeout=0.05)
    except httpx.ReadTimeout:
        pass
httpx.get(url + "/items/7")
assert len(heard) == 12, heard
""",
    )
    items, redirected, *statuses = operations
    assert shown([items, redirected], http_url) == [("GET /items/{}?a&b", 7, 0), ("GET /redirect/{}", 8, 0)]
    assert [each.outcome for each in statuses[:6]] == [0, 408, 425, 429, 500, 503]
    ids, vector, slow, plain = statuses[6:]
    assert (ids.batch, vector.batch) == (12, 0)
    assert ids.params != vector.params
    assert (slow.line, slow.outcome) == (14, 1)
    assert 40e6 < slow.duration < 1e9
    assert plain.line == 17


def test_equal_requests_have_equal_parameters(tmp_path: Path, http_url: str) -> None:
    first, again, other, posted, reposted, different = program(
        tmp_path,
        http_url,
        """\
import httpx
with httpx.Client(base_url=url) as client:
    for item in (1, 1, 2):
        client.get(f"/items/{item}")
    for name in ("a", "a", "b"):
        client.post("/graphql", json={"query": "q", "variables": {"f": {"g": [{"h": name}]}}})
""",
    )
    assert {first.text, again.text} == {other.text}
    assert 0 != first.params == again.params != other.params
    assert posted.params == reposted.params != different.params


def test_httpx_asynchronously(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import httpx, inspect
assert inspect.iscoroutinefunction(httpx.AsyncClient.get)
assert inspect.iscoroutinefunction(httpx.AsyncClient.send)

async def fetch(client, item):
    return await client.get(f"/items/{item}")

async def main():
    async with httpx.AsyncClient(base_url=url) as client:
        await asyncio.gather(*(fetch(client, item) for item in range(3)))
        try:
            await asyncio.wait_for(client.get("/slow/2000"), 0.05)
        except asyncio.TimeoutError:
            pass

asyncio.run(main())
""",
    )
    assert [(each.line, each.function) for each in operations[:3]] == [(8, "fetch")] * 3
    assert len({each.task for each in operations[:3]}) == 3
    assert {each.root for each in operations} == {"task main"}
    assert not any(each.on_loop for each in operations)
    assert (operations[3].line, operations[3].outcome) == (14, 1)
    assert 40e6 < operations[3].duration < 1e9


def test_streamed_bodies_end_with_the_stream(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import httpx
with httpx.Client(base_url=url) as client:
    with client.stream("GET", "/parts") as response:
        assert b"".join(response.iter_bytes()) == b"part" * 5
    assert response.elapsed
    with client.stream("GET", "/parts") as response:
        pass
    try:
        with client.stream("GET", "/broken") as response:
            response.read()
    except httpx.RemoteProtocolError:
        pass
    response = client.send(client.build_request("GET", "/parts"), stream=True)
    del response

async def main():
    async with httpx.AsyncClient(base_url=url) as client:
        async with client.stream("GET", "/parts") as response:
            async for part in response.aiter_bytes():
                assert part
        assert response.elapsed
        async with client.stream("GET", "/parts") as response:
            async for part in response.aiter_bytes():
                break
        response = await client.send(client.build_request("GET", "/broken"), stream=True)
        try:
            await response.aread()
        except httpx.RemoteProtocolError:
            pass

asyncio.run(main())
""",
    )
    paths = [each.text.rpartition("/")[2] for each in operations]
    assert paths == ["parts", "parts", "broken", "parts", "parts", "parts", "broken"]
    assert [each.outcome for each in operations] == [0, 0, 1, 0, 0, 0, 1]
    assert [each.line for each in operations] == [5, 8, 11, 15, 20, 24, 27]
    assert operations[0].duration > 40e6
    assert operations[4].duration > 40e6


def test_applications_in_the_same_process_are_not_part_of_the_request(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, httpx, sqlite3
        from starlette.applications import Starlette
        from starlette.responses import JSONResponse
        from starlette.routing import Route
        connection = sqlite3.connect(":memory:")

        async def app(scope, receive, send):
            connection.execute("select 1")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        async def item(request):
            connection.execute("select 1")
            return JSONResponse({})

        async def main():
            for each in (app, Starlette(routes=[Route("/items/{id}", item)])):
                transport = httpx.ASGITransport(each)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    assert (await client.get("/items/7")).status_code == 200
                assert transport.app is each

        asyncio.run(main())
        """,
    )
    assert [each.root for each in trace.of("sql")] == ["request GET /items/{}", "request GET /items/{id}"]
    assert [each.root for each in trace.of("http")] == ["task main"] * 2
    assert len(trace.all("root_end")) == 3


def test_aiohttp(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import aiohttp, inspect

async def main():
    async with aiohttp.ClientSession(url) as session:
        async with session.get("/items/5", params={"q": "x"}) as response:
            assert (await response.json())["path"] == "/items/5?q=x"
        async with session.get("/redirect/2") as response:
            assert response.status == 200
        response = await session.get("/status/503")
        response.release()
        async with session.get("/parts") as response:
            async for part in response.content.iter_any():
                pass
        async with session.get("/parts"):
            pass
        try:
            async with session.get("/broken") as response:
                await response.read()
        except aiohttp.ClientPayloadError:
            pass
        try:
            async with session.get("/slow/2000", timeout=aiohttp.ClientTimeout(0.05)):
                pass
        except asyncio.TimeoutError:
            pass
        try:
            async with session.get("/status/404", raise_for_status=True):
                pass
        except aiohttp.ClientResponseError as error:
            assert error.status == 404
        async with session.post("/echo", json={"ids": [str(number) for number in range(15)]}) as response:
            assert (await response.json())["length"] > 15

assert inspect.iscoroutinefunction(aiohttp.ClientSession._request)
asyncio.run(main())
""",
    )
    operations.sort(key=lambda each: each.line)  # an unread one is recorded when it is dropped
    assert shown(operations, http_url) == [
        ("GET /items/{}?q", 7, 0),
        ("GET /redirect/{}", 9, 0),
        ("GET /status/{}", 11, 503),
        ("GET /parts", 13, 0),
        ("GET /parts", 16, 0),
        ("GET /broken", 19, 1),
        ("GET /slow/{}", 24, 1),
        ("GET /status/{}", 29, 0),
        ("POST /echo", 33, 0),
    ]
    assert operations[3].duration > 40e6
    assert operations[-1].batch == 15
    assert {(each.root, each.function) for each in operations} == {("task main", "main")}


def test_the_body_of_a_response_belongs_to_whoever_asked(tmp_path: Path, http_url: str) -> None:
    """Connections are read in the context in which they were opened: another request's."""
    operations = program(
        tmp_path,
        http_url,
        """\
import aiohttp
from agentperf_runtime import root

async def main():
    async with aiohttp.ClientSession(url) as session:
        for name in ("first", "second"):
            with root(name):
                async with session.get("/parts") as response:
                    await response.read()

asyncio.run(main())
""",
    )
    assert [each.root for each in operations] == ["agent first", "agent second"]


def test_requests_urllib3_and_the_standard_library(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import http.client, requests, urllib3, urllib.error, urllib.request
requests.get(url + "/redirect/2", params={"x": 1})
with requests.Session() as session:
    session.get(url + "/status/500")
    session.post(url + "/echo", json={"ids": list(range(12))})
    try:
        session.get("http://127.0.0.1:9/refused")
    except requests.ConnectionError:
        pass
with urllib3.PoolManager(retries=urllib3.Retry(3, status_forcelist=[503], backoff_factor=0)) as manager:
    manager.request("GET", url + "/flaky/urllib3")
    manager.request("GET", url + "/redirect/1")
with urllib3.HTTPConnectionPool("127.0.0.1", int(url.rpartition(":")[2])) as pool:
    pool.request("GET", "/items/1")
urllib.request.urlopen(url + "/redirect/1").close()
for status in (404, 503):
    try:
        urllib.request.urlopen(urllib.request.Request(url + f"/status/{status}", method="GET"))
    except urllib.error.HTTPError as error:
        error.close()
urllib.request.urlopen("data:,x").close()
connection = http.client.HTTPConnection(url[7:])
connection.request("GET", "/items/9")
answer = connection.getresponse()
answer.read()
connection.close()
""",
    )
    assert shown(operations, http_url) == [
        ("GET /redirect/{}?x", 4, 0),
        ("GET /status/{}", 6, 500),
        ("POST /echo", 7, 0),
        ("GET http://127.0.0.1:9/refused", 9, 1),
        ("GET /flaky/urllib3", 13, 0),
        ("GET /redirect/{}", 14, 0),
        ("GET /items/{}", 16, 0),
        ("GET /redirect/{}", 17, 0),
        ("GET /status/{}", 20, 0),
        ("GET /status/{}", 20, 503),
        ("GET /items/{}", 25, 0),
    ]
    assert operations[2].batch == 12


@pytest.mark.parametrize("call", ["requests.get(url)", "httpx.get(url)", "urllib.request.urlopen(url).close()"])
def test_a_synchronous_client_holds_the_loop(tmp_path: Path, http_url: str, call: str) -> None:
    (operation,) = program(
        tmp_path,
        http_url,
        f"""\
import httpx, requests, urllib.request

async def main():
    {call}
    await asyncio.to_thread(print, end="")

asyncio.run(main())
""",
    )
    assert operation.on_loop
    assert (operation.line, operation.function) == (6, "main")


def test_a_synchronous_client_in_a_thread_does_not(tmp_path: Path, http_url: str) -> None:
    operations = program(
        tmp_path,
        http_url,
        """\
import requests

def fetch(item):
    return requests.get(f"{url}/items/{item}").json()

async def main():
    await asyncio.gather(*(asyncio.to_thread(fetch, item) for item in range(3)))

asyncio.run(main())
""",
    )
    assert [(each.line, each.root, each.on_loop) for each in operations] == [(6, "task main", False)] * 3


class Unsearched(bytes):
    """A body that takes long to look through."""

    def __contains__(self, part: object) -> bool:
        raise AssertionError("searched")

    def count(self, *_: object) -> int:
        raise AssertionError("counted")


def test_long_bodies_are_not_looked_through() -> None:
    long = Unsearched(b"[" + b"1," * 1_000_000 + b"1]")
    assert of_body(long).longest == 0
    assert of_body(long).value != of_body(Unsearched(bytes(len(long)))).value
    assert of_body(b"[" + b"1," * 11 + b"1]").longest == 12


CALLING = """import httpx, aiohttp
calls = [{"jsonrpc": "2.0", "id": id, "method": method} for id, method in enumerate(["initialize", "tools/call"])]
calls.append({"operationName": "Orders", "query": "query Orders { orders { id } }"})
with httpx.Client(base_url=url) as client:
    for call in calls:
        client.post("/echo", json=call)

async def main():
    async with aiohttp.ClientSession(base_url=url) as session:
        for call in calls:
            async with session.post("/echo", json=call) as response:
                await response.read()

asyncio.run(main())
"""


def test_a_request_that_calls_a_procedure_is_named_by_it(tmp_path: Path, http_url: str) -> None:
    operations = program(tmp_path, http_url, CALLING)
    asked = ["POST /echo initialize", "POST /echo tools/call", "POST /echo Orders"]
    assert [text for text, _, _ in shown(operations, http_url)] == asked * 2


@pytest.mark.parametrize("name", ["a secret", "4711", "x" * 80, "user-17"])
def test_what_is_no_name_of_a_procedure_is_not_kept(name: str) -> None:
    body = b'{"jsonrpc": "2.0", "method": "%s"}' % name.encode()
    assert procedure_of(body) == name
    assert cleaned("http", f"POST /rpc{PROCEDURE}{name}").text == "POST /rpc"


@pytest.mark.parametrize("body", [b'{"jsonrpc": 2', b'["jsonrpc"]', b'{"method": "m"}', '"jsonrpc"', None, b"x"])
def test_what_calls_no_procedure(body: object) -> None:
    assert procedure_of(body) == ""
