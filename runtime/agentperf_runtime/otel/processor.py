"""A processor of OpenTelemetry spans that writes a trace with the call sites, which spans do not have.

Importing this needs opentelemetry-sdk, which an application with spans has.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextvars import Token
from typing import TYPE_CHECKING, Any

from agentperf_runtime import scopes, tracer
from agentperf_runtime.otel.conventions import OUTERMOST, SpanKind, operation_of, root_of
from agentperf_runtime.recorder import Recorder
from agentperf_runtime.scopes import Root, Scope
from agentperf_runtime.sites import Site
from agentperf_runtime.sources import SOURCES
from agentperf_runtime.tracer import Options, Tracer

try:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import StatusCode
except ImportError as error:
    raise ImportError("spans come from opentelemetry-sdk, which is not installed") from error

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

_MOST_ACTIVE = 100_000
"""Spans that are followed at a time: an application may forget to end them."""

_HANDOVERS = frozenset(
    """threading asyncio.base_events uvloop concurrent.futures.thread asgiref.current_thread_executor anyio.to_thread
    greenlet""".split()
)
"""What carries call sites into tasks, threads and greenlets, which spans need as much as operations do."""


class _Active:
    """A span that has begun. `is_outermost`: it opened the root. `token`: what was current before it."""

    __slots__ = ("_is_operation", "is_outermost", "on_loop", "outer", "scope", "site", "span", "token")

    def __init__(
        self,
        span: Span,
        outer: _Active | None,
        scope: Scope,
        site: Site | None,
        on_loop: bool,
        is_outermost: bool,
        token: Token[Scope | None] | None,
    ) -> None:
        self.span = span
        self.outer = outer
        self.scope = scope
        self.site = site
        self.on_loop = on_loop
        self.is_outermost = is_outermost
        self.token = token
        self._is_operation: bool | None = None

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation itself, by the attributes that it had when a part of it ended."""
        if self._is_operation is None:
            span = self.span
            self._is_operation = operation_of(span.name, _kind(span), dict(span.attributes or {})) is not None
        return self._is_operation


class AgentperfSpanProcessor(SpanProcessor):
    """Writes the spans of databases, HTTP, model calls and procedures to the trace `path`, with their call sites.

    For applications that have OpenTelemetry's instrumentations: `provider.add_span_processor(...)`. Nothing is
    instrumented twice: of the tracer's own sources only those that follow tasks and threads, and the watch over event
    loops, are active. Every outermost span is a root; which ones are recorded is up to OpenTelemetry's sampler. Where
    the process is traced already, this does nothing.

    Raises OSError when the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], options: Options | None = None) -> None:
        options = options or Options()
        without = tuple(name for name in SOURCES if name not in _HANDOVERS)
        self._tracer = Tracer(path, options._replace(sample=1.0, without=(*options.without, *without)))
        self._is_on = tracer.active() is None
        self._active: dict[int, _Active] = {}
        self._roots: set[int] = set()
        # Spans have the wall clock's times, which may be set; the trace has the monotonic clock's.
        self._offset = time.time_ns() - time.perf_counter_ns()
        if self._is_on:
            self._tracer.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span begins, in the frame that called for it."""
        if not self._is_on:
            return
        try:
            self._begin(span)
        except Exception:
            self._recorder.errors += 1

    def on_end(self, span: ReadableSpan) -> None:
        """It has ended, with all its attributes."""
        context = span.context
        active = self._active.pop(context.span_id, None) if context is not None else None
        if active is None:
            return
        try:
            self._end(span, active)
        except Exception:
            self._recorder.errors += 1

    def shutdown(self) -> None:
        """Close the file."""
        if self._is_on:
            self._is_on = False
            self._tracer.stop()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Write what was recorded so far."""
        self._tracer.flush()
        return True

    @property
    def _recorder(self) -> Recorder:
        return self._tracer.recorder

    def _begin(self, span: Span) -> None:
        context = span.context
        if context is None or len(self._active) >= _MOST_ACTIVE:
            return
        kind, own = _kind(span), scopes.current.get()
        outer = self._active.get(span.parent.span_id) if span.parent is not None else None
        site = self._recorder.site(sys._getframe(2), own)
        on_loop = bool(own is not None and own.ident and own.ident == threading.get_ident())
        root, token = self._root_around(outer, kind, own), None
        is_outermost = root is None
        if root is None:
            told = root_of(span.name, kind, dict(span.attributes or {}))
            root = Root(told.kind, told.name)
            self._roots.add(root.serial)
        scope = Scope(root) if own is None else Scope(root, own.task, own.origin, own.ident)
        if own is None or own.root is not root:
            token = scopes.current.set(scope)
        self._active[context.span_id] = _Active(span, outer, scope, site, on_loop, is_outermost, token)

    def _root_around(self, outer: _Active | None, kind: SpanKind, own: Scope | None) -> Root | None:
        """The root that a span is in: its parent's, or where OpenTelemetry lost its context that of the thread."""
        if kind in OUTERMOST:
            return None
        if outer is not None:
            return outer.scope.root
        return own.root if own is not None and own.root.serial in self._roots else None

    def _end(self, span: ReadableSpan, active: _Active) -> None:
        attributes = dict(span.attributes or {})  # theirs take a microsecond for each question
        kind = _kind(span)
        operation = operation_of(span.name, kind, attributes)
        start = (span.start_time or 0) - self._offset
        end = (span.end_time or 0) - self._offset
        failed = span.status.status_code is StatusCode.ERROR
        root = active.scope.root
        if operation is not None and not _is_inside_operation(active.outer):
            params, _ = self._recorder.hash_of(operation.key)
            self._recorder.put(
                (operation.kind, operation.text, start, end, params, operation.batch, -1, operation.outcome(failed),
                 active.scope,
                 active.site, int(active.on_loop), operation.tokens)
            )  # fmt: skip
        if active.token is not None:
            _leave(active.token)
        if active.is_outermost:
            self._roots.discard(root.serial)
            told = root_of(span.name, kind, attributes)
            root.name, root.start, root.end = told.name, start, end
            root.outcome = told.outcome(failed)
            self._recorder.put(root)


def _is_inside_operation(outer: _Active | None) -> bool:
    while outer is not None:
        if outer.is_operation:
            return True
        outer = outer.outer
    return False


def _leave(token: Token[Scope | None]) -> None:
    try:
        scopes.current.reset(token)
    except (ValueError, RuntimeError):
        pass  # it ends in another context than it began in


def _kind(span: Any) -> SpanKind:
    name: SpanKind = span.kind.name
    return name
