import asyncio
import os

import redis.asyncio as redis


async def main():
    cache = redis.from_url(os.environ["REDIS_URL"])
    async with cache.pipeline() as pipeline:
        for number in range(40):
            pipeline.set(f"s:{number}", number)
        await pipeline.execute()
    assert len(await cache.mget([f"s:{number}" for number in range(40)])) == 40
    await cache.aclose()
    print("ok")


asyncio.run(main())
