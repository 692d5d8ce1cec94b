"""Comments that suppress findings."""

from __future__ import annotations

import re

_NOQA = re.compile(
    rb"#\s*noqa(?P<codes>\s*:\s*[A-Z][0-9]+(?:[,\s]+[A-Z]+[0-9]+)*|\s*:\s*[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*)?",
    re.IGNORECASE,
)
_CODE = re.compile(rb"[A-Z]+[0-9]+", re.IGNORECASE)


def suppressions(source: bytes) -> dict[int, list[str]]:
    """`# noqa` comments by 1-based line: the codes in upper case, an empty list for a blanket one."""
    found: dict[int, list[str]] = {}
    if b"noqa" not in source and b"NOQA" not in source and b"NoQA" not in source:
        return found
    line, position = 1, 0
    for match in _NOQA.finditer(source):
        line += source.count(b"\n", position, match.start())
        position = match.start()
        found[line] = [code.decode().upper() for code in _CODE.findall(match["codes"] or b"")]
    return found
