"""sqlite3, and aiosqlite, which runs it in a thread of its own.

Connections and cursors are C types: `connect` is given subclasses of them, of the ones that the application passes
itself too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources import calls
from agentperf_runtime.sources.dbapi import execute, execute_plain, executemany, traced_modules

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_FACTORY_POSITION = 5
_WITHOUT_STATEMENTS = frozenset({"close", "commit", "cursor", "fetchall", "fetchmany", "fetchone", "rollback"})


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `sqlite3.dbapi2`."""
    factories = _Factories(module, instrument)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(*args: Any, **kwargs: Any) -> Any:
            if len(args) > _FACTORY_POSITION:
                factory = factories.connection(args[_FACTORY_POSITION])
                args = (*args[:_FACTORY_POSITION], factory, *args[_FACTORY_POSITION + 1 :])
            else:
                kwargs["factory"] = factories.connection(kwargs.get("factory", module.Connection))
            return original(*args, **kwargs)

        return connect

    instrument.patches.replace(module, "connect", make)
    traced_modules.add(module.__name__)
    instrument.patches.on_undo(lambda: traced_modules.discard(module.__name__))
    package = sys.modules.get("sqlite3")
    if package is not None and hasattr(package, "connect"):
        instrument.patches.replace(package, "connect", lambda original: module.connect)


class _Factories:
    """Traced subclasses of connections and cursors, one for each class."""

    def __init__(self, module: ModuleType, instrument: Instrument) -> None:
        self._module = module
        self._recorder = instrument.recorder
        self._scripted = calls.synchronous(instrument, "sql", _describe_script)
        self._made: dict[type, type] = {}

    def connection(self, base: Any) -> Any:
        """A subclass of the connection class `base`; what is no class is left alone."""
        if not (isinstance(base, type) and issubclass(base, self._module.Connection)):
            return base
        if base in self._made:
            return self._made[base]
        methods = {"cursor": self._cursor_method(base)}
        is_plain = getattr(base, "cursor") is self._module.Connection.cursor  # noqa: B009  # a type that mypy cannot know
        for name in ("execute", "executemany"):
            # The C methods make a plain cursor of their own; what an application overrides calls one or the other.
            if getattr(base, name) is getattr(self._module.Connection, name):
                methods[name] = self._short_cut(name) if is_plain else _by_cursor(name)
        methods["executescript"] = self._scripted(getattr(base, "executescript"))  # noqa: B009
        return self._make(base, methods)

    def _short_cut(self, name: str) -> Callable[..., Any]:
        """A connection's method `name`: that of a new cursor."""
        plain = self.cursor(self._module.Cursor)
        new, method_of = self._module.Connection.cursor, getattr(plain, name)

        def method(connection: Any, sql: Any, parameters: Any = ()) -> Any:
            return method_of(new(connection, plain), sql, parameters)

        return method

    def cursor(self, base: Any) -> Any:
        """The same for a cursor class."""
        if not (isinstance(base, type) and issubclass(base, self._module.Cursor)):
            return base
        if base in self._made:
            return self._made[base]
        original: Any = base  # a type that mypy cannot know
        # An application's `execute` may tell a call without parameters from one with none.
        replacement = execute_plain if original.execute is self._module.Cursor.execute else execute
        methods = {
            "execute": replacement(original.execute, self._recorder),
            "executemany": executemany(original.executemany, self._recorder),
            "executescript": self._scripted(original.executescript),
        }
        return self._make(base, methods)

    def _cursor_method(self, base: Any) -> Callable[..., Any]:
        original = base.cursor
        plain = self.cursor(self._module.Cursor)

        def cursor(connection: Any, factory: Any = None) -> Any:
            return original(connection, plain if factory is None else self.cursor(factory))

        return cursor

    def _make(self, base: type, methods: dict[str, Any]) -> type:
        for name, method in methods.items():
            method.__name__ = name
            method.__doc__ = getattr(base, name).__doc__
        names: dict[str, Any] = {
            "__slots__": (),
            "__module__": base.__module__,
            "__qualname__": base.__qualname__,
            "__doc__": base.__doc__,
        }
        made = self._made[base] = type(base.__name__, (base,), {**methods, **names})
        return made


def _describe_script(connection: Any, sql_script: str) -> calls.Call:
    return calls.Call(sql_script)


def _by_cursor(name: str) -> Callable[..., Any]:
    """A connection's shortcut for a new cursor's method `name`."""

    def method(connection: Any, *args: Any) -> Any:
        return getattr(connection.cursor(), name)(*args)

    return method


def install_aiosqlite(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `aiosqlite.core`: its thread works for whoever awaits it."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def _execute(self: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if getattr(fn, "__name__", "") in _WITHOUT_STATEMENTS:
                return original(self, fn, *args, **kwargs)
            return original(self, instrument.handover.carried(fn), *args, **kwargs)

        return _execute

    instrument.patches.replace(module.Connection, "_execute", make)
    # It asks for the number of the row as well.
    instrument.patches.replace(
        module.Connection, "_execute_insert", calls.synchronous(instrument, "sql", _describe_insert)
    )


def _describe_insert(connection: Any, sql: str, parameters: Any) -> calls.Call:
    return calls.Call(sql, parameters)
