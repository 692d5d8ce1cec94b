"""The loop is `Executor.map`: every element's query runs in a thread of a pool."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

local = threading.local()


def find(number):
    if not hasattr(local, "db"):
        local.db = sqlite3.connect(":memory:")
    return local.db.execute("select ? + 1", (number,)).fetchone()[0]  # expect: n_plus_one 30


async def main():
    with ThreadPoolExecutor(4) as executor:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*(loop.run_in_executor(executor, find, number) for number in range(30)))
    assert sum(found) == 465


asyncio.run(main())
print("ok")
