"""How often each rule fired, instead of the findings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TextIO

import msgspec

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report


class RuleCount(msgspec.Struct, frozen=True):
    """`count` findings of the rule `code`."""

    count: int
    code: str
    name: str


class StatisticsRenderer:
    """One line per rule, the most frequent first."""

    def render(self, report: Report, stream: TextIO) -> None:
        counts = rule_counts(report)
        width = max((len(f"{each.count:,}") for each in counts), default=0)
        stream.writelines(f"{each.count:>{width},}  {each.code}  {each.name}\n" for each in counts)


class JsonStatisticsRenderer:
    """The same as a JSON list."""

    def render(self, report: Report, stream: TextIO) -> None:
        stream.write(msgspec.json.format(msgspec.json.encode(rule_counts(report)), indent=2).decode() + "\n")


def rule_counts(report: Report) -> list[RuleCount]:
    """Findings by rule, the most frequent first, then by code."""
    counted = Counter((finding.code, finding.name) for finding in report.findings)
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [RuleCount(count, code, name) for (code, name), count in ordered]
