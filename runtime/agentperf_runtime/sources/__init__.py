"""What is traced: for each module of a library, the function that instruments it once it is imported.

A source is a module of this package, loaded only when its library is. It raises what it likes when the library is not
as expected: the tracer undoes its patches and leaves a note.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

Install = Callable[[ModuleType, "Instrument"], None]


def _source(name: str, function: str = "install") -> Install:
    """The function of the source module `name`, which is imported when it is needed."""

    def install(module: ModuleType, instrument: Instrument) -> None:
        source: Any = importlib.import_module(f"{__name__}.{name}")
        getattr(source, function)(module, instrument)

    return install


def _uvloop(module: ModuleType, instrument: Instrument) -> None:
    instrument.handover.uvloop(module)
    _source("protocols", "install_uvloop")(module, instrument)


SOURCES: dict[str, Install] = {
    "threading": lambda module, instrument: instrument.handover.threads(module),
    "asyncio.base_events": lambda module, instrument: instrument.handover.loops(module),
    "uvloop": _uvloop,
    "concurrent.futures.thread": lambda module, instrument: instrument.handover.executors(module),
    "asgiref.current_thread_executor": lambda module, instrument: instrument.handover.asgiref(module),
    "anyio.to_thread": lambda module, instrument: instrument.handover.anyio(module),
    "asyncio.selector_events": _source("protocols"),
    "asyncio.tasks": _source("sleep"),
    "time": _source("sleep", "install_time"),
    "sqlite3.dbapi2": _source("sqlite"),
    "aiohttp.web_protocol": _source("aiohttp_server"),
    "aiohttp.web_ws": _source("aiohttp_server", "install_websockets"),
    "aio_pika.queue": _source("messages", "install_aio_pika"),
    "aiogram.dispatcher.dispatcher": _source("messages", "install_aiogram"),
    "aiokafka.consumer.consumer": _source("messages", "install_aiokafka"),
    "aiormq.channel": _source("messages", "install_aiormq"),
    "apscheduler.executors.base": _source("jobs", "install_apscheduler"),
    "apscheduler.executors.asyncio": _source("jobs", "install_apscheduler"),
    "apscheduler.executors.debug": _source("jobs", "install_apscheduler"),
    "apscheduler.executors.gevent": _source("jobs", "install_apscheduler"),
    "apscheduler.executors.pool": _source("jobs", "install_apscheduler"),
    "apscheduler.executors.tornado": _source("jobs", "install_apscheduler"),
    "arq.worker": _source("jobs", "install_arq"),
    "celery.signals": _source("celery"),
    "confluent_kafka": _source("messages", "install_confluent_kafka"),
    "discord.client": _source("messages", "install_discord"),
    "django.core.handlers.asgi": _source("django_requests", "install_asgi"),
    "django.core.handlers.base": _source("django_requests"),
    "django.core.handlers.wsgi": _source("django_requests", "install_wsgi"),
    "django.test.client": _source("django_requests", "install_test_client"),
    "dramatiq.worker": _source("jobs", "install_dramatiq"),
    "faststream._internal.endpoint.subscriber.usecase": _source("messages", "install_faststream"),
    "faststream.broker.subscriber.usecase": _source("messages", "install_faststream"),
    "flask.app": _source("flask"),
    "gradio.queueing": _source("events", "install_gradio"),
    "grpc._utilities": _source("grpc"),
    "http.server": _source("socket_server", "install_http"),
    "huey.api": _source("jobs", "install_huey"),
    "hypercorn.app_wrappers": _source("hypercorn"),
    "ipykernel.ipkernel": _source("events", "install_ipykernel"),
    "litestar.app": _source("litestar"),
    "marimo._runtime.runner.cell_runner": _source("events", "install_marimo"),
    "mcp.server.lowlevel.server": _source("jobs", "install_mcp"),
    "mcp.server.runner": _source("jobs", "install_mcp_runner"),
    "nats.aio.subscription": _source("messages", "install_nats"),
    "pika.adapters.blocking_connection": _source("messages", "install_pika"),
    "quart.app": _source("quart"),
    "rq.worker": _source("jobs", "install_rq"),
    "sanic.server.protocols.http_protocol": _source("sanic"),
    "saq.worker": _source("jobs", "install_saq"),
    "slack_bolt.app.app": _source("messages", "install_slack"),
    "slack_bolt.app.async_app": _source("messages", "install_async_slack"),
    "socketio.async_server": _source("jobs", "install_async_socketio"),
    "socketio.server": _source("jobs", "install_socketio"),
    "socketserver": _source("socket_server"),
    "starlette.applications": _source("starlette"),
    "streamlit.runtime.scriptrunner.script_runner": _source("events", "install_streamlit"),
    "taskiq.receiver.receiver": _source("jobs", "install_taskiq"),
    "telegram.ext._application": _source("messages", "install_telegram"),
    "tornado.web": _source("tornado"),
    "uvicorn.protocols.http.h11_impl": _source("uvicorn"),
    "uvicorn.protocols.http.httptools_impl": _source("uvicorn"),
    "uvicorn.protocols.http.zttp_h2_impl": _source("uvicorn"),
    "uvicorn.protocols.http.zttp_impl": _source("uvicorn"),
    "uvicorn.protocols.websockets.websockets_impl": _source("uvicorn"),
    "uvicorn.protocols.websockets.websockets_sansio_impl": _source("uvicorn"),
    "uvicorn.protocols.websockets.wsproto_impl": _source("uvicorn"),
    "websockets.asyncio.server": _source("messages", "install_websockets"),
    "websockets.sync.server": _source("messages", "install_sync_websockets"),
    "_pytest.assertion": _source("tests", "install_rewriting"),
    "_pytest.runner": _source("tests", "install_pytest"),
    "anyio._backends._asyncio": _source("tests", "install_anyio"),
    "unittest.case": _source("tests", "install_unittest"),
    "aiosqlite.core": _source("sqlite", "install_aiosqlite"),
    "psycopg": _source("psycopg"),
    "psycopg2": _source("psycopg2"),
    "psycopg2.extras": _source("psycopg2", "install_extras"),
    "asyncpg.connection": _source("asyncpg"),
    "asyncpg.prepared_stmt": _source("asyncpg", "install_statements"),
    "asyncpg.cursor": _source("asyncpg", "install_cursors"),
    "pymysql.cursors": _source("mysql"),
    "MySQLdb.cursors": _source("mysql"),
    "aiomysql.cursors": _source("mysql", "install_aiomysql"),
    "greenlet": _source("sqlalchemy", "install_greenlet"),
    "sqlalchemy.engine.create": _source("sqlalchemy"),
    "sqlalchemy.engine.base": _source("sqlalchemy", "install_connections"),
    "sqlalchemy.orm.strategies": _source("relations", "sqlalchemy"),
    "django.db.models.fields.related_descriptors": _source("relations", "django"),
    "tortoise.backends.base.executor": _source("relations", "tortoise"),
    "jinja2.environment": _source("jinja2"),
    "mako.template": _source("templates", "install_mako"),
    "tornado.template": _source("templates", "install_tornado"),
    "peewee": _source("relations", "peewee"),
    "playhouse.pwasyncio": _source("peewee"),
    "databases.core": _source("databases"),
    "httpx": _source("httpx"),
    "httpx2": _source("httpx"),
    "aiohttp.client": _source("aiohttp"),
    "requests.sessions": _source("requests"),
    "urllib3.connectionpool": _source("urllib3", "install_pools"),
    "urllib3.poolmanager": _source("urllib3", "install_manager"),
    "urllib.request": _source("stdlib_http", "install_urllib"),
    "http.client": _source("stdlib_http", "install_client"),
    "openai._base_client": _source("llm"),
    "anthropic._base_client": _source("llm"),
    "redis.client": _source("redis"),
    "redis.asyncio.client": _source("redis", "install_async"),
    "redis.cluster": _source("redis", "install_cluster"),
    "redis.asyncio.cluster": _source("redis", "install_async_cluster"),
    "valkey.client": _source("redis"),
    "valkey.asyncio.client": _source("redis", "install_async"),
    "valkey.cluster": _source("redis", "install_cluster"),
    "valkey.asyncio.cluster": _source("redis", "install_async_cluster"),
    "pymongo.monitoring": _source("pymongo"),
    "io": _source("files"),
    "pathlib": _source("files", "install_pathlib"),
    "subprocess": _source("processes"),
    "os": _source("processes", "install_os"),
    "asyncio.subprocess": _source("processes", "install_asyncio"),
}
