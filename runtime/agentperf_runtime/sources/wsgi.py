"""WSGI: a root for each request, which ends when a streamed answer does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes
from agentperf_runtime.scopes import Root, Target

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

KEY = "agentperf.root"
"""Where a request's `environ` keeps its root, so that applications inside of applications find it."""


class Exchange:
    """A request that is being served. `status` is 0 until it is known."""

    def __init__(self, instrument: Instrument, environ: Any) -> None:
        self._scopes = instrument.scopes
        self._recorder = instrument.recorder
        self.status = 0
        outer = scopes.current.get()
        self._token: Any = None
        if outer is not None and (outer.root.by_server or _is_skipped(outer.root)):
            # A server's root is closed by the server.
            self.root: Root = outer.root
            self.root.by_server = False
        else:
            target = Target(environ["REQUEST_METHOD"], environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
            self.root, self._token = instrument.scopes.begin("request", target)
        environ[KEY] = self.root.serial  # plain, since applications copy environments and write them into logs
        self.scope = scopes.current.get()

    def starting(self, start_response: Callable[..., Any]) -> Callable[..., Any]:
        """`start_response`, which tells the status."""

        def started(status: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(status, str) and status[:3].isdigit():
                self.status = int(status[:3])
            return start_response(status, *args, **kwargs)

        return started

    def leave(self) -> None:
        """What follows in this context is not of the request."""
        token, self._token = self._token, None
        if token is not None:
            try:
                scopes.current.reset(token)
            except (ValueError, RuntimeError):
                pass  # in another context

    def finish(self, failed: bool = False) -> None:
        """Close the root."""
        outcome = "error" if failed else "ok"
        try:
            self._scopes.finish(self.root, str(self.status) if self.status and not failed else outcome)
        except Exception:
            self._recorder.errors += 1


class Streamed:
    """An answer that is made while it is read, as part of its request."""

    def __init__(self, answer: Any, exchange: Exchange) -> None:
        self._answer = answer
        self._exchange = exchange
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Streamed:
        return self

    def __next__(self) -> Any:
        token = scopes.current.set(self._exchange.scope)
        try:
            if self._iterator is None:
                self._iterator = iter(self._answer)
            return next(self._iterator)
        except StopIteration:
            self._exchange.finish()
            raise
        finally:
            scopes.current.reset(token)

    def close(self) -> None:
        token = scopes.current.set(self._exchange.scope)
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            scopes.current.reset(token)
            self._exchange.finish()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answer, name)


def application(instrument: Instrument, is_streamed: Callable[[Any], bool]) -> Any:
    """For `Patches.replace` on a class's `__call__(self, environ, start_response)`.

    `is_streamed` tells of an answer whether it is still to be made. Others are handed on as they are: servers send
    files and single pieces faster when they recognise them.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __call__(self: Any, environ: Any, start_response: Any) -> Any:  # noqa: N807
            exchange = _begin(instrument, environ)
            if exchange is None:
                return original(self, environ, start_response)
            try:
                answer = original(self, environ, exchange.starting(start_response))
            except BaseException:
                exchange.leave()
                exchange.finish(failed=True)
                raise
            exchange.leave()
            if is_streamed(answer):
                return Streamed(answer, exchange)
            exchange.finish()
            return answer

        return __call__

    return make


def _begin(instrument: Instrument, environ: Any) -> Exchange | None:
    try:
        return None if KEY in environ else Exchange(instrument, environ)
    except Exception:
        instrument.recorder.errors += 1
        return None


def _is_skipped(root: Root) -> bool:
    return root.kind == "request" and not root.sampled


def name_current(method: str, template: str) -> None:
    """Name the request that is being served by its route."""
    scope = scopes.current.get()
    if scope is not None and scope.root.kind == "request":
        scope.root.name = f"{method} {template}"
