"""The checklist as one JSON object, and its JSON Schema."""

from __future__ import annotations

from typing import Any, TextIO

import msgspec

from agentperf_lint.checklist.items import Checklist
from agentperf_runtime.kpis import DEFINITIONS

_OF_ITEM = {
    "code": "Code of the rule: APL5xx for what was observed, else as `agentperf-lint check` has it.",
    "name": "Name of the rule.",
    "kind": "n_plus_one, duplicate, stall, bottleneck, cold_import, budget, memory, or the family of a static rule.",
    "status": "confirmed: source and trace agree; observed: trace only; suspected: source only.",
    "path": "File, relative to the working directory where it lies below it, with forward slashes.",
    "line": "First line of the call site, 1-based.",
    "end_line": "Last line of the call site, 1-based.",
    "function": "Qualified name of the enclosing function, <module> at module level.",
    "severity": "How much it costs.",
    "operations": "How many calls (or stalls, or slow operations) in all roots.",
    "roots": "How many requests, tasks and the like are concerned.",
    "of_roots": "How many roots with the names of those were traced, concerned or not: to tell costs per root.",
    "root_names": "The most frequent names of the roots concerned, three at most.",
    "total_seconds": "Their time, added up.",
    "worst_seconds": "The time of the worst single root, stall or operation.",
    "share": "The part of the traced wall time that they fill, 0 to 1.",
    "message": "What, where, how often and what to do, in one line.",
    "remedy": "What to do instead.",
    "loop": "The loop that repeats the call, where the source shows one.",
    "fix": "Whether `agentperf-lint check --fix` can mend it: safe, unsafe (with --unsafe-fixes), or none.",
    "evidence": "What the item rests on.",
    "refuted": "Suspected, but the trace shows that it costs nothing.",
    "reason": "Why it is refuted.",
}


class ChecklistJsonRenderer:
    """The checklist as one JSON object, indented."""

    def render(self, checklist: Checklist, stream: TextIO) -> None:
        """Writes `checklist` to `stream`; raises OSError when that cannot be written."""
        stream.write(msgspec.json.format(msgspec.json.encode(checklist), indent=2).decode() + "\n")


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the output."""
    (reference,), components = msgspec.json.schema_components([Checklist], ref_template="#/$defs/{name}")
    for name, component in components.items():
        component["description"] = component.get("description", name).partition("\n\n")[0].replace("\n", " ")
        properties = component["properties"]
        component["required"] = list(properties)  # every field is written, also where it has its default
        for field in properties.values():
            field.pop("default", None)
    for name, meanings in (("Item", _OF_ITEM), ("Kpis", DEFINITIONS)):
        properties = components[name]["properties"]
        for field, meaning in meanings.items():
            properties[field] = {"description": meaning, **properties[field]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output of agentperf-lint report --format json",
        **reference,
        "$defs": components,
    }
