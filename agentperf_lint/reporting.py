"""What `report` does with its options: settings, findings to join, baselines, and what is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentperf_lint.checking import analyzed, below_working_directory, opened, save_baseline
from agentperf_lint.process import CLEAN, FINDINGS, stop_at_once_when_interrupted

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import Checklist
    from agentperf_lint.checklist.observed import Scene
    from agentperf_lint.checklist.sources import Sources as TracedSources
    from agentperf_lint.checklist.trace import Trace
    from agentperf_lint.config import Config, TraceSettings
    from agentperf_rules.model import Finding

_LISTED = 3


def show_checklist(checklist: Checklist, scene: Scene, options: dict[str, Any]) -> int:
    from agentperf_lint.render import checklist_renderer_for

    renderer = checklist_renderer_for(options["output_format"], scene, options["group_by"])
    with opened(options["output_file"]) as stream:
        renderer.render(checklist.shown(only=options["only"], top=options["top"]), stream)
    return FINDINGS if checklist.has_observations() and not options["exit_zero"] else CLEAN


def show_comparison(
    before: Trace,
    after: Trace,
    settings: TraceSettings,
    build: Callable[[Trace, TraceSettings], Checklist],
    traced: TracedSources,
    options: dict[str, Any],
) -> int:
    from agentperf_lint.checklist.compare import compare
    from agentperf_lint.render.comparison import write_comparison
    from agentperf_lint.source_lines import Sources

    comparison = compare(before, after, settings, build, traced)
    with opened(options["output_file"]) as stream:
        write_comparison(comparison, options["output_format"], Sources(), stream)
    return FINDINGS if comparison.regressions and not options["exit_zero"] else CLEAN


def write_observed(checklist: Checklist, file: Path) -> int:
    """Writes what was observed into a baseline, of which the findings of `check` stay."""
    from agentperf_lint.checklist.baseline import Baseline
    from agentperf_lint.checklist.known_items import observed_baseline
    from agentperf_lint.render.base import plural

    observed = observed_baseline(checklist, file)
    save_baseline(observed.with_findings(Baseline.read(file).known) if file.exists() else observed)
    click.echo(f"Wrote {plural(len(observed.known), 'item')} to {below_working_directory(file)}", err=True)
    return CLEAN


def without_known_items(
    checklist: Checklist, file: str, trace: Trace, traced: TracedSources, given: Sequence[Path], config: Config
) -> Checklist:
    """`checklist` less what the baseline in `file` knows; says on standard error what it knows in vain."""
    from agentperf_lint.checklist.baseline import Baseline
    from agentperf_lint.checklist.known_items import without_known
    from agentperf_lint.render.base import plural

    hidden = without_known(checklist, Baseline.read(Path(file)), trace, traced, given, config)
    if hidden.expired:
        occur = "occurs" if len(hidden.expired) == 1 else "occur"
        places = ", ".join(f"{known.path} {known.code} {known.source!r}" for known in hidden.expired[:_LISTED])
        more = f" and {len(hidden.expired) - _LISTED} more" if len(hidden.expired) > _LISTED else ""
        count = plural(len(hidden.expired), "entry", "entries")
        click.echo(f"{count} of the baseline no longer {occur}: {places}{more}", err=True)
    return hidden.checklist


def trace_settings(config: Config, options: dict[str, Any]) -> TraceSettings:
    import msgspec

    given = {name: options[name] for name in ("min_operations", "min_duplicates", "detector", "max_regression")}
    return msgspec.structs.replace(config.trace, **{name: value for name, value in given.items() if value is not None})


def joinable(paths: list[Path], config: Config, root: Path, cache_directory: Path | None) -> list[Finding]:
    """The findings in `paths`, possible ones too: what a trace confirms has happened."""
    from agentperf_lint.config import override

    if not paths:
        return []
    stop_at_once_when_interrupted()
    return analyzed(paths, override(config, min_confidence="possible"), root, cache_directory, None).findings
