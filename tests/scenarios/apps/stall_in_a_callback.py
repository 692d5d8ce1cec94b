import asyncio
import time


def flush():
    time.sleep(0.3)  # expect: stall


async def main():
    asyncio.get_running_loop().call_later(0.05, flush)
    await asyncio.sleep(0.5)
    print("ok")


asyncio.run(main())
