"""As much of a MongoDB server as a client needs to be sure that it talks to one: it keeps documents in lists.

Answers OP_MSG, and OP_QUERY for the first greeting. A program of its own that prints the URI that it is reached under.
No real server can be had from the package index.
"""

from __future__ import annotations

import socketserver
import struct
import sys
from collections import defaultdict
from typing import Any

import bson

_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013
_HELLO = {
    "helloOk": True, "isWritablePrimary": True, "ismaster": True, "maxBsonObjectSize": 1 << 24, "readOnly": False,
    "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21,
    "logicalSessionTimeoutMinutes": 30,
}  # fmt: skip


class _Handler(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self) -> None:
        while header := self.rfile.read(_HEADER.size):
            length, request, _, code = _HEADER.unpack(header)
            body = self.rfile.read(length - _HEADER.size)
            if code == _OP_QUERY:
                reply = struct.pack("<iqii", 0, 0, 0, 1) + bson.encode({**_HELLO, "ok": 1})
                self._send(request, _OP_REPLY, reply)
            else:
                answer = {"ok": 1, **self.server.answer(_command(body))}  # type: ignore[attr-defined]
                self._send(request, _OP_MSG, struct.pack("<IB", 0, 0) + bson.encode(answer))

    def _send(self, request: int, code: int, body: bytes) -> None:
        self.wfile.write(_HEADER.pack(_HEADER.size + len(body), 0, request, code) + body)
        self.wfile.flush()


def _command(body: bytes) -> dict[str, Any]:
    """The command of an OP_MSG; sequences of documents are put where the command would have them."""
    command: dict[str, Any] = {}
    position = 4
    while position < len(body):
        kind, position = body[position], position + 1
        (size,) = struct.unpack_from("<i", body, position)
        piece, end = body[position : position + size], position + size
        if kind == 0:
            command = {**bson.decode(piece), **command}
        else:
            name, _, documents = piece[4:].partition(b"\0")
            command[name.decode()] = bson.decode_all(documents)
        position = end
    return command


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.documents: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.left: list[dict[str, Any]] = []

    def answer(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(
            each for each in command if each != "$db" and not each.endswith(("documents", "updates", "deletes"))
        )
        collection = self.documents[str(command[name])]
        if name in ("hello", "ismaster"):
            return _HELLO
        if name in ("find", "aggregate"):
            found = [each for each in collection if _matches(each, command.get("filter", {}))]
            if any("$group" in stage for stage in command.get("pipeline", ())):
                found = [{"_id": 1, "n": len(found)}]
            batch, self.left = found[: command.get("batchSize", 101)], found[command.get("batchSize", 101) :]
            space = f"{command['$db']}.{command[name]}"
            return {"cursor": {"id": bson.Int64(7 if self.left else 0), "ns": space, "firstBatch": batch}}
        if name == "getMore":
            return {"cursor": {"id": bson.Int64(0), "ns": "test.any", "nextBatch": self.left}}
        if name == "insert":
            return self._insert(collection, command["documents"])
        if name == "count":
            return {"n": len(collection)}
        if name == "fail":
            return {"ok": 0, "code": 59, "errmsg": "no such command"}
        return {"n": 1, "nModified": 1}

    def _insert(self, collection: list[dict[str, Any]], documents: list[dict[str, Any]]) -> dict[str, Any]:
        known = {str(each["_id"]) for each in collection}
        if any(str(each["_id"]) in known for each in documents):
            return {"n": 0, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "duplicate key"}]}
        collection.extend(documents)
        return {"n": len(documents)}


def _matches(document: dict[str, Any], filter_: dict[str, Any]) -> bool:
    for name, wanted in filter_.items():
        values = wanted["$in"] if isinstance(wanted, dict) else [wanted]
        if document.get(name) not in values:
            return False
    return True


if __name__ == "__main__":
    with _Server() as server:
        sys.stdout.write(f"mongodb://127.0.0.1:{server.server_address[1]}/?serverSelectionTimeoutMS=5000\n")
        sys.stdout.flush()
        server.serve_forever()
