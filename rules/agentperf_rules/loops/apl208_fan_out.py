from __future__ import annotations

from agentperf_rules.base import Shape
from agentperf_rules.loops.base import LoopRule
from agentperf_rules.model import Suspect


class FanOutPerElement(LoopRule):
    """## What it does
    Finds one query per element started together: through `asyncio.gather`, a task group, `map`, or tasks collected
    in a
    list. HTTP requests started together are fine and not reported.

    ## Why is this bad?
    The queries run side by side, but each takes a connection from the pool and a turn in the database. A page of a
    hundred rows starves every other request of connections.

    ## Example
    ```python
    await asyncio.gather(*[pool.fetchrow("SELECT * FROM users WHERE id = $1", id) for id in ids])
    ```

    ## Use instead
    ```python
    await pool.fetch("SELECT * FROM users WHERE id = ANY($1)", ids)
    ```
    """

    code = "APL208"
    name = "fan-out-per-element"
    severity = "medium"
    what = "query"
    batch = "fetch all of them with one query: WHERE id = ANY(...), IN (...) or mget"

    valid = (
        """\
import asyncio
import httpx

async def pages(client: httpx.AsyncClient, urls):
    return await asyncio.gather(*(client.get(url) for url in urls))
""",
    )
    invalid = (
        """\
import asyncio
import asyncpg

async def users(pool: asyncpg.Pool, ids):
    return await asyncio.gather(*[pool.fetchrow("SELECT * FROM users WHERE id = $1", id) for id in ids])  # expect
""",
    )

    def repetition(self, suspect: Suspect, shape: Shape) -> str:
        return f"started {super().repetition(suspect, shape)}"
