"""Servers of the application's own protocols, whose callbacks run outside of tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import run

PROGRAM = """
import asyncio, sqlite3
connection = sqlite3.connect(":memory:")

class Lines(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for line in data.splitlines():
            connection.execute("select ?", (line,))
        self.transport.write(b"done\\n")

class Packets(asyncio.DatagramProtocol):
    def datagram_received(self, data, address):
        connection.execute("select 'packet', ?", (data,))
        received.append(data)
        if len(received) == 2:
            ended.set()

async def main():
    global ended
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Lines, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(2):
        writer.write(b"%d\\n%d\\n" % (number, number + 1))
        await reader.readline()
    writer.close()
    transport, _ = await loop.create_datagram_endpoint(Packets, local_addr=("127.0.0.1", 0))
    for number in range(2):
        transport.sendto(b"%d" % number, transport.get_extra_info("sockname"))
    await ended.wait()
    transport.close()
    server.close()

received = []
"""


@pytest.mark.parametrize(
    "start", ["asyncio.run(main())", "import uvloop\nuvloop.run(main())"], ids=["asyncio", "uvloop"]
)
def test_each_piece_of_data_is_a_root(start: str, tmp_path: Path) -> None:
    trace = run(tmp_path, f"{PROGRAM}\n{start}\n")
    operations = trace.of("sql")
    assert [each.root for each in operations] == [
        *["websocket Lines.data_received"] * 4,
        *["websocket Packets.datagram_received"] * 2,
    ]
    assert [len({each.root_id for each in operations[first : first + 2]}) for first in (0, 2, 4)] == [1, 1, 2]


def test_protocols_with_slots_work_as_before(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        """
        import asyncio, sqlite3
        connection = sqlite3.connect(":memory:")

        class Lines:
            __slots__ = ("transport",)

            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                self.transport.write(connection.execute("select ?", (data,)).fetchone()[0])

            def eof_received(self):
                pass

            def connection_lost(self, error):
                pass

        async def main():
            server = await asyncio.get_running_loop().create_server(Lines, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"one\\n")
            assert await reader.readline() == b"one\\n"
            writer.close()
            server.close()

        asyncio.run(main())
        """,
    )
    assert len(trace.of("sql")) == 1
