"""Jobs arrive one by one; that each needs a query is nobody's loop."""

import asyncio
import os

import asyncpg


async def worker(pool, jobs, results):
    while True:
        job = await jobs.get()
        results.append(await pool.fetchval("select $1::int * 2", job))
        jobs.task_done()


async def main():
    jobs, results = asyncio.Queue(), []
    async with asyncpg.create_pool(os.environ["PG_DSN"], min_size=1, max_size=2) as pool:
        workers = [asyncio.create_task(worker(pool, jobs, results)) for _ in range(2)]
        for number in range(30):
            jobs.put_nowait(number)
            await asyncio.sleep(0.002)
        await jobs.join()
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    assert len(results) == 30
    print("ok")


asyncio.run(main())
