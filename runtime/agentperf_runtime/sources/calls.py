"""Wrappers of calls that take long compared to what recording costs: clients' methods, synchronous and awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from agentperf_runtime import scopes
from agentperf_runtime.recorder import DONE, RAISED

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.scopes import Scope
    from agentperf_runtime.sites import Site
    from agentperf_runtime.tracer import Instrument


class Call(NamedTuple):
    """What is called: text of the operation, what tells it from others (only hashed), elements it carries (0: one).

    `kind` is given where it is not that of the client's other calls.
    """

    text: str
    key: Any = ()
    batch: int = 0
    kind: str = ""


class Result(NamedTuple):
    """How it ended: rows that came back (-1: unknown), outcome (0, or a status that is no success), tokens."""

    rows: int = -1
    outcome: int = DONE
    tokens: tuple[int, int, int] | None = None


Describe = Callable[..., "Call | None"]
"""Reads a call's arguments (`self` first); None leaves the call unrecorded."""

Inspect = Callable[[Any], Result]
"""Reads what a call returned."""

Failure = Callable[[BaseException], Result]
"""Reads what a call raised."""

Prolong = Callable[["Pending", Any], bool]
"""Whether an operation goes on after its call has returned: whoever says so records it when what returned has ended."""


def _unknown(result: Any) -> Result:
    return Result()


def raised(error: BaseException) -> Result:
    """How a call ended that did not return."""
    return Result(outcome=RAISED)


class Pending:
    """An operation that has begun. `finish` records it, once; or `leave` does when its call returns, and `record` when
    it ends, wherever that is.
    """

    __slots__ = (
        "_call", "_inside", "_kind", "_last", "_params", "_recorder", "_scope", "_site", "_start", "_token", "blocking",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, scope: Scope, kind: str, call: Call, blocking: bool) -> None:
        self._recorder = recorder
        self._kind = call.kind or kind
        self._call = call
        self._site: Site | None = recorder.here(2)
        self._params, batch = recorder.hash_of(call.key)
        if not call.batch and batch:
            self._call = call._replace(batch=batch)
        self.blocking = blocking
        self._scope: Scope | None = scope
        self._inside = scope.as_muted()
        self._token: Any = scopes.current.set(self._inside)
        self._start = self._last = recorder.started()

    def leave(self) -> None:
        """What follows in this context is no longer part of the operation."""
        if self._token is not None:
            token, self._token = self._token, None
            try:
                scopes.current.reset(token)
            except ValueError:
                # Ended in another context: a generator that was dropped. Where it was begun this scope is in force.
                self._inside.muted = False

    def finish(self, result: Result) -> None:
        """Record the operation as ended now."""
        self.leave()
        self.record(result)

    def record(self, result: Result, end: int = 0) -> None:
        """The same after `leave`, from any context and thread; `end` (ns) where it ended earlier. Never raises."""
        scope, self._scope = self._scope, None
        if scope is None:
            return
        call = self._call
        token = scopes.current.set(scope)
        self._recorder.record(
            self._kind, call.text, self._start, self._params, call.batch, result.rows, result.outcome, result.tokens,
            blocking=self.blocking, site=self._site, end=end,
        )  # fmt: skip
        scopes.current.reset(token)

    def goes_on(self) -> None:
        """A part of the answer has come."""
        self._last = self._recorder.started()

    def drop(self, result: Result) -> None:
        """Record the operation, of which the rest will not be read: it ended with what came last."""
        self.record(result, self._last)


def begin(instrument: Instrument, kind: str, describe: Describe, args: Any, kwargs: Any, blocking: bool) -> Any:
    """The pending operation for a call, or None when it is not recorded. Never raises."""
    try:
        scope = instrument.scopes.current()
        if scope.muted:
            return None  # a part of another operation
        call = describe(*args, **kwargs)
        return None if call is None else Pending(instrument.recorder, scope, kind, call, blocking)
    except Exception:
        instrument.recorder.errors += 1
        return None


def end(
    instrument: Instrument, pending: Pending, inspect: Inspect, returned: Any, prolong: Prolong | None = None
) -> None:
    """Record `pending` with what `inspect` reads from what was returned, unless `prolong` does. Never raises."""
    pending.leave()
    try:
        if prolong is not None and prolong(pending, returned):
            return
        result = inspect(returned)
    except Exception:
        instrument.recorder.errors += 1
        result = Result()
    pending.record(result)


def fail(instrument: Instrument, pending: Pending, failure: Failure, error: BaseException) -> None:
    """Record `pending` with what `failure` reads from what was raised. Never raises."""
    pending.leave()
    try:
        result = failure(error)
    except Exception:
        instrument.recorder.errors += 1
        result = raised(error)
    pending.record(result)


def synchronous(
    instrument: Instrument,
    kind: str,
    describe: Describe,
    inspect: Inspect = _unknown,
    failure: Failure = raised,
    prolong: Prolong | None = None,
    blocking: bool = True,
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
            except BaseException as error:
                fail(instrument, pending, failure, error)
                raise
            end(instrument, pending, inspect, returned, prolong)
            return returned

        return traced

    return make


def awaited(
    instrument: Instrument,
    kind: str,
    describe: Describe,
    inspect: Inspect = _unknown,
    failure: Failure = raised,
    prolong: Prolong | None = None,
) -> Any:
    """For `Patches.replace`: records each call of a coroutine function or method, from first step to its end."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def traced(*args: Any, **kwargs: Any) -> Any:
            pending = begin(instrument, kind, describe, args, kwargs, blocking=False)
            if pending is None:
                return await original(*args, **kwargs)
            try:
                returned = await original(*args, **kwargs)
            except BaseException as error:
                fail(instrument, pending, failure, error)
                raise
            end(instrument, pending, inspect, returned, prolong)
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
