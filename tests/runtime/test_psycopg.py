"""psycopg 3 and psycopg2 on a real server."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run


def test_statements_of_connections_and_cursors(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import sys, psycopg
        from psycopg import sql

        with psycopg.connect(sys.argv[1], autocommit=True) as connection:
            connection.execute("create temp table t (a int, b text)")
            cursor = connection.cursor()
            cursor.executemany("insert into t values (%s, %s)", [(1, "x"), (2, "y"), (3, "z")])
            cursor.execute("select * from t where a = %s", (1,))
            cursor.execute("select * from t where a = %(a)s", {"a": 1})
            cursor.execute(query="select * from t where a = %s", params=[2])
            connection.execute("select * from t where a = any(%s)", ([1, 2, 3],))
            connection.execute(sql.SQL("select * from {} where b = {}").format(sql.Identifier("t"), sql.Literal("x")))
            with connection.cursor("named") as named:
                pass
            try:
                connection.execute("select nothing from nowhere")
            except psycopg.errors.UndefinedTable:
                pass
            assert len(list(cursor.stream("select * from t where a > %s", (0,)))) == 3
            with connection.transaction(), connection.cursor("server_side") as server_side:
                server_side.itersize = 1
                server_side.execute("select a from t")
                assert len(list(server_side)) == 3
            with cursor.copy("copy t from stdin") as copy:
                copy.write_row((4, "w"))
            assert psycopg.ClientCursor(connection).execute("select %s", (5,)).fetchone() == (5,)
        """,
        postgres,
    )
    found = [(each.line, each.text, each.batch, each.rows, each.outcome) for each in trace.of("sql")]
    assert found == [
        (5, "create temp table t (a int, b text)", 0, -1, 0),
        (7, "insert into t values (?, ?)", 3, 3, 0),
        (8, "select * from t where a = ?", 0, 1, 0),
        (9, "select * from t where a = ?", 0, 1, 0),
        (10, "select * from t where a = ?", 0, 1, 0),
        (11, "select * from t where a = any(?)", 3, 3, 0),
        (12, 'select * from "t" where b = ?', 0, 1, 0),
        (16, "select nothing from nowhere", 0, -1, 1),
        (19, "select * from t where a > ?", 0, -1, 0),
        (22, "select a from t", 0, -1, 0),
        (24, "copy t from stdin", 0, 1, 0),
        (26, "select ?", 0, 1, 0),
    ]
    assert all(each.params for each in trace.of("sql") if "?" in each.text and not each.batch)
    assert trace.all("counters")[-1]["errors"] == 0


def test_awaited_statements(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sys, psycopg

        async def one(number):
            async with await psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True) as connection:
                await connection.execute("select %s::int", (number,))

        async def main():
            async with await psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True) as connection:
                await connection.execute("create temp table t (a int)")
                cursor = connection.cursor()
                await cursor.executemany("insert into t values (%s)", [(1,), (2,)])
                await cursor.execute("select * from t")
                async for row in cursor.stream("select a from t"):
                    pass
                async with cursor.copy("copy t to stdout") as copy:
                    async for block in copy:
                        pass
                async with connection.transaction(), connection.cursor("named") as named:
                    await named.execute("select a from t where a > 0")
                    assert len([row async for row in named]) == 2
                sleeping = asyncio.create_task(connection.execute("select pg_sleep(10)"))
                await asyncio.sleep(0.1)
                sleeping.cancel()
                try:
                    await sleeping
                except asyncio.CancelledError:
                    pass
            await asyncio.gather(one(1), one(2))

        asyncio.run(main())
        """,
        postgres,
    )
    found = [(each.line, each.text, each.batch, each.rows, each.outcome) for each in trace.of("sql")]
    assert found == [
        (9, "create temp table t (a int)", 0, -1, 0),
        (11, "insert into t values (?)", 2, 2, 0),
        (12, "select * from t", 0, 2, 0),
        (13, "select a from t", 0, -1, 0),
        (15, "copy t to stdout", 0, 2, 0),
        (19, "select a from t where a > ?", 0, -1, 0),
        (21, "select pg_sleep(?)", 0, -1, 1),
        (5, "select ?::int", 0, 1, 0),
        (5, "select ?::int", 0, 1, 0),
    ]
    assert not any(each.on_loop for each in trace.of("sql"))
    assert len({each.params for each in trace.of("sql")[-2:]}) == 2
    assert len({each.task for each in trace.of("sql")[-2:]}) == 2
    assert {each.root for each in trace.of("sql")} == {"task main"}


def test_what_a_pipeline_sends_together_is_one_operation(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sys, psycopg

        with psycopg.connect(sys.argv[1], autocommit=True) as connection:
            with connection.pipeline():
                for number in range(5):
                    connection.execute("select %s::int", (number,))
            with connection.pipeline() as pipeline:
                for number in range(4):
                    connection.execute("select %s::int", (number,))
                pipeline.sync()
                connection.execute("select 1")
            with connection.pipeline():
                for number in range(3):
                    connection.execute("select %s::int + 1", (number,)).fetchone()

        async def main():
            async with await psycopg.AsyncConnection.connect(sys.argv[1], autocommit=True) as connection:
                async with connection.pipeline():
                    for number in range(6):
                        await connection.execute("select %s::int", (number,))

        asyncio.run(main())
        """,
        postgres,
    )
    found = [(each.line, each.text, each.batch, each.outcome) for each in trace.of("sql")]
    assert found == [
        (6, "select ?::int", 5, 0),
        (9, "select ?::int", 4, 0),
        (11, "select ?", 0, 0),
        *[(14, "select ?::int + ?", 0, 0)] * 3,
        (20, "select ?::int", 6, 0),
    ]


def test_psycopg2(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import io, sys, psycopg2, psycopg2.extras
        from psycopg2 import sql

        connection = psycopg2.connect(sys.argv[1])
        assert isinstance(connection, psycopg2.extensions.connection)
        cursor = connection.cursor()
        assert isinstance(cursor, psycopg2.extensions.cursor)
        cursor.execute("create temp table t (a int, b text)")
        cursor.executemany("insert into t values (%s, %s)", [(1, "x"), (2, "y")])
        cursor.execute("select * from t where a in %s", ((1, 2, 3),))
        cursor.execute("select * from t where a = %s", vars=(1,))
        cursor.execute("select * from t where a = %(a)s", {"a": 1})
        cursor.execute("select '%'")
        cursor.execute(sql.SQL("select * from {}").format(sql.Identifier("t")))
        psycopg2.extras.execute_values(cursor, "insert into t values %s", [(n, "x") for n in range(250)])
        psycopg2.extras.execute_batch(cursor, "insert into t values (%s, 'y')", [(n,) for n in range(250)])
        cursor.copy_expert("copy t from stdin", io.StringIO("7\\tv\\n"))
        cursor.copy_to(io.StringIO(), "t")
        rows = connection.cursor("named", cursor_factory=psycopg2.extras.RealDictCursor)
        rows.execute("select a from t")
        assert sum(1 for row in rows) == 503
        for factory in (psycopg2.extras.DictConnection, psycopg2.extras.LoggingConnection):
            other = psycopg2.connect(sys.argv[1], connection_factory=factory)
            assert isinstance(other, factory)
            if factory is psycopg2.extras.LoggingConnection:
                other.initialize(io.StringIO())
            other.cursor().execute("select 1 as a")
        named = psycopg2.connect(sys.argv[1], cursor_factory=psycopg2.extras.NamedTupleCursor).cursor()
        named.execute("select 1 as a")
        assert named.fetchone().a == 1
        try:
            cursor.execute("select nothing from nowhere")
        except psycopg2.errors.UndefinedTable:
            pass
        """,
        postgres,
    )
    found = [(each.line, each.text, each.batch, each.rows, each.outcome) for each in trace.of("sql")]
    assert found == [
        (8, "create temp table t (a int, b text)", 0, -1, 0),
        (9, "insert into t values (?, ?)", 2, -1, 0),
        (10, "select * from t where a in ?", 3, 2, 0),
        (11, "select * from t where a = ?", 0, 1, 0),
        (12, "select * from t where a = ?", 0, 1, 0),
        (13, "select ?", 0, 1, 0),
        (14, 'select * from "t"', 0, 2, 0),
        (15, "insert into t values ?", 250, -1, 0),
        (16, "insert into t values (?, ?)", 250, -1, 0),
        (17, "copy t from stdin", 0, -1, 0),
        (18, "COPY t TO STDOUT", 0, -1, 0),
        (20, "select a from t", 0, -1, 0),
        (27, "select ? as a", 0, 1, 0),
        (27, "select ? as a", 0, 1, 0),
        (29, "select ? as a", 0, 1, 0),
        (32, "select nothing from nowhere", 0, -1, 1),
    ]
    assert trace.all("counters")[-1]["errors"] == 0
