"""The checklist for a person at a terminal: what it comes to, the worst places with bars, then each item."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from agentperf_lint.checklist.items import (
    BottleneckEvidence,
    ClusterEvidence,
    GapEvidence,
    Item,
    MemoryEvidence,
    ProfileEvidence,
    StallEvidence,
    StaticEvidence,
)
from agentperf_lint.render.base import duration, place_of, plural, printable
from agentperf_lint.render.checklist_text import counts, grown, profiled, traced
from agentperf_lint.render.excerpts import SHOWN
from agentperf_lint.render.full import Line, wants_colour, write_coloured
from agentperf_lint.source_lines import Sources

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import Checklist, Evidence
    from agentperf_lint.config import GroupBy

_WORST = 10
_BAR = 12  # cells
_DIM = "bright_black"
_STALLS = ("stall", "cold_import")
_SEVERITY_STYLE = {"low": "cyan", "medium": "yellow", "high": "red"}
_STATUS_STYLE = {"confirmed": "bold green", "observed": "bold", "suspected": _DIM}
_LEAST_WIDTH = 60
_WIDTH = 120  # characters a line where there is no terminal
_EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588"
_KINDS = {
    "n_plus_one": "N+1",
    "duplicate": "duplicate",
    "stall": "stall",
    "bottleneck": "slow operation",
    "cold_import": "cold import",
}


class ChecklistFullRenderer:
    """Coloured through rich on a terminal, plain text anywhere else and with NO_COLOR."""

    def __init__(self, group_by: GroupBy | None = None) -> None:
        self._sources = Sources()
        self._group_by: GroupBy | None = group_by

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""
        width = max(_LEAST_WIDTH, shutil.get_terminal_size((_WIDTH, 0)).columns) if stream.isatty() else _WIDTH
        plain = (stream.encoding or "utf-8").lower().replace("-", "") != "utf8"
        lines = self._lines(checklist, width, plain)
        if wants_colour(stream):
            write_coloured(lines, stream)
        else:
            stream.writelines("".join(text for text, _ in line).rstrip() + "\n" for line in lines)

    def _lines(self, checklist: Checklist, width: int, plain: bool) -> Iterator[Line]:
        yield from _summary(checklist)
        if checklist.items and checklist.items[0].total_seconds:
            yield []
            yield from _worst(checklist.items, width, plain)
        if self._group_by is None:
            for item in checklist.items:
                yield []
                yield from self._item(item)
            return
        for name, items in grouped(checklist.items, self._group_by):
            yield []
            yield [(printable(name), "bold underline"), (f"  {_total_of(items)}", _DIM)]
            for item in items:
                yield []
                yield from self._item(item)

    def _item(self, item: Item) -> Iterator[Line]:
        yield [
            (printable(place_of(item.path, item.line)), "bold"),
            (f" {item.code}", f"bold {_SEVERITY_STYLE[item.severity]}"),
            (f" {item.status}", _STATUS_STYLE[item.status]),
            (f" {printable(item.message)}", ""),
        ]
        yield from self._source(item.path, item.line, "")
        if item.loop is not None and (item.loop.path, item.loop.line) != (item.path, item.line):
            place = f"{item.loop.kind} at {item.loop.path}:{item.loop.line} in {item.loop.function}"
            yield [("  loop  ", _DIM), (printable(place), "")]
            yield from self._source(item.loop.path, item.loop.line, "  ")
        if item.total_seconds:
            yield [("  cost  ", _DIM), (_cost(item), "")]
        for evidence in item.evidence:
            yield from _evidence(item, evidence)
        if item.fix != "none":
            unsafe = " --unsafe-fixes" if item.fix == "unsafe" else ""
            yield [("  fix   ", _DIM), (printable(f"agentperf-lint check --fix{unsafe} {item.path}"), "")]
        if item.refuted:
            yield [("  refuted  ", _DIM), (printable(item.reason), "")]

    def _source(self, path: str, line: int, margin: str) -> Iterator[Line]:
        text = self._sources.line(path, line) if path else None
        if text is not None and text.strip():
            shown = printable(text.strip())
            yield [(f"  {margin}{line} | ", _DIM), (shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}...", "")]


def grouped(items: Sequence[Item], group_by: GroupBy) -> list[tuple[str, list[Item]]]:
    """The items of each file, rule or root (that in which most of it happened), the costliest group first."""
    groups: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[_group_of(item, group_by)].append(item)
    return sorted(groups.items(), key=lambda group: -sum(item.total_seconds for item in group[1]))


def _group_of(item: Item, group_by: GroupBy) -> str:
    if group_by == "file":
        return item.path or "no file"
    if group_by == "rule":
        return f"{item.code} {item.name}"
    return next(iter(item.root_names), "no root")


def _total_of(items: Sequence[Item]) -> str:
    seconds = sum(item.total_seconds for item in items)
    return plural(len(items), "item") + (f", {duration(seconds)}" if seconds else "")


def _summary(checklist: Checklist) -> Iterator[Line]:
    yield [(counts(checklist.summary), "bold")]
    for text in traced(checklist.summary):
        yield [(text, _DIM)]
    for note in checklist.notes:
        yield [("note: ", "yellow"), (printable(note), "")]


def _worst(items: tuple[Item, ...], width: int, plain: bool) -> Iterator[Line]:
    worst = [item for item in items if item.total_seconds][:_WORST]
    most = max(item.total_seconds for item in worst)
    for item in worst:
        what = f"{_KINDS.get(item.kind, item.kind)} {place_of(item.path, item.line)} {item.function}"
        head = f"{duration(item.total_seconds):>9} {item.share:6.1%}  "
        room = width - len(head) - _BAR - 1
        yield [
            (head, ""),
            (_bar(item.total_seconds / most, plain), _SEVERITY_STYLE[item.severity]),
            (f" {_clipped(printable(what), room)}", ""),
        ]


def _bar(share: float, plain: bool) -> str:
    if plain:
        return ("#" * max(1, round(share * _BAR))).ljust(_BAR)
    eighths = max(1, round(share * _BAR * 8))
    return ("\u2588" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(_BAR)


def _clipped(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(0, room - 3)]}..."


def _cost(item: Item) -> str:
    noun = {"stall": "stall", "cold_import": "stall", "bottleneck": "slow operation", "budget": "request"}.get(
        item.kind, "operation"
    )
    cost = duration(item.total_seconds)
    if item.operations:
        cost += f" in {plural(item.operations, noun)}"
    if item.roots:
        cost += f", {plural(item.roots, 'root')}"
    if item.worst_seconds:
        cost += f"; worst {duration(item.worst_seconds)}"
    return f"{cost}; {item.share:.1%} of the time" if item.share else cost


def _evidence(item: Item, evidence: Evidence) -> Iterator[Line]:
    if isinstance(evidence, ClusterEvidence):
        yield from _of_cluster(evidence)
    elif isinstance(evidence, StallEvidence):
        for place in evidence.stack:
            yield [("  stack ", _DIM), (printable(f"{place.function} at {place.path}:{place.line}"), "")]
        if item.kind in _STALLS and item.root_names:  # those of other items are told with what they asked
            yield [("  roots ", _DIM), (printable(", ".join(item.root_names)), "")]
    elif isinstance(evidence, BottleneckEvidence):
        text = f"{plural(evidence.slow, 'slow operation')} of {evidence.operations:,}: {evidence.statement}"
        yield [("  slow  ", _DIM), (printable(text), "")]
    elif isinstance(evidence, GapEvidence):
        yield [("  gap   ", _DIM), (f"{plural(evidence.clusters, 'cluster')} by timestamps alone", "")]
    elif isinstance(evidence, ProfileEvidence):
        yield [("  spent ", _DIM), (printable(profiled(evidence)), "")]
        for hot in evidence.places:
            how = "waiting" if hot.waiting else "running"
            text = f"{hot.share:4.0%} {how} at {hot.path}:{hot.line} in {hot.function}"
            yield [("      > ", _DIM), (printable(text), "")]
    elif isinstance(evidence, MemoryEvidence):
        yield [("  grew  ", _DIM), (grown(evidence), "")]
    elif isinstance(evidence, StaticEvidence):
        if item.status != "suspected":
            yield [("  check ", _DIM), (f"{evidence.code} ", "bold"), (printable(evidence.message), "")]
        for step in evidence.chain[1:]:
            yield [("      > ", _DIM), (printable(f"{step.function} at {step.path}:{step.line}"), "")]


def _of_cluster(evidence: ClusterEvidence) -> Iterator[Line]:
    yield [("  asked ", _DIM), (printable(evidence.statement), "")]
    if evidence.root_names:
        yield [("  roots ", _DIM), (printable(", ".join(evidence.root_names)), "")]
    if evidence.input_tokens or evidence.output_tokens:
        tokens = f"{evidence.input_tokens:,} tokens in, {evidence.output_tokens:,} out"
        yield [("  cost  ", _DIM), (tokens, "")]
    for place in evidence.other_places:
        yield [("  also  ", _DIM), (printable(f"{place.path}:{place.line} in {place.function}"), "")]
