from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingDatabase(BlockingRule):
    """## What it does
    Finds calls of synchronous database drivers (sqlite3, psycopg, PyMySQL, pymongo) and of SQLAlchemy's synchronous
    engine and connection in async functions.

    ## Why is this bad?
    A query is a round trip to a server, and waits for its locks. The event loop waits with it.

    ## Example
    ```python
    import sqlite3

    async def count(path):
        connection = sqlite3.connect(path)
        return connection.execute("SELECT count(*) FROM item").fetchone()
    ```

    ## Use instead
    ```python
    import aiosqlite

    async def count(path):
        async with aiosqlite.connect(path) as connection:
            cursor = await connection.execute("SELECT count(*) FROM item")
            return await cursor.fetchone()
    ```
    """

    code = "APL106"
    name = "blocking-database-in-async"
    severity = "high"
    what = "blocking database call"
    is_shared = False

    valid = (
        """\
import aiosqlite

async def count(path):
    async with aiosqlite.connect(path) as connection:
        cursor = await connection.execute("SELECT count(*) FROM item")
        return await cursor.fetchone()
""",
    )
    invalid = (
        """\
import psycopg2

def connected():
    return psycopg2.connect("dbname=shop")

async def rename(statement):
    cursor = connected().cursor()  # expect
    cursor.execute(statement)  # expect
""",
    )
