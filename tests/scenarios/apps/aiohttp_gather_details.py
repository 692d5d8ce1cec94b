import asyncio
import os

import aiohttp


async def detail(session, item):
    async with session.get(f"/items/{item}") as response:  # expect: n_plus_one 16
        return await response.json()


async def main():
    async with aiohttp.ClientSession(os.environ["API_URL"]) as session:
        found = await asyncio.gather(*[detail(session, item) for item in range(16)])
    assert len(found) == 16
    print("ok")


asyncio.run(main())
