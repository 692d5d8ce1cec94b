"""MySQL: pymysql and mysqlclient (`MySQLdb`), whose cursors are the same, and aiomysql."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_NAMES = ("query", "args")


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `pymysql.cursors` or `MySQLdb.cursors`."""
    cursor = getattr(module, "BaseCursor", None) or module.Cursor
    recorder, replace = instrument.recorder, instrument.patches.replace
    replace(cursor, "execute", lambda original: dbapi.execute(original, recorder, _NAMES, dbapi.longest_sequence))
    replace(cursor, "executemany", calls.synchronous(instrument, "sql", _describe_many))
    replace(cursor, "callproc", calls.synchronous(instrument, "sql", _describe_procedure))
    name = module.__name__.partition(".")[0]
    dbapi.traced_modules.add(name)
    instrument.patches.on_undo(lambda: dbapi.traced_modules.discard(name))


def install_aiomysql(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiomysql.cursors`."""
    cursor, recorder, replace = module.Cursor, instrument.recorder, instrument.patches.replace
    replace(
        cursor, "execute", lambda original: dbapi.awaited_execute(original, recorder, _NAMES, dbapi.longest_sequence)
    )
    replace(cursor, "executemany", calls.awaited(instrument, "sql", _describe_many))
    replace(cursor, "callproc", calls.awaited(instrument, "sql", _describe_procedure))


def _describe_many(cursor: Any, query: Any, args: Any) -> Call:
    text = dbapi.text_of(query, cursor)
    return Call(text if isinstance(text, str) else text.decode("utf-8", "replace"), batch=dbapi.length_of(args))


def _describe_procedure(cursor: Any, procname: str, args: Any = ()) -> Call:
    return Call(f"CALL {procname}", args)
