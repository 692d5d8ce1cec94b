"""SARIF 2.1.0, which code scanning services and editors read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

import msgspec

from agentperf_lint import __version__
from agentperf_lint.render.rules import documentation_of

if TYPE_CHECKING:
    from agentperf_lint.checklist.runtime_rules import RuntimeRule
    from agentperf_lint.entries import Entry, Related
    from agentperf_rules.base import Rule
    from agentperf_rules.model import Fix, Step

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "agentperfLint/v1"  # the name of what `agentperf_lint.entries.fingerprints` computes

_LEVEL = {"low": "note", "medium": "warning", "high": "error"}
_ROOT = "SRCROOT"
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")


class SarifRenderer:
    """One run whose root is the working directory; chains of calls are code flows."""

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        # ASCII only: standard output need not be UTF-8, and every reader of JSON takes it.
        json.dump(_log(entries), stream, indent=2)
        stream.write("\n")


def _log(entries: Sequence[Entry]) -> dict[str, Any]:
    shown = {entry.code: entry for entry in sorted(entries, key=lambda entry: entry.code)}
    index = {code: number for number, code in enumerate(shown)}
    run = {
        "tool": {
            "driver": {
                "name": "agentperf-lint",
                "version": __version__,
                "rules": _descriptors(list(shown.values())),
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": Path.cwd().as_uri().rstrip("/") + "/"}},
        "results": [_result(entry, index[entry.code]) for entry in entries],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptors(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """A description of each entry's rule."""
    if not entries:
        return []
    from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
    from agentperf_rules import all_rules

    rules: dict[str, Rule | RuntimeRule] = {**all_rules(), **{rule.code: rule for rule in RUNTIME_RULES.values()}}
    return [_descriptor(entry, rules.get(entry.code)) for entry in entries]


def _descriptor(entry: Entry, rule: Rule | RuntimeRule | None) -> dict[str, Any]:
    help_text = documentation_of(rule) if rule is not None else ""
    summary = _summary(help_text) or entry.name.replace("-", " ")
    return {
        "id": entry.code,
        "name": entry.name,
        "shortDescription": {"text": summary},
        "help": {"text": help_text or summary, "markdown": help_text or summary},
        "defaultConfiguration": {"level": _LEVEL[rule.severity if rule is not None else entry.severity]},
        "properties": {"tags": ["performance", *([rule.kind] if rule is not None else [])]},
    }


def _summary(documentation: str) -> str:
    """The first sentence below the first heading."""
    paragraph = documentation.partition("\n\n")[0]
    sentence = " ".join(line for line in paragraph.splitlines() if not line.startswith("#")).partition(". ")[0]
    return sentence and sentence.rstrip(".") + "."


def _result(entry: Entry, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": entry.code,
        "ruleIndex": rule_index,
        "level": _LEVEL[entry.severity],
        "message": _message(entry.message),
        "locations": [_location(entry)] if entry.path and entry.line else [],
        "partialFingerprints": {FINGERPRINT: entry.fingerprint},
        "properties": _properties(entry),
    }
    flows = [
        {**({"message": _message(why)} if why else {}), "threadFlows": [{"locations": _flow(steps)}]}
        for why, steps in (("", entry.chain), ("The stack while the event loop was held.", entry.stack))
        if len(steps) > 1
    ]
    if flows:
        result["codeFlows"] = flows
    if entry.fix is not None:
        result["fixes"] = [_fix(entry.path, entry.fix)]
    if entry.related:
        result["relatedLocations"] = [_related(each, number) for number, each in enumerate(entry.related)]
    if entry.measured is not None and entry.measured.operations:
        result["rank"] = round(100 * entry.measured.share, 2)
        result["occurrenceCount"] = entry.measured.operations
    return result


def _fix(path: str, fix: Fix) -> dict[str, Any]:
    imported = f" (import {fix.module} if it is not)" if fix.module else ""
    replacements = [
        {
            "deletedRegion": {
                "startLine": edit.line,
                "startColumn": edit.column,
                "endLine": edit.end_line,
                "endColumn": edit.end_column,
            },
            "insertedContent": {"text": edit.content},
        }
        for edit in fix.edits
    ]
    return {
        "description": _message(fix.message + imported),
        "artifactChanges": [{"artifactLocation": _artifact(path), "replacements": replacements}],
    }


def _properties(entry: Entry) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "confidence": entry.confidence,
        "severity": entry.severity,
        "remedy": entry.remedy,
    }
    if entry.evidence:
        properties["evidence"] = list(entry.evidence)
    if entry.measured is not None:
        measured = msgspec.to_builtins(entry.measured)
        properties |= {key: round(value, 6) if isinstance(value, float) else value for key, value in measured.items()}
    return properties


def _location(entry: Entry) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": _artifact(entry.path),
            "region": {
                "startLine": entry.line,
                "startColumn": entry.column,
                "endLine": entry.end_line,
                "endColumn": entry.end_column,
            },
        },
        "logicalLocations": [{"fullyQualifiedName": entry.function, "kind": "function"}],
    }


def _flow(steps: Sequence[Step]) -> list[dict[str, Any]]:
    return [
        {"location": _marked(step.path, step.line, _what_runs(step)), "nestingLevel": depth}
        for depth, step in enumerate(steps)
    ]


def _what_runs(step: Step) -> str:
    return f"{step.function} runs {' '.join(step.call.split())}" if step.call else step.function


def _related(related: Related, number: int) -> dict[str, Any]:
    return {"id": number, **_marked(related.path, related.line, related.reason)}


def _marked(path: str, line: int, text: str) -> dict[str, Any]:
    return {
        "physicalLocation": {"artifactLocation": _artifact(path), "region": {"startLine": max(1, line)}},
        "message": _message(text),
    }


def _artifact(path: str) -> dict[str, str]:
    """A URI relative to the root, or an absolute one for files elsewhere."""
    if os.path.isabs(path):
        return {"uri": Path(path).as_uri()}
    return {"uri": quote(path), "uriBaseId": _ROOT}


def _message(text: str) -> dict[str, str]:
    """Plain text: braces are doubled, and a subscript that is called is not taken for a link."""
    return {"text": _LINK.sub(r"\\[", text.replace("{", "{{").replace("}", "}}"))}
