"""The same question to databases that have nothing to do with each other."""

import asyncio
import sqlite3

import aiosqlite
from sqlalchemy import create_engine, text

TENANTS = [f"tenant{number}.db" for number in range(12)]
for tenant in TENANTS:
    with sqlite3.connect(tenant) as filling:
        filling.execute("create table users(id int)")


def engine_for(tenant):
    return create_engine(f"sqlite:///{tenant}")


def count_users(engine):
    with engine.connect() as connection:
        return connection.execute(text("select count(*) from users where id > :low"), {"low": 0}).scalar_one()


def report(tenants):
    totals = {}
    for tenant in tenants:
        engine = engine_for(tenant)
        totals[tenant] = count_users(engine)
    return totals


class Cluster:
    def __init__(self, shards):
        self.shards = shards

    async def search(self, number):
        async def one(shard):
            async with shard.execute("select count(*) from users where id = ?", (number,)) as rows:
                return (await rows.fetchone())[0]

        return sum(await asyncio.gather(*(one(shard) for shard in self.shards)))


async def main():
    shards = [await aiosqlite.connect(tenant) for tenant in TENANTS]
    assert await Cluster(shards).search(7) == 0
    for shard in shards:
        await shard.close()


assert sum(report(TENANTS).values()) == 0
asyncio.run(main())
print("ok")
