"""psycopg 3: its cursors, which connections execute through, `COPY` and pipelines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.sources import dbapi

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.sites import Site
    from agentperf_runtime.tracer import Instrument

_NAMES = ("query", "params")
_MANY = ("query", "params_seq")

_pipelines: WeakKeyDictionary[Any, Queued] = WeakKeyDictionary()


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `psycopg`."""
    recorder, replace = instrument.recorder, instrument.patches.replace
    for cursor in (module.Cursor, module.ServerCursor):
        replace(cursor, "execute", lambda original: _execute(original, recorder))
    for cursor in (module.AsyncCursor, module.AsyncServerCursor):
        replace(cursor, "execute", lambda original: _awaited_execute(original, recorder))
    replace(module.Cursor, "executemany", lambda original: dbapi.executemany(original, recorder, _MANY))
    replace(module.AsyncCursor, "executemany", lambda original: dbapi.awaited_executemany(original, recorder, _MANY))
    replace(module.Cursor, "copy", lambda original: _copy(original, recorder))
    replace(module.AsyncCursor, "copy", lambda original: _async_copy(original, recorder))
    base = _base(module.Cursor, "_stream_send_gen")
    replace(base, "_stream_send_gen", lambda original: _stream(original, recorder))
    pipeline = _base(module.Pipeline, "_fetch_gen")
    for name in ("_fetch_gen", "_exit_gen"):
        replace(pipeline, name, lambda original: _answered(original, recorder))
    dbapi.traced_modules.add(module.__name__)
    instrument.patches.on_undo(lambda: dbapi.traced_modules.discard(module.__name__))


def _base(cls: type, name: str) -> type:
    """The class of `cls`'s bases that has `name`: what synchronous and asynchronous ones share."""
    return next(base for base in cls.__mro__ if name in vars(base))


def _execute(original: Callable[..., Any], recorder: Recorder) -> Any:
    traced = dbapi.execute(original, recorder, _NAMES)

    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._conn._pipeline is not None:
            queue(self, args, kwargs, recorder)
        elif not (args and args[0] == ""):  # what a pool asks to see whether a connection is alive
            return traced(self, *args, **kwargs)
        return original(self, *args, **kwargs)

    return execute


def _awaited_execute(original: Callable[..., Any], recorder: Recorder) -> Any:
    traced = dbapi.awaited_execute(original, recorder, _NAMES)

    async def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._conn._pipeline is not None:
            queue(self, args, kwargs, recorder)
        elif not (args and args[0] == ""):
            return await traced(self, *args, **kwargs)
        return await original(self, *args, **kwargs)

    return execute


def _stream(original: Callable[..., Any], recorder: Recorder) -> Any:
    """`Cursor.stream`: one operation, over once the query is sent; its rows are the application's to take."""
    describe = dbapi.describer(recorder, _NAMES)

    def stream_send_gen(self: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        start, failed = recorder.started(), RAISED
        try:
            result = yield from original(self, *args, **kwargs)
            failed = DONE
            return result
        finally:
            recorder.record("sql", *describe(self, args, kwargs, start), -1, failed, blocking=_is_blocking(self))

    return stream_send_gen


def _is_blocking(cursor: Any) -> bool:
    return not hasattr(cursor, "__aenter__")


def _copy(original: Callable[..., Any], recorder: Recorder) -> Any:
    describe = dbapi.describer(recorder, ("statement", "params"))

    @contextmanager
    def copy(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        start, site, failed = recorder.started(), recorder.here(), RAISED
        try:
            with original(self, *args, **kwargs) as copying:
                yield copying
            failed = DONE
        finally:
            rows = dbapi.rowcount_of(self)
            recorder.record("sql", *describe(self, args, kwargs, start), rows, failed, site=site)

    return copy


def _async_copy(original: Callable[..., Any], recorder: Recorder) -> Any:
    describe = dbapi.describer(recorder, ("statement", "params"))

    @asynccontextmanager
    async def copy(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        start, site, failed = recorder.started(), recorder.here(), RAISED
        try:
            async with original(self, *args, **kwargs) as copying:
                yield copying
            failed = DONE
        finally:
            rows = dbapi.rowcount_of(self)
            recorder.record("sql", *describe(self, args, kwargs, start), rows, failed, site=site, blocking=False)

    return copy


# --- pipelines --------------------------------------------------------------------------------------------


class Queued:
    """Statements of a pipeline that wait for their answers: those of one text and place are one operation."""

    def __init__(self) -> None:
        self.start = 0
        self.blocking = True
        self.commands: dict[tuple[Any, Site | None], list[int]] = {}


def queue(cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any], recorder: Recorder) -> None:
    """Note a statement that a pipeline sends without waiting for the answer. Never raises."""
    try:
        pipeline = cursor._conn._pipeline
        queued = _pipelines.get(pipeline) or _pipelines.setdefault(pipeline, Queued())
        if not queued.commands:
            queued.start = recorder.started()
            queued.blocking = _is_blocking(cursor)
        text, _, params, _ = dbapi.describer(recorder, _NAMES)(cursor, args, kwargs, 0)
        queued.commands.setdefault((text, recorder.here(2)), []).append(params)
    except Exception:
        recorder.errors += 1


def _answered(original: Callable[..., Any], recorder: Recorder) -> Any:
    """What waits for the answers of a pipeline: there, and not where statements are queued, time is spent."""

    def wait(self: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        failed = RAISED
        try:
            result = yield from original(self, *args, **kwargs)
            failed = DONE
            return result
        finally:
            queued = _pipelines.pop(self, None)
            if queued is not None:
                _record_queued(queued, failed, recorder)

    return wait


def _record_queued(queued: Queued, failed: int, recorder: Recorder) -> None:
    for (text, site), params in queued.commands.items():
        batch = len(params) if len(params) > 1 else 0
        recorder.record(
            "sql", text, queued.start, recorder.hash_of(tuple(params))[0] if batch else params[0], batch, -1, failed,
            blocking=queued.blocking, site=site,
        )  # fmt: skip
