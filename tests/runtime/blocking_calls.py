"""An application that blocks its event loop in every way that the tests of the stall watcher know.

Each entry of `KINDS` prepares what it needs and returns a function that blocks. The line that is to be reported ends in
`# blocks`. This file is the application; everything else is a library.
"""

from __future__ import annotations

import asyncio
import builtins
import bz2
import concurrent.futures
import copy
import csv
import functools
import hashlib
import http.client
import io
import json
import math
import operator
import os
import pickle
import queue
import re
import select
import socket
import socketserver
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

SECONDS = 0.16
ENOUGH = 0.12

Block = Callable[[], Any]
Prepare = Callable[[Path], Block]
KINDS: dict[str, Prepare] = {}


def kind(prepare: Prepare) -> Prepare:
    KINDS[prepare.__name__] = prepare
    return prepare


def sized(start: int, make: Callable[[int], Block]) -> Block:
    """A piece of work that takes long enough on this machine: sizes from `start` on are tried."""
    size = start
    while True:
        work = make(size)
        began = time.thread_time()
        work()
        took = time.thread_time() - began
        if took >= ENOUGH:
            return make(size)
        size = int(size * min(8.0, max(1.5, 1.3 * ENOUGH / max(took, 1e-6))))


def later(action: Callable[[], Any]) -> None:
    timer = threading.Timer(SECONDS, action)
    timer.daemon = True
    timer.start()


@kind
def sleep(_: Path) -> Block:
    def block() -> None:
        time.sleep(SECONDS)  # blocks

    return block


@kind
def many_short_sleeps(_: Path) -> Block:
    def block() -> None:
        for _ in range(20):
            time.sleep(SECONDS / 20)  # blocks

    return block


@kind
def through_a_helper(_: Path) -> Block:
    def helper() -> None:
        time.sleep(SECONDS)  # blocks

    def block() -> None:
        helper()

    return block


@kind
def arguments_of_a_call(_: Path) -> Block:
    def callee(data: bytes) -> int:
        return len(data)

    def make(size: int) -> Block:
        piece = bytes(size)

        def block() -> None:
            callee(piece * 200)  # blocks

        return block

    return sized(100_000, make)


@kind
def socket_receive(_: Path) -> Block:
    ours, theirs = socket.socketpair()

    def block() -> None:
        later(lambda: theirs.send(b"x"))
        with ours, theirs:
            ours.recv(1)  # blocks

    return block


class _SlowAnswer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(SECONDS)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@kind
def http_request(_: Path) -> Block:
    def block() -> None:
        with socketserver.TCPServer(("127.0.0.1", 0), _SlowAnswer) as server:
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
            connection.request("GET", "/")
            connection.getresponse().read()  # blocks
            connection.close()
            thread.join()

    return block


@kind
def name_lookup(_: Path) -> Block:
    def block() -> None:
        socket.getaddrinfo("agentperf.invalid", 80)  # blocks

    return block


@kind
def subprocess_run(_: Path) -> Block:
    def block() -> None:
        subprocess.run(["sleep", str(SECONDS)], check=True)  # blocks

    return block


@kind
def os_system(_: Path) -> Block:
    def block() -> None:
        os.system(f"sleep {SECONDS}")  # blocks

    return block


@kind
def read_lines_of_a_file(path: Path) -> Block:
    def make(rows: int) -> Block:
        file = path / f"{rows}.csv"
        file.write_text("1,2,3,4,5,6\n" * rows)

        def block() -> int:
            with file.open(newline="") as lines:
                return sum(int(row[0]) + int(row[5]) for row in csv.reader(lines))  # blocks

        return block

    return sized(20_000, make)


@kind
def loop_over_several_lines(_: Path) -> Block:
    def make(rows: int) -> Block:
        def block() -> float:
            total = 0.0
            for number in range(rows):
                if number % 7 == 3:
                    total += 0.5
                for _ in range(10):
                    total += math.sqrt(number)  # blocks
            return total

        return block

    return sized(20_000, make)


@kind
def sqlite_query(_: Path) -> Block:
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT sum(i) FROM n"

    def make(rows: int) -> Block:
        def block() -> None:
            with closing(sqlite3.connect(":memory:")) as connection:
                connection.execute(count, (rows,)).fetchone()  # blocks

        return block

    return sized(100_000, make)


@kind
def sqlite_lock(path: Path) -> Block:
    def block() -> None:
        file = path / "locked.db"
        with (
            closing(sqlite3.connect(file, check_same_thread=False, isolation_level=None)) as other,
            closing(sqlite3.connect(file, timeout=5, isolation_level=None)) as mine,
        ):
            other.execute("CREATE TABLE IF NOT EXISTS t (x)")
            other.execute("BEGIN EXCLUSIVE")
            later(lambda: other.execute("COMMIT"))
            mine.execute("INSERT INTO t VALUES (1)")  # blocks

    return block


@kind
def catastrophic_regex(_: Path) -> Block:
    def make(size: int) -> Block:
        text = "a" * size + "b"

        def block() -> None:
            re.match(r"(a+)+$", text)  # blocks

        return block

    return sized_slowly(17, make)


def sized_slowly(start: int, make: Callable[[int], Block]) -> Block:
    """As `sized`, for work that takes twice as long with each step."""
    while True:
        work = make(start)
        began = time.thread_time()
        work()
        if time.thread_time() - began >= ENOUGH:
            return work
        start += 1


@kind
def json_loads(_: Path) -> Block:
    def make(size: int) -> Block:
        text = json.dumps([{"id": number, "name": f"name {number}"} for number in range(size)])

        def block() -> None:
            json.loads(text)  # blocks

        return block

    return sized(20_000, make)


@kind
def json_dumps(_: Path) -> Block:
    def make(size: int) -> Block:
        data = [{"id": number, "name": f"name {number}"} for number in range(size)]

        def block() -> None:
            json.dumps(data)  # blocks

        return block

    return sized(20_000, make)


@kind
def sorting(_: Path) -> Block:
    def make(size: int) -> Block:
        rows = [{"key": (number * 7919) % size} for number in range(size)]

        def block() -> None:
            sorted(rows, key=operator.itemgetter("key"))  # blocks

        return block

    return sized(50_000, make)


@kind
def sorting_with_a_lambda(_: Path) -> Block:
    def make(size: int) -> Block:
        rows = [{"key": (number * 7919) % size} for number in range(size)]

        def block() -> None:
            sorted(rows, key=lambda row: (row["key"], row["key"]))  # blocks

        return block

    return sized(50_000, make)


@kind
def password_hash(_: Path) -> Block:
    def make(rounds: int) -> Block:
        def block() -> None:
            hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds)  # blocks

        return block

    return sized(50_000, make)


@kind
def zlib_compress(_: Path) -> Block:
    def make(size: int) -> Block:
        data = bytes(range(256)) * (size // 256)

        def block() -> None:
            zlib.compress(data, 9)  # blocks

        return block

    return sized(1 << 22, make)


@kind
def bz2_compress(_: Path) -> Block:
    def make(size: int) -> Block:
        data = bytes(number * 7 % 251 for number in range(1 << 16)) * (size >> 16)

        def block() -> None:
            bz2.compress(data)  # blocks

        return block

    return sized(1 << 17, make)


@kind
def lock_acquire(_: Path) -> Block:
    lock = threading.Lock()

    def block() -> None:
        lock.acquire()
        later(lock.release)
        lock.acquire()  # blocks

    return block


@kind
def condition_wait(_: Path) -> Block:
    event = threading.Event()

    def block() -> None:
        later(event.set)
        event.wait()  # blocks

    return block


@kind
def queue_get(_: Path) -> Block:
    items: queue.Queue[int] = queue.Queue()

    def block() -> None:
        later(lambda: items.put(1))
        items.get()  # blocks

    return block


@kind
def thread_join(_: Path) -> Block:
    def block() -> None:
        thread = threading.Thread(target=time.sleep, args=(SECONDS,))
        thread.start()
        thread.join()  # blocks

    return block


@kind
def future_result(_: Path) -> Block:
    pool = concurrent.futures.ThreadPoolExecutor(1)

    def block() -> None:
        with pool:
            future = pool.submit(time.sleep, SECONDS)
            future.result()  # blocks

    return block


@kind
def python_loop(_: Path) -> Block:
    def make(size: int) -> Block:
        def block() -> int:
            return sum(number * number % 7 for number in range(size))  # blocks

        return block

    return sized(200_000, make)


@kind
def pickle_dumps(_: Path) -> Block:
    def make(size: int) -> Block:
        data = [{"id": number, "text": str(number)} for number in range(size)]

        def block() -> None:
            pickle.dumps(data)  # blocks

        return block

    return sized(30_000, make)


@kind
def deep_copy(_: Path) -> Block:
    def make(size: int) -> Block:
        data = [{"id": number, "text": str(number)} for number in range(size)]

        def block() -> None:
            copy.deepcopy(data)  # blocks

        return block

    return sized(5_000, make)


@kind
def large_number(_: Path) -> Block:
    def make(size: int) -> Block:
        def block() -> None:
            math.factorial(size)  # blocks

        return block

    return sized(10_000, make)


@kind
def pipe_read(_: Path) -> Block:
    def block() -> None:
        reading, writing = os.pipe()
        later(lambda: os.write(writing, b"x"))
        os.read(reading, 1)  # blocks
        os.close(reading)
        os.close(writing)

    return block


@kind
def prompt(_: Path) -> Block:
    def block() -> None:
        reading, writing = os.pipe()
        before = sys.stdin
        later(lambda: os.write(writing, b"yes\n"))
        with os.fdopen(reading) as sys.stdin:
            builtins.input()  # blocks
        sys.stdin = before
        os.close(writing)

    return block


@kind
def select_select(_: Path) -> Block:
    def block() -> None:
        select.select([], [], [], SECONDS)  # blocks

    return block


@kind
def certificates(_: Path) -> Block:
    def make(times: int) -> Block:
        def block() -> None:
            for _ in range(times):
                ssl.create_default_context()  # blocks

        return block

    return sized(1, make)


@kind
def directory_walk(path: Path) -> Block:
    for number in range(200):
        (path / str(number)).mkdir(exist_ok=True)

    def make(times: int) -> Block:
        def block() -> None:
            for _ in range(times):
                sorted(path.rglob("*.txt"))  # blocks

        return block

    return sized(5, make)


@kind
def finalizer(_: Path) -> Block:
    class Connection:
        def __del__(self) -> None:
            time.sleep(SECONDS)  # blocks

    def block() -> None:
        connection = Connection()
        del connection

    return block


@kind
def property_read(_: Path) -> Block:
    class Order:
        @property
        def lines(self) -> list[str]:
            time.sleep(SECONDS)  # blocks
            return []

    order = Order()

    def block() -> None:
        assert not order.lines

    return block


@kind
def cached_property_read(_: Path) -> Block:
    class Order:
        @functools.cached_property
        def lines(self) -> list[str]:
            time.sleep(SECONDS)  # blocks
            return []

    order = Order()

    def block() -> None:
        assert not order.lines

    return block


@kind
def context_manager(_: Path) -> Block:
    @contextmanager
    def session() -> Iterator[None]:
        yield
        time.sleep(SECONDS)  # blocks

    def block() -> None:
        with session():
            pass

    return block


@kind
def sync_generator(_: Path) -> Block:
    def rows() -> Iterator[int]:
        for number in range(4):
            time.sleep(SECONDS / 4)  # blocks
            yield number

    def block() -> None:
        list(rows())

    return block


@kind
def text_formatting(_: Path) -> Block:
    def make(size: int) -> Block:
        numbers = list(range(size))

        def block() -> None:
            out = io.StringIO()
            print(*numbers, file=out)  # blocks

        return block

    return sized(100_000, make)


async def in_an_async_generator() -> None:
    async def pages() -> AsyncIterator[int]:
        yield 1
        time.sleep(SECONDS)  # blocks: in an async generator
        yield 2

    async for _ in pages():
        pass


async def in_a_callback() -> None:
    def callback() -> None:
        time.sleep(SECONDS)  # blocks: in a callback

    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0.01)


async def in_a_timer() -> None:
    def callback() -> None:
        time.sleep(SECONDS)  # blocks: in a timer

    asyncio.get_running_loop().call_later(0.02, callback)
    await asyncio.sleep(0.03)


async def in_a_done_callback() -> None:
    def done(_: Any) -> None:
        time.sleep(SECONDS)  # blocks: in a done callback

    task = asyncio.ensure_future(asyncio.sleep(0))
    task.add_done_callback(done)
    await task
    await asyncio.sleep(0.01)


async def in_many_tasks() -> None:
    async def one() -> None:
        time.sleep(0.008)  # blocks: in many tasks

    await asyncio.gather(*(one() for _ in range(20)))


async def in_an_inner_coroutine() -> None:
    async def inner() -> None:
        await asyncio.sleep(0)
        time.sleep(SECONDS)  # blocks: in an inner coroutine

    async def middle() -> None:
        await inner()

    await asyncio.wait_for(middle(), 5)


ASYNC_KINDS = {
    "in an async generator": in_an_async_generator,
    "in a callback": in_a_callback,
    "in a timer": in_a_timer,
    "in a done callback": in_a_done_callback,
    "in many tasks": in_many_tasks,
    "in an inner coroutine": in_an_inner_coroutine,
}


async def two_calls_in_turn() -> None:
    time.sleep(SECONDS)  # blocks: first of two
    time.sleep(SECONDS)  # blocks: second of two


async def two_tasks_at_once() -> None:
    async def one() -> None:
        time.sleep(SECONDS)  # blocks: first task

    async def other() -> None:
        time.sleep(SECONDS)  # blocks: second task

    await asyncio.gather(one(), other())


async def deadlock(lock: threading.Lock) -> None:
    lock.acquire()  # blocks: deadlock


async def cold_import(name: str) -> None:
    __import__(name)  # blocks: import


def collected() -> None:
    class Node:
        pass

    nodes = [Node() for _ in range(200_000)]
    for node, other in zip(nodes, reversed(nodes)):
        node.__dict__["other"] = other
