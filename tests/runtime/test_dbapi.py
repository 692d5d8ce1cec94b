"""Drivers without a source of their own, and MySQL's."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run

RUNTIME = {"PYTHONPATH": str(Path(__file__).parents[2] / "runtime")}


def test_a_driver_that_the_application_names(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import sys
        from pg8000 import dbapi
        from agentperf_runtime import trace_dbapi

        trace_dbapi(dbapi)
        connection = dbapi.connect("postgres", unix_sock=sys.argv[1].rpartition("=")[2] + "/.s.PGSQL.5432")
        assert isinstance(connection, dbapi.Connection)
        cursor = connection.cursor()
        assert type(cursor) is dbapi.Cursor
        cursor.execute("create temp table t (a int)")
        cursor.executemany("insert into t values (%s)", [(1,), (2,), (3,)])
        for number in range(2):
            connection.cursor().execute("select a from t where a > %s", (number,))
        try:
            cursor.execute("select nothing from nowhere")
        except dbapi.DatabaseError:
            pass
        """,
        postgres,
        environment=RUNTIME,
    )
    found = [(each.line, each.text, each.batch, each.rows, each.outcome) for each in trace.of("sql")]
    assert found == [
        (10, "create temp table t (a int)", 0, -1, 0),
        (11, "insert into t values (?)", 3, -1, 0),
        (13, "select a from t where a > ?", 0, 3, 0),
        (13, "select a from t where a > ?", 0, 2, 0),
        (15, "select nothing from nowhere", 0, -1, 1),
    ]
    assert trace.of("sql")[2].params != trace.of("sql")[3].params


def test_a_driver_of_c_types(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import _sqlite3
        from agentperf_runtime import trace_dbapi

        trace_dbapi(_sqlite3)
        with _sqlite3.connect(":memory:") as connection:
            cursor = connection.cursor()
            cursor.arraysize = 5
            cursor.execute("create table t (a)")
            cursor.executemany("insert into t values (?)", [(1,), (2,)])
            assert [row for row in cursor.execute("select a from t where a > ?", (0,))] == [(1,), (2,)]
            assert cursor.execute("select 1").fetchone() == (1,)
            assert cursor.arraysize == 5
        """,
        environment=RUNTIME,
    )
    found = [(each.line, each.text, each.batch, each.outcome) for each in trace.of("sql")]
    assert found == [
        (8, "create table t (a)", 0, 0),
        (9, "insert into t values (?)", 2, 0),
        (10, "select a from t where a > ?", 0, 0),
        (11, "select ?", 0, 0),
    ]


def test_sqlalchemy_on_a_driver_without_a_source(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import sys
        from sqlalchemy import create_engine, text

        socket = sys.argv[1].rpartition("=")[2] + "/.s.PGSQL.5432"
        engine = create_engine("postgresql+pg8000://postgres@/postgres", connect_args={"unix_sock": socket}, echo=False)

        def count(number):
            with engine.connect() as connection:
                connection.execute(text("select :number + 1"), {"number": number})

        for number in range(3):
            count(number)
        with engine.connect() as connection:
            connection.execute(text("create temp table t (a int)"))
            connection.execute(text("insert into t values (:a)"), [{"a": 1}, {"a": 2}])
        """,
        postgres,
    )
    assert [(each.line, each.text, each.batch) for each in trace.of("sql")] == [
        *[(9, "select ? + ?", 0)] * 3,
        (14, "create temp table t (a int)", 0),
        (15, "insert into t values (?)", 2),
    ]
    assert len({each.params for each in trace.of("sql")[:3]}) == 3


PROGRAM = """\
import sys
from pymysql import connect, err

connection = connect(host="127.0.0.1", port=int(sys.argv[1]), user="root", autocommit=True)
with connection.cursor() as cursor:
    for number in (1, 2):
        cursor.execute("select b from t where a = %s", (number,))
        assert len(cursor.fetchall()) == 1
    cursor.execute(query="select b from t where a in %s", args=((1, 2, 3),))
    cursor.execute("select b from t where a = %(a)s", {"a": 1})
    cursor.executemany("insert into t values (%s, %s)", [(7, "x"), (8, "y"), (9, "z")])
    cursor.executemany("update t set b = %s where a = %s", [("x", 7), ("y", 8)])
    try:
        cursor.execute("select nothing from nowhere")
    except err.Error:
        pass
"""

AWAITED = """\
import asyncio, sys
from aiomysql import create_pool, Error

async def one(pool, number):
    async with pool.acquire() as connection, connection.cursor() as cursor:
        await cursor.execute("select b from t where a = %s", (number,))

async def main():
    async with create_pool(host="127.0.0.1", port=int(sys.argv[1]), user="root", autocommit=True) as pool:
        await asyncio.gather(one(pool, 1), one(pool, 2))
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("select b from t where a in (%s, %s, %s)", (1, 2, 3))
            await cursor.executemany("insert into t values (%s, %s)", [(4, "x"), (5, "y")])
            try:
                await cursor.execute("select nothing from nowhere")
            except Error:
                pass

asyncio.run(main())
"""


def test_pymysql(tmp_path: Path, mysql: int) -> None:
    trace = run(tmp_path, PROGRAM, str(mysql))
    found = [(each.line, each.text, each.batch, each.outcome) for each in trace.of("sql")]
    assert found == [
        (7, "select b from t where a = ?", 0, 0),
        (7, "select b from t where a = ?", 0, 0),
        (9, "select b from t where a in ?", 3, 0),
        (10, "select b from t where a = ?", 0, 0),
        (11, "insert into t values (?, ?)", 3, 0),
        (12, "update t set b = ? where a = ?", 2, 0),
        (14, "select nothing from nowhere", 0, 1),
    ]
    assert [each.rows for each in trace.of("sql")[:3]] == [1, 1, 3]
    assert trace.of("sql")[0].params != trace.of("sql")[1].params


def test_aiomysql(tmp_path: Path, mysql: int) -> None:
    trace = run(tmp_path, AWAITED, str(mysql))
    found = [(each.line, each.text, each.batch, each.outcome) for each in trace.of("sql")]
    assert found == [
        (6, "select b from t where a = ?", 0, 0),
        (6, "select b from t where a = ?", 0, 0),
        (12, "select b from t where a in (?)", 3, 0),
        (13, "insert into t values (?, ?)", 2, 0),
        (15, "select nothing from nowhere", 0, 1),
    ]
    assert not any(each.on_loop for each in trace.of("sql"))
    assert len({each.task for each in trace.of("sql")[:2]}) == 2


def test_mysqlclient_has_the_same_cursors(tmp_path: Path) -> None:
    """Its wheels need a library that a machine may not have: what stands for it here is a class with its names."""
    package = tmp_path / "MySQLdb"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cursors.py").write_text(
        """\
class BaseCursor:
    rowcount = 2

    def execute(self, query, args=None):
        return 2

    def executemany(self, query, args):
        return sum(self.execute(query, arg) for arg in args)

    def callproc(self, procname, args=()):
        return args

class Cursor(BaseCursor):
    pass
"""
    )
    trace = run(
        tmp_path,
        """\
        from MySQLdb.cursors import Cursor

        cursor = Cursor()
        assert cursor.execute("select a from t where b in %s", args=((1, 2),)) == 2
        cursor.executemany("update t set a = %s", [(1,), (2,), (3,)])
        cursor.callproc("proc", (1,))
        """,
    )
    assert [(each.line, each.text, each.batch, each.rows) for each in trace.of("sql")] == [
        (4, "select a from t where b in ?", 2, 2),
        (5, "update t set a = ?", 3, -1),
        (6, "CALL proc", 0, -1),
    ]
