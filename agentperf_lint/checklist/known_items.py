"""The items of a report that a baseline knows, and which of its entries have expired."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from agentperf_lint.checklist.baseline import Baseline, Known
from agentperf_lint.checklist.item_entries import item_entries
from agentperf_lint.checklist.items import Checklist, Item, StaticEvidence
from agentperf_lint.checklist.sources import Sources as TracedSources
from agentperf_lint.checklist.sources import plain_name, shown_path
from agentperf_lint.checklist.trace import Trace
from agentperf_lint.config import Config
from agentperf_lint.entries import Entry, folded_source
from agentperf_lint.source_lines import Sources


class Hidden(NamedTuple):
    """What is left of a checklist, and the entries of the baseline that no longer occur."""

    checklist: Checklist
    expired: list[Known]


def without_known(
    checklist: Checklist, baseline: Baseline, trace: Trace, traced: TracedSources, paths: Sequence[Path], config: Config
) -> Hidden:
    """`checklist` less what `baseline` knows, with the entries that this run should have found again.

    That is, for observed ones, those in functions that `trace` saw at work or whose line is gone; for suspected ones,
    those that `check` would look at in `paths`. The finding behind a confirmed item is not gone.
    """
    sources = Sources()
    comparison = baseline.compare(item_entries(checklist.items, sources))
    items = [item for item, new in zip(checklist.items, comparison.is_new) if new]
    observed = [known for known in comparison.unmatched if known.is_observed]
    suspected = [known for known in comparison.unmatched if not known.is_observed]
    confirmed = baseline.compare(list(_behind_confirmed(checklist.items, sources)), suspected).unmatched
    ran = _functions_that_ran(trace, traced)
    expired = [known for known in observed if _is_gone(known, baseline, ran)]
    expired += baseline.expired(confirmed, paths, config)
    return Hidden(_left(checklist, items), expired)


def _left(checklist: Checklist, items: Sequence[Item]) -> Checklist:
    """`checklist` with `items` only, and a word on how many are left out."""
    known = len(checklist.items) - len(items)
    statuses = Counter(item.status for item in items)
    summary = msgspec.structs.replace(
        checklist.summary,
        confirmed=statuses["confirmed"],
        observed=statuses["observed"],
        suspected=statuses["suspected"],
    )
    notes = (*checklist.notes, *([f"left out because the baseline knows them: {known:,}"] if known else []))
    return msgspec.structs.replace(checklist, items=tuple(items), summary=summary, notes=notes)


def observed_baseline(checklist: Checklist, file: Path) -> Baseline:
    """A baseline that knows the confirmed and observed items, for `file`."""
    items = [item for item in checklist.items if item.status != "suspected"]
    return Baseline.of(item_entries(items, Sources()), file)


def _behind_confirmed(items: Sequence[Item], sources: Sources) -> Iterator[Entry]:
    """The findings that confirm items, as entries."""
    alone = [
        Item(
            code=each.code,
            name=each.name,
            kind="run",
            status="suspected",
            path=each.path,
            line=each.line,
            end_line=each.end_line,
            function=each.function,
            severity=item.severity,
            message=each.message,
            remedy=item.remedy,
        )
        for item in items
        if item.status == "confirmed"
        for each in item.evidence
        if isinstance(each, StaticEvidence)
    ]
    yield from item_entries(alone, sources)


def _functions_that_ran(trace: Trace, sources: TracedSources) -> set[tuple[str, str]]:
    """Absolute path and function of every frame below which an operation or a stall was recorded."""
    frames = {frame for piece in trace.pieces for site in piece.sites for way in piece.frames_of(site) for frame in way}
    frames |= {frame for piece in trace.pieces for stall in piece.stalls.values() for frame in stall.frames}
    return {(os.path.abspath(shown_path(sources.path(path))), plain_name(function)) for path, _, function in frames}


def _is_gone(known: Known, baseline: Baseline, ran: set[tuple[str, str]]) -> bool:
    path = baseline.path_of(known)
    if any(path == of and _same_function(known.function, function) for of, function in ran):
        return True
    return known.source != "" and known.source not in _folded_lines(path)


def _same_function(known: str, traced: str) -> bool:
    """Before Python 3.11 a trace has bare names."""
    return known == traced or known.rpartition(".")[2] == traced


def _folded_lines(path: str) -> set[str]:
    try:
        with open(path, "rb") as stream:
            count = stream.read().count(b"\n") + 1
    except OSError:
        return set()
    sources = Sources()
    return {folded_source(sources, path, number) for number in range(1, count + 1)}
