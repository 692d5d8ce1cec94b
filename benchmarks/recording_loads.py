"""The loads of `benchmarks.tracing`, run by other interpreters: standard library and what is being measured only.

`recording_loads.py operations` prints the microseconds per operation of each way to record one, as JSON.
`recording_loads.py requests` serves rounds: for every line on standard input it handles that many requests and
prints the seconds of processor time and of wall time that they took.
`recording_loads.py serve PORT APPLICATION` has uvicorn serve `sqlite` (the same) or `orm` (SQLAlchemy's async session).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

_CALLS, _ROUNDS = 4_000, 40
_LIBRARY_FRAMES = 9


def _cursor(connect: Callable[..., sqlite3.Connection]) -> sqlite3.Cursor:
    return connect(":memory:").cursor()


def _direct(cursor: sqlite3.Cursor) -> None:
    execute = cursor.execute
    for number in range(_CALLS):
        execute("select ?", (number,))


def _through_library() -> Callable[[sqlite3.Cursor], None]:
    """The same with frames of installed packages between the application and the driver."""
    source = "\n".join(
        f"def layer{depth}(execute, number):\n    return layer{depth - 1}(execute, number)"
        for depth in range(1, _LIBRARY_FRAMES)
    )
    source = f"def layer0(execute, number):\n    return execute('select ?', (number,))\n{source}"
    namespace: dict[str, Any] = {}
    exec(compile(source, str(Path(sysconfig.get_path("purelib")) / "layers.py"), "exec"), namespace)  # noqa: S102
    outermost = namespace[f"layer{_LIBRARY_FRAMES - 1}"]

    def run(cursor: sqlite3.Cursor) -> None:
        execute = cursor.execute
        for number in range(_CALLS):
            outermost(execute, number)

    return run


def _floor() -> sqlite3.Cursor:
    """Two clocks and an append: less cannot be done in Python."""
    noted: list[tuple[int, int]] = []
    append, clock, original = noted.append, time.perf_counter_ns, sqlite3.Cursor.execute

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = ()) -> Cursor:  # type: ignore[override]
            start = clock()
            original(self, sql, parameters)
            append((start, clock()))
            if len(noted) > _CALLS:
                noted.clear()
            return self

    return sqlite3.connect(":memory:").cursor(Cursor)


def _opentelemetry() -> tuple[sqlite3.Cursor, Callable[[], Any]] | None:
    """A cursor with one span for each operation, exported to nowhere, and what waits for the exporting thread."""
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    except ImportError:
        return None

    class Nowhere(SpanExporter):  # type: ignore[misc]
        def export(self, spans: Any) -> Any:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    start_span, original = provider.get_tracer("benchmark").start_as_current_span, sqlite3.Cursor.execute

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = ()) -> Cursor:  # type: ignore[override]
            with start_span("SELECT") as span:
                span.set_attribute("db.system.name", "sqlite")
                span.set_attribute("db.query.text", sql)
                original(self, sql, parameters)
            return self

    return sqlite3.connect(":memory:").cursor(Cursor), provider.force_flush


def operations() -> dict[str, float]:
    """Microseconds that each way adds to one operation; medians over rounds that take turns."""
    from agentperf_runtime import Tracer

    plain = _cursor(sqlite3.connect)
    floor, span = _floor(), _opentelemetry()
    through = _through_library()
    with tempfile.TemporaryDirectory() as directory, Tracer(Path(directory) / "trace") as tracer:
        traced = _cursor(sqlite3.connect)
        loads: dict[str, tuple[Callable[[sqlite3.Cursor], None], sqlite3.Cursor]] = {
            "": (_direct, plain),
            "two clocks and an append": (_direct, floor),
            "agentperf, under application code": (_direct, traced),
            "through": (through, plain),
            f"agentperf, through {_LIBRARY_FRAMES} library frames": (through, traced),
        }
        if span is not None:
            loads["OpenTelemetry span, BatchSpanProcessor"] = (_direct, span[0])
        seconds: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(_ROUNDS):
            for name, (load, cursor) in loads.items():
                tracer.flush()  # the writer's work is another row's, not that of whoever comes next
                begun = time.perf_counter()
                load(cursor)
                seconds[name].append(time.perf_counter() - begun)
            if span is not None:
                span[1]()
        written = _microseconds_to_write(tracer, traced)
    cost = {name: median(each) / _CALLS * 1e6 for name, each in seconds.items()}
    bases = {name: cost["through" if "library frames" in name else ""] for name in cost}
    added = {name: cost[name] - bases[name] for name in cost if name not in ("", "through")}
    return {**added, "agentperf, written by its thread": written}


def _microseconds_to_write(tracer: Any, cursor: sqlite3.Cursor) -> float:
    taken = []
    for _ in range(_ROUNDS // 4):
        _direct(cursor)
        begun = time.thread_time()
        tracer.flush()
        taken.append(time.thread_time() - begun)
    return median(taken) / _CALLS * 1e6


def requests() -> None:
    """Handle requests of a FastAPI application with three SQLite queries each, called as an ASGI server would."""
    asyncio.run(_serve(_sqlite_application()))


def serve(port: int, application: str) -> None:
    """Serve until a signal comes."""
    import uvicorn

    app = {"sqlite": _sqlite_application, "orm": _orm_application}[application]()
    uvicorn.run(app, port=port, log_level="warning")


def _sqlite_application() -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(
        "create table users(id integer primary key, name text); create table orders(id integer, user int, total int);"
        "create index of_user on orders(user)"
    )
    connection.executemany("insert into users values (?, ?)", [(number, f"user {number}") for number in range(1_000)])
    rows = [(number, number % 1_000, number) for number in range(20_000)]
    connection.executemany("insert into orders values (?, ?, ?)", rows)

    @app.get("/users/{user}")
    async def read(user: int) -> dict[str, Any]:
        name = connection.execute("select name from users where id = ?", (user,)).fetchone()[0]
        orders = connection.execute("select id, total from orders where user = ? order by id", (user,)).fetchall()
        spent = connection.execute("select sum(total) from orders where user = ?", (user,)).fetchone()[0]
        return {"name": name, "spent": spent, "orders": [{"id": order, "total": total} for order, total in orders]}

    return app


def _orm_application() -> Any:
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from sqlalchemy import ForeignKey, Integer, String, select
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, mapped_column, relationship, selectinload

    class Base(DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id = mapped_column(Integer, primary_key=True)
        name = mapped_column(String)
        orders = relationship("Order")

    class Order(Base):
        __tablename__ = "orders"
        id = mapped_column(Integer, primary_key=True)
        user = mapped_column(ForeignKey("users.id"), index=True)
        total = mapped_column(Integer)

    engine = create_async_engine(f"sqlite+aiosqlite:///{tempfile.mkdtemp()}/shop.db")
    make_session = async_sessionmaker(engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with make_session() as session:
            session.add_all([User(id=number, name=f"user {number}") for number in range(1_000)])
            await session.flush()
            session.add_all([Order(id=number, user=number % 1_000, total=number) for number in range(20_000)])
            await session.commit()
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{user}")
    async def read(user: int) -> dict[str, Any]:
        query = select(User).where(User.id == user).options(selectinload(User.orders))
        async with make_session() as session:
            found = (await session.execute(query)).scalar_one()
            return {"name": found.name, "orders": [{"id": each.id, "total": each.total} for each in found.orders]}

    return app


async def _serve(app: Any) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        processor, wall = time.process_time(), time.perf_counter()
        for number in range(int(line)):
            await asyncio.create_task(_request(app, number % 1_000))
        print(time.process_time() - processor, time.perf_counter() - wall, flush=True)


async def _request(app: Any, user: int) -> None:
    path = f"/users/{user}"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"status {sent[0]['status']}")


if __name__ == "__main__":
    if sys.argv[1] == "operations":
        print(json.dumps(operations()))
    elif sys.argv[1] == "serve":
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        requests()
