"""One connection, and so one task, serves many requests with one query each."""

import asyncio
import sqlite3

import aiohttp
from aiohttp import web

db = sqlite3.connect(":memory:")


async def handle(request):
    number = int(request.match_info["number"])
    return web.json_response(db.execute("select ? + 1", (number,)).fetchone()[0])


async def main():
    app = web.Application()
    app.router.add_get("/{number}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        for number in range(30):
            async with session.get(f"http://127.0.0.1:{port}/{number}") as reply:  # agentperf: ignore
                assert await reply.json() == number + 1
    await runner.cleanup()
    print("ok")


asyncio.run(main())
