import asyncio
import os

import httpx


async def finished(client, job):
    while True:
        state = (await client.get(f"/jobs/{job}")).json()["state"]
        if state == "done":
            return True
        await asyncio.sleep(0.02)


async def main():
    async with httpx.AsyncClient(base_url=os.environ["API_URL"], verify=False) as client:
        assert await finished(client, 7)
    print("ok")


asyncio.run(main())
