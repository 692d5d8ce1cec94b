"""The checklist as one HTML file that needs nothing else: no network, no server.

`page/` has the page. Its data is JSON in a script block that is never run, and the content security policy names the
one script that is, so that text from a trace stays text whatever it holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from importlib.resources import files
from typing import TextIO

import msgspec

from agentperf_lint import __version__
from agentperf_lint.checklist.items import Checklist, Item, Summary
from agentperf_lint.checklist.observed import Scene
from agentperf_lint.checklist.series import Overview, overview_of
from agentperf_lint.checklist.timelines import Timeline, timelines_of
from agentperf_lint.entries import Place, fingerprints, folded_source
from agentperf_lint.render.base import printable
from agentperf_lint.render.excerpts import SHOWN
from agentperf_lint.source_lines import Sources

_AROUND = 3  # lines before and after the place
_LOOP_ABOVE = 8  # lines between a loop and the place that one excerpt still shows
_LONGEST_PLACE = 12  # lines
_PLAIN = 200_000  # characters of JSON that stay readable in the file; more is packed
_PLACEHOLDER = re.compile(r"@@(\w+)@@")
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class Excerpt(msgspec.Struct, frozen=True):
    """Lines of a file from line `first` (1-based) on; the numbers in `marked` are those to look at."""

    title: str
    path: str
    first: int
    lines: tuple[str, ...]
    marked: tuple[int, ...]


class PageItem(msgspec.Struct, frozen=True):
    """An item, what identifies it after an edit of other lines, and what the page shows when it is opened."""

    fingerprint: str
    item: Item
    excerpts: tuple[Excerpt, ...]
    timeline: Timeline | None


class Page(msgspec.Struct, frozen=True):
    """All that the page shows."""

    tool: str
    summary: Summary
    notes: tuple[str, ...]
    overview: Overview
    items: tuple[PageItem, ...]


class ChecklistHtmlRenderer:
    """Writes the page; `scene` is the trace that the checklist was made from."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._sources = Sources()

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""
        stream.write(page_with(self.page(checklist)))

    def page(self, checklist: Checklist) -> Page:
        """The data of the page."""
        timelines = timelines_of(checklist.items, self._scene)
        places = [
            Place(item.code, item.path, folded_source(self._sources, item.path, item.line), item.line, 0)
            for item in checklist.items
        ]
        items = (
            PageItem(fingerprint, item, tuple(self._excerpts(item)), timeline)
            for fingerprint, item, timeline in zip(fingerprints(places), checklist.items, timelines)
        )
        return Page(__version__, checklist.summary, checklist.notes, overview_of(self._scene.trace), tuple(items))

    def _excerpts(self, item: Item) -> Iterator[Excerpt]:
        last = min(max(item.end_line, item.line), item.line + _LONGEST_PLACE)
        first = item.line - _AROUND
        loop = item.loop
        marked = list(range(item.line, last + 1))
        if loop is not None and (loop.path, loop.line) != (item.path, item.line):
            if loop.path == item.path and 0 < item.line - loop.line <= _LOOP_ABOVE:
                first = min(first, loop.line - 1)
                marked.insert(0, loop.line)
            else:
                yield from self._excerpt("Loop", loop.path, loop.line - 1, loop.line + 1, [loop.line])
        yield from self._excerpt("Source", item.path, first, last + _AROUND, marked)

    def _excerpt(self, title: str, path: str, first: int, last: int, marked: list[int]) -> Iterator[Excerpt]:
        first = max(1, first)
        lines = [self._sources.line(path, number) for number in range(first, last + 1)] if path else []
        shown = [_clipped(line) for line in lines if line is not None]
        while shown and not shown[-1].strip():
            shown.pop()
        while shown and not shown[0].strip():
            first += 1
            shown.pop(0)
        if shown:
            yield Excerpt(title, path, first, tuple(shown), tuple(marked))


def _clipped(line: str) -> str:
    shown = printable(line)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}..."


def page_with(page: Page) -> str:
    """The HTML file that shows `page`."""
    directory = files("agentperf_lint.render") / "page"
    style = (directory / "report.css").read_text(encoding="utf-8")
    script = (directory / "report.js").read_text(encoding="utf-8")
    data = embedded(page)
    is_packed = len(data) > _PLAIN
    parts = {
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
        "packed": " data-packed" if is_packed else "",
        "data": base64.b64encode(zlib.compress(data.encode("ascii"), 9)).decode("ascii") if is_packed else data,
    }
    template = (directory / "report.html").read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda found: parts[found[1]], template)


def embedded(page: Page) -> str:
    """`page` as JSON in ASCII that can stand in a script element: no tag, comment or entity begins in it."""
    return json.dumps(msgspec.to_builtins(page), separators=(",", ":")).translate(_ESCAPED)


def _hash(text: str) -> str:
    """What a content security policy calls `text`."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
