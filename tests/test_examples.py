"""The example service: exactly the lines marked `# slow: CODE` are reported."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def found():
    report = analyze([EXAMPLES], Config(directory=str(EXAMPLES)), root=EXAMPLES, jobs=1)
    return {(Path(finding.path).name, finding.line, finding.code) for finding in report.findings}


def test_marked_lines_are_reported(found):
    marked = set()
    for path in EXAMPLES.rglob("*.py"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            mark = re.search(r"# slow: (APL\d{3})$", line)
            if mark:
                marked.add((path.name, number, mark.group(1)))
    assert len(marked) >= 12
    assert found == marked
