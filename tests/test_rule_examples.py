"""Runs the examples that every rule carries through the whole funnel."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config
from agentperf_rules import builtin_rules

RULES = builtin_rules()
VALID = [(code, index) for code, rule in RULES.items() for index in range(len(rule.valid))]
INVALID = [(code, index) for code, rule in RULES.items() for index in range(len(rule.invalid))]


def found(example: str, folder: Path, code: str) -> set[int]:
    """The lines of `example` on which `code` is reported."""
    path = folder / "example.py"
    path.write_text(example, "utf-8")
    report = analyze([path], Config(select=(code,), directory=str(folder)), root=folder, jobs=1)
    assert {finding.code for finding in report.findings} <= {code}
    return {finding.line for finding in report.findings}


@pytest.mark.parametrize(("code", "index"), VALID)
def test_valid_examples_are_silent(code: str, index: int, tmp_path: Path) -> None:
    assert found(RULES[code].valid[index], tmp_path, code) == set()


@pytest.mark.parametrize(("code", "index"), INVALID)
def test_invalid_examples_are_reported_where_they_say(code: str, index: int, tmp_path: Path) -> None:
    example = RULES[code].invalid[index]
    expected = {number for number, line in enumerate(example.splitlines(), 1) if "# expect" in line}
    assert found(example, tmp_path, code) == expected
