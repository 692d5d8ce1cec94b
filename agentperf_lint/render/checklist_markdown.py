"""The checklist as Markdown for a comment on a pull request: what costs most comes first, details are folded away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from agentperf_lint.checklist.item_entries import item_entries
from agentperf_lint.render.base import duration, plural
from agentperf_lint.render.checklist_text import counts, traced
from agentperf_lint.render.markdown import MARKER, MarkdownRenderer, escaped

if TYPE_CHECKING:
    from agentperf_lint.checklist.items import Checklist
    from agentperf_lint.entries import Entry
    from agentperf_lint.source_lines import Sources

_ROWS = 30


class ChecklistMarkdownRenderer:
    """A table of the costs, then each item; refuted ones are only counted."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._entries = MarkdownRenderer(sources)

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""
        entries = item_entries([item for item in checklist.items if not item.refuted], self._sources)
        head = "\n".join(self._head(checklist, entries)) + "\n"
        stream.write(self._entries.with_blocks(head, entries, "item"))

    def _head(self, checklist: Checklist, entries: Sequence[Entry]) -> Iterator[str]:
        yield MARKER
        yield f"## agentperf-lint: {counts(checklist.summary)}"
        for line in traced(checklist.summary):
            yield from ("", escaped(line))
        for note in checklist.notes:
            yield from ("", f"Note: {escaped(note)}")
        refuted = sum(item.refuted for item in checklist.items)
        if refuted:
            yield from (
                "",
                f"{plural(refuted, 'suspected item')} left out: the trace shows that nothing is lost there.",
            )
        yield from self._table(entries)

    def _table(self, entries: Sequence[Entry]) -> Iterator[str]:
        costly = [(each, each.measured) for each in entries if each.measured and each.measured.total_seconds]
        if not costly:
            return
        yield from ("", "| cost | share | worst | status | what | where |", "|---:|---:|---:|---|---|---|")
        for entry, measured in costly[:_ROWS]:
            figures = (duration(measured.total_seconds), f"{measured.share:.1%}", duration(measured.worst_seconds))
            what = f"{escaped(entry.code)} {escaped(entry.name)}"
            where = self._entries.link(entry.path, entry.line)
            yield f"| {' | '.join(figures)} | {measured.status} | {what} | {where} |"
        if len(costly) > _ROWS:
            yield from ("", f"{plural(len(costly) - _ROWS, 'more item')} below.")
