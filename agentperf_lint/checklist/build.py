"""From traces and findings to the checklist."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from agentperf_lint.checklist.bottlenecks import bottleneck_items
from agentperf_lint.checklist.cluster_items import cluster_items
from agentperf_lint.checklist.gap import gap_items
from agentperf_lint.checklist.items import Checklist, Item, Summary, ranked
from agentperf_lint.checklist.join import joined
from agentperf_lint.checklist.kpis import kpis_of
from agentperf_lint.checklist.observed import Observed, Scene
from agentperf_lint.checklist.sources import Mapping, Sources
from agentperf_lint.checklist.stalls import stall_items
from agentperf_lint.checklist.trace import Trace, counters_of
from agentperf_lint.config import TraceSettings
from agentperf_rules.model import Confidence, Finding

_SHOWN_FILES = 3


def build_checklist(
    trace: Trace,
    settings: TraceSettings,
    *,
    findings: Sequence[Finding] = (),
    min_confidence: Confidence = "likely",
    mappings: Mapping = (),
    bases: Sequence[str] = (),
) -> Checklist:
    """The combined checklist of `trace` and `findings`.

    `mappings` are (prefix in the trace, prefix here); `bases` are directories where files that are not at their
    recorded path may be.
    """
    scene = Scene(trace, settings, Sources(mappings, bases))
    clusters = gap_items(scene) if settings.detector == "gap" else cluster_items(scene)
    observed = _with_bottlenecks([*clusters, *stall_items(scene)], bottleneck_items(scene))
    items = ranked(joined(scene, observed, findings, min_confidence))
    notes = (*trace.notes, *scene.notes, *_notes_on_sources(scene))
    return Checklist(items=items, summary=_summary(trace, items), notes=notes)


def _with_bottlenecks(observed: list[Observed], bottlenecks: Sequence[Observed]) -> list[Observed]:
    """All of them; a slow operation at a place that has an item already is evidence there."""
    at = {(each.item.path, each.item.line): index for index, each in enumerate(observed)}
    for each in bottlenecks:
        index = at.get((each.item.path, each.item.line))
        if index is None:
            observed.append(each)
            continue
        held = observed[index]
        evidence = (*held.item.evidence, *each.item.evidence)
        observed[index] = Observed(msgspec.structs.replace(held.item, evidence=evidence), held.frames)
    return observed


def _notes_on_sources(scene: Scene) -> list[str]:
    notes = []
    missing = sorted(scene.sources.missing)
    if missing:
        more = f" and {len(missing) - _SHOWN_FILES} more" if len(missing) > _SHOWN_FILES else ""
        shown = ", ".join(missing[:_SHOWN_FILES])
        notes.append(f"source not found, judged by the trace alone: {shown}{more} (--map PREFIX=DIRECTORY may help)")
    started = min((piece.header.wall_start for piece in scene.trace.pieces), default=0.0)
    edited = sorted(path for path in scene.sources.read if _changed_after(path, started))
    if edited:
        more = f" and {len(edited) - _SHOWN_FILES} more" if len(edited) > _SHOWN_FILES else ""
        notes.append(f"changed since they were traced, lines may be off: {', '.join(edited[:_SHOWN_FILES])}{more}")
    return notes


def _changed_after(path: str, time: float) -> bool:
    try:
        return os.stat(path).st_mtime > time
    except OSError:
        return False


def _summary(trace: Trace, items: Sequence[Item]) -> Summary:
    counters = counters_of(trace)
    return Summary(
        wall_seconds=trace.wall_seconds,
        operations=trace.operations,
        roots=len({(piece.header.pid, root) for piece in trace.pieces for root in piece.roots}),
        dropped=counters.dropped,
        errors=counters.errors,
        processes=len({piece.header.pid for piece in trace.pieces}),
        confirmed=sum(item.status == "confirmed" for item in items),
        observed=sum(item.status == "observed" for item in items),
        suspected=sum(item.status == "suspected" for item in items),
        kpis=kpis_of(trace),
    )
