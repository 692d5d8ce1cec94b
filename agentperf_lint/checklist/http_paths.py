"""Which words in the paths of HTTP requests are values, told by the requests themselves.

A tracer replaces what looks like an identifier. `/rates/USD` and `/users/alice` look like names of resources, until one
line of the application has asked for many of them in one way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from agentperf_lint.checklist.trace import Piece

_LEAST = 6  # different words in one place that make it a value's, as many as make an N+1
_HTTP = "http"


def find_values(piece: Piece) -> None:
    """Replace by `{}` the words of `piece`'s HTTP statements that vary where nothing else does.

    Only calls from one place that was reached in one way count: what a shared helper asks for differs by its callers.
    """
    requested = {number for number, statement in piece.statements.items() if statement.kind == _HTTP}
    if len(requested) < _LEAST:
        return
    by_site: dict[int, set[int]] = defaultdict(set)
    for statement, site in zip(piece.operations.statement, piece.operations.site):
        if statement in requested:
            by_site[site].add(statement)
    for site, numbers in by_site.items():
        if len(numbers) >= _LEAST and _is_reached_in_one_way(piece, site):
            _replace(piece, numbers)


def _is_reached_in_one_way(piece: Piece, site: int) -> bool:
    known = piece.sites.get(site)
    return known is not None and bool(known.path) and len({tuple(frames) for frames in piece.frames_of(site)}) == 1


def _replace(piece: Piece, numbers: Iterable[int]) -> None:
    alike: dict[tuple[str, int], dict[int, list[str]]] = defaultdict(dict)
    for number in sorted(numbers):
        parts = piece.statements[number].text.split("/")
        if len(parts) > 3:  # `GET http:`, nothing, the host, the path
            alike[f"{parts[0]}//{parts[2]}", len(parts)][number] = parts
    for members in alike.values():
        for place in range(3, max(map(len, members.values()))):
            words: dict[tuple[str, ...], set[str]] = defaultdict(set)
            for parts in members.values():
                words[tuple(parts[:place] + parts[place + 1 :])].add(parts[place])
            for number, parts in members.items():
                if len(words[tuple(parts[:place] + parts[place + 1 :])]) >= _LEAST:
                    statement = piece.statements[number]
                    text = "/".join([*parts[:place], "{}", *parts[place + 1 :]])
                    piece.statements[number] = msgspec.structs.replace(statement, text=text)
