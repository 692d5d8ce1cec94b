"""Workers and servers that run the application's functions from loops of their own.

The libraries are stood in for by the few lines through which they call the application, under their own names.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import run
from runtime.serving import roots_of
from runtime.stand_ins import QUERY, module

WORKERS = {
    "apscheduler": (
        {
            "apscheduler/executors/base.py": """
def run_job(job, alias):
    return job.func(*job.args)

async def run_coroutine_job(job, alias):
    return await job.func(*job.args)
""",
            "apscheduler/executors/asyncio.py": "from apscheduler.executors.base import run_coroutine_job, run_job",
        },
        """
from apscheduler.executors.asyncio import run_coroutine_job, run_job

async def main():
    for number in range(2):
        run_job(SimpleNamespace(name="purge", func=query, args=(number,)), "default")
        await run_coroutine_job(SimpleNamespace(name="collect", func=aquery, args=(number,)), "default")
""",
        ["job purge", "job collect"] * 2,
    ),
    "arq": (
        {
            "arq/worker.py": """
def deserialize_job_raw(raw, *, deserializer=None):
    return raw

class Worker:
    async def run_job(self, job_id, score):
        function, number = deserialize_job_raw(job_id)
        await self.functions[function](number)
"""
        },
        """
from arq.worker import Worker

async def main():
    worker = Worker()
    worker.functions = {"mail": aquery}
    for number in range(3):
        await worker.run_job(("mail", number), 0)
""",
        ["job mail"] * 3,
    ),
    "dramatiq": (
        {
            "dramatiq/worker.py": """
class _WorkerThread:
    def process_message(self, message):
        message.actor(*message.args)
"""
        },
        """
from dramatiq.worker import _WorkerThread

async def main():
    for number in range(3):
        _WorkerThread().process_message(SimpleNamespace(actor_name="thumbnail", actor=query, args=(number,)))
""",
        ["job thumbnail"] * 3,
    ),
    "huey": (
        {
            "huey/api.py": """
class Huey:
    def execute(self, task):
        return self._execute(task, None)

    def _execute(self, task, timestamp):
        return task.execute()
"""
        },
        """
from huey.api import Huey

async def main():
    for number in range(3):
        Huey().execute(SimpleNamespace(name="index", execute=lambda: query(number)))
""",
        ["job index"] * 3,
    ),
    "mcp 1": (
        {
            "mcp/server/lowlevel/server.py": """
class Server:
    async def _handle_request(self, message, req, session, lifespan_context, raise_exceptions):
        return await self.tool(req.params)
"""
        },
        """
from mcp.server.lowlevel.server import Server

async def main():
    server = Server()
    server.tool = lambda params: aquery(str(params))
    call = SimpleNamespace(method="tools/call", params=SimpleNamespace(name="product"))
    ask = SimpleNamespace(method="resources/read", params=SimpleNamespace(name="secret"))
    for request in (call, ask, call, SimpleNamespace(method="tools/list", params=None)):
        await server._handle_request(None, request, None, None, False)
""",
        [
            *["request MCP tools/call product", "request MCP resources/read"],
            *["request MCP tools/call product", "request MCP tools/list"],
        ],
    ),
    "mcp 2": (
        {
            "mcp/server/runner.py": """
class ServerRunner:
    async def _on_request(self, dctx, method, params):
        return await self.tool(params)
"""
        },
        """
from mcp.server.runner import ServerRunner

async def main():
    runner = ServerRunner()
    runner.tool = lambda params: aquery(str(params))
    for number in range(3):
        await runner._on_request(None, "tools/call", {"name": "product", "arguments": {"id": number}})
""",
        ["request MCP tools/call product"] * 3,
    ),
    "rq": (
        {
            "rq/worker.py": """
class Worker:
    def perform_job(self, job, queue):
        return job.func(*job.args)
"""
        },
        """
from rq.worker import Worker

async def main():
    for number in range(3):
        Worker().perform_job(SimpleNamespace(func_name="app.report", func=query, args=(number,)), None)
""",
        ["job app.report"] * 3,
    ),
    "saq": (
        {
            "saq/worker.py": """
def ensure_coroutine_function(func, pool):
    return func

class Worker:
    async def process(self, function, number):
        await ensure_coroutine_function(function, None)({"job": number}, number=number)
"""
        },
        """
from saq.worker import Worker

async def resize(context, number):
    return query(number)

async def main():
    for number in range(3):
        await Worker().process(resize, number)
""",
        ["job resize"] * 3,
    ),
    "socketio": (
        {
            "socketio/server.py": """
class Server:
    def _trigger_event(self, event, namespace, *args):
        return self.handlers[namespace][event](*args)
""",
            "socketio/async_server.py": """
class AsyncServer:
    async def _trigger_event(self, event, namespace, *args):
        return await self.handlers[namespace].get(event, self.other)(*args)
""",
        },
        """
import socketio.server, socketio.async_server

async def main():
    server = socketio.server.Server()
    server.handlers = {"/": {"move": query}}
    server._trigger_event("move", "/", 1)
    server = socketio.async_server.AsyncServer()
    server.handlers, server.other = {"/": {"move": aquery}}, aquery
    await server._trigger_event("move", "/", 2)
    await server._trigger_event("whatever a client sends", "/", 3)
""",
        ["websocket event move", "websocket event move", "websocket event"],
    ),
    "taskiq": (
        {
            "taskiq/receiver/receiver.py": """
class Receiver:
    async def run_task(self, target, message, ack_controller=None):
        return await target(*message.args)
"""
        },
        """
from taskiq.receiver.receiver import Receiver

async def main():
    for number in range(3):
        await Receiver().run_task(target=aquery, message=SimpleNamespace(task_name="app:sync", args=(number,)))
""",
        ["job app:sync"] * 3,
    ),
}


@pytest.mark.parametrize("library", WORKERS)
def test_each_job_is_a_root(library: str, tmp_path: Path) -> None:
    modules, program, names = WORKERS[library]
    for name, source in modules.items():
        module(tmp_path, name, source)
    trace = run(tmp_path, QUERY + program + "\nasyncio.run(main())\n")
    assert roots_of(trace, "job", "request", "websocket") == [(name, "ok") for name in names]
    assert [f"{each.root}" for each in trace.of("sql")] == names
    assert len({each.root_id for each in trace.of("sql")}) == len(names)


GRPC = """
import collections
FIELDS = "request_streaming response_streaming request_deserializer response_serializer"
KINDS = "unary_unary unary_stream stream_unary stream_stream"

class RpcMethodHandler(collections.namedtuple("_RpcMethodHandler", f"{FIELDS} {KINDS}")):
    pass
"""


def test_each_call_of_grpc_is_a_root(tmp_path: Path) -> None:
    module(tmp_path, "grpc/_utilities.py", GRPC)
    trace = run(
        tmp_path,
        QUERY
        + """
import inspect
from grpc._utilities import RpcMethodHandler

def handler(**behavior):
    kinds = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    return RpcMethodHandler(False, False, None, None, *[behavior.get(kind) for kind in kinds])

class Users:
    def Get(self, request, context):
        return query(request)

    async def Find(self, request, context):
        return query(request)

    async def List(self, request, context):
        for number in range(2):
            yield query(number)

    def Stream(self, request, context):
        for number in range(2):
            yield query(number)

    def Chat(self, requests, context):
        for request in requests:
            yield query(request)

    async def Add(self, requests, context):
        return sum([query(request) async for request in requests])

async def sent():
    for number in range(2):
        yield number

async def intercepted(request, context):
    return await find.unary_unary(request, context)

async def main():
    assert get.unary_unary(1, None) == 1
    assert await find.unary_unary(2, None) == 2
    assert [each async for each in listing.unary_stream(None, None)] == [0, 1]
    assert await handler(unary_unary=intercepted).unary_unary(3, None) == 3
    streams = [stream.unary_stream(None, None) for _ in range(2)]
    assert [[next(each) for each in streams] for _ in range(2)] == [[0, 0], [1, 1]]
    assert [next(each, None) for each in streams] == [None, None]
    assert list(handler(stream_stream=users.Chat).stream_stream(iter([0, 1]), None)) == [0, 1]
    assert await handler(stream_unary=users.Add).stream_unary(sent(), None) == 1

users = Users()
get, find, listing = handler(unary_unary=users.Get), handler(unary_unary=users.Find), handler(unary_stream=users.List)
assert get.request_streaming is False and get.stream_unary is None
assert inspect.iscoroutinefunction(find.unary_unary) and inspect.isasyncgenfunction(listing.unary_stream)
stream = handler(unary_stream=users.Stream)
assert inspect.isgeneratorfunction(stream.unary_stream)
asyncio.run(main())
""",
    )
    names = ["RPC Users.Get", "RPC Users.Find", "RPC Users.List", "RPC intercepted"]
    streams = ["RPC Users.Stream"] * 2 + ["RPC Users.Chat", "RPC Users.Add"]
    assert roots_of(trace, "request") == [(f"request {name}", "ok") for name in names + streams]
    operations = trace.of("sql")
    assert [each.root for each in operations[:5]] == [f"request {names[index]}" for index in (0, 1, 2, 2, 3)]
    assert [each.root for each in operations[5:9]] == ["request RPC Users.Stream"] * 4
    first, second = operations[5].root_id, operations[6].root_id
    assert [each.root_id for each in operations[5:9]] == [first, second] * 2
    assert first != second
    assert [each.root for each in operations[9:]] == ["websocket RPC Users.Chat"] * 2 + ["websocket RPC Users.Add"] * 2
    assert len({each.root_id for each in operations[9:]}) == 4
