"""The same findings under flake8, as codes APL...

flake8 hands over one file at a time, but a call chain needs the whole project. So the files that flake8 is going
to check are analysed once, before it starts its worker processes: forked workers inherit the result, spawned ones
find it in the disk cache. flake8 itself honours `# noqa`, `--select` and the like.
"""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from flake8.discover_files import expand_paths
from flake8.exceptions import ExecutionError
from flake8.style_guide import Decision, DecisionEngine

from agentperf_lint import __version__
from agentperf_lint.checklist.baseline import Baseline
from agentperf_lint.config import ConfigError
from agentperf_lint.entries import entries_of
from agentperf_lint.project import find_project
from agentperf_lint.source_lines import Sources
from agentperf_rules import RulePackError, all_rules
from agentperf_rules.model import Finding

_STDIN = "-"


class Plugin:
    """Looks the findings of one file up; the attributes and signatures are flake8's."""

    name: ClassVar[str] = "agentperf-lint"
    version: ClassVar[str] = __version__
    _findings: ClassVar[Mapping[str, Sequence[Finding]]] = {}
    _stdin_name: ClassVar[str | None] = None
    _jobs: ClassVar[int] = 1

    def __init__(self, tree: ast.AST, filename: str, lines: Sequence[str]) -> None:
        self._filename = filename
        self._lines = lines

    @classmethod
    def parse_options(cls, manager: Any, options: argparse.Namespace, filenames: Sequence[str]) -> None:
        """Analyses what flake8 is going to check, unless no code of ours is selected."""
        cls._findings, cls._stdin_name = {}, None
        if options.bug_report or not _is_wanted(options):
            return
        cls._jobs = _jobs(options)
        if _STDIN in filenames:
            cls._stdin_name = options.stdin_display_name
        paths = [Path(path) for path in _checked_files(options, filenames) if path != _STDIN]
        if not paths:
            return
        try:
            cls._findings = _by_file(_analyze(paths, None, cls._jobs))
        except (ConfigError, RulePackError) as error:
            raise ExecutionError(f"agentperf-lint: {error}") from error
        except TypeError as error:  # flake8 would take it for another signature and call again
            raise ExecutionError(f"agentperf-lint: internal error: {error!r}") from error

    def run(self) -> Iterator[tuple[int, int, str, type[Plugin]]]:
        """Yields line (1-based), column (0-based), message and plugin."""
        for finding in self._found():
            yield finding.line, finding.column - 1, f"{finding.code} {finding.message}", type(self)

    def _found(self) -> Iterable[Finding]:
        if self._stdin_name is None or self._filename != self._stdin_name:
            return self._findings.get(os.path.abspath(self._filename), ())
        content = "".join(self._lines).encode("utf-8", "surrogateescape")
        return _analyze([Path(self._filename)], (self._filename, content), self._jobs)


def _analyze(paths: Sequence[Path], stdin: tuple[str, bytes] | None, jobs: int) -> list[Finding]:
    from agentperf_lint.analysis.run import analyze

    project = find_project(paths)
    known = project.config.baseline
    baseline = Baseline.read(Path(known)) if known else None
    report = analyze(
        paths,
        project.config,
        root=project.root,
        jobs=project.config.jobs or jobs,
        cache_dir=project.cache_directory,
        stdin=stdin,
        noqa=False,
    )
    if baseline is None:
        return report.findings
    entries = entries_of(report.findings, Sources(dict([stdin]) if stdin is not None else None))
    return [finding for finding, new in zip(report.findings, baseline.compare(entries).is_new) if new]


def _is_wanted(options: argparse.Namespace) -> bool:
    engine = DecisionEngine(options)
    return any(engine.decision_for(code) is Decision.Selected for code in all_rules())


def _jobs(options: argparse.Namespace) -> int:
    """As many processes as flake8 was given, 0 for all processors; a worker of flake8 may have none of its own."""
    if multiprocessing.current_process().daemon:
        return 1
    return 0 if options.jobs.is_auto else max(1, options.jobs.n_jobs)


def _checked_files(options: argparse.Namespace, filenames: Sequence[str]) -> Iterator[str]:
    """The files that flake8 will check, by its own rules."""
    yield from expand_paths(
        paths=filenames,
        stdin_display_name=options.stdin_display_name,
        filename_patterns=options.filename,
        exclude=(*options.exclude, *options.extend_exclude),
    )


def _by_file(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    by_file: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_file[os.path.abspath(finding.path)].append(finding)
    return dict(by_file)
