"""The comparison of two runs: for a terminal, for a pull request, for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TextIO

import msgspec

from agentperf_lint.checklist.compare import Comparison
from agentperf_lint.render.base import MEGABYTE, duration, place_of, plural, printable
from agentperf_lint.render.checklist_text import traced
from agentperf_lint.render.full import Line, wants_colour, write_coloured
from agentperf_lint.render.markdown import LIMIT, MARKER, MarkdownRenderer, escaped

if TYPE_CHECKING:
    from agentperf_lint.checklist.compare import Change, Figures
    from agentperf_lint.source_lines import Sources

ComparisonFormat = Literal["full", "json", "markdown"]

_DIM = "bright_black"
_STYLE = {"new": "bold red", "worse": "red", "better": "green", "fixed": "bold green", "same": _DIM, "not_run": _DIM}
_WORDS = {"not_run": "not run"}
_ROOM = 300  # characters for what follows the table
_OF_CHANGE = {
    "verdict": "new, worse, same, better, fixed; not_run: gone, but its function did nothing in the later run.",
    "is_regression": "It exceeds the budget: worse by more than that, or new.",
    "before": "Its costs in the earlier run, null for a new one.",
    "after": "Its costs in the later run, null for one that is gone.",
    "line": "In the later run where it is there, 1-based.",
}
_OF_FIGURES = {
    "roots": "How many roots the figures are divided by: those with the names of the roots concerned.",
    "operations_per_root": "Operations, stalls or slow operations per root.",
    "seconds_per_root": "Their time per root.",
    "worst_seconds": "The worst single root, stall or operation.",
    "bytes_per_second": "What the memory of a process grew by, 0 for other kinds.",
}

_OF_COSTS: dict[str, Callable[[Figures], str]] = {
    "operations per root": lambda figures: f"{figures.operations_per_root:,.1f}",
    "seconds per root": lambda figures: duration(figures.seconds_per_root),
    "worst": lambda figures: duration(figures.worst_seconds),
}
_OF_MEMORY: dict[str, Callable[[Figures], str]] = {
    "MB grown per second": lambda figures: f"{figures.bytes_per_second / MEGABYTE:,.2f}",
}


def write_comparison(comparison: Comparison, output_format: ComparisonFormat, sources: Sources, stream: TextIO) -> None:
    """Writes `comparison` to `stream`; raises OSError when that cannot be written."""
    if output_format == "json":
        stream.write(msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode() + "\n")
    elif output_format == "markdown":
        stream.write(_markdown(comparison, MarkdownRenderer(sources).link))
    elif wants_colour(stream):
        write_coloured(_lines(comparison), stream)
    else:
        stream.writelines("".join(text for text, _ in line).rstrip() + "\n" for line in _lines(comparison))


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the output."""
    (reference,), components = msgspec.json.schema_components([Comparison], ref_template="#/$defs/{name}")
    for name, component in components.items():
        component["description"] = component.get("description", name).partition("\n\n")[0].replace("\n", " ")
        component["required"] = list(component["properties"])  # every field is written, also where it has its default
        for field in component["properties"].values():
            field.pop("default", None)
    for name, meanings in (("Change", _OF_CHANGE), ("Figures", _OF_FIGURES)):
        properties = components[name]["properties"]
        for field, meaning in meanings.items():
            properties[field] = {"description": meaning, **properties[field]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of agentperf-lint report --compare --format json",
        **reference,
        "$defs": components,
    }


def _lines(comparison: Comparison) -> Iterator[Line]:
    yield [(_title(comparison), "bold red" if comparison.regressions else "bold")]
    for name, summary in (("before", comparison.before), ("after", comparison.after)):
        for number, text in enumerate(traced(summary)):
            yield [(f"{name if number == 0 else '':<8}{text}", _DIM)]
    for note in comparison.notes:
        yield [("note: ", "yellow"), (printable(note), "")]
    for change in comparison.changes:
        yield []
        yield [
            (f"{_verdict(change):<8}", _STYLE[change.verdict]),
            (printable(place_of(change.path, change.line)), "bold"),
            (f" {change.code}", "bold"),
            (printable(f" {change.message}"), ""),
        ]
        for name, before, after in _figures(change):
            yield [(f"{'':<8}{name:<20}", _DIM), (f"{before:>10} -> {after}", "")]
        if change.is_regression:
            yield [(f"{'':<8}regression: {_reason(change, comparison.max_regression)}", "red")]


def _markdown(comparison: Comparison, link: Callable[[str, int], str]) -> str:
    head = [MARKER, f"## agentperf-lint: {_title(comparison)}"]
    for name, summary in (("Before", comparison.before), ("After", comparison.after)):
        head += ["", f"{name}: {escaped('; '.join(traced(summary)))}"]
    head += [line for note in comparison.notes for line in ("", f"Note: {escaped(note)}")]
    told = [change for change in comparison.changes if change.verdict != "same"]
    same = len(comparison.changes) - len(told)
    if told:
        head += ["", "| | what | where | seconds per root | operations per root | worst |", "|---|---|---|---|---|---|"]
    text = "\n".join(head) + "\n"
    for number, change in enumerate(told):
        row = _row(change, link)
        if len(text) + len(row) > LIMIT - _ROOM:
            text += f"\n{plural(len(told) - number, 'more change')} left out: a comment has no more room.\n"
            break
        text += row
    return text + (f"\n{plural(same, 'item')} about the same.\n" if same else "")


def _row(change: Change, link: Callable[[str, int], str]) -> str:
    verdict = f"**{_verdict(change)}**" if change.is_regression else _verdict(change)
    figures = [f"{before} → {after}" for _, before, after in _figures(change)]
    if change.kind == "memory":
        figures = ["", f"{figures[0]} MB grown per second", ""]
    operations, seconds, worst = figures
    what = f"{escaped(change.code)} {escaped(change.name)}"
    return f"| {verdict} | {what} | {link(change.path, change.line)} | {seconds} | {operations} | {worst} |\n"


def _title(comparison: Comparison) -> str:
    counts = Counter(_verdict(change) for change in comparison.changes)
    found = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items())
    return f"{plural(comparison.regressions, 'regression')}: {found}" if found else "Nothing found in either run"


def _verdict(change: Change) -> str:
    return _WORDS.get(change.verdict, change.verdict)


def _figures(change: Change) -> list[tuple[str, str, str]]:
    """Name and values before and after."""
    shown = _OF_MEMORY if change.kind == "memory" else _OF_COSTS
    return [(name, _or_none(change.before, of), _or_none(change.after, of)) for name, of in shown.items()]


def _or_none(figures: Figures | None, shown: Callable[[Figures], str]) -> str:
    return "-" if figures is None else shown(figures)


def _reason(change: Change, budget: float) -> str:
    return "new" if change.verdict == "new" else f"more than {budget:.0%} over what it was"
