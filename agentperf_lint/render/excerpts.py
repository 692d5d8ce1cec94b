"""Lines of source to show below a finding."""

from __future__ import annotations

import unicodedata

from agentperf_lint.render.base import printable

SHOWN = 160  # characters of a long line
BEFORE = 40  # of them before the place


def excerpt(line: str, column: int, end_column: int) -> tuple[str, str]:
    """What to show of `line`, and carets below the characters from `column` up to `end_column` (both 1-based)."""
    start = min(max(column - 1, 0), len(line))
    end = min(max(end_column - 1, start + 1), max(len(line), start + 1))
    shown, start, end = _clipped(line, start, end)
    shown = printable(shown)
    padding = "".join("\t" if character == "\t" else " " * _cells(character) for character in shown[:start])
    width = sum(_cells(character) for character in shown[start:end])
    return shown, padding + "^" * max(width, 1)


def _clipped(line: str, start: int, end: int) -> tuple[str, int, int]:
    """The part of a long line around the place, with the place's new offsets."""
    if len(line) <= SHOWN:
        return line, start, end
    first = max(0, start - BEFORE) if start + BEFORE > SHOWN else 0
    head = "..." if first else ""
    tail = "..." if first + SHOWN < len(line) else ""
    shift = len(head) - first
    return f"{head}{line[first : first + SHOWN]}{tail}", start + shift, min(end, first + SHOWN) + shift


def _cells(character: str) -> int:
    """Columns that a terminal gives to `character`."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
