"""peewee's asyncio layer, which runs queries in a greenlet, like SQLAlchemy; peewee itself is seen by its drivers."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources import calls
from agentperf_runtime.sources.calls import Call

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `playhouse.pwasyncio`: recorded in the greenlet, where the application's frames are."""
    traced = calls.synchronous(instrument, "sql", _describe, blocking=False)
    instrument.patches.replace(module.AsyncDatabaseMixin, "execute_sql", traced)


def _describe(database: Any, sql: str, params: Any = None) -> Call:
    return Call(sql, params)
