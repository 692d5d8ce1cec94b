"""What `check`, `baseline` and `report` share: what is looked at, the analysis, and where its findings go."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from agentperf_lint.process import kept

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_lint.checklist.baseline import Baseline
    from agentperf_lint.config import Config
    from agentperf_lint.render.base import Renderer
    from agentperf_lint.source_lines import Sources


def looked_at(paths: Sequence[str], options: dict[str, Any]) -> tuple[list[Path], Config, Path, Path | None]:
    """The paths to report on, the configuration, the project's root, and where the cache is kept if anywhere."""
    from agentperf_lint.config import override
    from agentperf_lint.project import find_project

    given = [Path(path) for path in paths or (".",)]
    config_file = options["config_file"]
    project = find_project(given, config_file=Path(config_file) if config_file else None, isolated=options["isolated"])
    config = override(project.config, **overrides(project.config, options))
    if options["force_exclude"]:
        given = without_excluded(given, project.root, config)
    cache_directory = Path(options["cache_dir"]) if options["cache_dir"] else project.cache_directory
    return given, config, project.root, None if options["no_cache"] else cache_directory


def overrides(config: Config, options: dict[str, Any]) -> dict[str, Any]:
    """What the command line sets, by the names of the settings; None where it says nothing."""
    from agentperf_lint.config import parse_per_file_ignores

    direct = ("select", "ignore", "exclude", "min_severity", "min_confidence", "output_format", "baseline", "jobs")
    given = {name: options.get(name) for name in direct}
    for name in ("extend_select", "extend_exclude"):
        if options[name]:
            given[name] = (*getattr(config, name), *options[name])
    if options["per_file_ignores"]:
        given["per_file_ignores"] = parse_per_file_ignores(options["per_file_ignores"])
    return given


def without_excluded(paths: list[Path], root: Path, config: Config) -> list[Path]:
    from agentperf_lint.analysis.sources import is_excluded

    return [path for path in paths if not is_excluded(path, root=root, exclude=config.all_excluded())]


def analyzed(
    paths: list[Path], config: Config, root: Path, cache_directory: Path | None, stdin: tuple[str, bytes] | None
) -> Report:
    from agentperf_lint.analysis.filtering import check_codes
    from agentperf_lint.analysis.run import analyze
    from agentperf_lint.render.progress_bar import progress_on

    check_codes(config)  # before the work, not after it
    return analyze(
        paths,
        config,
        root=root,
        jobs=config.jobs,
        cache_dir=cache_directory,
        stdin=stdin,
        progress=progress_on(sys.stderr),
        keep=kept.append,
    )


def renderer_of(config: Config, statistics: bool, stdin: tuple[str, bytes] | None) -> Renderer:
    from agentperf_lint.render import renderer_for, statistics_renderer_for

    if statistics:
        return statistics_renderer_for(config.output_format)
    return renderer_for(config.output_format, overlay_of(stdin))


def overlay_of(stdin: tuple[str, bytes] | None) -> dict[str, bytes] | None:
    return dict([stdin]) if stdin is not None else None


def below_working_directory(file: Path) -> Path:
    """`file` as a user in the working directory would name it."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def save_baseline(baseline: Baseline) -> None:
    try:
        baseline.write()
    except OSError as error:
        raise click.FileError(str(baseline.file), hint=error.strerror or str(error)) from error


def hide_known(
    report: Report, baseline: Baseline, sources: Sources, given: Sequence[Path], config: Config, quiet: bool
) -> None:
    """Takes what the baseline knows out of `report`, and says on standard error what it knows in vain."""
    from agentperf_lint.entries import entries_of
    from agentperf_lint.render.base import plural

    is_new, unmatched = baseline.compare(entries_of(report.findings, sources))
    report.findings = [finding for finding, new in zip(report.findings, is_new) if new]
    expired = len(baseline.expired(unmatched, given, config))
    if expired and not quiet:
        occur = "occurs" if expired == 1 else "occur"
        command = f"agentperf-lint baseline --prune -o {below_working_directory(baseline.file)}"
        click.echo(
            f"{plural(expired, 'entry', 'entries')} of the baseline no longer {occur}; run `{command}` to drop "
            f"{'it' if expired == 1 else 'them'}",
            err=True,
        )


def write_report(renderer: Renderer, report: Report, output_file: str | None) -> None:
    with opened(output_file) as stream:
        renderer.render(report, stream)


@contextmanager
def opened(output_file: str | None) -> Iterator[TextIO]:
    """The file to write to, standard output without a name."""
    if output_file is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with open(output_file, "w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
    except OSError as error:
        raise click.FileError(output_file, hint=error.strerror or str(error)) from error


def summarize(report: Report, hidden: int) -> None:
    from agentperf_lint.render.base import plural

    if report.files == 0:
        click.echo("warning: No Python files found under the given paths", err=True)
        return
    found = f"Found {plural(len(report.findings), 'finding')}" if report.findings else "No findings"
    known = f", {hidden:,} more in the baseline" if hidden else ""
    seconds = sum(report.seconds.values())
    fixes = fixes_told(report)
    click.echo(f"{found} in {plural(report.files, 'file')}{known} ({seconds:.1f} s){fixes}", err=True)


def fixes_told(report: Report) -> str:
    """How many findings can be mended by which options."""
    fixes = [finding.fix for finding in report.findings if finding.fix is not None]
    safe = sum(fix.safe for fix in fixes)
    parts = []
    if safe:
        parts.append(f"{safe:,} can be mended with --fix")
    if len(fixes) > safe:
        parts.append(f"{len(fixes) - safe:,}{' more' if safe else ' can be mended'} with --fix --unsafe-fixes")
    return "".join(f", {part}" for part in parts)
