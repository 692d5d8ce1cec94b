"""SQLAlchemy, and greenlets, through which it runs synchronous code on asynchronous drivers.

Statements are recorded by the drivers, which costs less than recording them here. Where a driver is not traced, and
where it is asynchronous (so that the application's frames are in another greenlet than the driver's), the dialect's
methods record them and the driver is silent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call, Result

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_HOUSEKEEPING = ("initialize", "do_ping", "has_table", "has_multi_table", "has_index", "has_sequence")
"""Methods of a dialect that execute statements of their own: once for an engine, for each checkout, for each table."""


_ALIASES = (
    ("sqlalchemy", "create_engine"),
    ("sqlalchemy.engine", "create_engine"),
    ("sqlalchemy.ext.asyncio.engine", "_create_engine"),
)
"""Where `create_engine` is known too when a tracer is started after SQLAlchemy was imported."""


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `sqlalchemy.engine.create`: the class of a dialect is patched when an engine is made for it."""
    dialects = _Dialects(instrument)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def create_engine(*args: Any, **kwargs: Any) -> Any:
            engine = original(*args, **kwargs)
            dialects.instrument(engine)
            return engine

        return create_engine

    instrument.patches.replace(module, "create_engine", make)
    for name, function in _ALIASES:
        if hasattr(sys.modules.get(name), function):
            instrument.patches.replace(sys.modules[name], function, lambda original: module.create_engine)
    default = sys.modules.get("sqlalchemy.engine.default")
    if default is not None and hasattr(default, "DefaultDialect"):
        for dialect in _subclasses(default.DefaultDialect):
            dialects.instrument_class(dialect, records=dialect.is_async)


def _subclasses(cls: Any) -> Iterator[Any]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


class _Dialects:
    """Patches dialects, each class once."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._patched: set[Any] = set()

    def instrument(self, engine: Any) -> None:
        """Instrument the class of the dialect that an engine uses. Never raises."""
        try:
            dialect = engine.dialect
            driver = getattr(getattr(dialect, "dbapi", None), "__name__", "")
            self.instrument_class(type(dialect), dialect.is_async or driver not in dbapi.traced_modules)
        except Exception as error:
            self._instrument.note(f"statements of {engine!r} are not traced: {type(error).__name__}")

    def instrument_class(self, cls: Any, records: bool) -> None:
        """Silence the housekeeping of dialects of this class; `records`: their statements are recorded here."""
        for name in _HOUSEKEEPING:
            self._replace(cls, name, calls.silently(self._instrument))
        if records:
            for name in ("do_execute", "do_execute_no_params", "do_executemany"):
                self._replace(cls, name, _statement(self._instrument, name))

    def _replace(self, cls: Any, name: str, make: Callable[[Any], Any]) -> None:
        if getattr(cls, name, None) in self._patched or not hasattr(cls, name):
            return
        self._instrument.patches.replace(cls, name, make)
        self._patched.add(getattr(cls, name))


def _statement(instrument: Instrument, name: str) -> Any:
    record, hash_of = instrument.recorder.record, instrument.recorder.hash_of

    def carried(args: tuple[Any, ...]) -> tuple[int, int]:
        """Hash of the parameters and batch."""
        if name == "do_executemany":
            return 0, dbapi.length_of(args[1])
        return hash_of(args[1]) if name == "do_execute" else (0, 0)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(dialect: Any, cursor: Any, *args: Any, **kwargs: Any) -> Any:
            scope = scopes.current.get() or instrument.scopes.current()
            if scope.muted or len(args) < 2:
                return original(dialect, cursor, *args, **kwargs)
            token = scopes.current.set(scope.as_muted())
            start, blocking, failed = perf_counter_ns(), not dialect.is_async, RAISED
            try:
                returned = original(dialect, cursor, *args, **kwargs)
                failed = DONE
                return returned
            finally:
                end = perf_counter_ns()
                try:
                    scopes.current.reset(token)
                except ValueError:
                    pass  # ended in another context: its greenlet was dropped
                rows = -1 if failed else dbapi.rowcount_of(cursor)
                record("sql", args[0], start, *carried(args), rows, failed, blocking=blocking, end=end)

        return traced

    return make


def install_connections(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `sqlalchemy.engine.base`: one INSERT of many rows, however many statements the database needs."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def exec_insertmany(connection: Any, dialect: Any, context: Any) -> Any:
            pending = calls.begin(instrument, "sql", _describe_rows, (context,), {}, not dialect.is_async)
            if pending is None:
                return original(connection, dialect, context)
            try:
                returned = original(connection, dialect, context)
            except BaseException:
                pending.finish(Result(outcome=RAISED))
                raise
            pending.finish(Result())
            return returned

        return exec_insertmany

    if hasattr(module.Connection, "_exec_insertmany_context"):  # new in 2.0
        instrument.patches.replace(module.Connection, "_exec_insertmany_context", make)


def _describe_rows(context: Any) -> Call:
    return Call(context.statement, batch=dbapi.length_of(context.parameters))


def install_greenlet(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `greenlet`: where the stack of one ends, that of the one that runs it goes on."""
    stacks = instrument.recorder.stacks
    getcurrent, no_frame = module.getcurrent, stacks.parent_frame

    def parent_frame() -> FrameType | None:
        parent = getcurrent().parent
        return None if parent is None else parent.gr_frame

    stacks.parent_frame = parent_frame

    def undo() -> None:
        stacks.parent_frame = no_frame

    instrument.patches.on_undo(undo)
