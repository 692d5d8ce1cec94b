"""Modules under the names of libraries that are not there, and what programs that use them have in common."""

from __future__ import annotations

from pathlib import Path

QUERY = """
import asyncio, sqlite3
from types import SimpleNamespace
connection = sqlite3.connect(":memory:", check_same_thread=False)

def query(value):
    return connection.execute("select ?", (value,)).fetchone()[0]

async def aquery(value):
    return query(value)
"""


def module(directory: Path, name: str, source: str) -> None:
    """A module and the packages around it: without their `__init__` an installed one of the name would come first."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    for package in Path(name).parents[:-1]:
        (directory / package / "__init__.py").touch()
