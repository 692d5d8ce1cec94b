"""ASGI: a root for each request and for each message of a websocket, whoever serves them.

A server opens the root for an application that is not known; frameworks take it over and tell the route.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, MutableMapping
from types import CodeType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.scopes import Root, RootKind, Scopes, Target, current
from agentperf_runtime.sources.entrances import code_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

KEY = "agentperf.exchange"
"""Where a request's `scope` keeps the number of its exchange, so that applications inside of applications find it.

It is a plain number because applications copy scopes, and write them into logs.
"""

_exchanges: dict[int, Exchange | Skipped] = {}
_next_number = itertools.count(1).__next__

_ROOTS: dict[str, RootKind] = {"http": "request", "websocket": "websocket"}

Route = Callable[[Any], "str | None"]
"""Reads the template of the route that was taken from a `scope` after it was served."""


def no_route(scope: Any) -> str | None:
    return None


class Messages:
    """The messages of a websocket, each with a root of its own: it is the client that decides how many come."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._opened: tuple[Root, Any] | None = None

    def begin(self, name: str | Target) -> None:
        """A message has come."""
        self._opened = self._scopes.begin("websocket", name)

    def end(self, outcome: str = "ok") -> None:
        """The message, if there is one, has been dealt with."""
        if self._opened is None:
            return
        (root, token), self._opened = self._opened, None
        self._scopes.end(root, token, outcome)


class Exchange:
    """A request or websocket that is being served."""

    __slots__ = ("_instrument", "_messages", "_number", "_routes", "_scope", "_status", "_token", "root")

    def __init__(
        self, instrument: Instrument, scope: MutableMapping[str, Any], route: Route, root: Root, token: Any
    ) -> None:
        self.root = root
        self._token = token
        self._instrument = instrument
        self._scope = scope
        self._routes: tuple[tuple[Route, Any], ...] = ((route, scope),)
        self._status = 0
        self._messages = Messages(instrument.scopes) if scope["type"] == "websocket" else None
        root.entrance = self._entrance
        self._number = scope[KEY] = _next_number()
        _exchanges[self._number] = self

    def is_taken_over(self, route: Route, scope: Any) -> None:
        """A framework serves it, which leaves in `scope` what `route` reads."""
        self.root.by_server = False
        self._routes = (*self._routes, (route, scope)) if self._routes[0][0] is not no_route else ((route, scope),)

    def receiving(self, receive: Callable[[], Any]) -> Callable[[], Any]:
        """`receive`, which tells where one message ends and the next begins."""
        messages = self._messages
        if messages is None:
            return receive

        async def received() -> Any:
            try:
                messages.end()
            except Exception:
                self._instrument.recorder.errors += 1
            message = await receive()
            try:
                if message["type"] == "websocket.receive":
                    self._name_by_route("WS")
                    messages.begin(self.root.name)
            except Exception:
                self._instrument.recorder.errors += 1
            return message

        return received

    def sending(self, send: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`send`, which tells the status."""
        if self._messages is not None:
            return send

        def sent(message: Any) -> Any:
            # What is no message is for the server to complain about.
            if isinstance(message, dict) and message.get("type") == "http.response.start":
                self._status = message.get("status") or 0
            return send(message)

        return sent

    def end(self, failed: bool) -> None:
        """Close the root."""
        outcome = "error" if failed else "ok"
        if self._messages is not None:
            self._messages.end(outcome)
            self._name_by_route("WS")
        else:
            self._name_by_route(self._scope["method"])
        if self._status and not failed:
            outcome = str(self._status)
        self.root.entrance = self._entrance_without_scope()
        self._instrument.scopes.end(self.root, self._token, outcome)
        self._scope.pop(KEY, None)
        _exchanges.pop(self._number, None)

    def _entrance(self) -> CodeType | None:
        known = self._entrance_without_scope()
        return known() if known is not None else None

    def _entrance_without_scope(self) -> Callable[[], CodeType | None] | None:
        """For when the request is over, and all that is asked is what held the loop until then."""
        files = self._instrument.recorder.stacks.files
        for _, scope in self._routes:
            endpoint = scope.get("endpoint")
            if endpoint is not None:
                method = scope.get("method", "")
                return lambda: code_of(endpoint, method, files)
        return None

    def _name_by_route(self, method: str) -> None:
        try:
            for route, scope in self._routes:
                template = route(scope)
                if template:
                    self.root.name = f"{method} {template}"
        except Exception:
            self._instrument.recorder.errors += 1


class Skipped:
    """A request of which nothing is recorded."""

    __slots__ = ("_number", "_scope", "_token")

    def __init__(self, scope: MutableMapping[str, Any], token: Any) -> None:
        self._scope = scope
        self._token = token
        self._number = scope[KEY] = _next_number()
        _exchanges[self._number] = self

    def is_taken_over(self, route: Route, scope: Any) -> None:
        """It does not matter who serves it."""

    def end(self) -> None:
        """What follows in this context is not of the request."""
        self._scope.pop(KEY, None)
        _exchanges.pop(self._number, None)
        try:
            current.reset(self._token)
        except (ValueError, RuntimeError):
            pass  # in another context


def application(instrument: Instrument, route: Route = no_route, by_server: bool = False) -> Any:
    """For `Patches.replace` on a class's `__call__(self, scope, receive, send)`."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> Any:  # noqa: N807
            exchange = _begin(instrument, scope, route, by_server)
            if exchange is None:
                return await original(self, scope, receive, send)
            if isinstance(exchange, Skipped):
                try:
                    return await original(self, scope, receive, send)
                finally:
                    exchange.end()
            failed = True
            try:
                returned = await original(self, scope, exchange.receiving(receive), exchange.sending(send))
                failed = False
                return returned
            finally:
                _end(instrument, exchange, failed)

        return __call__

    return make


def _begin(instrument: Instrument, scope: Any, route: Route, by_server: bool) -> Exchange | Skipped | None:
    try:
        if KEY in scope:
            outer = _exchanges.get(scope[KEY])
            if outer is not None:
                outer.is_taken_over(route, scope)
            return None
        kind = _ROOTS.get(scope["type"])
        if kind is None:
            return None
        scopes = instrument.scopes
        skipped = scopes.skipped(kind)
        if skipped is not None and kind == "request":
            return Skipped(scope, current.set(skipped))
        name = Target("WS" if kind == "websocket" else scope["method"], scope["path"])
        root, token = scopes.open(kind, name, skipped is None)  # a websocket's names those of its messages
        root.by_server = by_server
        return Exchange(instrument, scope, route, root, token)
    except Exception:
        instrument.recorder.errors += 1
        return None


def _end(instrument: Instrument, exchange: Exchange, failed: bool) -> None:
    try:
        exchange.end(failed)
    except Exception:
        instrument.recorder.errors += 1
