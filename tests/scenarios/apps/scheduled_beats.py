"""Something is written every now and then, with a different value each time."""

import asyncio
import sqlite3
import time

db = sqlite3.connect(":memory:")
db.execute("create table beat(at real)")


async def beat(count):
    for _ in range(count):
        db.execute("insert into beat values (?)", (time.time(),))
        await asyncio.sleep(0.6)


asyncio.run(beat(8))
print("ok")
