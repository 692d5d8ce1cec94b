"""databases, which executes through asyncpg, aiosqlite and aiomysql."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `databases.core`: rows given together are one operation, though each is a statement of its own."""
    traced = calls.awaited(instrument, "sql", _describe_many)
    instrument.patches.replace(module.Connection, "execute_many", traced)


def _describe_many(connection: Any, query: Any, values: Any) -> Call:
    return Call(str(query), batch=dbapi.length_of(values))
