"""One request and one statement, tried until they succeed."""

import asyncio
import os
import sqlite3

import aiohttp

db = sqlite3.connect(":memory:")


async def fetch(session):
    for attempt in range(30):
        async with session.get("/flaky", params={"key": "backoff", "fail": "11"}) as response:
            if response.status == 200:
                return await response.json()
        await asyncio.sleep(min(0.002 * 2**attempt, 0.02))
    raise RuntimeError("still failing")


def write():
    for attempt in range(1, 20):
        try:
            return db.execute("select json_extract(?, '$.a')", ("{" if attempt < 12 else '{"a": 1}',)).fetchone()
        except sqlite3.OperationalError:
            continue
    return None


async def main():
    async with aiohttp.ClientSession(os.environ["API_URL"]) as session:
        assert (await fetch(session))["ok"]
    assert write() == (1,)
    print("ok")


asyncio.run(main())
