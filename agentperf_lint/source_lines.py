"""Lines of source files, to show below a finding and to recognise it after an edit."""

from __future__ import annotations

import io
import os
import re
import tokenize
from collections.abc import Mapping

_LINE_END = re.compile(r"\r\n|\r|\n")
_FILES_HELD = 64


class Sources:
    """Reads lines of files; `overlay` has contents that are not those on disk, by path."""

    def __init__(self, overlay: Mapping[str, bytes] | None = None) -> None:
        self._overlay = {os.path.abspath(path): content for path, content in (overlay or {}).items()}
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
        if self._overlay and (content := self._overlay.get(os.path.abspath(path))) is not None:
            return content
        try:
            with open(path, "rb") as stream:
                return stream.read()
        except (OSError, ValueError):  # ValueError: a null character in the path
            return b""


def decoded(source: bytes) -> str:
    """The text of a Python file by its declared encoding; what does not fit becomes a replacement character."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding, "replace")
    except (SyntaxError, LookupError):
        return source.decode("utf-8", "replace")
