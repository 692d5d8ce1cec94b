from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingDatabase(BlockingRule):
    """## What it does
    Finds calls of synchronous database drivers and of SQLAlchemy's synchronous engine, connection and session in async
    functions.

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
from sqlalchemy.orm import Session

async def rename(session: Session, statement):
    session.execute(statement)  # expect
""",
    )
