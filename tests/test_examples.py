"""The example service: what is marked `# slow: CODE` is found in the source and in the running service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config

EXAMPLES = Path(__file__).parent.parent / "examples"


def marked() -> set[tuple[str, int, str]]:
    """File, line and code of the marks."""
    return {
        (path.name, number, mark[1])
        for path in EXAMPLES.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (mark := re.search(r"# slow: (APL\d{3})$", line))
    }


def test_marked_lines_are_reported() -> None:
    report = analyze([EXAMPLES], Config(directory=str(EXAMPLES)), root=EXAMPLES, jobs=1)
    found = {(Path(finding.path).name, finding.line, finding.code) for finding in report.findings}
    assert len(marked()) >= 12
    assert found == marked()


@pytest.mark.slow
def test_marked_lines_are_confirmed_by_the_running_service(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agentperf_lint"]
    load = [sys.executable, str(EXAMPLES / "load.py"), "1"]
    subprocess.run([*command, "trace", "--", *load], cwd=tmp_path, check=True, timeout=120)
    report = [*command, "report", str(EXAMPLES), "--isolated", "--exit-zero", "--format", "json"]
    shown = subprocess.run(
        [*report, "--trace", "agentperf.trace", "--profile", "shop.profile", "--load", "shop.load"],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    checklist = json.loads(shown.stdout)
    items = checklist["items"]
    (profile,), (load,) = checklist["summary"]["profiles"], checklist["summary"]["loads"]
    assert profile["operations"] >= len(marked())
    assert load["requests"] == checklist["summary"]["kpis"]["count"]
    confirmed = {
        (Path(evidence["path"]).name, evidence["line"], evidence["code"])
        for item in items
        if item["status"] == "confirmed"
        for evidence in item["evidence"]
        if evidence["type"] == "static"
    }
    assert confirmed == marked()
    functions = {item["function"] for item in items if item["status"] == "confirmed"}
    profiled = [item for item in items if any(evidence["type"] == "profile" for evidence in item["evidence"])]
    assert len(profiled) >= len(marked()) // 2
    # What takes long on a machine that is busy with other things is no fault of the example's.
    repeated = [item for item in items if item["kind"] in ("n_plus_one", "duplicate")]
    assert {item["function"] for item in repeated} <= functions
