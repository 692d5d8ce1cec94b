"""The pytest plugin in test sessions of its users."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from runtime.recorded import Trace
from runtime.serving import roots_of

APP = """
import asyncio, contextlib, sqlite3, time

def orders(numbers):
    rows = []
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for number in numbers:
            rows.append(connection.execute("select ?", (number,)).fetchone())
    return rows

async def slow():
    time.sleep(0.3)
"""
TESTS = """
import asyncio, pytest
import app

def test_few():
    assert len(app.orders(range(3))) == 3

def test_many():
    assert len(app.orders(range(20))) == 20

class TestAllowed:
    @pytest.mark.agentperf(allow=["n_plus_one"])
    def test_kind(self):
        app.orders(range(20))

    @pytest.mark.agentperf(allow=["app.py:orders"])
    def test_place(self):
        app.orders(range(20))

def test_slow():
    asyncio.run(app.slow())
"""

UNIT = """
import unittest
import app

class Orders(unittest.TestCase):
    def test_fails(self):
        self.assertEqual(len(app.orders(range(1))), 2)

    def test_one(self):
        self.assertEqual(len(app.orders(range(1))), 1)
"""

PARTS = """
    def test_parts(self):
        for number in range(2):
            with self.subTest(number=number):
                self.assertEqual(number, 1)
"""

CONNECTING = """
import conftest, contextlib

def test_it():
    with contextlib.closing(conftest.connect(":memory:")) as connection:
        connection.execute("select 1")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS", "AGENTPERF_TRACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "test_app.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


def run_tests(*arguments: str, source: str | None = None) -> subprocess.CompletedProcess[str]:
    if source is not None:
        Path("test_app.py").write_text(textwrap.dedent(source), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"})
    assert "INTERNALERROR" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def section(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.partition(" agentperf ==")[2]


def test_every_test_is_a_root(project: Path) -> None:
    done = run_tests("--agentperf")
    assert done.returncode == 0, done.stdout
    assert f"trace: {project / 'agentperf.trace'}" in section(done)
    trace = Trace(project / "agentperf.trace")
    assert [name for name, _ in roots_of(trace, "test")] == [
        f"test test_app.py::{name}"
        for name in ("test_few", "test_many", "TestAllowed::test_kind", "TestAllowed::test_place", "test_slow")
    ]
    assert [each.root for each in trace.of("sql")][:3] == ["test test_app.py::test_few"] * 3
    assert len(trace.of("sql")) == 63


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_sessions_fail_for_what_they_are_told(workers: list[str]) -> None:
    done = run_tests("--agentperf-fail=n_plus_one", "--agentperf-warn=stall", *workers)
    assert done.returncode == 1
    assert "5 passed" in done.stdout
    told = [line for line in section(done).splitlines() if line.startswith("test_app.py::")]
    assert len(told) == 2, section(done)
    assert told[0].startswith("test_app.py::test_many: APL501 app.py:8 ")
    assert told[1].startswith("test_app.py::test_slow: APL503 app.py:12 ")


def test_warnings_fail_nothing() -> None:
    done = run_tests("--agentperf-warn=n_plus_one")
    assert done.returncode == 0
    assert "test_app.py::test_many: APL501" in section(done)
    assert "test_slow" not in section(done)


def test_thresholds_come_from_the_configuration(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.agentperf-lint.trace]\nmin-operations = 30\n", encoding="utf-8")
    assert run_tests("--agentperf-fail=n_plus_one").returncode == 0


def test_a_limit_of_queries() -> None:
    done = run_tests(
        "--agentperf",
        source="""
        import pytest, threading
        import app

        @pytest.fixture
        def prepared():
            app.orders(range(50))

        @pytest.mark.agentperf(max_queries=3)
        def test_within(prepared):
            app.orders(range(3))

        @pytest.mark.agentperf(max_queries=3)
        def test_beyond():
            thread = threading.Thread(target=app.orders, args=(range(4),))
            thread.start()
            thread.join()

        @pytest.mark.agentperf(max_queries=0, allow=["select *"])
        def test_allowed():
            app.orders(range(4))

        @pytest.mark.agentperf(max_queries=0)
        class TestTogether:
            @pytest.mark.agentperf(max_queries=1)
            def test_nearest(self):
                app.orders(range(1))

            def test_outer(self):
                pass

            def test_fails_anyway(self):
                app.orders(range(1))
                assert False, "its own reason"
        """,
    )
    assert done.returncode == 1
    assert "2 failed, 4 passed" in done.stdout
    assert "4 queries, 3 are allowed:\n  4 x select ?  at app.py:8 in orders" in done.stdout
    assert "its own reason" in done.stdout
    assert ("test test_app.py::test_beyond", "error") in roots_of(Trace(Path("agentperf.trace")), "test")


def test_without_the_option_nothing_is_done() -> None:
    done = run_tests(
        "-q",
        source="""
        import sys, pytest

        @pytest.mark.agentperf(max_queries=0)
        def test_it():
            import app
            app.orders(range(3))
            loaded = [name for name in sys.modules if name.startswith("agentperf")]
            assert loaded == ["agentperf_lint", "agentperf_lint.pytest_plugin"]
            assert not {"msgspec", "libcst", "click", "rich"} & set(sys.modules)
        """,
    )
    assert done.returncode == 0, done.stdout
    assert "agentperf" not in done.stdout
    assert not Path("agentperf.trace").exists()


def test_a_tracer_that_runs_already_is_used(project: Path) -> None:
    command = [sys.executable, "-m", "agentperf_lint", "trace", "-o", "out.trace", "--"]
    command += [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--agentperf-fail=n_plus_one"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_app.py::test_many: APL501" in section(done)
    assert not (project / "agentperf.trace").exists()
    assert ("test test_app.py::test_many", "ok") in roots_of(Trace(project / "out.trace"), "test")


def test_under_the_tracer_tests_are_roots_without_the_option(project: Path) -> None:
    (project / "test_unit.py").write_text(UNIT, encoding="utf-8")
    command = [sys.executable, "-m", "agentperf_lint", "trace", "-o", "out.trace", "--", sys.executable, "-m"]
    options = ["-p", "no:cacheprovider"]
    done = subprocess.run([*command, "pytest", *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    trace = Trace(project / "out.trace")
    assert roots_of(trace, "test")[:2] == [("test test_app.py::test_few", "ok"), ("test test_app.py::test_many", "ok")]
    assert roots_of(trace, "test")[5:] == [
        ("test test_unit.py::Orders::test_fails", "error"),
        ("test test_unit.py::Orders::test_one", "ok"),
    ]
    assert [each.root for each in trace.of("sql")][-2:] == [
        "test test_unit.py::Orders::test_fails",
        "test test_unit.py::Orders::test_one",
    ]

    (project / "test_unit.py").write_text(UNIT + PARTS, encoding="utf-8")
    done = subprocess.run([*command, "unittest", "test_unit"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert roots_of(Trace(project / "out.trace"), "test") == [
        ("test test_unit.Orders.test_fails", "error"),
        ("test test_unit.Orders.test_one", "ok"),
        ("test test_unit.Orders.test_parts", "error"),
    ]


ANYIO = """
import pytest
import app

@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
async def rows():
    yield app.orders(range(2))

@pytest.mark.anyio
async def test_first(rows):
    app.orders(range(1))

@pytest.mark.anyio
async def test_second(rows):
    app.orders(range(1))
"""


@pytest.mark.parametrize(
    "command", [["-m", "agentperf_lint", "trace", "-o", "agentperf.trace", "--", sys.executable], []]
)
def test_tests_that_share_a_task_of_anyio(project: Path, command: list[str]) -> None:
    (project / "test_app.py").write_text(ANYIO, encoding="utf-8")
    options = ["-m", "pytest", "-p", "no:cacheprovider", *([] if command else ["--agentperf"])]
    done = subprocess.run([sys.executable, *command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    trace = Trace(project / "agentperf.trace")
    assert [each.root for each in trace.of("sql")] == [
        *["test test_app.py::test_first"] * 3,
        "test test_app.py::test_second",
    ]


def test_conftest_files_are_traced_from_their_first_line(project: Path) -> None:
    (project / "conftest.py").write_text("from sqlite3 import connect\n", encoding="utf-8")
    done = run_tests("--agentperf", source=CONNECTING)
    assert done.returncode == 0, done.stdout
    assert len(Trace(project / "agentperf.trace").of("sql")) == 1


def test_an_unknown_kind() -> None:
    done = run_tests("--agentperf-fail=slowness")
    assert done.returncode == 4
    assert "'slowness'" in done.stderr or "slowness" in done.stderr


def test_a_test_answers_for_its_own_requests_only(project: Path) -> None:
    """Not for those of others, nor for how many there are or are meant to fail."""
    (project / "pyproject.toml").write_text(
        '[tool.agentperf-lint.budgets]\nmax = "200ms"\nerror-rate = 0\nthroughput = 1000\n', encoding="utf-8"
    )
    (project / "test_served.py").write_text(
        textwrap.dedent(
            """
            import asyncio
            import sqlite3
            from starlette.applications import Starlette
            from starlette.responses import PlainTextResponse
            from starlette.routing import Route
            from starlette.testclient import TestClient

            def get(seconds, status=200):
                async def handle(request):
                    await asyncio.sleep(seconds)
                    return PlainTextResponse("done", status)
                assert TestClient(Starlette(routes=[Route("/", handle)])).get("/").status_code == status

            def test_slow():
                get(0.25)

            def test_fast():
                sqlite3.connect(":memory:").execute("select 1").connection.close()
                get(0)
                get(0, 503)
            """
        ),
        encoding="utf-8",
    )
    done = run_tests("--agentperf-fail=budget", "test_served.py")
    told = [line for line in done.stdout.splitlines() if "APL505" in line]
    assert [line.partition(" is ")[0] for line in told] == ["test_served.py::test_slow: APL505 pyproject.toml:2 max"], (
        done.stdout
    )


def test_budgets_of_the_requests_of_a_test(project: Path) -> None:
    (project / "pyproject.toml").write_text(
        '[tool.agentperf-lint.budgets]\nqueries-per-request = 3\np95 = "60s"\n', encoding="utf-8"
    )
    (project / "test_served.py").write_text(
        textwrap.dedent(
            """
            import sqlite3
            from starlette.applications import Starlette
            from starlette.responses import PlainTextResponse
            from starlette.routing import Route
            from starlette.testclient import TestClient

            def served(queries):
                def handle(request):
                    connection = sqlite3.connect(":memory:")
                    for number in range(queries):
                        connection.execute("select ?", (number,))
                    connection.close()
                    return PlainTextResponse("done")
                return TestClient(Starlette(routes=[Route("/", handle)]))

            def test_within():
                assert served(3).get("/").status_code == 200

            def test_beyond():
                assert served(4).get("/").status_code == 200

            def test_no_request():
                connection = sqlite3.connect(":memory:")
                for number in range(9):
                    connection.execute("select ?", (number,))
                connection.close()
            """
        ),
        encoding="utf-8",
    )
    done = run_tests("--agentperf-fail=budget", "test_served.py")
    assert done.returncode == 1
    told = [line for line in done.stdout.splitlines() if "APL505" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "test_served.py::test_beyond: APL505 pyproject.toml:2 queries-per-request is 4, "
        "the budget is queries-per-request<=3"
    )
