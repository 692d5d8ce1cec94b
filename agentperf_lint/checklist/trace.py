"""Reads trace files (docs/trace-file.md) into columns.

A trace of a million operations is read in a few seconds, so an operation is never an object of its own: it is an
index into the lists of `Operations`. Whatever cannot be read is counted and told; only a file that cannot be opened
is an error.
"""

from __future__ import annotations

import gc
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

SCHEMA = 1
NANOSECONDS = 1_000_000_000
SLEEP = "sleep"
REQUEST = "request"
RAISED = 1
_AS_LONG_AS_THE_PROGRAM = frozenset({"script", "thread"})
_RETRYABLE_STATUSES = frozenset({408, 425, 429})

Frame = tuple[str, int, str]  # path, 1-based line, function

_SIBLING = re.compile(r"\.\d+\.\d+$")
_BUFFER = 1 << 20  # bytes
_HEAD = 256  # bytes in which a file of OpenTelemetry's says what it is
_SPANS = b'"resourceSpans"'


class TraceError(Exception):
    """A trace cannot be opened; the message names the file."""


class Operations(msgspec.Struct):
    """The columns of the operations, all of one length. Times are nanoseconds since the header's clock."""

    statement: list[int] = []
    start: list[int] = []
    duration: list[int] = []
    params: list[int] = []
    batch: list[int] = []
    rows: list[int] = []
    outcome: list[int] = []
    root: list[int] = []
    task: list[int] = []
    site: list[int] = []
    thread: list[int] = []
    input_tokens: list[int] = []
    output_tokens: list[int] = []
    continues: list[int] = []

    def __len__(self) -> int:
        return len(self.statement)


_COLUMNS = Operations.__struct_fields__


class _Record(msgspec.Struct, tag_field="type"):
    pass


class Header(_Record, tag="header"):
    """Who wrote the file, when its clock started, and under which settings."""

    schema: int = SCHEMA
    tool: str = ""
    pid: int = 0
    parent_pid: int = 0
    python: str = ""
    argv: list[str] = []
    cwd: str = ""
    prefixes: list[str] = []
    applications: list[str] = []
    wall_start: float = 0.0
    clock_start: int = 0
    stall_limit: int = 50_000_000
    sample: float = 1.0


class Statement(_Record, tag="statement"):
    """What an operation did, literals removed. `library` may name what it was sent with."""

    id: int
    kind: str
    text: str
    library: str = ""


class Site(_Record, tag="site"):
    """A call site. `first_line` of its function and `digest` of its line survive edits of the source, if given."""

    id: int
    path: str
    line: int
    end_line: int = 0
    function: str = "<module>"
    module: str = ""
    first_line: int = 0
    digest: str = ""


class Stack(_Record, tag="stack"):
    """One way in which a site was reached: application frames, the site's own first.

    `statement` and `root` are those of the operation that was called so, 0 where nothing is known of it.
    """

    site: int
    frames: list[Frame]
    relation: str = ""
    statement: int = 0
    root: int = 0


class Root(msgspec.Struct, array_like=True):
    """A request, a parentless task or the like, as it began."""

    id: int
    kind: str = ""
    name: str = ""
    parent: int = 0
    start: int = 0


class RootEnd(msgspec.Struct, array_like=True):
    """How a root ended, and its final name."""

    id: int
    name: str = ""
    end: int = 0
    outcome: str | int = "ok"


class _Roots(_Record, tag="roots"):
    rows: list[Root]


class _RootsEnd(_Record, tag="roots_end"):
    rows: list[RootEnd]


class Stall(_Record, tag="stall"):
    """One step of the loop that took too long; `frames` innermost first, those of libraries included."""

    start: int
    duration: int
    root: int = 0
    task: int = 0
    site: int = 0
    frames: list[Frame] = []
    samples: int = 0
    total_samples: int = 0
    confidence: str = "sampled"
    reason: str = "call"
    ongoing: bool = False


class Sample(_Record, tag="sample"):
    """The process and its loop at one moment."""

    time: int
    rss: int = 0
    cpu: int = 0
    read: int = 0
    written: int = 0
    tasks: int = 0
    iterations: int = 0
    busy: int = 0
    lag: int = 0


class Note(_Record, tag="note"):
    """Something that a reader of the report should know."""

    text: str


class Counters(_Record, tag="counters"):
    """Totals since the start of the process."""

    time: int = 0
    recorded: int = 0
    dropped: int = 0
    errors: int = 0


class End(_Record, tag="end"):
    """The process ended in good order."""

    time: int = 0


class _Ops(_Record, tag="ops"):
    count: int
    statement: list[int] | None = None
    start: list[int] | None = None
    duration: list[int] | None = None
    params: list[int] | None = None
    batch: list[int] | None = None
    rows: list[int] | None = None
    outcome: list[int] | None = None
    root: list[int] | None = None
    task: list[int] | None = None
    site: list[int] | None = None
    thread: list[int] | None = None
    input_tokens: list[int] | None = None
    output_tokens: list[int] | None = None
    continues: list[int] | None = None


_DEFAULTS = dict.fromkeys(_COLUMNS, 0) | {"rows": -1}

_Known = Header | Statement | Site | Stack | _Roots | _RootsEnd | Stall | Sample | Note | Counters | End | _Ops


class _Type(msgspec.Struct):
    type: str


class Piece(msgspec.Struct):
    """What follows one header: a process, or a part of it after a rotation. Identifiers are those of one piece."""

    file: str
    header: Header
    operations: Operations = msgspec.field(default_factory=Operations)
    statements: dict[int, Statement] = {}
    sites: dict[int, Site] = {}
    stacks: dict[int, list[Stack]] = {}
    roots: dict[int, Root] = {}
    root_ends: dict[int, RootEnd] = {}
    stalls: dict[int, Stall] = {}
    samples: list[Sample] = []
    notes: list[str] = []
    counters: Counters = msgspec.field(default_factory=Counters)
    ended: bool = False
    last: int = 0

    def stacks_of(self, site: int, statement: int = 0, root: int = 0) -> list[Stack]:
        """The ways in which `site` was reached.

        Of many those of `statement` in `root`, if any was seen, else those in roots of its name, else those of
        `statement`, else those of which nothing is known: how another statement came to a helper says nothing of this
        one, nor does what another request did, of which only the helper itself is left.
        """
        stacks = self.stacks.get(site, [])
        if not statement:
            return stacks
        same = [stack for stack in stacks if stack.statement == statement]
        if root and same:
            name = self.root_name(root)
            here = [stack for stack in same if stack.root == root]
            here = here or [stack for stack in same if self.root_name(stack.root) == name]
            if here or not self._are_requests({root, *(stack.root for stack in same)}):
                return here or same
            return [msgspec.structs.replace(stack, frames=stack.frames[:1]) for stack in same[:1]]
        return same or [each for each in stacks if not each.statement]

    def _are_requests(self, roots: set[int]) -> bool:
        known = [self.roots.get(root) for root in roots]
        return all(root is not None and root.kind == REQUEST for root in known)

    def frames_of(self, site: int, statement: int = 0, root: int = 0) -> list[list[Frame]]:
        """The frames of `stacks_of`, at least the site's own."""
        stacks = self.stacks_of(site, statement, root)
        if stacks:
            return [list(frames) for frames in dict.fromkeys(tuple(stack.frames) for stack in stacks) if frames]
        own = self.sites.get(site)
        return [] if own is None else [[(own.path, own.line, own.function)]]

    def root_name(self, root: int) -> str:
        """What to call a root: with the route's template once it has ended."""
        end, start = self.root_ends.get(root), self.roots.get(root)
        name = (end.name if end else "") or (start.name if start else "")
        kind = start.kind if start else ""
        return " ".join(part for part in (kind, name) if part)

    def end_of(self, root: int) -> int:
        """When `root` ended: with what was recorded, if it was still open then."""
        end = self.root_ends.get(root)
        return end.end if end is not None else self.last

    def wall(self) -> tuple[float, float]:
        """When the piece starts and ends, in seconds since 1970."""
        start = self.header.wall_start
        return start, start + self.last / NANOSECONDS


class Trace(msgspec.Struct):
    """Everything that was read, and what a reader of the report should know about it."""

    pieces: list[Piece] = []
    notes: list[str] = []

    @property
    def operations(self) -> int:
        """How many operations were recorded."""
        return sum(len(piece.operations) for piece in self.pieces)

    @property
    def wall_seconds(self) -> float:
        """From the start of the first process to the end of the last."""
        spans = [piece.wall() for piece in self.pieces]
        return max((end for _, end in spans), default=0.0) - min((start for start, _ in spans), default=0.0)


def is_failure(outcome: int) -> bool:
    """Whether an operation with `outcome` wants to be tried again: it raised, or a server was not able to answer."""
    return outcome == RAISED or outcome >= 500 or outcome in _RETRYABLE_STATUSES


def read_traces(files: Sequence[str]) -> Trace:
    """Reads `files` and the siblings that other processes wrote beside them. Raises `TraceError`."""
    from agentperf_lint.checklist.http_paths import find_values

    trace = Trace()
    with _without_collector():
        for path in _with_siblings(files):
            pieces, notes = _read(path)
            for piece in pieces:
                find_values(piece)
            trace.pieces.extend(pieces)
            trace.notes.extend(notes)
    trace.notes.extend(_told(trace))
    return trace


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of integers in lists are no cycles, and the collector would look at them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _with_siblings(files: Iterable[str]) -> list[str]:
    found: dict[str, str] = {}
    for file in files:
        siblings = _siblings(file)
        if not os.path.exists(file) and not siblings:
            raise TraceError(f"trace {file!r} does not exist")
        for path in ([file] if os.path.exists(file) else []) + siblings:
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _siblings(file: str) -> list[str]:
    directory, name = os.path.split(file)
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return []
    own = (each for each in names if each.startswith(f"{name}.") and _SIBLING.fullmatch(each[len(name) :]))
    return [os.path.join(directory, each) for each in sorted(own, key=_numbers)]


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.rsplit(".", 2)[1:]]


def _read(path: str) -> tuple[list[Piece], list[str]]:
    reading = _Reading(path)
    try:
        with open(path, "rb", buffering=0) as raw, io.BufferedReader(raw, _BUFFER) as stream:
            if _SPANS in stream.peek()[:_HEAD]:
                from agentperf_lint.checklist.otlp import read_otlp

                return read_otlp(path, stream.read())
            for line in stream:
                reading.take(line)
    except OSError as error:
        raise TraceError(f"trace {path!r} cannot be read: {error.strerror or error}") from error
    for piece in reading.pieces:
        _give_stalls_to_requests(piece)
    return reading.pieces, reading.notes()


def _give_stalls_to_requests(piece: Piece) -> None:
    """Before Python 3.12 it cannot be seen from outside what a task serves, only in which root it was created."""
    inner: dict[int, list[Root]] = defaultdict(list)
    outer = {stall.root for stall in piece.stalls.values()}
    for root in piece.roots.values():
        if root.parent in outer:
            inner[root.parent].append(root)
    for start, stall in piece.stalls.items():
        middle = start + stall.duration // 2
        open_then = [root for root in inner.get(stall.root, ()) if root.start <= middle <= piece.end_of(root.id)]
        if len(open_then) == 1:
            piece.stalls[start] = msgspec.structs.replace(stall, root=open_then[0].id)


class _Reading:
    """The state of reading one file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pieces: list[Piece] = []
        self.decoder = msgspec.json.Decoder(_Known)
        self.lines = 0
        self.unknown: Counter[str] = Counter()
        self.foreign = 0
        self.torn = False
        self.headless = False

    def take(self, line: bytes) -> None:
        if line.isspace():
            return
        self.lines += 1
        try:
            record = self.decoder.decode(line)
        except msgspec.DecodeError:  # ValidationError is one of these
            self._count_unread(line)
            return
        if isinstance(record, _Ops):
            self._take_operations(record)
        else:
            self._take(record)

    def _count_unread(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            self.torn = True
            return
        try:
            kind = msgspec.json.decode(line, type=_Type).type
        except msgspec.DecodeError:
            self.foreign += 1
            return
        if kind in _TYPES:
            self.foreign += 1
        else:
            self.unknown[kind] += 1

    @property
    def piece(self) -> Piece:
        if not self.pieces:
            self.headless = True
            self._open(Header())
        return self.pieces[-1]

    def _open(self, header: Header) -> None:
        self.pieces.append(Piece(self.path, header))

    def _take_operations(self, record: _Ops) -> None:
        piece = self.piece
        columns = {name: getattr(record, name) for name in _COLUMNS}
        if any(column is not None and len(column) != record.count for column in columns.values()):
            self.foreign += 1
            return
        for name, column in columns.items():
            held: list[int] = getattr(piece.operations, name)
            held.extend([_DEFAULTS[name]] * record.count if column is None else column)
        if record.count:
            piece.last = max(piece.last, piece.operations.start[-1] + piece.operations.duration[-1])

    def _take(self, record: _Record) -> None:
        if isinstance(record, Header):
            self._open(record)
            return
        piece = self.piece
        if isinstance(record, Statement):
            piece.statements[record.id] = record
        elif isinstance(record, Site):
            piece.sites[record.id] = record
        elif isinstance(record, Stack):
            piece.stacks.setdefault(record.site, []).append(record)
        elif isinstance(record, _Roots):
            piece.roots.update((root.id, root) for root in record.rows)
            piece.last = max(piece.last, *(root.start for root in record.rows), 0)
        elif isinstance(record, _RootsEnd):
            piece.root_ends.update((end.id, end) for end in record.rows)
            piece.last = max(piece.last, *(end.end for end in record.rows), 0)
        elif isinstance(record, Stall):
            piece.stalls[record.start] = record
            piece.last = max(piece.last, record.start + record.duration)
        elif isinstance(record, Sample):
            piece.samples.append(record)
            piece.last = max(piece.last, record.time)
        elif isinstance(record, Note):
            piece.notes.append(record.text)
        elif isinstance(record, Counters):
            piece.counters = record
            piece.last = max(piece.last, record.time)
        elif isinstance(record, End):
            piece.ended = True
            piece.last = max(piece.last, record.time)

    def notes(self) -> list[str]:
        """What to tell about the file."""
        found = []
        newer = {piece.header.schema for piece in self.pieces if piece.header.schema > SCHEMA}
        if not self.lines:
            found.append("is empty")
        if newer:
            found.append(f"was written with schema {max(newer)}, newer than {SCHEMA}: what is unknown was skipped")
        if self.headless:
            found.append("does not start with a header")
        for kind, count in sorted(self.unknown.items()):
            found.append(f"{count} records of the unknown type {kind!r} were skipped")
        if self.foreign:
            found.append(f"{self.foreign} lines are not what a trace holds, and were skipped")
        if self.torn:
            found.append("the last line is torn: the process was ended while it wrote")
        found += [text for piece in self.pieces for text in piece.notes]
        return [f"{self.path}: {text}" for text in found]


class GrowingTrace:
    """A trace file that is still being written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._reading = _Reading(path)
        self._offset = 0

    def read(self) -> Piece:
        """Everything up to now; goes on where the last call ended. Raises OSError."""
        with open(self.path, "rb", buffering=_BUFFER) as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                self._reading.take(line)
                self._offset += len(line)
        return self._reading.piece


_TYPES = frozenset(str(each.__struct_config__.tag) for each in _Record.__subclasses__())


def _told(trace: Trace) -> Iterator[str]:
    """What the whole of it says about itself."""
    totals = counters_of(trace)
    if totals.dropped:
        yield f"{totals.dropped:,} operations were dropped: there were more than the tracer holds"
    if totals.errors:
        yield f"{totals.errors:,} failures inside the tracer"
    sampled = {piece.header.sample for piece in trace.pieces if piece.header.sample < 1}
    for share in sorted(sampled):
        yield f"only {share:.3%} of the roots were recorded: the figures are those of the sample"
    if not trace.operations:
        yield "no operations were recorded: nothing is known about queries and calls, good or bad"


def units_of(trace: Trace) -> set[tuple[int, int]]:
    """Process and identifier of the roots that are units of work, to tell costs by.

    All requests are; of the others neither what runs as long as the program does, nor what encloses other roots.
    """
    rows = {(piece.header.pid, root.id): root for piece in trace.pieces for root in piece.roots.values()}
    enclosing = {(pid, root.parent) for (pid, _), root in rows.items()}
    return {
        key
        for key, root in rows.items()
        if root.kind == REQUEST or (key not in enclosing and root.kind not in _AS_LONG_AS_THE_PROGRAM)
    }


def counters_of(trace: Trace) -> Counters:
    """The totals of all processes; each counts from its own start, so only its last word is taken."""
    last: dict[int, Counters] = {}
    for piece in trace.pieces:
        held = last.get(piece.header.pid)
        if held is None or piece.counters.recorded + piece.counters.dropped >= held.recorded + held.dropped:
            last[piece.header.pid] = piece.counters
    return Counters(
        recorded=sum(each.recorded for each in last.values()),
        dropped=sum(each.dropped for each in last.values()),
        errors=sum(each.errors for each in last.values()),
    )
