"""A list of objects for other programs, and its JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from agentperf_rules.model import Edit, Finding, Fix, Step

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report

_MEANINGS = {
    "Finding": {
        "code": "Code of the rule, such as APL102.",
        "name": "Name of the rule, such as blocking-http-in-async.",
        "kind": "Family of the rule: blocking, loop, hygiene or run.",
        "path": "File, relative to the working directory where it lies below it, with forward slashes.",
        "line": "First line of the place, 1-based.",
        "column": "First column of the place, 1-based, in characters.",
        "end_line": "Last line of the place, 1-based.",
        "end_column": "Column behind the last character of the place, 1-based.",
        "function": "Qualified name of the enclosing function, <module> at module level.",
        "severity": "What the call costs when it happens.",
        "confidence": "definite: resolved by types and imports; likely: by a strong convention; possible: by name.",
        "message": "What, where, why it costs and what to do, in one line.",
        "remedy": "What to do instead.",
        "chain": "The calls from the async function or loop down to the sink, empty for unreadable files.",
        "sink": "Canonical dotted name of the call that costs.",
        "sink_kind": "What the sink does: sleep, http, file, path, database, ...",
        "statement_line": "First line of the enclosing statement: a noqa comment on any of its lines counts.",
        "statement_end_line": "Last line of the enclosing statement.",
        "fix": "What --fix would change, null where it cannot do anything.",
    },
    "Fix": {
        "message": "What the fix does.",
        "safe": "Whether the code means the same afterwards: what is not safe needs --unsafe-fixes.",
        "edits": "What to change, in the order of the places; none overlaps another.",
        "module": "A module that must be imported under its own name, empty for none.",
    },
    "Edit": {
        "line": "Line where the replaced text begins, 1-based.",
        "column": "Column where it begins, 1-based, in characters.",
        "end_line": "Line where it ends.",
        "end_column": "Column behind its last character; the same place as where it begins for an insertion.",
        "content": "What to write there.",
    },
    "Step": {
        "path": "File of this step, like the finding's path.",
        "line": "Line of the call, 1-based.",
        "function": "Qualified name of the function that makes the call.",
        "call": "The call as the source has it.",
    },
}


class JsonRenderer:
    """The findings as one JSON list, indented."""

    def render(self, report: Report, stream: TextIO) -> None:
        stream.write(msgspec.json.format(msgspec.json.encode(report.findings), indent=2).decode() + "\n")


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the output."""
    (reference,), components = msgspec.json.schema_components([list[Finding]], ref_template="#/$defs/{name}")
    for struct in (Finding, Step, Fix, Edit):
        component = components[struct.__name__]
        component["description"] = (struct.__doc__ or "").partition("\n")[0]
        # Every field is written, also where it has its default.
        component["required"] = list(component["properties"])
        for name, meaning in _MEANINGS[struct.__name__].items():
            component["properties"][name] = {"description": meaning, **_without_default(component["properties"][name])}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of agentperf-lint --output-format json",
        **reference,
        "$defs": components,
    }


def _without_default(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "default"}
