"""asyncpg on a real server."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run


def test_connections_statements_and_cursors(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, inspect, io, sys, asyncpg

        async def main():
            connection = await asyncpg.connect(sys.argv[1])
            assert inspect.iscoroutinefunction(connection.fetch)
            await connection.execute("create temp table t (a int, b text)")
            await connection.executemany("insert into t values ($1, $2)", [(1, "x"), (2, "y")])
            await connection.fetch("select * from t where a = any($1::int[])", [1, 2, 3])
            await connection.fetchrow(query="select * from t where a = 1")
            await connection.fetchval("select b from t where a = $1", 1)
            await connection.execute("insert into t select a + 10, b from t where a < $1", 5)
            statement = await connection.prepare("select * from t where a = $1 or b = ''")
            await statement.fetch(1)
            await statement.fetchval(2)
            async with connection.transaction():
                async for row in connection.cursor("select a from t where a > $1", 0, prefetch=1):
                    pass
                cursor = await connection.cursor("select b from t")
                await cursor.fetch(1)
                await cursor.fetch(1)
                async with connection.transaction():
                    await connection.execute("select 1")
            await connection.copy_records_to_table("t", records=[(5, "v")] * 7)
            await connection.copy_from_query("select a from t where a = $1", 5, output=io.BytesIO())
            await connection.copy_from_table("t", output=io.BytesIO())
            await connection.copy_to_table("t", source=io.BytesIO(b"9\\tw\\n"))
            try:
                await connection.fetch("select nothing from nowhere")
            except asyncpg.UndefinedTableError:
                pass
            try:
                await asyncio.wait_for(connection.fetch("select pg_sleep(10)"), 0.1)
            except asyncio.TimeoutError:
                pass
            await connection.close()

        asyncio.run(main())
        """,
        postgres,
    )
    found = [(each.line, each.text, each.batch, each.rows, each.outcome) for each in trace.of("sql")]
    assert found == [
        (6, "create temp table t (a int, b text)", 0, -1, 0),
        (7, "insert into t values (?, ?)", 2, -1, 0),
        (8, "select * from t where a = any(?::int[])", 3, 2, 0),
        (9, "select * from t where a = ?", 0, 1, 0),
        (10, "select b from t where a = ?", 0, -1, 0),
        (11, "insert into t select a + ?, b from t where a < ?", 0, 2, 0),
        (13, "select * from t where a = ? or b = ?", 0, 1, 0),
        (14, "select * from t where a = ? or b = ?", 0, -1, 0),
        (16, "select a from t where a > ?", 0, 1, 0),
        (18, "select b from t", 0, -1, 0),
        (22, "select ?", 0, 1, 0),
        (23, "COPY t FROM STDIN", 7, -1, 0),
        (24, "COPY (select a from t where a = ?) TO STDOUT", 0, -1, 0),
        (25, "COPY t TO STDOUT", 0, -1, 0),
        (26, "COPY t FROM STDIN", 0, -1, 0),
        (28, "select nothing from nowhere", 0, -1, 1),
        (32, "select pg_sleep(?)", 0, -1, 1),
    ]
    assert not any(each.on_loop for each in trace.of("sql"))
    assert trace.all("counters")[-1]["errors"] == 0


def test_pools_are_called_where_the_application_calls_them(tmp_path: Path, postgres: str) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sys, asyncpg

        async def resolve(pool, number):
            return await pool.fetchval("select $1::int", number)

        async def main():
            async with asyncpg.create_pool(sys.argv[1], min_size=1, max_size=3) as pool:
                assert await asyncio.gather(*(resolve(pool, number) for number in range(6))) == list(range(6))
                async with pool.acquire() as connection:
                    await connection.fetch("select 1")

        asyncio.run(main())
        """,
        postgres,
    )
    *children, last = trace.of("sql")
    assert [(each.line, each.function) for each in children] == [(4, "resolve")] * 6
    assert len({each.params for each in children}) == len({each.task for each in children}) == 6
    assert len({each.root_id for each in trace.of("sql")}) == 1
    assert (last.line, last.text) == (10, "select ?")
    stacks = [[line for _, line, _ in each["frames"]] for each in trace.all("stack")]
    assert stacks[0] == [4, 8, 12]
