"""Edits that change neither the length of a text nor its line ends, so that positions stay true."""

from __future__ import annotations

import re
from collections.abc import Iterable

Edit = tuple[int, int, str]
"""Start and end offset in characters, and the replacement, which is as long in UTF-8 bytes."""

_NOT_LINE_END = re.compile(r"[^\r\n]")


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """`text` with `edits` made, in order of their place; of two that overlap the first is made."""
    pieces: list[str] = []
    done = 0
    for start, end, replacement in sorted(edits):
        if start < done:
            continue
        pieces += (text[done:start], replacement)
        done = end
    pieces.append(text[done:])
    return "".join(pieces)


def blank(text: str) -> str:
    """`text` as blanks that take as many UTF-8 bytes, with its line ends kept."""
    if text.isascii():
        return _NOT_LINE_END.sub(" ", text)
    return _NOT_LINE_END.sub(lambda match: " " * len(match[0].encode()), text)
