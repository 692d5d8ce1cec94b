"""The rules of agentperf-lint, and the catalogue of calls that block or query.

Importing this package loads no rule: the first call of `all_rules` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentperf_rules.codes import Family, code_for

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from agentperf_rules.base import Rule

__all__ = ["ENTRY_POINT_GROUP", "Family", "RulePackError", "all_rules", "builtin_rules", "code_for"]

ENTRY_POINT_GROUP = "agentperf_lint.rules"


class RulePackError(Exception):
    """An installed rule pack cannot be used; the message names the pack and says why."""


def builtin_rules() -> Mapping[str, Rule]:
    """The rules of this package by code, in the order of their codes."""
    from agentperf_rules import blocking, loops
    from agentperf_rules.apl901_unreadable_file import UnreadableFile

    rules = [rule() for rule in (*blocking.RULES, *loops.RULES, UnreadableFile)]
    return {rule.code: rule for rule in sorted(rules, key=lambda rule: rule.code)}


def all_rules() -> Mapping[str, Rule]:
    """The built-in rules and those of installed packs (entry points `agentperf_lint.rules`), by code.

    An entry point names a `Rule` class, or a function that returns an iterable of them.
    Raises `RulePackError` when a pack fails to load or claims a code that is taken.
    """
    from importlib.metadata import entry_points

    rules = dict(builtin_rules())
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        for rule in _loaded(entry_point):
            if rule.code in rules:
                raise RulePackError(f"rule pack {entry_point.name!r}: code {rule.code} is already taken")
            rules[rule.code] = rule
    return rules


def _loaded(entry_point: EntryPoint) -> list[Rule]:
    from agentperf_rules.base import Rule

    try:
        loaded = entry_point.load()
        classes = [loaded] if isinstance(loaded, type) else list(loaded())
        rules = [rule_class() for rule_class in classes]
    except Exception as error:  # a pack is foreign code: whatever it raises, say which pack it was
        raise RulePackError(
            f"rule pack {entry_point.name!r} ({entry_point.value}) cannot be loaded: {error}"
        ) from error
    for rule in rules:
        if not isinstance(rule, Rule) or not getattr(rule, "code", ""):
            raise RulePackError(f"rule pack {entry_point.name!r}: {type(rule).__name__} is not a rule with a code")
    return rules
