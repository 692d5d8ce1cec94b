"""The hook as pre-commit runs it: built from a git clone of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
HELPER = "import time\n\n\ndef pause():\n    time.sleep(1)\n"
USER = "from helper import pause\n\n\nasync def run():\n    pause()\n"


def git(*arguments: object, cwd: Path) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path):
    """This checkout as it stands, committed: pre-commit installs from a commit."""
    target = tmp_path / "agentperf-lint"
    ignore = shutil.ignore_patterns(
        ".*cache", ".coverage*", ".venv*", ".git", "corpus", "results", "*.pyc", "__pycache__"
    )
    shutil.copytree(REPOSITORY, target, ignore=ignore, symlinks=True)
    git("init", "-q", cwd=target)
    git("add", "-A", cwd=target)
    git("commit", "-qm", "as it stands", cwd=target)
    return target


@pytest.mark.slow
def test_hook(clone, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    git("init", "-q", cwd=project)
    (project / "helper.py").write_text(HELPER)
    git("add", "-A", cwd=project)
    git("commit", "-qm", "helper", cwd=project)
    (project / "user.py").write_text(USER)
    git("add", "-A", cwd=project)

    def try_hook() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "try-repo", str(clone), "agentperf-lint", "--verbose"],
            cwd=project,
            capture_output=True,
            text=True,
            env={**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home"), "PYTHONPATH": ""},
            timeout=500,
        )

    done = try_hook()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "user.py:5:5 APL101" in done.stdout
    assert "helper.py:5" in done.stdout

    (project / "user.py").write_text(USER.replace("    pause()", "    return pause"))
    git("add", "-A", cwd=project)
    done = try_hook()
    assert done.returncode == 0, done.stdout + done.stderr
