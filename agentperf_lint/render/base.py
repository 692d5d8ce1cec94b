"""What every output format shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report
    from agentperf_lint.checklist.items import Checklist


class Renderer(Protocol):
    """Writes the findings of one report in one format."""

    def render(self, report: Report, stream: TextIO) -> None:
        """Writes `report` to `stream`; raises OSError when that cannot be written."""


class ChecklistRenderer(Protocol):
    """Writes one combined checklist in one format."""

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""


def plural(count: int, noun: str) -> str:
    """`1 file`, `2 files`, `1,024 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """`text` without what would move the cursor or recolour the terminal; tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
