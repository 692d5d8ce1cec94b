"""Each message of a client is looked up, which the client decides; every member of the room is, for each message."""

import asyncio
import sqlite3

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

connection = sqlite3.connect(":memory:")
connection.execute("create table users (id integer, name text)")
connection.executemany("insert into users values (?, ?)", [(number, "x") for number in range(14)])


async def talk(client):
    async for message in client:
        connection.execute("select name from users where id = ?", (int(message),)).fetchone()
        for (member,) in connection.execute("select id from users").fetchall():
            name = f"{message}{member}"
            connection.execute("select id from users where name = ?", (name,)).fetchone()  # expect: n_plus_one 14
        await client.send("done")


async def main():
    async with serve(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as client:
            for number in range(20):
                await client.send(str(number))
                await client.recv()


asyncio.run(main())
print("ok")
