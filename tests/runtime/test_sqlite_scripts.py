"""Scripts of sqlite3 and aiosqlite: one operation each, whoever makes the classes."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run


def test_a_script_is_one_operation(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """\
        import asyncio, sqlite3
        import aiosqlite

        class Own(sqlite3.Connection):
            def executescript(self, script):
                return super().executescript(script)

        connection = sqlite3.connect(":memory:")
        connection.executescript("create table t (a); insert into t values ('planted')")
        connection.cursor().executescript("delete from t; select 1")
        sqlite3.connect(":memory:", factory=Own).executescript("create table u (a)")
        try:
            connection.executescript("select nothing from nowhere")
        except sqlite3.OperationalError:
            pass

        async def main():
            async with aiosqlite.connect(":memory:") as db:
                await db.executescript("create table v (a)")

        asyncio.run(main())
        """,
    )
    found = [(each.line, each.text, each.outcome) for each in trace.of("sql")]
    assert found == [
        (9, "create table t (a); insert into t values (?)", 0),
        (10, "delete from t; select ?", 0),
        (11, "create table u (a)", 0),
        (13, "select nothing from nowhere", 1),
        (19, "create table v (a)", 0),
    ]
