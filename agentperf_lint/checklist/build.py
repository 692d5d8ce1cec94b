"""From traces and findings to the checklist."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agentperf_lint.checklist.bottlenecks import bottleneck_items
from agentperf_lint.checklist.budgets import judge
from agentperf_lint.checklist.cluster_items import cluster_items
from agentperf_lint.checklist.gap import gap_items
from agentperf_lint.checklist.items import Checklist, Item, Summary, ranked
from agentperf_lint.checklist.join import joined
from agentperf_lint.checklist.kpis import kpis_of, kpis_of_profile
from agentperf_lint.checklist.loads import Load
from agentperf_lint.checklist.memory import memory_items
from agentperf_lint.checklist.observed import Observed, Scene
from agentperf_lint.checklist.profile_items import profile_items, profile_run
from agentperf_lint.checklist.profiles import Profile
from agentperf_lint.checklist.sources import Mapping, Sources
from agentperf_lint.checklist.stalls import stall_items
from agentperf_lint.checklist.trace import Piece, Trace, counters_of
from agentperf_lint.config import TraceSettings
from agentperf_rules.model import Confidence, Finding
from agentperf_runtime.budgets import Budget

_MANY_OPERATIONS = 20
_SHOWN_FILES = 3


def build_checklist(
    trace: Trace,
    settings: TraceSettings,
    *,
    findings: Sequence[Finding] = (),
    min_confidence: Confidence = "likely",
    mappings: Mapping = (),
    bases: Sequence[str] = (),
    profiles: Sequence[Profile] = (),
    loads: Sequence[Load] = (),
    budgets: Sequence[Budget] = (),
    config_file: str = "",
) -> Checklist:
    """The combined checklist of what was measured and found.

    `mappings` are (prefix in the trace, prefix here); `bases` are directories where files that are not at their
    recorded path may be. `config_file` is where the budgets are set.
    """
    scene = Scene(trace, settings, Sources(mappings, bases))
    clusters = gap_items(scene) if settings.detector == "gap" else cluster_items(scene)
    observed = _merged([*clusters, *stall_items(scene)], bottleneck_items(scene))
    for found in profile_items(scene, profiles):
        observed = _merged(observed, found)
    started = _started(trace, profiles)
    judged = judge(budgets, trace, profiles, loads, config_file)
    joint = joined(scene, observed, findings, min_confidence, started)
    items = ranked([*joint, *memory_items(trace), *judged.items])
    notes = (*trace.notes, *scene.notes, *judged.notes, *_notes_on_sites(trace), *_notes_on_sources(scene, started))
    told = next((profile for profile in profiles if profile.operations), None)
    summary = msgspec.structs.replace(
        _summary(trace, items),
        kpis=kpis_of_profile(told) if told is not None and not trace.pieces else kpis_of(trace),
        loads=tuple(load.run for load in loads),
        profiles=tuple(profile_run(profile) for profile in profiles),
    )
    return Checklist(items=items, summary=summary, notes=notes)


def _merged(observed: list[Observed], others: Sequence[Observed]) -> list[Observed]:
    """All of them; one of `others` at a place that has an item already is evidence there.

    Where only the function is known, that is the first item in it.
    """
    merged = list(observed)
    by_line: dict[tuple[str, int], int] = {}
    by_function: dict[tuple[str, str], int] = {}
    for index, held in enumerate(observed):
        by_line.setdefault((held.item.path, held.item.line), index)
        by_function.setdefault((held.item.path, held.item.function), index)
    for each in others:
        item = each.item
        own = by_line.get((item.path, item.line)) if each.by_line else by_function.get((item.path, item.function))
        if own is None or item.kind == "memory" or not item.path:
            if each.notable:
                merged.append(each)
            continue
        evidence = (*merged[own].item.evidence, *item.evidence)
        held_item = msgspec.structs.replace(merged[own].item, evidence=evidence)
        merged[own] = msgspec.structs.replace(merged[own], item=held_item)
    return merged


def _started(trace: Trace, profiles: Sequence[Profile]) -> float:
    """When the first of what was measured began, in seconds since 1970; infinite where none says so."""
    traces = [piece.header.wall_start for piece in trace.pieces]
    return min([*traces, *(profile.started for profile in profiles if profile.started)], default=math.inf)


# Commands that run an application of another name.
_LAUNCHERS = frozenset(
    """arq celery coverage daphne debugpy dramatiq fastapi flask granian gunicorn huey hupper hypercorn ipykernel
    jupyter litestar mod_wsgi nose pytest quart rq sanic saq streamlit taskiq tox trio twisted unittest uvicorn
    uwsgi waitress watchfiles""".split()
)


def _notes_on_sites(trace: Trace) -> list[str]:
    """Whether it looks as if the application itself were installed, and so taken for a library."""
    traced = [piece for piece in trace.pieces if piece.header.prefixes and not piece.header.applications]
    operations = sum(len(piece.operations) for piece in traced)
    without = sum(site == 0 for piece in traced for site in piece.operations.site)
    if without < max(_MANY_OPERATIONS, operations / 2):
        return []
    return [
        f"{without:,} of {operations:,} operations were called by installed packages alone, their lines are not known: "
        f"if one of these packages is the application, trace it with --app {_installed_command(traced) or 'PACKAGE'}"
    ]


def _installed_command(pieces: Sequence[Piece]) -> str:
    """The installed package that was started, by its command or by `python -m`; "" for a server of other packages."""
    for piece in pieces:
        prefixes = [Path(prefix) for prefix in piece.header.prefixes]
        name = _package_of(Path(piece.header.argv[-1] if piece.header.argv else ""), prefixes)
        if name.isidentifier() and name not in _LAUNCHERS and any((prefix / name).is_dir() for prefix in prefixes):
            return name
    return ""


def _package_of(script: Path, prefixes: Sequence[Path]) -> str:
    """The package that is named like a command, or that has the module that was run."""
    for prefix in prefixes:
        if script.is_relative_to(prefix):
            return script.relative_to(prefix).parts[0]
    return script.stem if script.parent.name in ("bin", "Scripts") else ""


def _notes_on_sources(scene: Scene, started: float) -> list[str]:
    notes = []
    missing = sorted(scene.sources.missing)
    if missing:
        more = f" and {len(missing) - _SHOWN_FILES} more" if len(missing) > _SHOWN_FILES else ""
        shown = ", ".join(missing[:_SHOWN_FILES])
        notes.append(f"source not found, judged by the trace alone: {shown}{more} (--map PREFIX=DIRECTORY may help)")
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
    )
