"""One task for each element, each with a connection of its own: still one query for each."""

import asyncio
import os

import psycopg


async def fetch(number):
    async with await psycopg.AsyncConnection.connect(os.environ["PG_DSN"], autocommit=True) as connection:
        cursor = await connection.execute("select %s::int * 2", (number,))  # expect: n_plus_one 10
        return (await cursor.fetchone())[0]


async def main():
    tasks = [asyncio.create_task(fetch(number)) for number in range(10)]
    assert sum([await task for task in tasks]) == 90
    print("ok")


asyncio.run(main())
