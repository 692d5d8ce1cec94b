"""Reads files of OpenTelemetry spans in OTLP's JSON encoding, as the Collector's file exporter writes them.

One object a line, or one for the whole file: `resourceSpans[].scopeSpans[].spans[]`, identifiers in hexadecimal, times
in nanoseconds as strings. Spans name no call sites, with few exceptions: what they tell is placed at the span around
them, and what only the source could acquit is left out.
"""

from __future__ import annotations

import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agentperf_lint.checklist.trace import NANOSECONDS, Header, Piece, Root, RootEnd, Site, Statement
from agentperf_runtime.otel.conventions import OUTERMOST, SpanKind, SpanOperation, operation_of, place_of, root_of
from agentperf_runtime.statements import cleaned

TOOL = "OpenTelemetry"

_KINDS: tuple[SpanKind, ...] = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_KINDS_BY_NAME: dict[str, SpanKind] = {kind: kind for kind in _KINDS}
_ERROR = 2
_WITHOUT_SOURCE = frozenset({"sql", "redis", "mongo", "rpc", "http"})


class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None

    def plain(self) -> str | int | float | bool | None:
        if self.int_value is not None:
            return int(self.int_value)
        told = (self.string_value, self.double_value, self.bool_value)
        return next((each for each in told if each is not None), None)


class _Attribute(msgspec.Struct):
    key: str
    value: _Value = msgspec.field(default_factory=_Value)


class _Status(msgspec.Struct):
    code: int | str = 0


class _Span(msgspec.Struct, rename="camel"):
    span_id: str
    start_time_unix_nano: int | str
    end_time_unix_nano: int | str
    trace_id: str = ""
    parent_span_id: str = ""
    name: str = ""
    kind: int | str = 0
    attributes: list[_Attribute] = []
    status: _Status = msgspec.field(default_factory=_Status)


class _ScopeSpans(msgspec.Struct):
    spans: list[_Span] = []


class _Resource(msgspec.Struct):
    attributes: list[_Attribute] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    resource: _Resource = msgspec.field(default_factory=_Resource)
    scope_spans: list[_ScopeSpans] = []


class _Export(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans]


def read_otlp(path: str, content: bytes) -> tuple[list[Piece], list[str]]:
    """The pieces that the spans of a file make, one for each process that sent some, and what to tell about it."""
    reading = _Reading(path)
    unread = 0
    decoder = msgspec.json.Decoder(_Export)
    for document in _documents(content.removeprefix(BOM_UTF8), decoder):
        if document is None:
            unread += 1
        else:
            reading.take(document)
    pieces = [process.piece() for process in reading.processes.values()]
    notes = []
    if unread:
        notes.append(f"{unread} lines are not what OTLP's JSON encoding holds, and were skipped")
    spans, operations = sum(len(each) for each in reading.processes.values()), sum(len(p.operations) for p in pieces)
    told = f"{spans:,} spans of OpenTelemetry, {operations:,} of them operations"
    if not any(site.path for piece in pieces for site in piece.sites.values()):
        told += "; they name no lines of the code"
    notes.append(told)
    return pieces, [f"{path}: {text}" for text in notes]


def _documents(content: bytes, decoder: msgspec.json.Decoder[_Export]) -> Iterator[_Export | None]:
    lines = [line for line in content.splitlines() if line.strip()]
    found = [_decoded(line, decoder) for line in lines]
    if len(lines) > 1 and not any(found):
        found = [_decoded(content, decoder)]  # one object over many lines
    return iter(found)


def _decoded(line: bytes, decoder: msgspec.json.Decoder[_Export]) -> _Export | None:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, ValueError):
        return None


class _Reading:
    """The processes that sent what one file holds."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.processes: dict[tuple[str, ...], _Process] = {}

    def take(self, document: _Export) -> None:
        for sent in document.resource_spans:
            told = _plain(sent.resource.attributes)
            key = tuple(
                str(told.get(name, ""))
                for name in ("service.name", "service.instance.id", "host.name", "container.id", "process.pid")
            )
            process = self.processes.get(key)
            if process is None:
                process = self.processes[key] = _Process(self._path, key, told)
            for scope in sent.scope_spans:
                process.spans.update((span.span_id, span) for span in scope.spans)


class _Process:
    """The spans of one process, by identifier."""

    def __init__(self, path: str, key: tuple[str, ...], told: dict[str, Any]) -> None:
        self._path = path
        # Reports tell processes apart by their number, of which containers have the same ones.
        self._number = zlib.crc32("\0".join(key).encode("utf-8", "surrogatepass"))
        self._told = told
        self.spans: dict[str, _Span] = {}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._operations: dict[str, SpanOperation | None] = {}
        self._roots: dict[str, int] = {}
        self._sites: dict[tuple[str, int, str], int] = {}
        self._statements: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self.spans)

    def piece(self) -> Piece:
        """What the detectors work on."""
        first = min((int(span.start_time_unix_nano) for span in self.spans.values()), default=0)
        header = Header(
            tool=TOOL,
            pid=self._number,
            argv=[str(self._told.get("service.name", ""))],
            wall_start=first / NANOSECONDS,
            clock_start=first,
        )
        piece = Piece(self._path, header, ended=True)
        in_order = sorted(self.spans.values(), key=lambda span: int(span.start_time_unix_nano))
        for span in in_order:
            operation = self._operation(span)
            around = self._around(span)
            self._open_root(piece, span, around, first)
            if operation is not None and not any(map(self._operation, around)):
                self._add(piece, span, operation, around, first)
            piece.last = max(piece.last, int(span.end_time_unix_nano) - first)
        _mark_conversations(piece)
        return piece

    def _attributes_of(self, span: _Span) -> dict[str, Any]:
        found = self._attributes.get(span.span_id)
        if found is None:
            found = self._attributes[span.span_id] = _plain(span.attributes)
        return found

    def _operation(self, span: _Span) -> SpanOperation | None:
        if span.span_id not in self._operations:
            found = operation_of(span.name, _kind(span), self._attributes_of(span))
            self._operations[span.span_id] = found
        return self._operations[span.span_id]

    def _around(self, span: _Span) -> list[_Span]:
        """The spans around one in its process, innermost first, up to the request that it is part of."""
        found: list[_Span] = []
        seen = {span.span_id}
        while _kind(span) not in OUTERMOST:
            outer = self.spans.get(span.parent_span_id)
            if outer is None or outer.span_id in seen:
                break
            seen.add(outer.span_id)
            found.append(outer)
            span = outer
        return found

    def _open_root(self, piece: Piece, span: _Span, around: list[_Span], first: int) -> None:
        """Note a span that nothing is around; an operation by itself is the program's own."""
        if around or self._operation(span) is not None:
            return
        named = root_of(span.name, _kind(span), self._attributes_of(span))
        number = self._roots[span.span_id] = len(self._roots) + 1
        piece.roots[number] = Root(number, named.kind, named.name, 0, int(span.start_time_unix_nano) - first)
        piece.root_ends[number] = RootEnd(
            number, named.name, int(span.end_time_unix_nano) - first, named.outcome(_failed(span))
        )

    def _add(self, piece: Piece, span: _Span, operation: SpanOperation, around: list[_Span], first: int) -> None:
        start, end = int(span.start_time_unix_nano) - first, int(span.end_time_unix_nano) - first
        text, batch, changed = cleaned(operation.kind, operation.text)
        key = operation.key if operation.key is not None or not changed else (operation.text,)
        root = self._root(piece, span, around, start)
        tokens = operation.tokens or (0, 0, 0)
        columns = piece.operations
        columns.statement.append(self._statement(piece, operation.kind, text))
        columns.start.append(start)
        columns.duration.append(max(0, end - start))
        columns.params.append(hash(key) or 1 if key is not None else 0)
        columns.batch.append(operation.batch or batch)
        columns.rows.append(-1)
        columns.outcome.append(operation.outcome(_failed(span)))
        columns.root.append(root)
        columns.task.append(0)
        columns.site.append(self._site(piece, span, operation, around))
        columns.thread.append(0)
        columns.input_tokens.append(tokens[0])
        columns.output_tokens.append(tokens[1])
        columns.continues.append(0)

    def _root(self, piece: Piece, span: _Span, around: list[_Span], start: int) -> int:
        """The root of an operation: the outermost span around it, or the trace whose outer spans are not here.

        Operations by themselves are what the program does between its units of work.
        """
        if around:
            return self._roots[around[-1].span_id]
        key = span.trace_id if span.parent_span_id else ""
        number = self._roots.get(key)
        if number is None:
            number = self._roots[key] = len(self._roots) + 1
            kind, name = ("task", span.trace_id) if key else ("script", piece.header.argv[0])
            piece.roots[number] = Root(number, kind, name, 0, start)
        return number

    def _statement(self, piece: Piece, kind: str, text: str) -> int:
        number = self._statements.get((kind, text))
        if number is None:
            number = self._statements[kind, text] = len(self._statements) + 1
            piece.statements[number] = Statement(number, kind, text)
        return number

    def _site(self, piece: Piece, span: _Span, operation: SpanOperation, around: list[_Span]) -> int:
        """The site that an operation is placed at; 0 where that would accuse what may be innocent.

        Pages of an answer differ in the query of their address, and an agent's questions depend on each other: without
        the source, only other kinds of repetition speak for themselves.
        """
        place = next((found for each in (span, *around) if (found := place_of(self._attributes_of(each)))), None)
        if place is None:
            if operation.kind not in _WITHOUT_SOURCE or not around:
                return 0
            if operation.kind == "http" and urlsplit(operation.text).query:
                return 0
            place = "", 0, around[0].name
        number = self._sites.get(place)
        if number is None:
            number = self._sites[place] = len(self._sites) + 1
            path, line, function = place
            piece.sites[number] = Site(number, path, line, line, function)
        return number


def _mark_conversations(piece: Piece) -> None:
    """Note the model calls whose prompt has grown by at least what was said before: they go on with it."""
    columns = piece.operations
    last: dict[int, tuple[int, int]] = {}
    for index, (root, given, said) in enumerate(zip(columns.root, columns.input_tokens, columns.output_tokens)):
        if not given:
            continue
        end, so_far = last.get(root, (0, 0))
        if so_far and given >= so_far and columns.start[index] >= end:
            columns.continues[index] = 1
        last[root] = columns.start[index] + columns.duration[index], given + said


def _kind(span: _Span) -> SpanKind:
    """The kind, which may be a number or a name such as SPAN_KIND_CLIENT."""
    if isinstance(span.kind, int):
        return _KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else "INTERNAL"
    return _KINDS_BY_NAME.get(span.kind.removeprefix("SPAN_KIND_"), "INTERNAL")


def _failed(span: _Span) -> bool:
    return span.status.code in (_ERROR, "STATUS_CODE_ERROR")


def _plain(attributes: Iterable[_Attribute]) -> dict[str, Any]:
    return {each.key: value for each in attributes if (value := each.value.plain()) is not None}
