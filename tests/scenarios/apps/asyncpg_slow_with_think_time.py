"""No burst: every query takes its time, and something else happens in between."""

import asyncio
import os

import asyncpg


async def enrich(connection, numbers):
    for number in numbers:
        row = await connection.fetchrow("select $1::int as n, pg_sleep(0.03)", number)  # expect: n_plus_one 12
        await asyncio.sleep(0.12)
        assert row["n"] == number


async def main():
    connection = await asyncpg.connect(os.environ["PG_DSN"])
    await enrich(connection, range(12))
    await connection.close()
    print("ok")


asyncio.run(main())
