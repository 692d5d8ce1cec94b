import asyncio
import os

import requests


async def fetch(item):
    return requests.get(f"{os.environ['API_URL']}/slow", params={"ms": 250, "item": item}, timeout=5).json()  # expect: stall


async def main():
    await asyncio.sleep(0.05)
    for item in range(3):
        assert (await fetch(item))["ok"]
        await asyncio.sleep(0.01)
    print("ok")


asyncio.run(main())
