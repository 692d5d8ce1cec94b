"""Consumers of brokers, bots, pages and notebooks.

Most are stood in for by the few lines through which they call the application, under their own names.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from runtime.recorded import run
from runtime.serving import roots_of
from runtime.stand_ins import QUERY, module

CALLED = {
    "aiogram": (
        {
            "aiogram/dispatcher/dispatcher.py": """
class Dispatcher:
    async def feed_update(self, bot, update):
        await self.handler(update.number)
"""
        },
        """
from aiogram.dispatcher.dispatcher import Dispatcher

async def main():
    dispatcher = Dispatcher()
    dispatcher.handler = aquery
    for number in range(2):
        await dispatcher.feed_update(None, SimpleNamespace(event_type="message", number=number))
""",
        ["job update message"] * 2,
    ),
    "aiormq": (
        {
            "aiormq/channel.py": """
import asyncio

class Channel:
    consumers = {}

    async def basic_consume(self, queue, consumer_callback, *, no_ack=False):
        self.consumers[queue] = consumer_callback

    async def read(self, queue, frames):
        for frame in frames:
            await asyncio.create_task(self.consumers[queue](frame))
"""
        },
        """
import functools
from aiormq.channel import Channel

class Iterator:
    kept = []

    def __anext__(self):
        raise StopAsyncIteration

    async def keep(self, message):
        self.kept.append(message)

async def called(callback, message, *, no_ack):
    await asyncio.create_task(callback(message))

async def main():
    channel, iterator = Channel(), Iterator()
    await channel.basic_consume("orders", functools.partial(called, aquery, no_ack=False))
    await channel.basic_consume("mails", query)
    await channel.basic_consume("kept", functools.partial(called, iterator.keep, no_ack=False))
    for queue in channel.consumers:
        await asyncio.create_task(channel.read(queue, range(2)))
    assert iterator.kept == [0, 1]
""",
        ["job message of orders"] * 2 + ["job message of mails"] * 2,
    ),
    "discord": (
        {
            "discord/client.py": """
class Client:
    async def _run_event(self, coro, event_name, *args, **kwargs):
        await coro(*args, **kwargs)
"""
        },
        """
from discord.client import Client

async def main():
    for number in range(2):
        await Client()._run_event(aquery, "on_message", number)
""",
        ["job event on_message"] * 2,
    ),
    "faststream": (
        {
            "faststream/_internal/endpoint/subscriber/usecase.py": """
from types import SimpleNamespace

class SubscriberUsecase:
    specification = SimpleNamespace(call_name="handle")

    async def process_message(self, msg):
        return await self.handler(msg)
"""
        },
        """
from agentperf_runtime import root
from faststream._internal.endpoint.subscriber.usecase import SubscriberUsecase

async def main():
    subscriber = SubscriberUsecase()
    subscriber.handler = aquery
    await subscriber.process_message(0)
    with root("message of orders", kind="job"):  # the broker's client begins it
        await subscriber.process_message(1)
""",
        ["job message for handle"] * 2,
    ),
    "nats": (
        {
            "nats/aio/subscription.py": """
import asyncio

class Subscription:
    def __init__(self, subject, cb=None):
        self._subject, self._cb = subject, cb
        self.pending = asyncio.Queue()

    async def read(self):
        while not self.pending.empty():
            await self._cb(self.pending.get_nowait())

class _SubscriptionMessageIterator:
    def __init__(self, sub):
        self._sub = sub

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._sub.pending.empty():
            raise StopAsyncIteration
        return await self._sub.pending.get()

class Client:
    async def answered(self, message):
        pass
"""
        },
        """
from nats.aio.subscription import Client, Subscription, _SubscriptionMessageIterator

async def main():
    called, taken = Subscription("orders", cb=aquery), Subscription("_INBOX.a8f.orders")
    for number in range(2):
        called.pending.put_nowait(number)
        taken.pending.put_nowait(number)
    await asyncio.create_task(called.read())
    async for number in _SubscriptionMessageIterator(taken):
        await aquery(number)
    answers = Subscription("_INBOX.x.*", cb=Client().answered)
    answers.pending.put_nowait(None)
    await asyncio.create_task(answers.read())
""",
        ["job message of orders"] * 2 + ["job message of NATS"] * 2,
    ),
    "pika": (
        {
            "pika/adapters/blocking_connection.py": """
class BlockingChannel:
    def basic_consume(self, queue, on_message_callback, auto_ack=False):
        self.callback = on_message_callback

    def start_consuming(self):
        for number in range(2):
            self.callback(self, None, None, number)
"""
        },
        """
from pika.adapters.blocking_connection import BlockingChannel

async def main():
    channel = BlockingChannel()
    channel.basic_consume(queue="orders", on_message_callback=lambda channel, method, properties, body: query(body))
    channel.start_consuming()
""",
        ["job message of orders"] * 2,
    ),
    "slack": (
        {
            "slack_bolt/app/app.py": """
class App:
    def dispatch(self, req):
        return self.listener(req)
""",
            "slack_bolt/app/async_app.py": """
class AsyncApp:
    async def async_dispatch(self, req):
        return await self.listener(req)
""",
        },
        """
from slack_bolt.app.app import App
from slack_bolt.app.async_app import AsyncApp

async def main():
    app, async_app = App(), AsyncApp()
    app.listener, async_app.listener = query, aquery
    app.dispatch(1)
    await async_app.async_dispatch(2)
""",
        ["job event of Slack"] * 2,
    ),
    "telegram": (
        {
            "telegram/ext/_application.py": """
class Application:
    async def process_update(self, update):
        await self.handler(update)
"""
        },
        """
from telegram.ext._application import Application

async def main():
    application = Application()
    application.handler = aquery
    for number in range(2):
        await application.process_update(number)
""",
        ["job update of Telegram"] * 2,
    ),
    "gradio": (
        {
            "gradio/queueing.py": """
class Queue:
    async def process_events(self, events, batch, begin_time, fn):
        await fn.fn(events[0].data)
"""
        },
        """
from gradio.queueing import Queue

async def main():
    function = SimpleNamespace(fn=aquery, name="greet")
    for number in range(2):
        await Queue().process_events([SimpleNamespace(fn=function, data=number)], False, 0.0, function)
""",
        ["job event greet"] * 2,
    ),
    "streamlit": (
        {
            "streamlit/runtime/scriptrunner/script_runner.py": """
def exec_func_with_error_handling(func, ctx):
    return func()

class ScriptRunner:
    def _run_script(self, ctx, func):
        return exec_func_with_error_handling(func, ctx)
"""
        },
        """
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

async def main():
    for number in range(2):
        ScriptRunner()._run_script(SimpleNamespace(main_script_path="/srv/main.py"), lambda: query(number))
""",
        ["job run of main.py"] * 2,
    ),
    "marimo": (
        {
            "marimo/_runtime/runner/cell_runner.py": """
class Runner:
    async def run(self, cell_id):
        return await self.cells[cell_id](1)
"""
        },
        """
from marimo._runtime.runner.cell_runner import Runner

async def main():
    runner = Runner()
    runner.cells = {"Hbol": aquery, "MJUe": aquery}
    for cell_id in runner.cells:
        await runner.run(cell_id)
""",
        ["job cell Hbol", "job cell MJUe"],
    ),
    "ipykernel": (
        {
            "ipykernel/ipkernel.py": """
class IPythonKernel:
    async def do_execute(self, code, silent):
        return eval(code, self.names)
"""
        },
        """
from ipykernel.ipkernel import IPythonKernel

async def main():
    kernel = IPythonKernel()
    kernel.names = {"query": query}
    for number in range(2):
        await kernel.do_execute(f"query({number})", False)
""",
        ["job cell of a notebook"] * 2,
    ),
}

TAKEN = {
    "aio_pika": (
        {
            "aio_pika/queue.py": """
class QueueIterator:
    def __init__(self, queue, messages):
        self._amqp_queue, self.messages = queue, list(messages)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.messages:
            raise StopAsyncIteration
        return self.messages.pop(0)
"""
        },
        """
from aio_pika.queue import QueueIterator

async def main():
    async for number in QueueIterator(SimpleNamespace(name="orders"), range(2)):
        await aquery(number)
    query(2)
""",
        ["job message of orders"] * 2 + ["task main"],
    ),
    "aiokafka": (
        {
            "aiokafka/consumer/consumer.py": """
class AIOKafkaConsumer:
    def __init__(self, records):
        self.records = list(records)

    async def getone(self):
        return self.records.pop(0)

    async def getmany(self):
        return {record: [record] for record in self.records}

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.records:
            raise StopAsyncIteration
        return await self.getone()
"""
        },
        """
import collections
from aiokafka.consumer.consumer import AIOKafkaConsumer

async def main():
    records = [SimpleNamespace(topic="orders", value=number) for number in range(2)]
    async for record in AIOKafkaConsumer(records):
        await aquery(record.value)

async def batches():
    partitions = [collections.namedtuple("Partition", "topic")(topic) for topic in ("orders", "mails")]
    for partition in await AIOKafkaConsumer(partitions).getmany():
        await aquery(partition.topic)

asyncio.run(batches())
""",
        ["job message of mails, orders"] * 2 + ["job message of orders"] * 2,
    ),
    "confluent_kafka": (
        {
            "confluent_kafka/__init__.py": """
class _Consumer:
    __slots__ = ("messages",)

    def __init__(self, configuration):
        self.messages = configuration["messages"]

    def poll(self, timeout=-1):
        return self.messages.pop(0) if self.messages else None

    def consume(self, num_messages=1, timeout=-1):
        taken, self.messages[:] = self.messages[:num_messages], self.messages[num_messages:]
        return taken

_Consumer.__name__ = _Consumer.__qualname__ = "Consumer"
Consumer = _Consumer

class DeserializingConsumer(Consumer):
    def poll(self, timeout=-1):
        return super().poll(timeout)
"""
        },
        """
from confluent_kafka import Consumer, DeserializingConsumer

class Message:
    def __init__(self, failure=None):
        self.failure = failure

    def topic(self):
        return "orders"

    def error(self):
        return self.failure

async def main():
    consumer = Consumer({"messages": [Message(), Message("no such partition"), Message()]})
    assert type(consumer).__name__ == "Consumer"
    while (message := consumer.poll(1.0)) is not None:
        query(1)
    DeserializingConsumer({"messages": [Message()]}).poll(1.0)
    query(2)
    Consumer({"messages": [Message(), Message()]}).consume(2)
    query(3)
""",
        ["job message of orders", "task main"] + ["job message of orders"] * 3,
    ),
}


@pytest.mark.parametrize("library", CALLED)
def test_each_call_for_a_message_or_event_is_a_root(library: str, tmp_path: Path) -> None:
    modules, program, names = CALLED[library]
    for name, source in modules.items():
        module(tmp_path, name, source)
    trace = run(tmp_path, QUERY + program + "\nasyncio.run(main())\n")
    assert roots_of(trace, "job", "websocket") == [(name, "ok") for name in names]
    assert [each.root for each in trace.of("sql")] == names
    assert len({each.root_id for each in trace.of("sql")}) == len(names)


@pytest.mark.parametrize("library", TAKEN)
def test_each_message_that_a_loop_takes_is_a_root(library: str, tmp_path: Path) -> None:
    modules, program, names = TAKEN[library]
    for name, source in modules.items():
        module(tmp_path, name, source)
    trace = run(tmp_path, QUERY + program + "\nasyncio.run(main())\n")
    assert [each.root for each in trace.of("sql")] == names
    assert not trace.all("note")


def test_messages_that_a_request_takes_are_its_own(tmp_path: Path) -> None:
    modules, _, _ = TAKEN["aio_pika"]
    for name, source in modules.items():
        module(tmp_path, name, source)
    trace = run(
        tmp_path,
        QUERY
        + """
from aio_pika.queue import QueueIterator
from agentperf_runtime import root

async def main():
    with root("GET /stream", kind="request"):
        async for number in QueueIterator(SimpleNamespace(name="orders"), range(2)):
            await aquery(number)

asyncio.run(main())
""",
    )
    assert [each.root for each in trace.of("sql")] == ["request GET /stream"] * 2


def test_each_message_of_a_server_of_websockets_is_a_root(tmp_path: Path) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import websockets.asyncio.client, websockets.asyncio.server

async def answer(connection):
    async for number in connection:
        await connection.send(str(query(int(number))))

async def main():
    async with websockets.asyncio.server.serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/chat?token=x") as client:
            for number in range(3):
                await client.send(str(number))
                assert await client.recv() == str(number)

asyncio.run(main())
""",
    )
    assert [each.root for each in trace.of("sql")] == ["websocket WS /chat"] * 3
    assert len({each.root_id for each in trace.of("sql")}) == 3


def test_each_message_of_a_subscription_is_a_root(tmp_path: Path, redis_url: str) -> None:
    trace = run(
        tmp_path,
        QUERY
        + """
import os, redis, redis.asyncio
url = os.environ["REDIS_URL"]

async def main():
    async with redis.asyncio.from_url(url) as client, client.pubsub() as subscription:
        await subscription.subscribe("a")
        for number in range(2):
            await client.publish("a", number)
        taken = 0
        async for message in subscription.listen():
            if message["type"] == "message":
                query(message["data"])
                taken += 1
            if taken == 2:
                break

asyncio.run(main())
with redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as subscription:
    subscription.subscribe("b")
    client.publish("b", "x")
    while (message := subscription.get_message(timeout=1)) is None:
        pass
    query(message["data"])
""",
        environment={"REDIS_URL": redis_url},
    )
    assert [each.root for each in trace.of("sql")] == ["job message of a subscription"] * 3
    assert len({each.root_id for each in trace.of("sql")}) == 3
