"""A server with a protocol of its own asks the database for each line that a client sends: the client decides."""

import asyncio
import sqlite3

connection = sqlite3.connect(":memory:")
connection.execute("create table items (id integer, name text)")


class Lookup(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for line in data.splitlines():
            connection.execute("select name from items where id = ?", (int(line),)).fetchone()
            self.transport.write(b"done\n")


async def main():
    server = await asyncio.get_running_loop().create_server(Lookup, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(30):
        writer.write(b"%d\n" % number)
        await reader.readline()
    writer.close()
    server.close()


asyncio.run(main())
print("ok")
