import asyncio
import time

import uvloop


def work(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(100))  # expect: stall


async def main():
    await asyncio.sleep(0.1)
    for _ in range(3):
        work(0.25)
        await asyncio.sleep(0.1)
    print("ok")


uvloop.run(main())
