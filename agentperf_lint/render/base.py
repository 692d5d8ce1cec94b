"""What every output format shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from agentperf_rules.model import SEVERITIES

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_lint.checklist.items import Checklist
    from agentperf_lint.entries import Entry
    from agentperf_lint.source_lines import Sources


OUTSIDE = "no line of the application"
"""Where something is that has no file, such as the memory of a process."""

MEGABYTE = 1 << 20


class Renderer(Protocol):
    """Writes the findings of one report in one format."""

    def render(self, report: Report, stream: TextIO) -> None:
        """Writes `report` to `stream`; raises OSError when that cannot be written."""


class ChecklistRenderer(Protocol):
    """Writes one combined checklist in one format."""

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""


class EntryRenderer(Protocol):
    """Writes entries in one format, in their order."""

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        """Writes `entries` to `stream`; raises OSError when that cannot be written."""


class FindingsAsEntries:
    """Shows findings through a renderer of entries, the most severe first: some readers cut a long list."""

    def __init__(self, renderer: EntryRenderer, sources: Sources) -> None:
        self._renderer = renderer
        self._sources = sources

    def render(self, report: Report, stream: TextIO) -> None:
        from agentperf_lint.entries import entries_of

        entries = entries_of(report.findings, self._sources)
        entries.sort(key=lambda entry: -SEVERITIES.index(entry.severity))
        self._renderer.render(entries, stream)


class ItemsAsEntries:
    """Shows the items of a checklist through a renderer of entries, in their order.

    Refuted ones are left out: to a program or in a comment they would look like the others.
    """

    def __init__(self, renderer: EntryRenderer, sources: Sources) -> None:
        self._renderer = renderer
        self._sources = sources

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        from agentperf_lint.checklist.item_entries import item_entries

        items = [item for item in checklist.items if not item.refuted]
        self._renderer.render(item_entries(items, self._sources), stream)


def place_of(path: str, line: int) -> str:
    """Where something is, for people."""
    return f"{path}:{line}" if path else OUTSIDE


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 file`, `2 files`, `1,024 files`; `many` is the plural where that is not an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {many or noun + 's'}"


def duration(seconds: float) -> str:
    """`0.04 ms`, `12.3 ms`, `1.23 s`, `123 s`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.2f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"


def printable(text: str) -> str:
    """`text` without what would move the cursor or recolour the terminal; tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
