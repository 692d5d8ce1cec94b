import asyncio
import os

import httpx


async def configuration(client):
    return (await client.get("/config")).json()  # expect: duplicate 12


async def handle(client, message):
    return (await configuration(client))["limit"] > message


async def main():
    async with httpx.AsyncClient(base_url=os.environ["API_URL"], verify=False) as client:
        for message in range(12):
            assert await handle(client, message)
    print("ok")


asyncio.run(main())
