"""Examples in docs/ are what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentperf_lint.config import load_config

PAGES = sorted((Path(__file__).parent.parent / "docs").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "shown", [pytest.param(block, id=page.name) for page in PAGES for block in blocks(page, "toml")]
)
def test_configuration_is_valid(shown: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(shown)
    assert load_config(tmp_path).file is not None


@pytest.mark.parametrize(
    "shown", [pytest.param(block, id=page.name) for page in PAGES for block in blocks(page, "python")]
)
def test_examples_run(shown: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(shown)
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
