"""Lines of source to show below a finding."""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections.abc import Mapping

from agentperf_lint.render.base import printable

_LINE_END = re.compile(r"\r\n|\r|\n")
_FILES_HELD = 64
SHOWN = 160  # characters of a long line
BEFORE = 40  # of them before the place


class Sources:
    """Reads lines of files; `overlay` has contents that are not those on disk, by path."""

    def __init__(self, overlay: Mapping[str, bytes] | None = None) -> None:
        self._overlay = overlay or {}
        self._lines: dict[str, list[str]] = {}

    def line(self, path: str, number: int) -> str | None:
        """Line `number` (1-based) of `path`, or None when it is gone or cannot be read."""
        lines = self._lines.get(path)
        if lines is None:
            if len(self._lines) >= _FILES_HELD:
                self._lines.pop(next(iter(self._lines)))
            lines = self._lines[path] = _LINE_END.split(decoded(self._content(path)))
        return lines[number - 1] if 0 < number <= len(lines) else None

    def _content(self, path: str) -> bytes:
        if path in self._overlay:
            return self._overlay[path]
        try:
            with open(path, "rb") as stream:
                return stream.read()
        except OSError:
            return b""


def decoded(source: bytes) -> str:
    """The text of a Python file by its declared encoding; what does not fit becomes a replacement character."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding, "replace")
    except (SyntaxError, LookupError):
        return source.decode("utf-8", "replace")


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
