"""The combined checklist: its lines, and what each of them rests on."""

from __future__ import annotations

from typing import Literal

import msgspec

from agentperf_lint.checklist.kpis import Kpis
from agentperf_lint.checklist.loads import LoadRun
from agentperf_rules.model import Confidence, Fix, Severity, Step

Status = Literal["confirmed", "observed", "suspected"]
Kind = Literal[
    "n_plus_one", "duplicate", "stall", "bottleneck", "cold_import", "budget", "memory", "blocking", "loop", "hygiene",
    "run",
]  # fmt: skip

FixAvailable = Literal["none", "safe", "unsafe"]

VERSION = 1


class Place(msgspec.Struct, frozen=True):
    """A line of the application, 1-based."""

    path: str
    line: int
    function: str


class LoopEvidence(msgspec.Struct, frozen=True):
    """The loop that repeats a call: `kind` is for, async for, while, comprehension or map."""

    path: str
    line: int
    function: str
    kind: str


class ClusterEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="cluster"):
    """Operations of one statement at one place that ought to have been one, over all roots.

    `most` is the largest number in one root, `distinct` the largest number of different parameters there.
    """

    operation: str
    statement: str
    operations: int
    roots: int
    most: int
    distinct: int
    total_seconds: float
    worst_seconds: float
    root_names: tuple[str, ...] = ()
    relation: str = ""
    started_together: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    other_places: tuple[Place, ...] = ()


class StallEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="stall"):
    """Steps of the event loop that one place held for too long; `stack` is that of the worst, innermost first.

    `sampled` of them were seen while they lasted, the others only once the holder let go. `ongoing` ones had not
    ended when the trace did.
    """

    stalls: int
    sampled: int
    ongoing: int
    total_seconds: float
    worst_seconds: float
    stack: tuple[Place, ...] = ()


class BottleneckEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="bottleneck"):
    """Single operations of one statement at one place that took long; `root_share` is that of the worst in its root."""

    operation: str
    statement: str
    operations: int
    slow: int
    total_seconds: float
    worst_seconds: float
    root_share: float
    root_name: str = ""


class StaticEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="static"):
    """A finding of `agentperf-lint check` at the same place, with the calls down to the sink."""

    code: str
    name: str
    path: str
    line: int
    end_line: int
    function: str
    confidence: Confidence
    message: str
    sink: str
    sink_kind: str
    chain: tuple[Step, ...] = ()
    fix: Fix | None = None


class GapEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="gap"):
    """Runs of operations of one kind that follow each other quickly: all that the timestamps tell."""

    operation: str
    clusters: int
    operations: int
    mean_size: float


class Hot(msgspec.Struct, frozen=True):
    """Where the seconds of a profile went: `share` is the part of them, 0 to 1. `waiting`: another task ran there."""

    path: str
    line: int
    function: str
    seconds: float
    share: float
    waiting: bool = False


class ProfileEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="profile"):
    """What a profile tells of a line, or of an operation that is slow on average.

    `operation` is "" for a line; then `seconds` were spent there, and the figures of executions are 0. Of an operation
    `seconds` are those of all executions, `running` and `waiting` what the samples make of them.
    """

    profiler: str
    seconds: float
    running_seconds: float
    waiting_seconds: float
    operation: str = ""
    executions: int = 0
    failed: int = 0
    mean_seconds: float = 0.0
    p95_seconds: float = 0.0
    worst_seconds: float = 0.0
    tokens: int = 0
    places: tuple[Hot, ...] = ()


class BudgetEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="budget"):
    """A budget that was exceeded: `measured` and `limit` in `unit`. `scope` is "" for all requests together."""

    budget: str
    scope: str
    measure: str
    measured: float
    limit: float
    unit: str
    source: str


class MemoryEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="memory"):
    """Memory that grew: bytes before and after, over `seconds`; `objects` is 0 where only the process was measured."""

    before_bytes: int
    after_bytes: int
    seconds: float
    objects: int = 0
    pid: int = 0

    @property
    def grown_bytes(self) -> int:
        """What it grew by."""
        return self.after_bytes - self.before_bytes


Evidence = (
    ClusterEvidence
    | StallEvidence
    | BottleneckEvidence
    | StaticEvidence
    | GapEvidence
    | ProfileEvidence
    | BudgetEvidence
    | MemoryEvidence
)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One place in the code that costs something.

    `path` is relative to the working directory where it lies below it. `operations` counts calls or stalls, `roots`
    the requests and tasks concerned, of which `root_names` has the names of most; in all there were `of_roots` with
    such names, so that costs can be told per root. `share` is the part of the traced wall time that they fill, 0 to 1.
    `total_seconds` adds up all roots, `worst_seconds` is that of the worst single root (or stall, or operation).
    A suspected item is `refuted` for a `reason` when the trace shows that it costs nothing. `fix` says whether
    `agentperf-lint check --fix` can mend it, `unsafe` with `--unsafe-fixes` only.
    """

    code: str
    name: str
    kind: Kind
    status: Status
    path: str
    line: int
    end_line: int
    function: str
    severity: Severity
    operations: int = 0
    roots: int = 0
    of_roots: int = 0
    root_names: tuple[str, ...] = ()
    total_seconds: float = 0.0
    worst_seconds: float = 0.0
    share: float = 0.0
    message: str
    remedy: str
    loop: LoopEvidence | None = None
    fix: FixAvailable = "none"
    evidence: tuple[Evidence, ...] = ()
    refuted: bool = False
    reason: str = ""


class ProfileRun(msgspec.Struct, frozen=True):
    """A profile that was read: how long it covers, and how many operations it tells of."""

    file: str
    profiler: str
    seconds: float
    operations: int


class Summary(msgspec.Struct, frozen=True):
    """What was traced: seconds from the first process to the last, operations, roots, losses, processes.

    `profiles` and `loads` are what was read beside traces.
    """

    wall_seconds: float = 0.0
    operations: int = 0
    roots: int = 0
    dropped: int = 0
    errors: int = 0
    processes: int = 0
    confirmed: int = 0
    observed: int = 0
    suspected: int = 0
    kpis: Kpis = Kpis()
    profiles: tuple[ProfileRun, ...] = ()
    loads: tuple[LoadRun, ...] = ()


class Checklist(msgspec.Struct, frozen=True, kw_only=True):
    """The items, worst measured cost first, and what a reader should know about where they come from."""

    version: int = VERSION
    items: tuple[Item, ...] = ()
    summary: Summary = Summary()
    notes: tuple[str, ...] = ()

    def has_observations(self) -> bool:
        """Whether any item was seen at run time."""
        return any(item.status != "suspected" for item in self.items)

    def shown(self, *, only: Status | None = None, top: int | None = None) -> Checklist:
        """The same with items of one status only, and the `top` worst of these."""
        items = [item for item in self.items if only in (None, item.status)]
        return msgspec.structs.replace(self, items=tuple(items[:top]))


_SEVERITY_RANK = {"high": 0, "medium": 1, "low": 2}


def ranked(items: list[Item]) -> tuple[Item, ...]:
    """By measured cost, then severity; what was only suspected comes after that, what was refuted last."""
    return tuple(
        sorted(
            items,
            key=lambda item: (
                item.refuted,
                item.status == "suspected",
                -item.total_seconds,
                _SEVERITY_RANK[item.severity],
                item.path,
                item.line,
                item.code,
            ),
        )
    )
