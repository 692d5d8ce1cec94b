"""OpenTelemetry's own instrumentations, with the processor that gives their spans a place in the source."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from runtime.recorded import Trace
from runtime.serving import roots_of

from agentperf_runtime.launch import traced_environment
from agentperf_runtime.tracer import Options

SETUP = """
import asyncio, sqlite3, sys
from opentelemetry import trace
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from agentperf_runtime.otel import AgentperfSpanProcessor

provider = TracerProvider()
provider.add_span_processor(AgentperfSpanProcessor("app.trace"))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")
SQLite3Instrumentor().instrument()
connection = sqlite3.connect(":memory:", check_same_thread=False)
"""
END = "\nprovider.shutdown()\n"


def run(directory: Path, source: str, **environment: str) -> Trace:
    app = directory / "app.py"
    app.write_text(SETUP + textwrap.dedent(source) + END, encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, str(app)], cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert not shown.stderr
    return Trace(directory / "app.trace")


def line_of(directory: Path, text: str) -> int:
    lines = (directory / "app.py").read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_requests_and_queries_have_their_place(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        import httpx
        from fastapi import FastAPI
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        app = FastAPI()
        FastAPIInstrumentor.instrument_app(app)

        async def query(number):
            return connection.cursor().execute("select ?, 'secret'", (number,)).fetchone()[0]

        @app.get("/numbers/{count}")
        async def numbers(count: int):
            return [await query(number) for number in range(count)]

        @app.get("/together/{count}")
        async def together(count: int):
            return await asyncio.gather(*(query(number) for number in range(count)))

        @app.get("/threads")
        def threads():
            return connection.cursor().execute("select 7").fetchone()[0]

        async def main():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
                assert (await client.get("/numbers/5")).json() == [0, 1, 2, 3, 4]
                assert (await client.get("/together/3")).json() == [0, 1, 2]
                assert (await client.get("/threads")).json() == 7

        asyncio.run(main())
        """,
    )
    assert roots_of(trace, "request") == [
        ("request GET /numbers/{count}", "200"),
        ("request GET /together/{count}", "200"),
        ("request GET /threads", "200"),
    ]
    queries = trace.of("sql")
    assert [each.root for each in queries] == (
        ["request GET /numbers/{count}"] * 5 + ["request GET /together/{count}"] * 3 + ["request GET /threads"]
    )
    place = line_of(tmp_path, "select ?, 'secret'")
    assert [(each.text, each.line, each.function) for each in queries[:8]] == [("select ?, ?", place, "query")] * 8
    assert (queries[8].line, queries[8].function) == (line_of(tmp_path, "select 7"), "threads")
    assert [each.on_loop for each in queries] == [True] * 8 + [False]
    assert all(0 < each.duration < 1_000_000_000 for each in queries)
    awaited = {tuple(line for _, line, _ in each["frames"]) for each in trace.all("stack")}
    assert (place, line_of(tmp_path, "for number in range(count)]")) in {lines[:2] for lines in awaited}
    assert trace.all("counters")[-1]["errors"] == 0
    assert trace.all("end")
    assert "secret" not in (tmp_path / "app.trace").read_text(encoding="utf-8")


def test_a_failed_query(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        with tracer.start_as_current_span("work"):
            try:
                connection.cursor().execute("select nothing")
            except sqlite3.OperationalError:
                pass
        """,
    )
    assert [(each.text, each.outcome, each.root) for each in trace.of("sql")] == [("select nothing", 1, "task work")]


def test_what_an_operation_consists_of_is_part_of_it(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        described = {"db.system": "sqlite", "db.statement": "select 1"}
        with tracer.start_as_current_span("work"):
            with tracer.start_as_current_span("select", kind=SpanKind.CLIENT, attributes=described):
                with tracer.start_as_current_span("driver"):
                    connection.cursor().execute("select 1")
        """,
    )
    assert len(trace.of("sql")) == 1


def test_calls_to_others(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        def call(name, **attributes):
            named = {key.replace("__", "."): value for key, value in attributes.items()}
            with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=named):
                pass

        with tracer.start_as_current_span("run", attributes={"gen_ai.operation.name": "invoke_agent"}):
            call("GET", http__request__method="GET", url__full="http://api/users/17?token=hunter2",
                 http__response__status_code=503)
            call("HTTP POST", http__method="POST", http__url="http://api/users", http__status_code=201)
            call("chat", gen_ai__operation__name="chat", gen_ai__request__model="m",
                 gen_ai__usage__input_tokens=5, gen_ai__usage__output_tokens=7)
            call("GET", db__system="redis", db__statement="GET ?")
            call("PIPELINE", db__system="redis", db__statement="SET ? ?\\nGET ?", db__redis__pipeline_length=2)
            call("users.Users/Get", rpc__system="grpc", rpc__service="users.Users", rpc__method="Get")
            call("connect", db__system="postgresql")
        """,
    )
    assert [(each.kind, each.text) for each in trace.operations] == [
        ("http", "GET http://api/users/{}?token"),
        ("http", "POST http://api/users"),
        ("llm", "chat m"),
        ("redis", "GET"),
        ("redis", "PIPELINE GET SET"),
        ("rpc", "users.Users/Get"),
    ]
    assert [each.outcome for each in trace.of("http")] == [503, 0]
    assert [each.tokens for each in trace.of("llm")] == [(5, 7, 0)]
    assert [each.batch for each in trace.of("redis")] == [0, 2]
    assert {each.root for each in trace.operations} == {"agent run"}
    assert "hunter2" not in (tmp_path / "app.trace").read_text(encoding="utf-8")


def test_where_the_context_is_lost_the_thread_knows_whom_it_serves(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        from concurrent.futures import ThreadPoolExecutor

        def query(number):
            connection.cursor().execute("select ?", (number,))

        with ThreadPoolExecutor(1) as pool, tracer.start_as_current_span("work"):
            for number in range(3):
                pool.submit(query, number).result()
        query(4)
        """,
    )
    assert [each.root for each in trace.of("sql")] == ["task work"] * 3 + ["task select"]


def test_spans_that_never_end_harm_nobody(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        for number in range(1_000):
            tracer.start_span(f"forgotten {number}")
        connection.cursor().execute("select 1")
        """,
    )
    assert len(trace.of("sql")) == 1
    assert trace.all("counters")[-1]["errors"] == 0


def test_a_process_that_is_traced_already_is_not_traced_twice(tmp_path: Path) -> None:
    environment = traced_environment(str(tmp_path / "other.trace"), Options(), os.environ)
    assert not run(tmp_path, 'connection.cursor().execute("select 1")', **environment).files
    assert len(Trace(tmp_path / "other.trace").of("sql")) == 1
