"""Sources come and go with the tracer, and give way to libraries that they do not know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runtime.recorded import Trace, run

STARTED_LATE = """\
import asyncio, sys
import aiosqlite, asyncpg, psycopg, psycopg2, psycopg2.extras, pymysql.cursors, sqlite3
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
sys.path.insert(0, sys.argv[2])
from agentperf_runtime import Tracer

owners = [
    (psycopg.Cursor, "execute"), (psycopg.AsyncCursor, "execute"), (psycopg.ServerCursor, "execute"),
    (psycopg.Cursor, "copy"), (psycopg2, "connect"), (psycopg2.extras, "execute_values"),
    (asyncpg.Connection, "fetch"), (pymysql.cursors.Cursor, "execute"), (sqlalchemy, "create_engine"),
]
before = [vars(owner).get(name) for owner, name in owners]

async def main():
    connection = await asyncpg.connect(sys.argv[1])
    await connection.fetch("select 1")
    await connection.close()
    engine = create_async_engine(sys.argv[1].replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        await connection.execute(sqlalchemy.text("select 2"))
    await engine.dispose()

def work():
    with psycopg.connect(sys.argv[1]) as connection:
        connection.execute("select 3")
    psycopg2.connect(sys.argv[1]).cursor().execute("select 4")
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("select 5"))

with Tracer("late.trace"):
    asyncio.run(main())
    work()
assert [vars(owner).get(name) for owner, name in owners] == before
asyncio.run(main())
work()
"""


def test_a_tracer_that_is_started_late_and_stopped(tmp_path: Path, postgres: str) -> None:
    (tmp_path / "app.py").write_text(STARTED_LATE)
    command = [sys.executable, "app.py", postgres, str(Path(__file__).parents[2] / "runtime")]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    trace = Trace(tmp_path / "late.trace")
    assert [each.line for each in trace.of("sql")] == [17, 21, 26, 27, 29]
    assert not trace.all("note")
    assert trace.all("counters")[-1]["errors"] == 0


def test_a_library_that_is_not_as_expected_is_left_alone(tmp_path: Path) -> None:
    for name, content in {"psycopg": "class Cursor:\n    def execute(self): pass\n", "peewee": ""}.items():
        (tmp_path / f"{name}.py").write_text(f"__version__ = '99'\n{content}")
    trace = run(tmp_path, "import peewee, psycopg\npsycopg.Cursor().execute()\n")
    assert [each["text"].partition(":")[0] for each in trace.all("note")] == ["psycopg 99 is not traced"]
