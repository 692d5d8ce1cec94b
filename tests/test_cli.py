"""The command through a real subprocess."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import psutil
import pytest

from agentperf_lint import __version__
from agentperf_lint.render.json_list import schema

SLOW = "import time\n\n\nasync def wait():\n    time.sleep(1)\n"
FINDING = "slow.py:5:5: APL101 "


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "AGENTPERF_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "clean.py").write_text("x = 1\n")
    return tmp_path


def lint(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, **environment},
        timeout=120,
    )


def test_findings_exit_with_1():
    done = lint("--output-format", "concise", "slow.py")
    assert done.returncode == 1
    assert done.stdout.startswith(FINDING)
    assert done.stderr.startswith("Found 1 finding in 1 file (")


def test_nothing_found_exits_with_0():
    done = lint("clean.py")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("No findings in 1 file (")


def test_check_is_the_default_and_the_working_directory_too():
    outputs = {
        lint(*arguments).stdout
        for arguments in [("check", "."), (".",), ("check",), (), ("-q",), ("--no-cache", "."), ("slow.py", "clean.py")]
    }
    assert len(outputs) == 1
    assert outputs.pop().startswith("slow.py:5:5 APL101 ")


def test_paths_are_relative_to_the_working_directory(project, monkeypatch):
    (project / "app").mkdir()
    (project / "app/slow.py").write_text(SLOW)
    assert lint("--output-format=concise", "-q", str(project / "app")).stdout.startswith("app/slow.py:5:5")
    monkeypatch.chdir(project / "app")
    assert lint("--output-format=concise", "-q", "slow.py").stdout.startswith("slow.py:5:5")
    assert lint("--output-format=concise", "-q", "../slow.py").stdout.startswith(f"{project}/slow.py:5:5")


def test_json_is_as_documented():
    done = lint("--output-format", "json", "--min-confidence", "possible")
    findings = json.loads(done.stdout)
    jsonschema.validate(findings, schema())
    assert [(each["code"], each["path"], each["line"], each["column"]) for each in findings] == [
        ("APL101", "slow.py", 5, 5)
    ]
    (step,) = findings[0]["chain"]
    assert (step["path"], step["line"], step["function"]) == ("slow.py", 5, "wait")
    assert step["call"].startswith("time.sleep")
    assert json.loads(lint("--output-format", "json", "clean.py").stdout) == []


def test_only_given_files_are_reported_but_the_project_is_known(project):
    (project / "helper.py").write_text("import time\n\n\ndef pause():\n    time.sleep(1)\n")
    (project / "user.py").write_text("from helper import pause\n\n\nasync def run():\n    pause()\n")
    done = lint("--output-format=concise", "user.py")
    assert done.stdout.startswith("user.py:5:5: APL101 ")
    assert "helper.py:5" in done.stdout
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--select", "APL1"), 1),
        (("--select", "APL2,APL102"), 0),
        (("--select", "APL2", "--extend-select", "APL101"), 1),
        (("--ignore", "APL101"), 0),
        (("--per-file-ignores", "slow.py:APL1"), 0),
        (("--per-file-ignores", "other.py:APL1"), 1),
        (("--exclude", "slow.py"), 0),
        (("--extend-exclude", "sl*.py"), 0),
        (("--min-severity", "high"), 1),
        (("--min-confidence", "definite"), 1),
        (("--exit-zero",), 0),
        (("--statistics",), 1),
        (("--jobs", "2"), 1),
    ],
)
def test_options(arguments, code):
    done = lint(*arguments, ".")
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr


def test_configuration_and_the_command_line_above_it(project):
    (project / "pyproject.toml").write_text('[tool.agentperf-lint]\nignore = ["APL101"]\noutput-format = "concise"\n')
    assert lint().returncode == 0
    assert lint("--ignore", "APL2").stdout.startswith(FINDING)
    assert lint("--isolated").returncode == 1
    (project / "other.toml").write_text('select = ["APL2"]\n')
    assert lint("--config", "other.toml").returncode == 0


def test_statistics():
    assert lint("--statistics").stdout == "1  APL101  blocking-sleep-in-async\n"


def test_output_file(project):
    done = lint("--output-format", "concise", "-o", "out.txt")
    assert (done.returncode, done.stdout) == (1, "")
    assert (project / "out.txt").read_text().startswith(FINDING)


def test_quiet():
    assert lint("-q", "clean.py").stderr == ""


def test_noqa(project):
    (project / "slow.py").write_text(SLOW.replace("(1)", "(1)  # noqa: APL101"))
    assert lint().returncode == 0


def test_standard_input(project):
    (project / "helper.py").write_text("import time\n\n\ndef pause():\n    time.sleep(1)\n")
    source = "from helper import pause\nasync def run():\n    pause()\n"
    done = lint("-", "--stdin-filename", "unsaved.py", stdin=source)
    assert done.returncode == 1
    assert done.stdout.startswith("unsaved.py:3:5 APL101")
    assert "3 |     pause()" in done.stdout
    # The text given counts, not the one on disk.
    assert lint("-", "--stdin-filename", "slow.py", stdin="x = 1\n").returncode == 0
    assert lint("-", stdin=SLOW).stdout.startswith("stdin:5:5 APL101")


def test_files_named_by_pre_commit_can_be_excluded(project):
    (project / "pyproject.toml").write_text('[tool.agentperf-lint]\nextend-exclude = ["slow.py"]\n')
    assert lint("slow.py").returncode == 1
    assert lint("--force-exclude", "slow.py", "clean.py").returncode == 0
    done = lint("--force-exclude", "slow.py")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.py",), "path 'missing.py' does not exist"),
        (("--nonsense",), "No such option"),
        (("--select", "APL999"), "select: unknown code 'APL999'"),
        (("--min-severity", "huge"), "'huge' is not one of"),
        (("--config", "missing.toml"), "does not exist"),
        (("--per-file-ignores", "x"), "PATTERN:CODE"),
        (("--stdin-filename", "x.py"), "needs the path `-`"),
        (("-", "slow.py"), "cannot be combined"),
        (("-o", "missing/out.txt"), "No such file or directory"),
        (("rule", "APL999"), "no rule 'APL999'"),
        (("rule",), "give a rule's code"),
        (("rule", "APL101", "--all"), "give a rule's code"),
    ],
)
def test_usage_errors_exit_with_2(arguments, message):
    done = lint(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_configuration_errors_exit_with_2(project):
    (project / "pyproject.toml").write_text("[tool.agentperf-lint]\nslect = []\n")
    done = lint()
    assert done.returncode == 2
    assert done.stderr == (
        f"agentperf-lint: error: {project}/pyproject.toml: unknown key 'slect' in [tool.agentperf-lint]: "
        "did you mean 'select'?\n"
    )


def test_no_files_is_said(project):
    (project / "empty").mkdir()
    done = lint("empty")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No Python files found" in done.stderr


def test_unreadable_files_are_findings_and_the_others_are_analysed(project):
    (project / "broken.py").write_text("def broken(:\n")
    (project / "binary.py").write_bytes(b"\x00\xff\x00")
    done = lint("--output-format", "concise", "--select", "APL2,APL101")
    assert done.returncode == 1
    codes = {line.split(":")[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert codes == {"binary.py": "APL901", "broken.py": "APL901", "slow.py": "APL101"}


def test_an_internal_error_asks_for_a_report(project):
    (project / "sitecustomize.py").write_text(
        "import agentperf_lint.analysis.run as run\n"
        "def broken(*args, **kwargs):\n"
        "    raise ZeroDivisionError('by design')\n"
        "run.analyze = broken\n"
    )
    path = os.pathsep.join([str(project), *sys.path])
    done = lint("clean.py", PYTHONPATH=path)
    assert done.returncode == 2
    assert "internal error: ZeroDivisionError: by design" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in lint("clean.py", PYTHONPATH=path, AGENTPERF_DEBUG="1").stderr


def test_broken_pipe_is_quiet(project):
    (project / "slow.py").write_text(SLOW * 1_500)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentperf_lint", "-q", "--output-format", "concise"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize(
    ("number", "to_workers", "code"),
    [
        (signal.SIGINT, True, 130),  # as a terminal does
        (signal.SIGINT, False, 130),
        (signal.SIGTERM, False, 143),
        (signal.SIGKILL, False, -9),
    ],
)
def test_whoever_is_stopped_leaves_no_worker(project, number, to_workers, code):
    for module in range(300):
        (project / f"m{module}.py").write_text(SLOW * 200)
    process = subprocess.Popen(
        [sys.executable, "-m", "agentperf_lint", "--no-cache", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 30
    workers = []
    while len(workers) < 2 and time.monotonic() < deadline:
        workers = psutil.Process(process.pid).children()
        time.sleep(0.02)
    (os.killpg if to_workers else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (code, -number)  # the latter before it listens to signals
    assert b"Traceback" not in err
    assert psutil.wait_procs(workers, timeout=20)[1] == []


def test_terminal_without_the_letters(project):
    (project / "größe.py").write_text(SLOW, encoding="utf-8")
    done = lint("größe.py", "--output-format", "concise", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1
    assert done.stdout.startswith("gr\\xf6\\xdfe.py:5:5: APL101")


def test_cache_is_made_used_and_cleaned(project):
    assert lint().returncode == 1
    assert (project / ".agentperf_cache" / "CACHEDIR.TAG").exists()
    assert lint().returncode == 1
    done = lint("clean")
    assert (done.returncode, done.stderr) == (0, f"Deleted {project}/.agentperf_cache\n")
    assert not (project / ".agentperf_cache").exists()
    assert lint("clean").stderr.startswith("No cache at")

    lint("--no-cache")
    assert not (project / ".agentperf_cache").exists()
    lint("--cache-dir", "elsewhere")
    assert (project / "elsewhere" / "CACHEDIR.TAG").exists()
    assert lint("clean", "--cache-dir", "elsewhere").stderr == "Deleted elsewhere\n"


def test_no_cache_is_left_in_a_directory_that_is_no_project(tmp_path_factory, project):
    library = tmp_path_factory.mktemp("library")
    (library / "slow.py").write_text(SLOW)
    assert lint(str(library)).returncode == 1
    assert [path.name for path in library.iterdir()] == ["slow.py"]


def test_rule_explains():
    done = lint("rule", "APL101")
    assert done.returncode == 0
    assert done.stdout.startswith("# blocking-sleep-in-async (APL101)\n\nFamily: blocking.")
    assert "## Use instead" in done.stdout
    assert lint("rule", "blocking-sleep-in-async").stdout == done.stdout
    assert lint("rule", "apl101").stdout == done.stdout


def test_rule_all_as_json():
    rules = json.loads(lint("rule", "--all", "--output-format", "json").stdout)
    assert {"APL101", "APL201", "APL901"} <= {rule["code"] for rule in rules}
    assert all(set(rule) == {"code", "name", "kind", "severity", "documentation"} for rule in rules)


def test_version_and_help():
    assert lint("--version").stdout == f"agentperf-lint {__version__}\n"
    assert "check" in lint("--help").stdout
    assert "--min-confidence" in lint("check", "-h").stdout


def test_version_loads_nothing_that_is_slow():
    code = (
        "import sys\n"
        "from agentperf_lint.cli import main\n"
        "try:\n    main(['--version'])\n"
        "except SystemExit:\n    pass\n"
        "slow = {'libcst', 'rich', 'msgspec', 'pathspec', 'psutil', 'flake8', 'sqlite3', 'multiprocessing'}\n"
        "sys.exit(' '.join(slow & set(sys.modules)) or 0)\n"
    )
    # Measuring coverage would load some of these itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_analysed_code_is_never_run(project):
    trap = "import pathlib\npathlib.Path(__file__).with_suffix('.ran').touch()\n"
    for name in ("trap.py", "conftest.py", "sitecustomize.py", "setup.py"):
        (project / name).write_text(trap + SLOW)
    assert lint().returncode == 1
    assert list(project.glob("*.ran")) == []
    assert list(Path.cwd().glob("**/*.pyc")) == []


def test_findings_do_not_depend_on_the_seed_of_hashes(tmp_path):
    file = tmp_path / "seeds" / "app.py"
    file.parent.mkdir()
    file.write_text(
        "import sqlite3\ndb = sqlite3.connect('x')\n"
        "def both():\n    db.execute('')\n    db.commit()\n    db.executemany('', [])\n"
        "async def run():\n    both()\n"
    )
    seeds = "1234"
    shown = {lint("--no-cache", "--output-format=json", str(file), PYTHONHASHSEED=seed).stdout for seed in seeds}
    assert len(shown) == 1
    assert "both()" in shown.pop()
