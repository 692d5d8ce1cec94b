"""A pager that keeps its position in an attribute, and a client that follows links."""

import asyncio
import os

import aiosqlite
import httpx


class Pager:
    def __init__(self, db):
        self.db = db
        self.offset = 0
        self.done = False

    async def next_page(self):
        rows = await (await self.db.execute("select n from t order by n limit 20 offset ?", (self.offset,))).fetchall()
        self.offset += len(rows)
        self.done = len(rows) < 20
        return rows


async def feed(client):
    url = "/feed?cursor=0"
    while url:
        body = (await client.get(url)).json()
        for item in body["items"]:
            yield item
        url = body.get("next")


async def main():
    async with aiosqlite.connect(":memory:") as db:
        await db.execute("create table t(n integer)")
        await db.executemany("insert into t values (?)", [(n,) for n in range(290)])
        pager, count = Pager(db), 0
        while not pager.done:
            count += len(await pager.next_page())
        assert count == 290
    async with httpx.AsyncClient(base_url=os.environ["API_URL"], verify=False) as client:
        assert len([item async for item in feed(client)]) == 120
    print("ok")


asyncio.run(main())
