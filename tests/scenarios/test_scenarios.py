"""Real applications under the real command: each must report what its `# expect:` comments say, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime.server_processes import served
from scenarios.expectations import APPS, differences

ALL = sorted(APPS.glob("*.py"))


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with served(Path(__file__).with_name("api.py")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.slow
@pytest.mark.parametrize("app", ALL, ids=[app.stem for app in ALL])
def test_scenario(app: Path, tmp_path: Path, postgres: str, redis_url: str, api_url: str) -> None:
    shutil.copy(app, tmp_path / "app.py")
    servers = {"PG_DSN": postgres, "REDIS_URL": redis_url, "API_URL": api_url}
    command = [sys.executable, "-m", "agentperf_lint"]
    ran = subprocess.run(
        [*command, "trace", "--", sys.executable, "app.py"],
        cwd=tmp_path, env={**os.environ, **servers}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.split()[-1:], ran.stderr) == (0, ["ok"], "")
    reported = subprocess.run(
        [*command, "report", "--isolated", "--exit-zero", "--format", "json", "--trace", "agentperf.trace"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert not differences(app, json.loads(reported.stdout)["items"])


def test_there_are_many_of_both() -> None:
    expecting = [app for app in ALL if "# expect:" in app.read_text(encoding="utf-8")]
    assert len(expecting) >= 25
    assert len(ALL) - len(expecting) >= 15
