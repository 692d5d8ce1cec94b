"""An N+1 in an endpoint, over a real server with keep-alive, besides an endpoint with one query for each request."""

import asyncio
import sqlite3
import threading
import urllib.request

import uvicorn
from fastapi import FastAPI

db = sqlite3.connect(":memory:", check_same_thread=False)
db.execute("create table tag(item integer, name text)")
db.executemany("insert into tag values (?, ?)", [(n % 20, f"tag {n}") for n in range(60)])
app = FastAPI()


@app.get("/items")
async def items():
    found = []
    for item in range(20):
        found.append(db.execute("select name from tag where item = ?", (item,)).fetchall())  # expect: n_plus_one 20
    return len(found)


@app.get("/items/{item}")
async def one(item: int):
    return db.execute("select name from tag where item = ?", (item,)).fetchall()


async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def load():
        for number in range(40):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/items/{number % 20}").read()  # agentperf: ignore
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/items").read() == b"20"

    thread = threading.Thread(target=load)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.02)
    server.should_exit = True
    await serving


asyncio.run(main())
print("ok")
