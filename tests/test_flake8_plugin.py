"""The plugin under the real flake8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPER = "import time\n\n\ndef pause():\n    time.sleep(1)\n"
USER = "from app.helper import pause\n\n\nasync def run():\n    pause()\n"
DIRECT = "import time\n\n\nasync def wait():\n    time.sleep(1)\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "setup.cfg").write_text("[flake8]\n")
    for name, text in {"__init__": "", "helper": HELPER, "user": USER, "direct": DIRECT, "clean": "x = 1\n"}.items():
        (tmp_path / f"app/{name}.py").write_text(text)
    return tmp_path


def flake8(*arguments: str, stdin: str | None = None, code: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["-m", "flake8"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *command, *arguments], input=stdin, capture_output=True, text=True, timeout=120
    )


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.stderr == ""
    return sorted(" ".join(line.split()[:2]) for line in done.stdout.splitlines())


EXPECTED = ["./app/direct.py:5:5: APL101", "./app/user.py:5:5: APL101"]


@pytest.mark.parametrize("jobs", ["0", "1", "4", "auto"])
def test_transitive_findings_with_any_number_of_jobs(jobs):
    assert lines(flake8("--select", "APL", "-j", jobs)) == EXPECTED


def test_findings_are_on_without_being_selected():
    assert lines(flake8()) == EXPECTED


def test_workers_that_inherit_nothing_find_the_results():
    code = (
        "import multiprocessing, sys\n"
        "from flake8.main.cli import main\n"
        "if __name__ == '__main__':\n"
        "    multiprocessing.set_start_method('spawn')\n"
        "    sys.exit(main(sys.argv[1:]))\n"
    )
    Path("spawning.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "spawning.py", "--select", "APL", "-j", "2", "app"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert lines(done) == ["app/direct.py:5:5: APL101", "app/user.py:5:5: APL101"]


def test_only_what_flake8_checks_is_reported():
    assert lines(flake8("--select", "APL", "app/user.py")) == ["app/user.py:5:5: APL101"]
    assert lines(flake8("--select", "APL", "--exclude", "direct.py")) == EXPECTED[1:]


def test_what_our_defaults_exclude_is_reported_when_flake8_checks_it(project):
    (project / "build").mkdir()
    (project / "build/made.py").write_text(DIRECT)
    assert "./build/made.py:5:5: APL101" in lines(flake8("--select", "APL"))


def test_flake8_honours_noqa(project):
    (project / "app/direct.py").write_text(DIRECT.replace("(1)", "(1)  # noqa: APL101"))
    (project / "app/user.py").write_text(USER.replace("pause()", "pause()  # noqa: E501"))
    assert lines(flake8("--select", "APL")) == EXPECTED[1:]
    assert lines(flake8("--select", "APL", "--disable-noqa")) == EXPECTED


def test_configuration_is_shared(project):
    (project / "pyproject.toml").write_text('[tool.agentperf-lint]\nper-file-ignores = { "direct.py" = ["APL1"] }\n')
    assert lines(flake8("--select", "APL")) == EXPECTED[1:]


def test_configuration_errors_are_said_without_a_traceback(project):
    (project / "pyproject.toml").write_text("[tool.agentperf-lint]\nslect = []\n")
    done = flake8("--select", "APL")
    assert done.returncode == 1
    assert "unknown key 'slect'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_standard_input_counts_instead_of_the_file():
    done = flake8("--select", "APL", "--stdin-display-name", "app/clean.py", "-", stdin="\n" + USER)
    assert lines(done) == ["app/clean.py:6:5: APL101"]
    assert lines(flake8("--select", "APL", "-", stdin=DIRECT)) == ["stdin:5:5: APL101"]
    assert lines(flake8("--select", "APL", "--stdin-display-name", "app/direct.py", "-", stdin="x = 1\n")) == []


@pytest.mark.parametrize("arguments", [("--select", "E,W,F"), ("--extend-ignore", "A"), ("--ignore", "APL")])
def test_nothing_is_analysed_when_no_code_is_selected(project, arguments):
    assert lines(flake8(*arguments)) == []
    assert not (project / ".agentperf_cache").exists()


def test_part_of_the_codes(project):
    assert lines(flake8("--select", "APL2")) == []
    assert lines(flake8("--select", "APL101")) == EXPECTED


def test_files_that_flake8_cannot_parse_are_its_own_business(project):
    (project / "app/broken.py").write_text("def broken(:\n")
    assert lines(flake8("--select", "APL,E9")) == ["./app/broken.py:1:13: E999", *EXPECTED]


def test_plugin_is_listed():
    assert "agentperf-lint" in flake8("--version").stdout
    assert '"agentperf-lint"' in flake8("--bug-report").stdout
    assert not os.path.exists(".agentperf_cache")
