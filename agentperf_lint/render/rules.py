"""What `agentperf-lint rule` prints: the documentation that every rule carries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from agentperf_lint.checklist.runtime_rules import RuntimeRule
    from agentperf_rules.base import Rule


class RuleText(msgspec.Struct, frozen=True):
    """One rule as the JSON output has it; `documentation` is Markdown."""

    code: str
    name: str
    kind: str
    severity: str
    documentation: str


def explained(rules: Sequence[Rule | RuntimeRule]) -> str:
    """The rules as Markdown, one after another."""
    return "\n\n".join(_section(_text(rule)) for rule in rules)


def explained_as_json(rules: Sequence[Rule | RuntimeRule]) -> str:
    """The rules as a JSON list of objects with the fields of `RuleText`."""
    return msgspec.json.format(msgspec.json.encode([_text(rule) for rule in rules]), indent=2).decode()


def documentation_of(rule: Rule | RuntimeRule) -> str:
    """What a rule says of itself, in Markdown."""
    from agentperf_lint.checklist.runtime_rules import RuntimeRule
    from agentperf_rules.documentation import documentation

    return rule.documentation if isinstance(rule, RuntimeRule) else documentation(rule)


def _text(rule: Rule | RuntimeRule) -> RuleText:
    return RuleText(rule.code, rule.name, rule.kind, rule.severity, documentation_of(rule))


def _section(text: RuleText) -> str:
    title = f"# {text.name} ({text.code})"
    return f"{title}\n\nFamily: {text.kind}. Severity: {text.severity}.\n\n{text.documentation}"
