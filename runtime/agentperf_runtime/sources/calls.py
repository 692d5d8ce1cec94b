"""Wrappers of calls that take long compared to what recording costs: clients' methods, synchronous and awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from agentperf_runtime import scopes
from agentperf_runtime.recorder import DONE, RAISED

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.sites import Site
    from agentperf_runtime.tracer import Instrument


class Call(NamedTuple):
    """What is called: text of the operation, what tells it from others (only hashed), elements it carries (0: one)."""

    text: str
    key: Any = ()
    batch: int = 0


class Result(NamedTuple):
    """How it ended: rows that came back (-1: unknown), outcome (0, or a status that is no success), tokens."""

    rows: int = -1
    outcome: int = DONE
    tokens: tuple[int, int, int] | None = None


Describe = Callable[..., "Call | None"]
"""Reads a call's arguments (`self` first); None leaves the call unrecorded."""

Inspect = Callable[[Any], Result]
"""Reads what a call returned."""


def _unknown(result: Any) -> Result:
    return Result()


class Pending:
    """An operation that has begun. `finish` records it, once."""

    __slots__ = ("_call", "_kind", "_params", "_recorder", "_site", "_start", "_token", "blocking")

    def __init__(self, instrument: Instrument, kind: str, call: Call, blocking: bool) -> None:
        recorder = instrument.recorder
        scope = instrument.scopes.current()
        self._recorder: Recorder = recorder
        self._kind = kind
        self._call = call
        self._site: Site | None = recorder.here(2)
        self._params, batch = recorder.hash_of(call.key)
        if not call.batch and batch:
            self._call = call._replace(batch=batch)
        self.blocking = blocking
        self._token: Any = None if scope.muted else scopes.current.set(scope.as_muted())
        self._start = recorder.started()

    def leave(self) -> None:
        """What follows in this context is no longer part of the operation."""
        if self._token is not None:
            token, self._token = self._token, None
            try:
                scopes.current.reset(token)
            except ValueError:
                pass  # ended in another context: a generator that was dropped

    def finish(self, result: Result) -> None:
        """Record the operation as ended now, unless it is a part of another one."""
        is_recorded = self._token is not None
        self.leave()
        if is_recorded:
            self.record(result)

    def record(self, result: Result) -> None:
        """Record the operation as ended now, after `leave`."""
        call = self._call
        self._recorder.record(
            self._kind, call.text, self._start, self._params, call.batch, result.rows, result.outcome, result.tokens,
            blocking=self.blocking, site=self._site,
        )  # fmt: skip


def begin(instrument: Instrument, kind: str, describe: Describe, args: Any, kwargs: Any, blocking: bool) -> Any:
    """The pending operation for a call, or None when it is not recorded. Never raises."""
    try:
        call = describe(*args, **kwargs)
        return None if call is None else Pending(instrument, kind, call, blocking)
    except Exception:
        instrument.recorder.errors += 1
        return None


def end(instrument: Instrument, pending: Pending, inspect: Inspect, returned: Any) -> None:
    """Record `pending` with what `inspect` reads from what was returned. Never raises."""
    try:
        result = inspect(returned)
    except Exception:
        instrument.recorder.errors += 1
        result = Result()
    pending.finish(result)


def synchronous(
    instrument: Instrument, kind: str, describe: Describe, inspect: Inspect = _unknown, blocking: bool = True
) -> Any:
    """For `Patches.replace`: records each call of a synchronous function or method.

    `blocking` is False where the function lets the event loop run meanwhile, by switching greenlets.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def traced(*args: Any, **kwargs: Any) -> Any:
            pending = begin(instrument, kind, describe, args, kwargs, blocking)
            if pending is None:
                return original(*args, **kwargs)
            try:
                returned = original(*args, **kwargs)
            except BaseException:
                pending.finish(Result(outcome=RAISED))
                raise
            end(instrument, pending, inspect, returned)
            return returned

        return traced

    return make


def awaited(instrument: Instrument, kind: str, describe: Describe, inspect: Inspect = _unknown) -> Any:
    """For `Patches.replace`: records each call of a coroutine function or method, from first step to its end."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def traced(*args: Any, **kwargs: Any) -> Any:
            pending = begin(instrument, kind, describe, args, kwargs, blocking=False)
            if pending is None:
                return await original(*args, **kwargs)
            try:
                returned = await original(*args, **kwargs)
            except BaseException:
                pending.finish(Result(outcome=RAISED))
                raise
            end(instrument, pending, inspect, returned)
            return returned

        return traced

    return make


def silently(instrument: Instrument) -> Any:
    """For `Patches.replace`: nothing is recorded of what a synchronous function or method does."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def silent(*args: Any, **kwargs: Any) -> Any:
            token = scopes.current.set(instrument.scopes.current().as_muted())
            try:
                return original(*args, **kwargs)
            finally:
                scopes.current.reset(token)

        return silent

    return make


def awaited_silently(instrument: Instrument) -> Any:
    """The same for a coroutine function or method."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def silent(*args: Any, **kwargs: Any) -> Any:
            token = scopes.current.set(instrument.scopes.current().as_muted())
            try:
                return await original(*args, **kwargs)
            finally:
                try:
                    scopes.current.reset(token)
                except ValueError:
                    pass  # ended in another context: it was dropped

        return silent

    return make
