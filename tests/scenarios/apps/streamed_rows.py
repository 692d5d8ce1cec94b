"""A server-side cursor fetches in portions; that is one query."""

import asyncio
import os

import asyncpg


async def main():
    connection = await asyncpg.connect(os.environ["PG_DSN"])
    total = 0
    async with connection.transaction():
        async for row in connection.cursor("select i from generate_series(1, 2000) i", prefetch=50):
            total += row["i"]
    await connection.close()
    assert total == 2_001_000
    print("ok")


asyncio.run(main())
