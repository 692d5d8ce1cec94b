"""What README.md shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agentperf_lint.cli import cli
from agentperf_lint.config import Settings, TraceSettings, load_config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def lint(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_output_is_real():
    (shown,) = blocks("console")
    command, _, output = shown.partition("\n")
    name, *arguments = shlex.split(command.removeprefix("$ "))
    assert name == "agentperf-lint"
    done = lint("--no-cache", *arguments)
    assert done.returncode == 1
    assert output in done.stdout


def test_configuration_has_every_key_and_is_valid(tmp_path):
    (shown,) = blocks("toml")
    (tmp_path / "pyproject.toml").write_text(shown)
    assert load_config(tmp_path).min_confidence == "likely"
    table = tomllib.loads(shown)["tool"]["agentperf-lint"]
    assert set(table) == {field.encode_name for field in msgspec.structs.fields(Settings)}
    assert set(table["trace"]) == {field.encode_name for field in msgspec.structs.fields(TraceSettings)}


def test_options_exist():
    known = {name for command in cli.commands.values() for parameter in command.params for name in parameter.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", README.partition("## flake8")[0]))
    assert named
    assert named <= known


@pytest.mark.parametrize("target", re.findall(r"`make (\w+)`|^make (\w+)", README, re.MULTILINE))
def test_targets_exist(target):
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(rf"^{target[0] or target[1]}:", makefile, re.MULTILINE)


def test_rule_and_documents_exist():
    assert lint("rule", "APL102").returncode == 0
    for link in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (REPOSITORY / link).exists(), link


def ci_commands() -> list[str]:
    """The calls of this program in the examples for CI."""
    formats = (REPOSITORY / "docs/formats.md").read_text(encoding="utf-8")
    text = "\n".join(blocks("yaml") + re.findall(r"^```yaml\n(.*?)^```$", formats, re.MULTILINE | re.DOTALL))
    return re.findall(r"- (?:run: )?(agentperf-lint .*)", text)


@pytest.mark.parametrize("command", ci_commands())
def test_commands_for_ci_find_and_write(command, tmp_path):
    (tmp_path / "slow.py").write_text("import time\n\n\nasync def wait():\n    time.sleep(1)\n")
    arguments = shlex.split(command)[1:]
    done = lint(*arguments, cwd=tmp_path)
    assert done.returncode == (0 if "--exit-zero" in arguments else 1), done.stderr
    output = (tmp_path / arguments[arguments.index("-o") + 1]).read_text() if "-o" in arguments else done.stdout
    assert "APL101" in output


def test_examples_for_ci_are_there():
    assert len(ci_commands()) == 4


def test_contributing_names_the_targets():
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    makefile = (REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"`make ([\w-]+)", contributing)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
