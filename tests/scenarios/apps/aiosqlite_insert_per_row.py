import asyncio

import aiosqlite


async def load(db, rows):
    for row in rows:
        await db.execute("insert into event(kind, size) values (?, ?)", row)  # expect: n_plus_one 50
    await db.commit()


async def main():
    async with aiosqlite.connect(":memory:") as db:
        await db.execute("create table event(kind text, size integer)")
        await load(db, [("click", n) for n in range(50)])
        async with db.execute("select count(*) from event") as cursor:
            assert (await cursor.fetchone())[0] == 50
    print("ok")


asyncio.run(main())
