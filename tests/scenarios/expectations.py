"""What a scenario application says about itself: `# expect: KIND [COUNT]` behind the line that must be reported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

APPS = Path(__file__).parent / "apps"
STRICT = frozenset({"n_plus_one", "duplicate", "stall"})
"""Kinds of which nothing may be reported that is not expected."""

_EXPECTATION = re.compile(r"# expect: (\w+)(?: (\d+))?")


class Expectation(NamedTuple):
    """An item that must be there: its kind, its line, and how many operations it has at least."""

    kind: str
    line: int
    operations: int

    def is_met_by(self, item: dict[str, Any]) -> bool:
        """Whether `item` of the JSON report is meant: on the line itself, or its loop is around it."""
        loop = item.get("loop") or {}
        lines = range(item["line"], max(item["line"], item.get("end_line") or 0) + 1)
        is_place = self.line in lines or loop.get("line") == self.line
        return item["kind"] == self.kind and is_place and item["operations"] >= self.operations


def expectations(app: Path) -> list[Expectation]:
    """The expectations in the source of `app`."""
    return [
        Expectation(match[1], number, int(match[2] or 0))
        for number, line in enumerate(app.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := _EXPECTATION.search(line))
    ]


def differences(app: Path, items: list[dict[str, Any]]) -> list[str]:
    """What is missing in `items`, or in them without being expected."""
    expected = expectations(app)
    missing = [f"missing: {each}" for each in expected if not any(map(each.is_met_by, items))]
    extra = [
        f"not expected: {item['kind']} {item['path']}:{item['line']} {item['message']}"
        for item in items
        if item["kind"] in STRICT and not any(each.is_met_by(item) for each in expected)
    ]
    return missing + extra
