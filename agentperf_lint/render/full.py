"""A finding with its source, and the chain of calls down to what costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from agentperf_lint.render.base import printable
from agentperf_lint.render.excerpts import excerpt

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_lint.entries import Entry
    from agentperf_lint.source_lines import Sources
    from agentperf_rules.model import Finding, Step

# One output line: pieces of text, each with a rich style.
Line = list[tuple[str, str]]

# The rest of a chain, from one of its hops down to the sink.
Way = tuple["Step", ...]

_DIM = "bright_black"
_SEVERITY_STYLE = {"low": "cyan", "medium": "yellow", "high": "red"}


class FullRenderer:
    """Coloured through rich on a terminal, plain text anywhere else and with NO_COLOR."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def render(self, report: Report, stream: TextIO) -> None:
        shown: set[Way] = set()
        lines = (line for finding in report.findings for line in self._block(finding, shown))
        if wants_colour(stream):
            write_coloured(lines, stream)
        else:
            stream.writelines(_plain(line) + "\n" for line in lines)

    def _block(self, finding: Finding, shown: set[Way]) -> Iterator[Line]:
        yield [
            (printable(finding.path), "bold"),
            (f":{finding.line}:{finding.column} ", _DIM),
            (finding.code, f"bold {_SEVERITY_STYLE[finding.severity]}"),
            (f" {printable(finding.message)}", ""),
        ]
        yield from _source_and_chain(finding, self._sources, shown)
        yield []


def plain_source_and_chain(shown: Finding | Entry, sources: Sources) -> list[str]:
    """The lines below the first one, as plain text."""
    return [_plain(line) for line in _source_and_chain(shown, sources)]


def _plain(line: Line) -> str:
    return "".join(text for text, _ in line).rstrip()


def _source_and_chain(shown: Finding | Entry, sources: Sources, above: set[Way] | None = None) -> Iterator[Line]:
    """`above`: what of chains was written out before, which is not repeated but for its first hop."""
    width = max(len(str(number)) for number in (shown.line, *(step.line for step in shown.chain)))
    yield from _place(shown, width, sources)
    for depth, step in enumerate(shown.chain[1:], start=1):
        way = shown.chain[depth:]
        if above is not None and len(way) > 1 and way in above:
            yield from _hop(step, depth, width, sources, ", and on as above")
            return
        if above is not None:
            above.add(way)
        yield from _hop(step, depth, width, sources)


def _place(shown: Finding | Entry, width: int, sources: Sources) -> Iterator[Line]:
    source = sources.line(shown.path, shown.line)
    if source is None:
        return
    end = shown.end_column if shown.end_line == shown.line else len(source) + 1
    text, carets = excerpt(source, shown.column, end)
    yield [(f"  {shown.line:>{width}} | ", _DIM), (text, "")]
    yield [(f"  {'':>{width}} | ", _DIM), (carets, f"bold {_SEVERITY_STYLE[shown.severity]}")]


def _hop(step: Step, depth: int, width: int, sources: Sources, more: str = "") -> Iterator[Line]:
    margin = "  " * (depth + 1)
    yield [
        (f"{margin}{'':>{width}} > ", _DIM),
        (printable(step.function), "bold"),
        (f" at {printable(step.path)}:{step.line}{more}", _DIM),
    ]
    source = sources.line(step.path, step.line)
    if source is None:
        return
    start = len(source) - len(source.lstrip())
    text, _ = excerpt(source[start:].rstrip(), 1, 1)
    yield [(f"{margin}{step.line:>{width}} |     ", _DIM), (text, "")]


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
