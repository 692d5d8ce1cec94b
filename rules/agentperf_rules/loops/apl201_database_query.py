from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class DatabaseQueryInLoop(LoopRule):
    """## What it does
    Finds database queries that a loop or comprehension runs once per element, directly or through helpers.
    Loops over pages, chunks, attempts or a fixed handful, polls, and calls that each depend on the last are not
    reported.

    ## Why is this bad?
    The round trips add up: a hundred elements at two milliseconds each are 0.2 s spent waiting, where one query
    would do.

    ## Example
    ```python
    async def users(connection, ids):
        return [await connection.fetchrow("SELECT * FROM users WHERE id = $1", id) for id in ids]
    ```

    ## Use instead
    ```python
    async def users(connection, ids):
        return await connection.fetch("SELECT * FROM users WHERE id = ANY($1)", ids)
    ```
    """

    code = "APL201"
    name = "database-query-in-loop"
    severity = "high"
    what = "database query"
    batch = "use one query with WHERE id = ANY(...) or a join"

    valid = (
        """\
import sqlite3

def users(connection: sqlite3.Connection, ids):
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        connection.execute("SELECT * FROM users WHERE id IN (%s)" % ",".join("?" * len(chunk)), chunk)
""",
        """\
import asyncpg

async def pages(connection: asyncpg.Connection):
    last = 0
    while True:
        rows = await connection.fetch("SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT 100", last)
        if not rows:
            return
        last = rows[-1]["id"]
""",
    )
    invalid = (
        """\
import asyncpg

async def users(connection: asyncpg.Connection, ids):
    for id in ids:
        print(await connection.fetchrow("SELECT * FROM users WHERE id = $1", id))  # expect
""",
    )
