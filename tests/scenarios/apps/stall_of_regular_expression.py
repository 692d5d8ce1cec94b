"""A regular expression that backtracks holds the loop and the interpreter's lock."""

import asyncio
import re


async def other(stop):
    while not stop.is_set():
        await asyncio.sleep(0.01)


async def check(text):
    return re.fullmatch(r"(a|aa)+$", text)  # expect: stall


async def main():
    stop = asyncio.Event()
    task = asyncio.create_task(other(stop))
    await asyncio.sleep(0.05)
    assert await check("a" * 33 + "b") is None
    await asyncio.sleep(0.05)
    stop.set()
    await task
    print("ok")


asyncio.run(main())
