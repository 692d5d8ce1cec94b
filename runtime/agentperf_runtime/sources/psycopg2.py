"""psycopg2, of which connections and cursors are C types: `connect` is given subclasses of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_NAMES = ("query", "vars")
_FACTORY_POSITION = 1


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `psycopg2`."""
    factories = _Factories(module.extensions, instrument)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(*args: Any, **kwargs: Any) -> Any:
            if len(args) > _FACTORY_POSITION:
                args = (args[0], factories.connection(args[1]), *args[2:])
            else:
                kwargs["connection_factory"] = factories.connection(kwargs.get("connection_factory"))
            return original(*args, **kwargs)

        return connect

    instrument.patches.replace(module, "connect", make)
    dbapi.traced_modules.add(module.__name__)
    instrument.patches.on_undo(lambda: dbapi.traced_modules.discard(module.__name__))


def install_extras(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `psycopg2.extras`: its functions put many rows into few statements."""
    for name in ("execute_values", "execute_batch"):
        instrument.patches.replace(module, name, calls.synchronous(instrument, "sql", _describe_rows))
    # What SQLAlchemy and others ask each new connection.
    silently = calls.silently(instrument)
    instrument.patches.replace(
        module.HstoreAdapter, "get_oids", lambda original: lambda cls, *args: silently(original)(*args)
    )


def _describe_rows(cur: Any, sql: Any, argslist: Any, *args: Any, **kwargs: Any) -> Call:
    # The text is a template that has one placeholder for all rows.
    return Call(_text(sql, cur), batch=dbapi.length_of(argslist))


def _text(sql: Any, cursor: Any) -> str:
    text = dbapi.text_of(sql, cursor)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


class _Factories:
    """Traced subclasses of connections and cursors, one for each class."""

    def __init__(self, extensions: Any, instrument: Instrument) -> None:
        self._extensions = extensions
        self._instrument = instrument
        self._made: dict[type, type] = {}
        self._plain = self._traced_connection()

    def connection(self, base: Any) -> Any:
        """A subclass of the connection class `base`, or of the driver's own; what is no class is left alone."""
        if base is None or base is self._extensions.connection:
            return self._plain
        if not (isinstance(base, type) and issubclass(base, self._extensions.connection)):
            return base
        # Behind the application's classes, so that their `cursor` has chosen the factory when it comes to ours.
        return self._made.get(base) or self._make(base, (base, self._plain), {})

    def _traced_connection(self) -> type:
        connection = self._extensions.connection
        original = connection.cursor

        def cursor(self: Any, name: Any = None, cursor_factory: Any = None, *args: Any, **kwargs: Any) -> Any:
            factory = factories.cursor(cursor_factory or self.cursor_factory)
            return original(self, name, factory, *args, **kwargs)

        factories = self
        return self._make(connection, (connection,), {"cursor": cursor})

    def cursor(self, base: Any) -> Any:
        """A subclass of the cursor class `base`, or of the driver's own."""
        base = base or self._extensions.cursor
        if not (isinstance(base, type) and issubclass(base, self._extensions.cursor)):
            return base
        return self._made.get(base) or self._make(base, (base,), self._cursor_methods(base))

    def _cursor_methods(self, base: Any) -> dict[str, Any]:
        recorder = self._instrument.recorder
        return {
            "execute": dbapi.execute(base.execute, recorder, _NAMES, dbapi.longest_sequence),
            "executemany": calls.synchronous(self._instrument, "sql", _describe_many)(base.executemany),
            "callproc": calls.synchronous(self._instrument, "sql", _describe_procedure)(base.callproc),
            "copy_expert": calls.synchronous(self._instrument, "sql", _describe_copy)(base.copy_expert),
            "copy_from": calls.synchronous(self._instrument, "sql", _describe_copy_from)(base.copy_from),
            "copy_to": calls.synchronous(self._instrument, "sql", _describe_copy_to)(base.copy_to),
        }

    def _make(self, base: type, bases: tuple[type, ...], methods: dict[str, Any]) -> type:
        for name, method in methods.items():
            method.__name__ = name
            method.__doc__ = getattr(base, name).__doc__
        names = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
        made = self._made[base] = type(base.__name__, bases, {**methods, **names})
        return made


def _describe_many(cursor: Any, query: Any, vars_list: Any, *args: Any, **kwargs: Any) -> Call:
    return Call(_text(query, cursor), batch=dbapi.length_of(vars_list))


def _describe_procedure(cursor: Any, procname: str, parameters: Any = (), *args: Any) -> Call:
    return Call(f"CALL {procname}", parameters)


def _describe_copy(cursor: Any, sql: Any, *args: Any, **kwargs: Any) -> Call:
    return Call(_text(sql, cursor))


def _describe_copy_from(cursor: Any, file: Any, table: str, *args: Any, **kwargs: Any) -> Call:
    return Call(f"COPY {table} FROM STDIN")


def _describe_copy_to(cursor: Any, file: Any, table: str, *args: Any, **kwargs: Any) -> Call:
    return Call(f"COPY {table} TO STDOUT")
