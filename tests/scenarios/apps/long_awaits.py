"""Waiting is not holding: locks, sleeps, queues, slow replies, work in threads and processes."""

import asyncio
import os
import sys
import time

import httpx


async def main():
    lock, queue = asyncio.Lock(), asyncio.Queue()

    async def locked():
        async with lock:
            await asyncio.sleep(0.15)
        queue.put_nowait(1)

    async def program():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(0.2)")
        return await process.wait()

    async with httpx.AsyncClient(base_url=os.environ["API_URL"], verify=False) as client:
        await asyncio.gather(
            *(locked() for _ in range(3)),
            *(queue.get() for _ in range(3)),
            client.get("/slow", params={"ms": 400}),
            asyncio.to_thread(time.sleep, 0.3),
            program(),
        )
    print("ok")


asyncio.run(main())
