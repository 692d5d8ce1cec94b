"""A protocol of lines: one connection each, and one connection with many lines."""

import asyncio
import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table t(n integer)")


async def serve(reader, writer):
    while line := await reader.readline():
        count = db.execute("select count(*) from t where n < ?", (int(line),)).fetchone()[0]
        writer.write(b"%d\n" % count)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for number in range(15):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % number)
        assert await reader.readline() == b"0\n"
        writer.close()
        await writer.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(15):
        writer.write(b"%d\n" % number)
        assert await reader.readline() == b"0\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    print("ok")


asyncio.run(main())
