"""asyncpg: connections (pools and transactions go through them), prepared statements and cursors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sized
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.scopes import is_muted
from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.tracer import Instrument

_HOUSEKEEPING = re.compile(r"\s*(?:;|BEGIN\b|COMMIT\b|ROLLBACK\b|SAVEPOINT\b|RELEASE SAVEPOINT\b)")
"""What transactions and checks of a connection execute."""

Text = Callable[[Any, "tuple[Any, ...]"], "tuple[str, Any]"]
"""Reads the statement's text and its arguments from `(self, args)`."""


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncpg.connection`."""
    connection = module.Connection
    recorder, replace = instrument.recorder, instrument.patches.replace
    replace(connection, "fetchval", lambda original: _query(original, recorder, _of_connection, _unknown))
    for name in ("execute", "fetch"):
        replace(connection, name, lambda original: _query(original, recorder, _of_connection))
    replace(connection, "fetchrow", lambda original: _query(original, recorder, _of_connection, _rows_of_row))
    for name in ("executemany", "fetchmany"):
        if hasattr(connection, name):  # fetchmany is new in 0.30
            replace(connection, name, calls.awaited(instrument, "sql", _describe_many))
    for name, describe in _COPIES.items():
        replace(connection, name, calls.awaited(instrument, "sql", describe))
    # What a pool does when a connection comes back to it.
    replace(connection, "reset", calls.awaited_silently(instrument))


def install_statements(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncpg.prepared_stmt`."""
    statement = module.PreparedStatement
    recorder, replace = instrument.recorder, instrument.patches.replace
    replace(statement, "fetch", lambda original: _query(original, recorder, _of_statement))
    replace(statement, "fetchval", lambda original: _query(original, recorder, _of_statement, _unknown))
    replace(statement, "fetchrow", lambda original: _query(original, recorder, _of_statement, _rows_of_row))
    for name in ("executemany", "fetchmany"):
        if hasattr(statement, name):
            replace(statement, name, calls.awaited(instrument, "sql", _describe_many_of_statement))


def install_cursors(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncpg.cursor`: a cursor is one operation, over with its first rows."""
    for name in ("_bind_exec", "_bind"):
        instrument.patches.replace(
            module.BaseCursor, name, lambda original: _query(original, instrument.recorder, _of_cursor)
        )


def _rows_of(result: Any) -> int:
    if type(result) is list:
        return len(result)
    if type(result) is str:  # the server's word: "INSERT 0 3", "SELECT 5"
        count = result.rpartition(" ")[2]
        return int(count) if count.isdigit() else -1
    return -1


def _query(
    original: Callable[..., Any], recorder: Recorder, text: Text, rows_of: Callable[[Any], int] = _rows_of
) -> Any:
    async def query(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_muted():
            return await original(self, *args, **kwargs)
        start = recorder.started()
        try:
            result = await original(self, *args, **kwargs)
        except BaseException:
            note(self, args, kwargs, start, RAISED, None)
            raise
        note(self, args, kwargs, start, DONE, result)
        return result

    def note(self: Any, args: tuple[Any, ...], kwargs: dict[str, Any], start: int, outcome: int, result: Any) -> None:
        try:
            statement, arguments = text(self, args or (kwargs.get("query", ""),))
            if _HOUSEKEEPING.match(statement):
                return
            params, batch = recorder.hash_of(arguments)
            rows = rows_of(result) if outcome == DONE else -1
        except Exception:
            recorder.errors += 1
            return
        recorder.record("sql", statement, start, params, batch, rows, outcome, blocking=False, depth=3)

    return query


def _of_connection(connection: Any, args: tuple[Any, ...]) -> tuple[str, Any]:
    return args[0], args[1:]


def _of_statement(statement: Any, args: tuple[Any, ...]) -> tuple[str, Any]:
    return statement._query, args


def _of_cursor(cursor: Any, args: tuple[Any, ...]) -> tuple[str, Any]:
    return cursor._query, cursor._args


def _unknown(result: Any) -> int:
    return -1


def _rows_of_row(result: Any) -> int:
    return 0 if result is None else 1


def _describe_many(connection: Any, command: str, args: Any, **kwargs: Any) -> Call:
    return Call(command, batch=dbapi.length_of(args))


def _describe_many_of_statement(statement: Any, args: Any, **kwargs: Any) -> Call:
    return Call(statement._query, batch=dbapi.length_of(args))


def _describe_copy_from_table(connection: Any, table_name: str, **kwargs: Any) -> Call:
    return Call(f"COPY {table_name} TO STDOUT")


def _describe_copy_from_query(connection: Any, query: str, *args: Any, **kwargs: Any) -> Call:
    return Call(f"COPY ({query}) TO STDOUT", args)


def _describe_copy_to_table(connection: Any, table_name: str, **kwargs: Any) -> Call:
    return Call(f"COPY {table_name} FROM STDIN")


def _describe_copy_records(connection: Any, table_name: str, *, records: Any, **kwargs: Any) -> Call:
    return Call(f"COPY {table_name} FROM STDIN", batch=len(records) if isinstance(records, Sized) else 2)


_COPIES: dict[str, calls.Describe] = {
    "copy_from_table": _describe_copy_from_table,
    "copy_from_query": _describe_copy_from_query,
    "copy_to_table": _describe_copy_to_table,
    "copy_records_to_table": _describe_copy_records,
}
