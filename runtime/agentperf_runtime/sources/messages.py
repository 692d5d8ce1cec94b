"""Consumers of message brokers, and bots: a root for each message or update.

Most call the application's function from a task of theirs, which belongs to whoever connected; from others the
application takes one message after the other.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.sources.inbox import Inbox
from agentperf_runtime.sources.units import Unit, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install_aiogram(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiogram.dispatcher.dispatcher`."""
    unit = Unit("job", lambda dispatcher, bot, update, *others: _unless_served(f"update {update.event_type}"))
    instrument.patches.replace(module.Dispatcher, "feed_update", awaited(instrument, unit))


def install_aiokafka(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiokafka.consumer.consumer`; iterating over a consumer takes its messages by `getone`."""
    single = Inbox(instrument, lambda consumer, message: f"message of {message.topic}")
    several = Inbox(instrument, lambda consumer, batches: _of_topics(each.topic for each in batches))
    instrument.patches.replace(module.AIOKafkaConsumer, "getone", single.awaited)
    instrument.patches.replace(module.AIOKafkaConsumer, "getmany", several.awaited)


def install_aiormq(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiormq.channel`, which aio_pika is built on."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def basic_consume(channel: Any, queue: Any, consumer_callback: Any, *args: Any, **kwargs: Any) -> Any:
            if not _feeds_an_iterator(consumer_callback):
                unit = Unit("job", lambda message: f"message of {queue}")
                consumer_callback = awaited(instrument, unit)(_as_coroutine_function(consumer_callback))
            return original(channel, queue, consumer_callback, *args, **kwargs)

        return basic_consume

    instrument.patches.replace(module.Channel, "basic_consume", make)


def _feeds_an_iterator(callback: Any) -> bool:
    """Whether a callback of aio_pika only keeps the message for the application's loop over the queue."""
    inner = callback.args[0] if isinstance(callback, functools.partial) and callback.args else callback
    return hasattr(getattr(inner, "__self__", None), "__anext__")


def _as_coroutine_function(callback: Callable[..., Any]) -> Callable[..., Any]:
    async def called(message: Any) -> Any:
        returned = callback(message)
        return await returned if inspect.isawaitable(returned) else returned

    return called


def install_aio_pika(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aio_pika.queue`: loops over a queue."""
    inbox = Inbox(instrument, lambda iterator, message: f"message of {iterator._amqp_queue.name}")
    instrument.patches.replace(module.QueueIterator, "__anext__", inbox.awaited)


def install_confluent_kafka(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `confluent_kafka`: its consumer is C, so that a class of its own takes its place."""
    single = Inbox(instrument, lambda consumer, message: _of_kafka([message]))
    several = Inbox(instrument, lambda consumer, messages: _of_kafka(messages))
    original = module.Consumer
    methods = {
        "__doc__": original.__doc__,
        "__module__": original.__module__,
        "poll": functools.wraps(original.poll)(single.synchronous(original.poll)),
        "consume": functools.wraps(original.consume)(several.synchronous(original.consume)),
    }
    instrument.patches.replace(module, "Consumer", lambda consumer: type(consumer.__name__, (consumer,), methods))
    instrument.patches.replace(module.DeserializingConsumer, "poll", single.synchronous)


def _of_kafka(messages: Any) -> str | None:
    return _of_topics(each.topic() for each in messages if each is not None and each.error() is None)


def _of_topics(topics: Any) -> str | None:
    names = sorted(set(topics))
    return f"message of {', '.join(names)}" if names else None


def install_discord(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `discord.client`."""
    unit = Unit("job", lambda client, coro, event_name, *others, **named: f"event {event_name}")
    instrument.patches.replace(module.Client, "_run_event", awaited(instrument, unit))


def install_faststream(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `faststream._internal.endpoint.subscriber.usecase`, before 0.6 `faststream.broker.subscriber.usecase`.

    The broker's client may have begun the root.
    """

    def begun(subscriber: Any, message: Any) -> str | None:
        name = f"message for {getattr(subscriber, 'specification', subscriber).call_name}"
        scope = scopes.current.get()
        if scope is None or scope.root.kind != "job" or not str(scope.root.name).startswith("message "):
            return name
        if scope.root.sampled:
            scope.root.name = name
        return None

    unit = Unit("job", begun)
    instrument.patches.replace(module.SubscriberUsecase, "process_message", awaited(instrument, unit))


def install_nats(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `nats.aio.subscription`."""

    def named(subscription: Any, *others: Any) -> str:
        subject = str(subscription._subject)
        return "message of NATS" if subject.startswith("_INBOX.") else f"message of {subject}"

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(subscription: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            original(subscription, *args, **kwargs)
            callback = subscription._cb
            if callback is not None and not _is_of("nats", callback):
                unit = Unit("job", lambda message: named(subscription))
                subscription._cb = awaited(instrument, unit)(callback)

        return __init__

    inbox = Inbox(instrument, lambda iterator, message: named(iterator._sub))
    instrument.patches.replace(module.Subscription, "__init__", make)
    instrument.patches.replace(module._SubscriptionMessageIterator, "__anext__", inbox.awaited)


def _is_of(package: str, method: Any) -> bool:
    """Whether a callback is a library's own, for answers that somebody else waits for."""
    owner = type(getattr(method, "__self__", None))
    return owner.__module__.partition(".")[0] == package


def install_pika(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `pika.adapters.blocking_connection`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def basic_consume(channel: Any, queue: Any, on_message_callback: Any, *args: Any, **kwargs: Any) -> Any:
            unit = Unit("job", lambda *message: f"message of {queue}")
            traced = synchronous(instrument, unit)(on_message_callback)
            return original(channel, queue, traced, *args, **kwargs)

        return basic_consume

    instrument.patches.replace(module.BlockingChannel, "basic_consume", make)


def install_pubsub(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `redis.client`'s subscriptions. Channels are not named: many are made for one user each."""
    instrument.patches.replace(module.PubSub, "parse_response", _pubsub(instrument).synchronous)


def install_async_pubsub(module: ModuleType, instrument: Instrument) -> None:
    """Instrument those of `redis.asyncio.client`."""
    instrument.patches.replace(module.PubSub, "parse_response", _pubsub(instrument).awaited)


def _pubsub(instrument: Instrument) -> Inbox:
    def named(pubsub: Any, response: Any) -> str | None:
        kind = response[0] if isinstance(response, list) and response else b""
        kind = kind.encode() if isinstance(kind, str) else kind
        return "message of a subscription" if kind in (b"message", b"pmessage", b"smessage") else None

    return Inbox(instrument, named)


def install_slack(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `slack_bolt.app.app`."""
    unit = Unit("job", lambda app, request: _unless_served("event of Slack"))
    instrument.patches.replace(module.App, "dispatch", synchronous(instrument, unit))


def install_async_slack(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `slack_bolt.app.async_app`."""
    unit = Unit("job", lambda app, request: _unless_served("event of Slack"))
    instrument.patches.replace(module.AsyncApp, "async_dispatch", awaited(instrument, unit))


def install_telegram(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `telegram.ext._application`."""
    unit = Unit("job", lambda application, update: _unless_served("update of Telegram"))
    instrument.patches.replace(module.Application, "process_update", awaited(instrument, unit))


def install_websockets(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `websockets.asyncio.server`: a root for each message of a client."""
    inbox = Inbox(instrument, _websocket, "websocket")
    instrument.patches.replace(module.ServerConnection, "recv", inbox.awaited)


def install_sync_websockets(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `websockets.sync.server`."""
    inbox = Inbox(instrument, _websocket, "websocket")
    instrument.patches.replace(module.ServerConnection, "recv", inbox.synchronous)


def _websocket(connection: Any, message: Any) -> scopes.Target:
    return scopes.Target("WS", connection.request.path.partition("?")[0])


def _unless_served(name: str) -> str | None:
    """`name`, but None where the update came as a request, which is a root already."""
    scope = scopes.current.get()
    return None if scope is not None and scope.root.kind == "request" else name
