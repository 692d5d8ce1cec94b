"""Known findings stay hidden while they are the same, and no longer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from findings import finding

from agentperf_lint.checklist.baseline import Baseline, Known
from agentperf_lint.config import Config, ConfigError
from agentperf_lint.entries import entries_of
from agentperf_lint.source_lines import Sources
from agentperf_rules.model import Confidence, Severity

SLOW = "import time\n\n\nasync def wait():\n    time.sleep(1)\n"
FILE = ".agentperf-baseline.json"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/slow.py").write_text(SLOW)
    (tmp_path / "clean.py").write_text("x = 1\n")
    return tmp_path


def entries(*findings):
    return entries_of(findings, Sources())


def found(line: int, **changes):
    return finding(path="app/slow.py", line=line, end_line=line, **changes)


def is_new(baseline: Baseline, *findings) -> list[bool]:
    return baseline.compare(entries(*findings)).is_new


def test_a_finding_stays_known_when_its_surroundings_change(project):
    baseline = Baseline.of(entries(found(5)), project / FILE)
    assert is_new(baseline, found(5)) == [False]
    (project / "app/slow.py").write_text("x = 1\n" + SLOW.replace("wait", "pause").replace("    time", "\t\ttime"))
    assert is_new(baseline, found(6, function="pause", severity="low", message="other words")) == [False]


def test_what_makes_a_finding_new(project):
    baseline = Baseline.of(entries(found(5)), project / FILE)
    assert is_new(baseline, found(5, code="APL102")) == [True]
    (project / "app/other.py").write_text(SLOW)
    assert is_new(baseline, finding(path="app/other.py", line=5)) == [True]
    (project / "app/slow.py").write_text(SLOW.replace("(1)", "(2)"))
    assert is_new(baseline, found(5)) == [True]


def test_of_equal_ones_as_many_are_known_as_are_listed(project):
    baseline = Baseline.of(entries(found(5)), project / FILE)
    (project / "app/slow.py").write_text(SLOW.replace("import time", "import time\nasync def a():\n    time.sleep(1)"))
    assert is_new(baseline, found(3, function="a"), found(7)) == [True, False]
    # In a function of another name any will do.
    assert is_new(baseline, found(3, function="a"), found(7, function="b")) == [False, True]
    both = Baseline.of(entries(found(3, function="a"), found(7)), project / FILE)
    assert is_new(both, found(7), found(3, function="a")) == [False, False]


def test_the_file_can_be_reviewed_and_read_back(project):
    (project / "app/slow.py").write_text("time.sleep('日本\"\\')\n" * 3, encoding="utf-8")
    baseline = Baseline.of(entries(found(2), found(1, code="APL102"), found(3)), project / FILE)
    baseline.write()
    text = (project / FILE).read_text("utf-8")
    lines = [line for line in text.splitlines() if '"code"' in line]
    assert len(lines) == 3
    assert lines == sorted(lines)
    assert "日本" in text
    assert sorted(Baseline.read(project / FILE).known) == sorted(baseline.known)
    Baseline.of([], project / FILE).write()
    assert Baseline.read(project / FILE).known == []


def test_paths_count_from_the_file(project, monkeypatch):
    (project / "ci").mkdir()
    Baseline.of(entries(found(5)), Path("ci/known.json")).write()
    assert "../app/slow.py" in (project / "ci/known.json").read_text()
    monkeypatch.chdir(project / "app")
    baseline = Baseline.read(Path("../ci/known.json"))
    assert is_new(baseline, finding(path="slow.py", line=5)) == [False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; `agentperf-lint baseline` writes it"),
        (b"", "is not valid"),
        (b"[]", "is not valid"),
        (b'{"version": 1, "entries": [{"code": 3}]}', "is not valid"),
        (b'{"version": 1, "entries": [{"path": "\xff"}]}', "is not valid"),
        (b'{"version": 2, "entries": []}', "has version 2"),
    ],
)
def test_a_file_that_is_none(project, content, message):
    if content is not None:
        (project / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Baseline.read(project / FILE)


def test_a_directory_is_no_baseline(project):
    with pytest.raises(ConfigError, match="cannot be read"):
        Baseline.read(project)


def known(path: str = "app/slow.py", severity: Severity = "medium", confidence: Confidence = "likely") -> Known:
    return Known(path, "APL101", "f()", "f", severity, confidence)


@pytest.mark.parametrize(
    ("entry", "paths", "config", "is_expired"),
    [
        (known(), ["."], Config(), True),
        (known(), ["app"], Config(), True),
        (known("app/deleted.py"), ["app/"], Config(), True),
        (known(), ["app/slow.py"], Config(), True),
        (known(), ["app/other.py"], Config(), False),
        (known("application/slow.py"), ["app"], Config(), False),
        (known(), ["."], Config(select=("APL2",)), False),
        (known(), ["."], Config(ignore=("APL101",)), False),
        (known(), ["."], Config(per_file_ignores={"app/*": ("APL1",)}), False),
        (known(), ["."], Config(min_severity="high"), False),
        (known(), ["."], Config(min_confidence="definite"), False),
        (known(severity="high", confidence="definite"), ["."], Config(min_severity="high"), True),
    ],
)
def test_expired_is_only_what_the_run_would_have_found(project, entry, paths, config, is_expired):
    baseline = Baseline(project / FILE, [entry])
    unmatched = baseline.compare([]).unmatched
    assert unmatched == [entry]
    assert baseline.expired(unmatched, [Path(path) for path in paths], config) == ([entry] if is_expired else [])


# The commands


def lint(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments], input=stdin, capture_output=True, text=True, timeout=120
    )


def test_write_hide_and_prune(project):
    done = lint("baseline")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"Wrote 1 finding to {FILE}\n")
    done = lint("--baseline", FILE)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("No findings in 2 files, 1 more in the baseline (")

    (project / "app/slow.py").write_text("\n\n" + SLOW + "    time.sleep(2)\n")
    done = lint("check", "--baseline", FILE, "--output-format", "concise")
    assert done.returncode == 1
    assert done.stdout.startswith("app/slow.py:8:5: APL101")
    assert done.stdout.count("\n") == 1

    (project / "app/slow.py").write_text(SLOW.replace("(1)", "(2)"))
    done = lint("--baseline", FILE, "--exit-zero", "--output-format", "json")
    assert len(json.loads(done.stdout)) == 1
    command = f"agentperf-lint baseline --prune -o {FILE}"
    assert done.stderr.startswith(f"1 entry of the baseline no longer occurs; run `{command}` to drop it\n")
    assert lint("--baseline", FILE, "clean.py").stderr.startswith("No findings in 1 file (")
    assert lint("--baseline", FILE, "-q", "clean.py").stderr == ""

    assert lint(*command.split()[1:]).stderr == f"Wrote 0 findings to {FILE}\n"
    assert lint("--baseline", FILE).returncode == 1


def test_the_configured_file_is_used_from_everywhere(project, monkeypatch):
    (project / "pyproject.toml").write_text('[tool.agentperf-lint]\nbaseline = "known.json"\n')
    done = lint()
    assert done.returncode == 2
    assert f"error: baseline {project}/known.json does not exist" in done.stderr
    monkeypatch.chdir(project / "app")
    assert lint("baseline", "-q", "slow.py").stderr == ""
    assert (project / "known.json").exists()
    assert lint().returncode == 0
    assert lint("--isolated").returncode == 1
    moved = "x = 1\n" + SLOW
    assert lint("-", "--stdin-filename", "slow.py", stdin=moved).returncode == 0
    assert lint("-", "--stdin-filename", "slow.py", stdin=moved + "    time.sleep(1)\n").returncode == 1


def test_options_choose_what_is_written(project):
    lint("baseline", "--select", "APL2", "-o", "two.json")
    assert lint("--baseline", "two.json").returncode == 1
    lint("baseline", "--select", "APL1", "app", "-o", "one.json")
    assert lint("--baseline", "one.json").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--baseline", "missing.json"), "baseline missing.json does not exist"),
        (("--baseline", "pyproject.toml"), "baseline pyproject.toml is not valid"),
        (("baseline", "--prune"), f"baseline {FILE} does not exist"),
        (("baseline", "-o", "missing/x.json"), "No such file or directory"),
        (("baseline", "-"), "not from standard input"),
        (("baseline", "empty"), "no baseline was written"),
    ],
)
def test_errors_exit_with_2(project, arguments, message):
    (project / "empty").mkdir()
    done = lint(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / FILE).exists()


def test_flake8_hides_the_same(project):
    (project / "pyproject.toml").write_text(f'[tool.agentperf-lint]\nbaseline = "{FILE}"\n')
    lint("baseline")
    (project / "app/slow.py").write_text("\n" + SLOW + "    time.sleep(2)\n")

    def flake8(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flake8", "--isolated", "--select", "APL", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = flake8()
    assert done.stdout.startswith("./app/slow.py:7:5: APL101")
    assert done.stdout.count("\n") == 1
    assert flake8("--stdin-display-name", "app/slow.py", "-", stdin="\n\n" + SLOW).stdout == ""
    (project / FILE).unlink()
    done = flake8()
    assert done.returncode == 1
    assert "does not exist" in done.stderr + done.stdout
