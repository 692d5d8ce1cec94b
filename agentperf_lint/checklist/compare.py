"""Two runs side by side: which items came, went, grew and shrank.

Costs are told per root: of an item that was seen in `GET /orders`, by the number of times that `GET /orders` ran. So
runs of different length compare, and so do runs with another mix of requests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from agentperf_lint.checklist.items import (
    BottleneckEvidence,
    Checklist,
    ClusterEvidence,
    GapEvidence,
    Item,
    Kind,
    MemoryEvidence,
    Status,
    Summary,
)
from agentperf_lint.checklist.memory import LEAST_GROWTH, LEAST_SHARE
from agentperf_lint.checklist.sources import Sources as TracedSources
from agentperf_lint.checklist.sources import plain_name, shown_path
from agentperf_lint.checklist.statements import meaning_of
from agentperf_lint.checklist.trace import Trace
from agentperf_lint.config import TraceSettings
from agentperf_lint.entries import folded_source
from agentperf_lint.source_lines import Sources
from agentperf_rules.model import Severity

Verdict = Literal["new", "worse", "same", "better", "fixed", "not_run"]
Build = Callable[[Trace, TraceSettings], Checklist]

VERSION = 1
NOISE_SECONDS = 0.01  # per root: what a busy machine adds or takes
NOISE_SHARE = 0.1  # of the seconds before
NOISE_OPERATIONS = 1.0  # per root
_LOWERED = 0.5  # of the thresholds, to see what is just below them
_COUNTED = frozenset({"n_plus_one", "duplicate"})
_ORDER: tuple[Verdict, ...] = ("new", "worse", "same", "better", "not_run", "fixed")


class Figures(msgspec.Struct, frozen=True):
    """What an item cost in one run; `roots` is the number of roots that the figures are divided by.

    `bytes_per_second` is what the memory of a process grew by, 0 for other kinds.
    """

    roots: int
    operations_per_root: float
    seconds_per_root: float
    worst_seconds: float
    bytes_per_second: float = 0.0


class Change(msgspec.Struct, frozen=True):
    """One item in both runs; `before` is None for a new one, `after` for one that is gone.

    `is_regression` says that it exceeds the budget. The place is that in the later run where there is one.
    """

    verdict: Verdict
    is_regression: bool
    code: str
    name: str
    kind: Kind
    status: Status
    severity: Severity
    path: str
    line: int
    function: str
    message: str
    before: Figures | None
    after: Figures | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All changes, regressions first; `max_regression` is the budget as a share of what was before (0.2: a fifth)."""

    version: int = VERSION
    changes: tuple[Change, ...] = ()
    before: Summary = Summary()
    after: Summary = Summary()
    max_regression: float
    regressions: int = 0
    notes: tuple[str, ...] = ()


def compare(before: Trace, after: Trace, settings: TraceSettings, build: Build, sources: TracedSources) -> Comparison:
    """The measured items of two runs, paired. `build` makes the checklist of a trace, `sources` finds its files."""
    first, second = build(before, settings), build(after, settings)
    pairs = _paired(_measured(first), _measured(second))
    if any(one is None or other is None for one, other in pairs):
        lowered = _lowered(settings)
        pairs = _below_thresholds(pairs, _measured(build(before, lowered)), _measured(build(after, lowered)))
    ran = [_functions_with_operations(trace, sources) for trace in (before, after)]
    changes = sorted((_change(one, other, settings.max_regression, ran[0] - ran[1]) for one, other in pairs), key=_rank)
    return Comparison(
        changes=tuple(changes),
        before=first.summary,
        after=second.summary,
        max_regression=settings.max_regression,
        regressions=sum(change.is_regression for change in changes),
        notes=(*(f"before: {note}" for note in first.notes), *(f"after: {note}" for note in second.notes)),
    )


def figures_of(item: Item) -> Figures:
    """The costs of `item` per root."""
    roots = max(item.of_roots, item.roots, 1)
    growth = _growth(item)
    rate = growth.grown_bytes / growth.seconds if growth is not None and growth.seconds else 0.0
    return Figures(roots, item.operations / roots, item.total_seconds / roots, item.worst_seconds, rate)


def verdict_of(kind: Kind, before: Figures, after: Figures) -> Verdict:
    """Whether the difference is more than noise, and which way; seconds decide before operations do."""
    seconds = after.seconds_per_root - before.seconds_per_root
    if abs(seconds) >= max(NOISE_SECONDS, NOISE_SHARE * before.seconds_per_root):
        return "worse" if seconds > 0 else "better"
    operations = after.operations_per_root - before.operations_per_root
    if kind in _COUNTED and abs(operations) >= max(NOISE_OPERATIONS, NOISE_SHARE * before.operations_per_root):
        return "worse" if operations > 0 else "better"
    growth = after.bytes_per_second - before.bytes_per_second
    if abs(growth) > NOISE_SHARE * before.bytes_per_second:
        return "worse" if growth > 0 else "better"
    return "same"


def _exceeds(kind: Kind, before: Figures, after: Figures, budget: float) -> bool:
    """Whether something that is worse is so by more than the budget. Numbers of operations know no busy machine."""
    seconds = after.seconds_per_root - before.seconds_per_root
    if seconds >= NOISE_SECONDS and seconds > budget * before.seconds_per_root:
        return True
    operations = after.operations_per_root - before.operations_per_root
    if kind in _COUNTED and operations >= NOISE_OPERATIONS and operations > budget * before.operations_per_root:
        return True
    return after.bytes_per_second - before.bytes_per_second > budget * before.bytes_per_second


def _measured(checklist: Checklist) -> list[Item]:
    return [item for item in checklist.items if item.status != "suspected"]


Pair = tuple[Item | None, Item | None]
Key = tuple[str, ...]


def _keys(item: Item, sources: Sources) -> list[Key]:
    """What identifies an item in another run, the surest first."""
    done = (item.kind, _fingerprint(item))
    line = folded_source(sources, item.path, item.line) if item.path else ""
    keys: list[Key] = [(*done, "line", item.path, line), (*done, "function", item.path, item.function)]
    if done[1]:
        keys.append((*done, "elsewhere", item.function))  # the file was renamed
    return keys


def _fingerprint(item: Item) -> str:
    for each in item.evidence:
        if isinstance(each, (ClusterEvidence, BottleneckEvidence)):
            return f"{each.operation} {meaning_of(each.operation, each.statement).fingerprint}"
        if isinstance(each, GapEvidence):
            return each.operation
    return ""


def _paired(before: Sequence[Item], after: Sequence[Item]) -> list[Pair]:
    """Every item once, with its counterpart where there is one."""
    sources = Sources()
    keys_before, keys_after = ([_keys(item, sources) for item in items] for items in (before, after))
    counterpart: dict[int, int] = {}
    taken: set[int] = set()
    for level in range(max((len(keys) for keys in (*keys_before, *keys_after)), default=0)):
        free: dict[Key, list[int]] = defaultdict(list)
        for index, keys in enumerate(keys_before):
            if index not in taken and level < len(keys):
                free[keys[level]].append(index)
        for index, keys in enumerate(keys_after):
            if index not in counterpart and level < len(keys) and free[keys[level]]:
                counterpart[index] = free[keys[level]].pop(0)
                taken.add(counterpart[index])
    pairs: list[Pair] = [
        (before[counterpart[index]] if index in counterpart else None, item) for index, item in enumerate(after)
    ]
    return pairs + [(item, None) for index, item in enumerate(before) if index not in taken]


def _lowered(settings: TraceSettings) -> TraceSettings:
    return msgspec.structs.replace(
        settings,
        min_operations=max(2, int(settings.min_operations * _LOWERED)),
        min_duplicates=max(2, int(settings.min_duplicates * _LOWERED)),
        slow_operation=settings.slow_operation * _LOWERED,
        stall_limit=settings.stall_limit * _LOWERED,
    )


def _below_thresholds(pairs: Iterable[Pair], before: Sequence[Item], after: Sequence[Item]) -> list[Pair]:
    """`pairs` with both sides of what was just below a threshold in one run: half of it is compared with half.

    An N+1 that goes from six operations to five is not fixed, and from five to six it is not new.
    """
    sources = Sources()
    lower = {}
    for one, other in _paired(before, after):
        if one is not None and other is not None:
            lower[_keys(one, sources)[0]] = lower[_keys(other, sources)[0]] = (one, other)
    found: list[Pair] = []
    for one, other in pairs:
        single = other if one is None else one if other is None else None
        found.append((one, other) if single is None else lower.get(_keys(single, sources)[0], (one, other)))
    return found


def _functions_with_operations(trace: Trace, sources: TracedSources) -> set[tuple[str, str]]:
    """File and function of all frames that led to operations."""
    found = set()
    for piece in trace.pieces:
        for site in Counter(piece.operations.site):
            for frames in piece.frames_of(site):
                found |= {(shown_path(sources.path(path)), plain_name(function)) for path, _, function in frames}
    return found


def _change(before: Item | None, after: Item | None, budget: float, ran_before_only: set[tuple[str, str]]) -> Change:
    figures = [None if item is None else figures_of(item) for item in (before, after)]
    one, other = figures
    shown = after or before
    assert shown is not None
    verdict: Verdict
    if one is None:
        verdict, is_regression = "new", other is not None and _counts_as_new(shown, other)
    elif other is None:
        verdict, is_regression = "not_run" if (shown.path, shown.function) in ran_before_only else "fixed", False
    else:
        verdict = verdict_of(shown.kind, one, other)
        is_regression = verdict == "worse" and _exceeds(shown.kind, one, other, budget)
    return Change(
        verdict=verdict,
        is_regression=is_regression,
        code=shown.code,
        name=shown.name,
        kind=shown.kind,
        status=shown.status,
        severity=shown.severity,
        path=shown.path,
        line=shown.line,
        function=shown.function,
        message=shown.message,
        before=one,
        after=other,
    )


def _counts_as_new(item: Item, figures: Figures) -> bool:
    """A stall or slow operation now and then is the machine's; a new N+1 is the code's, however fast.

    So is memory that grows, unless it may have grown nearly as much before.
    """
    growth = _growth(item)
    if growth is not None:
        return growth.grown_bytes >= max(LEAST_GROWTH, LEAST_SHARE * growth.before_bytes) / _LOWERED
    return item.kind in _COUNTED or figures.seconds_per_root >= NOISE_SECONDS


def _growth(item: Item) -> MemoryEvidence | None:
    return next((each for each in item.evidence if isinstance(each, MemoryEvidence)), None)


def _rank(change: Change) -> tuple[bool, int, float, str, int]:
    before = change.before.seconds_per_root if change.before else 0.0
    after = change.after.seconds_per_root if change.after else 0.0
    difference = abs(after - before)
    return not change.is_regression, _ORDER.index(change.verdict), -difference, change.path, change.line
