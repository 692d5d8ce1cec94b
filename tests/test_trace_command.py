"""`agentperf-lint trace` as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def trace(*arguments: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", "trace", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, **options)  # type: ignore[call-overload, no-any-return]


def test_streams_arguments_and_exit_code_are_the_commands(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import sys; print(sys.argv[1:], sys.stdin.read()); sys.exit(7)", encoding="utf-8")
    shown = trace(
        "-o", "out.trace", "--", sys.executable, "app.py", "-o", "x", "--sample", "--", cwd=tmp_path, input="hello"
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (7, "['-o', 'x', '--sample', '--'] hello\n", "")
    records = [json.loads(line) for line in (tmp_path / "out.trace").read_text(encoding="utf-8").splitlines()]
    assert [each["type"] for each in records] == ["header", "counters", "end"]


def test_a_script_needs_no_python_before_it(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('ok')", encoding="utf-8")
    shown = trace("app.py", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (0, "ok\n")
    assert (tmp_path / "agentperf.trace").exists()


def test_an_older_trace_is_replaced(tmp_path: Path) -> None:
    for name in ("out.trace", "out.trace.12.1", "out.trace.notes"):
        (tmp_path / name).write_text("stale\n", encoding="utf-8")
    trace("-o", "out.trace", "--", sys.executable, "-c", "pass", cwd=tmp_path)
    assert "stale" not in (tmp_path / "out.trace").read_text(encoding="utf-8")
    assert not (tmp_path / "out.trace.12.1").exists()
    assert (tmp_path / "out.trace.notes").exists()


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_signals_reach_the_command(tmp_path: Path) -> None:
    source = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\nprint('up', flush=True)\n"
    )
    (tmp_path / "app.py").write_text(source + "time.sleep(30)", encoding="utf-8")
    command = [sys.executable, "-m", "agentperf_lint", "trace", "app.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        assert process.wait(10) == 3
        assert time.monotonic() - begun < 5
    assert '"end"' in (tmp_path / "agentperf.trace").read_text(encoding="utf-8")


def test_it_can_be_switched_off_from_outside(tmp_path: Path) -> None:
    environment = {**os.environ, "AGENTPERF_TRACE": "0"}
    shown = trace("--", sys.executable, "-c", "print('ran')", cwd=tmp_path, env=environment)
    assert (shown.returncode, shown.stdout) == (0, "ran\n")
    assert "not traced" in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "no-such-program-anywhere"], "'no-such-program-anywhere' was not found"),
        (["-o", ".", "--", "true"], "is a directory"),
        (["-o", "/proc/nowhere/x", "--", "true"], "cannot be written"),
        ([], "Missing argument"),
        (["--sample", "2", "--", "true"], "--sample"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], message: str) -> None:
    shown = trace(*arguments, cwd=tmp_path)
    assert shown.returncode == 2
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr


INSTALLED = """
import contextlib, sqlite3

def main():
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for number in range(30):
            connection.execute("select ?", (number,))
"""


@pytest.mark.parametrize("options", [[], ["--app", "shop"]])
def test_an_application_that_is_installed(tmp_path: Path, options: list[str]) -> None:
    package = tmp_path / "lib" / "site-packages" / "shop"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INSTALLED, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", "import shop; shop.main()"]
    shown = trace("-o", "out.trace", *options, "--", *command, cwd=tmp_path, env=environment)
    assert (shown.returncode, shown.stderr) == (0, "")
    report = [sys.executable, "-m", "agentperf_lint", "report", str(package), "--trace", "out.trace", "--format=json"]
    done = subprocess.run(report, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    found = json.loads(done.stdout)
    places = [(item["kind"], item["line"], item["function"]) for item in found["items"] if item["code"] == "APL501"]
    if options:
        assert places == [("n_plus_one", 7, "main")]
        assert not found["notes"]
    else:
        assert not places
        assert found["notes"] == [
            "30 of 30 operations were called by installed packages alone, their lines are not known: "
            "if one of these packages is the application, trace it with --app PACKAGE"
        ]


SHARED = """
import contextlib, sqlite3

def ask(connection, statement, *values):
    return connection.execute(statement, values).fetchall()

def names(connection):
    for number in range(12):
        ask(connection, "select name from sqlite_master where rootpage > ?", number)

def prices(connection):
    for number in range(12):
        ask(connection, "select type from sqlite_master where rootpage > ?", number)

with contextlib.closing(sqlite3.connect(":memory:")) as connection:
    names(connection)
    prices(connection)
"""


def test_each_statement_of_a_shared_helper_has_its_own_loop(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SHARED, encoding="utf-8")
    assert trace("-o", "out.trace", "--", sys.executable, "app.py", cwd=tmp_path).returncode == 0
    report = [sys.executable, "-m", "agentperf_lint", "report", "app.py", "--trace", "out.trace", "--format=json"]
    done = subprocess.run(report, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    found = [item for item in json.loads(done.stdout)["items"] if item["code"] == "APL501"]
    assert [item["line"] for item in found] == [5, 5]
    assert {item["loop"]["line"] for item in found} == {8, 12}
