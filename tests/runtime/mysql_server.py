"""A server that speaks MySQL's protocol and answers from an SQLite database in memory, until its input ends.

Prints its port.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from typing import Any

from mysql_mimic import MysqlServer, Session

database = sqlite3.connect(":memory:", check_same_thread=False)
database.executescript("create table t (a integer, b text); insert into t values (1, 'one'), (2, 'two'), (3, 'three')")


class Sqlite(Session):
    async def query(self, expression: Any, sql: str, attrs: dict[str, str]) -> tuple[list[Any], list[str]]:
        cursor = database.execute(expression.sql(dialect="sqlite"))
        return cursor.fetchall(), [column[0] for column in cursor.description or ()]


async def serve() -> None:
    server = MysqlServer(session_factory=Sqlite)
    await server.start_server(host="127.0.0.1", port=0)
    sockets: Any = server._server
    sys.stdout.write(f"{sockets.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


asyncio.run(serve())
