"""A framework checks and writes a large answer, while the collector of garbage walks it again and again."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Point(BaseModel):
    x: int
    tags: list[str]
    meta: dict[str, int]


@app.get("/points", response_model=list[Point])
async def points():
    return [{"x": number, "tags": ["a", "b"], "meta": {"k": number}} for number in range(60_000)]  # expect: stall


async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    ask = "import sys, urllib.request as r; r.urlopen(sys.argv[1]).read()"
    url = f"http://127.0.0.1:{port}/points"
    client = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", ask, url)
    assert await client.wait() == 0
    server.should_exit = True
    await serving
    print("ok")


asyncio.run(main())
