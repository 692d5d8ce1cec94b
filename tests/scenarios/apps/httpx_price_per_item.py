import asyncio
import os

import httpx


async def prices(client, items):
    found = {}
    for item in items:
        response = await client.get(f"/items/{item}")  # expect: n_plus_one 15
        found[item] = response.json()["price"]
    return found


async def main():
    async with httpx.AsyncClient(base_url=os.environ["API_URL"], verify=False) as client:
        assert len(await prices(client, range(15))) == 15
    print("ok")


asyncio.run(main())
