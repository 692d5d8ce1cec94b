"""Findings made by hand, for tests of what shows and selects them."""

from __future__ import annotations

from typing import Any

from agentperf_lint.analysis.run import Report
from agentperf_rules.model import Finding, Step

DIRECT = Finding(
    code="APL101",
    name="blocking-sleep-in-async",
    kind="blocking",
    path="app/api.py",
    line=3,
    column=5,
    end_line=3,
    end_column=18,
    function="wait",
    severity="high",
    confidence="definite",
    message="blocking sleep time.sleep in async function wait: use asyncio.sleep",
    remedy="use asyncio.sleep",
    chain=(Step("app/api.py", 3, "wait", "time.sleep(1)"),),
    sink="time.sleep",
    sink_kind="sleep",
    statement_line=3,
    statement_end_line=3,
)


def finding(**changes: Any) -> Finding:
    """`DIRECT` with changes."""
    values = {name: getattr(DIRECT, name) for name in DIRECT.__struct_fields__}
    return Finding(**{**values, **changes})


def report(*findings: Finding, files: int = 1) -> Report:
    """A report of `findings`."""
    return Report(list(findings), files, files, {"facts": 0.5, "rules": 0.25})
