"""Drivers that have no source of their own: an application says which, with `trace_dbapi(module)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from agentperf_runtime import tracer
from agentperf_runtime.sources import calls, dbapi
from agentperf_runtime.sources.calls import Call
from agentperf_runtime.tasks import Handover
from agentperf_runtime.tracer import Instrument


def trace_dbapi(module: ModuleType) -> None:
    """Record what is executed on connections that `module.connect` makes from now on.

    `module` is any synchronous DB-API 2.0 driver. Classes of connections and cursors are patched; where they do not
    allow it (C types), connections are wrapped, so that `isinstance` no longer holds for them. Does nothing where no
    tracer runs and for drivers that are traced anyway.
    """
    active = tracer.active()
    if active is None or module.__name__ in dbapi.traced_modules:
        return
    handover = Handover(active.recorder, active.scopes, active.patches)
    driver = _Driver(
        Instrument(active.recorder, active.scopes, handover, active.patches, active.note, active.see_imports_first)
    )
    active.patches.replace(module, "connect", driver.connect)


class _Driver:
    """Traces the connections of a driver and their cursors."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._patched: set[Any] = set()

    def connect(self, original: Callable[..., Any]) -> Any:
        """The replacement of the driver's `connect`."""

        def connect(*args: Any, **kwargs: Any) -> Any:
            return self.connection(original(*args, **kwargs))

        return connect

    def connection(self, connection: Any) -> Any:
        """`connection`, traced, or what stands for it."""
        if self._patch(type(connection), {"cursor": self._cursor_method}):
            return connection
        return _Connection(connection, self)

    def cursor(self, cursor: Any) -> Any:
        """`cursor`, traced, or what stands for it."""
        if self._patch(type(cursor), self.methods()):
            return cursor
        return _Cursor(cursor, self)

    def methods(self) -> dict[str, Callable[[Any], Any]]:
        """For each method of a cursor what makes its replacement."""
        recorder = self._instrument.recorder
        return {
            "execute": lambda original: dbapi.execute(original, recorder),
            # It may call `execute`.
            "executemany": calls.synchronous(self._instrument, "sql", _describe_many),
            "callproc": calls.synchronous(self._instrument, "sql", _describe_procedure),
        }

    def _cursor_method(self, original: Callable[..., Any]) -> Any:
        def cursor(connection: Any, *args: Any, **kwargs: Any) -> Any:
            return self.cursor(original(connection, *args, **kwargs))

        return cursor

    def _patch(self, cls: Any, methods: dict[str, Callable[[Any], Any]]) -> bool:
        """Whether the class is patched, now or before."""
        try:
            for name, make in methods.items():
                if hasattr(cls, name) and getattr(cls, name) not in self._patched:
                    self._instrument.patches.replace(cls, name, make)
                    self._patched.add(getattr(cls, name))
        except (AttributeError, TypeError):
            return False
        return True


def _describe_many(cursor: Any, operation: Any, parameters: Any) -> Call:
    text = dbapi.text_of(operation, cursor)
    return Call(text if isinstance(text, str) else text.decode("utf-8", "replace"), batch=dbapi.length_of(parameters))


def _describe_procedure(cursor: Any, name: str, parameters: Any = (), *args: Any) -> Call:
    return Call(f"CALL {name}", parameters)


class _Proxy:
    """Behaves as `target`, of whose class nothing can be replaced."""

    __slots__ = ("_driver", "_target")

    def __init__(self, target: Any, driver: _Driver) -> None:
        object.__setattr__(self, "_target", target)
        object.__setattr__(self, "_driver", driver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target, name, value)

    def __enter__(self) -> Any:
        self._target.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self._target.__exit__(*error)


class _Connection(_Proxy):
    __slots__ = ()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        return self._driver.cursor(self._target.cursor(*args, **kwargs))


class _Cursor(_Proxy):
    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._target)

    def __next__(self) -> Any:
        return next(self._target)

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("execute", args, kwargs)

    def executemany(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("executemany", args, kwargs)

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("callproc", args, kwargs)

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target = self._target
        result = self._driver.methods()[name](getattr(type(target), name))(target, *args, **kwargs)
        return self if result is target else result
