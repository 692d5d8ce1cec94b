"""The linters that are compared: where they are found, and the commands that run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.corpus import CORPUS, HERE

PEERS = {"ruff": "ruff==0.17.6", "flake8": "flake8-async==26.8.1", "evloop-lint": "evloop-lint"}
_ROOT = HERE.parent
_PEER_ENVIRONMENT = CORPUS / "peers"
_RUFF_TARGET = "py314"


def environment() -> dict[str, str]:
    """The variables that run the linter of this checkout, whatever is installed and wherever it is started."""
    sources = os.pathsep.join(str(path) for path in (_ROOT, _ROOT / "rules", _ROOT / "runtime"))
    return {**os.environ, "PYTHONPATH": sources, "PYTHONSAFEPATH": "1", "NO_COLOR": "1"}


def agentperf_lint(*arguments: str | Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "agentperf_lint",
        "check",
        "--isolated",
        "--exit-zero",
        "--quiet",
        *map(str, arguments),
    ]


def ruff(path: Path | str, *options: str) -> list[str]:
    command = [peer("ruff") or "ruff", "check", "--no-cache", "--isolated", "--quiet", "--exit-zero"]
    return [*command, "--no-respect-gitignore", "--target-version", _RUFF_TARGET, *options, str(path)]


def flake8_async(*arguments: Path | str) -> list[str]:
    return [peer("flake8") or "flake8", "--isolated", "--select", "ASYNC", "--exit-zero", *map(str, arguments)]


def evloop_lint(*arguments: Path | str) -> list[str] | None:
    command = peer("evloop-lint")
    return [command, *map(str, arguments)] if command else None


@cache
def peer(name: str) -> str | None:
    """The command `name`: of this environment, of the peers' own, or freshly installed; None where pip has it not."""
    for directory in (Path(sys.executable).parent, _PEER_ENVIRONMENT / "bin"):
        if (directory / name).exists() and _has_plugin(directory, name):
            return str(directory / name)
    if not _install(PEERS[name]):
        return shutil.which(name)
    return str(_PEER_ENVIRONMENT / "bin" / name)


def _has_plugin(directory: Path, name: str) -> bool:
    return name != "flake8" or (directory / "flake8-async").exists()


def _install(requirement: str) -> bool:
    """Peers live in an environment of their own, so that the linter's dependencies stay what they are."""
    python = _PEER_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(_PEER_ENVIRONMENT)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    extra = ["flake8"] if requirement.startswith("flake8") else []
    return subprocess.run([*pip, requirement, *extra], check=False, capture_output=True).returncode == 0


def version_of(command: str | None) -> str:
    """The first line that `command --version` prints, or a note that it could not be had."""
    if command is None:
        return "not available from the package index"
    shown = subprocess.run([command, "--version"], check=False, capture_output=True, text=True)
    return " ".join((shown.stdout or shown.stderr).split("\n")[0].split()) or "version unknown"


def findings_of(path: Path, *options: str) -> list[dict[str, Any]]:
    """The findings in `path` as the JSON output has them, with absolute paths; none come from a cache."""
    with tempfile.TemporaryDirectory() as directory:
        command = agentperf_lint("--no-cache", "--output-format", "json", *options, path.resolve())
        shown = subprocess.run(command, check=False, capture_output=True, text=True, env=environment(), cwd=directory)
        if shown.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {shown.returncode}:\n{shown.stderr}")
        findings: list[dict[str, Any]] = json.loads(shown.stdout)
        for finding in findings:
            finding["path"] = os.path.join(directory, finding["path"])
        return findings
