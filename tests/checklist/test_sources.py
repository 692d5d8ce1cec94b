"""Where the code of a frame is now."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenes import App
from trace_builder import TraceBuilder

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.sources import Code, Sources, line_digest, plain_name
from agentperf_lint.checklist.trace import read_traces
from agentperf_lint.config import TraceSettings

SOURCE = """
@decorated(
    1,
)
async def outer(
    a,
):
    def inner():
        return a.load()  # inner

    return [x.get(1) for x in a]  # comprehension


class Shop:
    def total(self):
        try:
            pass
        except ValueError:
            self.a.get()  # handled
        match self:
            case 1:
                self.b.get()  # matched

    lookup = lambda self: self.c.get()  # lambda
"""


@pytest.fixture
def app(tmp_path):
    return App(tmp_path, SOURCE)


@pytest.mark.parametrize(
    ("name", "function"),
    [("inner", "outer.inner"), ("comprehension", "outer"), ("handled", "Shop.total"), ("lambda", "Shop.<lambda>")],
)
def test_functions_by_line(app, name, function):
    code = Code(str(app.path), app.path.read_bytes())
    assert code.function_at(app.line(name)).name == function
    assert code.named(function).name == function


@pytest.mark.parametrize("name", ["inner", "comprehension", "handled", "matched", "lambda"])
def test_statements_by_line(app, name):
    code = Code(str(app.path), app.path.read_bytes())
    assert code.statement_lines(app.line(name)) == range(app.line(name), app.line(name) + 1)


def test_headers_hold_decorators_and_parameters(app):
    code = Code(str(app.path), app.path.read_bytes())
    assert code.named("outer").header() == range(1, 7)


@pytest.mark.parametrize(
    ("traced", "plain"),
    [
        ("outer.<locals>.inner", "outer.inner"),
        ("outer.<locals>.<listcomp>", "outer"),
        ("outer.<locals>.<genexpr>.<locals>.<lambda>", "outer.<lambda>"),
        ("<module>", "<module>"),
        ("<genexpr>", "<module>"),
    ],
)
def test_names_are_those_of_the_analysis(traced, plain):
    assert plain_name(traced) == plain


def test_what_cannot_be_parsed_still_has_lines(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def f(:\n    get()  # agentperf: ignore\n")
    code = Code(str(path), path.read_bytes())
    assert code.function_at(2) is None
    assert code.is_silenced([2], "APL501")
    assert code.line(99) == ""


@pytest.mark.parametrize(
    ("comment", "silenced"),
    [
        ("# agentperf: ignore", True),
        ("# warm-up; agentperf:ignore", True),
        ("# agentperf: ignore[APL501, APL502]", True),
        ("# agentperf: ignore[APL5]", True),
        ("# agentperf: ignore[APL503]", False),
        ("# noqa", True),
        ("# noqa: APL501", True),
        ("# noqa: E501", False),
        ("# agentperf: ignored", False),
        ('"agentperf: ignore"', False),
    ],
)
def test_comments(tmp_path, comment, silenced):
    path = tmp_path / "x.py"
    path.write_text(f"get()  {comment}\n")
    assert Code(str(path), path.read_bytes()).is_silenced([1], "APL501") is silenced


def test_lines_are_followed_by_their_text(app):
    sources = Sources()
    line = app.line("handled")
    digest = line_digest("self.a.get()   # handled")
    moved = (str(app.path), line - 2, "Shop.total")
    assert sources.current(moved, 1, digest)[1] == line
    assert sources.current(moved, 0, "0" * 16)[1] == line - 2


def test_unknown_functions_keep_their_line(app):
    assert Sources().current((str(app.path), 3, "gone"), 1, "0" * 16)[1] == 3


@pytest.mark.parametrize(
    ("script", "package"),
    [
        ("bin/shop", "shop"),
        ("site-packages/shop/__main__.py", "shop"),
        ("bin/uvicorn", "PACKAGE"),
        ("bin/manage", "PACKAGE"),
    ],
)
def test_the_installed_package_that_was_started_is_named(tmp_path: Path, script: str, package: str) -> None:
    prefix = tmp_path / "site-packages"
    for name in ("shop", "uvicorn"):
        (prefix / name).mkdir(parents=True)
    trace = TraceBuilder(prefixes=[f"{prefix}/"], argv=["python", str(tmp_path / script)])
    trace.root()
    for number in range(30):
        trace.op("sql", "select ?", params=number)
    checklist = build_checklist(read_traces([str(trace.write(tmp_path / "t"))]), TraceSettings())
    assert [note.partition("trace it with ")[2] for note in checklist.notes] == [f"--app {package}"]
