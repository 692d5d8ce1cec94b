"""Examples in docs/ are what the program does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from agentperf_lint.cli import cli
from agentperf_lint.config import load_config
from agentperf_runtime.sources import SOURCES

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
    said = re.findall(r"^ *print\(.*\)  # (.*)$", shown, re.MULTILINE)  # in the order of the lines
    assert not said or done.stdout.splitlines() == said


@pytest.mark.parametrize(
    ("page", "shown"), [pytest.param(page, block, id=page.name) for page in PAGES for block in blocks(page, "console")]
)
def test_commands_show_what_they_say(page: Path, shown: str, tmp_path: Path) -> None:
    for source in blocks(page, "python"):
        if named := re.match(r"# (\w+\.py)\n", source):
            (tmp_path / named[1]).write_text(source, encoding="utf-8")
    command, _, output = shown.partition("\n")
    arguments = shlex.split(command.removeprefix("$ agentperf-lint"))
    done = subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert without_figures(done.stdout) == without_figures(output)


def without_figures(text: str) -> str:
    """Times and rates differ from run to run."""
    return re.sub(r" +[\d.,]+ ?(?:ms|s|/s)\b", " #", text)


@pytest.mark.parametrize("name", ["load.md", "middleware.md"])
def test_options_exist(name: str) -> None:
    (page,) = [page for page in PAGES if page.name == name]
    text = page.read_text(encoding="utf-8")
    known = {name for command in cli.commands.values() for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text)) <= known


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([\w./-]+)[\w#-]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_every_library_that_is_traced_is_told() -> None:
    told = (PAGES[0].parent / "tracing.md").read_text(encoding="utf-8").lower()
    libraries = {module.partition(".")[0].strip("_").lower() for module in SOURCES}
    assert {name for name in libraries if not re.search(rf"(?<![\w.]){name}(?!\w)", told)} == set()
