"""A finding with its source, and the chain of calls down to what costs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TextIO

from agentperf_lint.render.base import printable
from agentperf_lint.render.excerpts import Sources, excerpt

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_rules.model import Finding, Step

# One output line: pieces of text, each with a rich style.
Line = list[tuple[str, str]]

_DIM = "bright_black"
_SEVERITY_STYLE = {"low": "cyan", "medium": "yellow", "high": "red"}


class FullRenderer:
    """Coloured through rich on a terminal, plain text anywhere else and with NO_COLOR."""

    def __init__(self, sources: Mapping[str, bytes] | None = None) -> None:
        self._sources = Sources(sources)

    def render(self, report: Report, stream: TextIO) -> None:
        lines = (line for finding in report.findings for line in self._block(finding))
        if wants_colour(stream):
            write_coloured(lines, stream)
        else:
            stream.writelines("".join(text for text, _ in line).rstrip() + "\n" for line in lines)

    def _block(self, finding: Finding) -> Iterator[Line]:
        yield [
            (printable(finding.path), "bold"),
            (f":{finding.line}:{finding.column} ", _DIM),
            (finding.code, f"bold {_SEVERITY_STYLE[finding.severity]}"),
            (f" {printable(finding.message)}", ""),
        ]
        width = max(len(str(number)) for number in (finding.line, *(step.line for step in finding.chain)))
        yield from self._excerpt(finding, width)
        for depth, step in enumerate(finding.chain[1:], start=1):
            yield from self._hop(step, depth, width)
        yield []

    def _excerpt(self, finding: Finding, width: int) -> Iterator[Line]:
        source = self._sources.line(finding.path, finding.line)
        if source is None:
            return
        end = finding.end_column if finding.end_line == finding.line else len(source) + 1
        shown, carets = excerpt(source, finding.column, end)
        yield [(f"  {finding.line:>{width}} | ", _DIM), (shown, "")]
        yield [(f"  {'':>{width}} | ", _DIM), (carets, f"bold {_SEVERITY_STYLE[finding.severity]}")]

    def _hop(self, step: Step, depth: int, width: int) -> Iterator[Line]:
        margin = "  " * (depth + 1)
        yield [
            (f"{margin}{'':>{width}} > ", _DIM),
            (printable(step.function), "bold"),
            (f" at {printable(step.path)}:{step.line}", _DIM),
        ]
        source = self._sources.line(step.path, step.line)
        if source is None:
            return
        start = len(source) - len(source.lstrip())
        shown, _ = excerpt(source[start:].rstrip(), 1, 1)
        yield [(f"{margin}{step.line:>{width}} |     ", _DIM), (shown, "")]


def wants_colour(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows colours and the user did not ask for none."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()


def write_coloured(lines: Iterator[Line], stream: TextIO) -> None:
    """Writes `lines` with their styles to a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False, emoji=False, force_terminal=True)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
