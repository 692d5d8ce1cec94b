from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest
from findings import finding, report

from agentperf_lint.render import renderer_for, statistics_renderer_for
from agentperf_lint.render.base import plural
from agentperf_lint.render.excerpts import excerpt
from agentperf_lint.render.full import wants_colour
from agentperf_lint.render.json_list import schema
from agentperf_lint.render.progress_bar import ProgressBar, progress_on
from agentperf_lint.source_lines import Sources, decoded
from agentperf_rules.model import Step

API = "import time\nasync def wait():\n    time.sleep(1)\n"
SCHEMA = Path(__file__).parent.parent / "docs" / "findings.schema.json"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/api.py").write_text(API)
    return tmp_path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def rendered(output_format, *findings, stream=None, **options) -> str:
    stream = stream or io.StringIO()
    renderer_for(output_format, **options).render(report(*findings), stream)
    return stream.getvalue()


def test_concise():
    assert rendered("concise", finding()) == (
        "app/api.py:3:5: APL101 blocking sleep time.sleep in async function wait: use asyncio.sleep\n"
    )


def test_full_shows_the_place():
    assert rendered("full", finding()) == (
        "app/api.py:3:5 APL101 blocking sleep time.sleep in async function wait: use asyncio.sleep\n"
        "  3 |     time.sleep(1)\n"
        "    |     ^^^^^^^^^^^^^\n"
        "\n"
    )


def test_full_shows_the_chain(project):
    (project / "app/util.py").write_text(
        "def load(x):\n\treturn fetch(x)\n" + "\n" * 9 + "def fetch(x):\n    sleep(1)\n"
    )
    chain = (
        Step("app/api.py", 3, "wait", "load()"),
        Step("app/util.py", 2, "load", "fetch(x)"),
        Step("app/util.py", 13, "fetch", "sleep(1)"),
    )
    assert rendered("full", finding(chain=chain)).splitlines()[1:] == [
        "   3 |     time.sleep(1)",
        "     |     ^^^^^^^^^^^^^",
        "       > load at app/util.py:2",
        "     2 |     return fetch(x)",
        "         > fetch at app/util.py:13",
        "      13 |     sleep(1)",
        "",
    ]


def test_full_writes_the_rest_of_a_way_once(project):
    deeper = tuple(Step("app/util.py", line, f"step{line}", "call()") for line in (1, 2))
    first, second = (finding(chain=(Step("app/api.py", line, "fetch", "load()"), *deeper)) for line in (3, 4))
    lines = rendered("full", first, second).splitlines()
    assert [line.strip() for line in lines if ">" in line] == [
        "> step1 at app/util.py:1",
        "> step2 at app/util.py:2",
        "> step1 at app/util.py:1, and on as above",
    ]


def test_full_without_the_file():
    shown = rendered("full", finding(path="gone.py"), finding(line=99, end_line=99))
    assert len(shown.splitlines()) == 4


def test_full_takes_text_that_is_not_on_disk():
    shown = rendered("full", finding(), sources={"app/api.py": b"\n\n    slept.sleep(2)"})
    assert "3 |     slept.sleep(2)" in shown


def test_colour_on_a_terminal_only(monkeypatch):
    assert "\x1b[" in rendered("full", finding(), stream=Terminal())
    assert "\x1b[" not in rendered("full", finding())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in rendered("full", finding(), stream=Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_colour(io.StringIO())


def test_colour_changes_nothing_but_colour():
    import re

    coloured = rendered("full", finding(message="x " * 300 + "[bold]:smile:"), stream=Terminal())
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == rendered("full", finding(message="x " * 300 + "[bold]:smile:"))


def test_control_characters_do_not_reach_the_terminal(project):
    (project / "app/api.py").write_text("\n\n    time.sleep('\x1b[31m')\n")
    for output_format in ("full", "concise"):
        shown = rendered(output_format, finding(path="app/api.py", message="say \x1b[2J\u202e"))
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("line", "columns", "shown", "carets"),
    [
        ("    f(x)", (5, 9), "    f(x)", "    ^^^^"),
        ("\tf(x)", (2, 6), "\tf(x)", "\t^^^^"),
        ("日本 = f(x)", (6, 10), "日本 = f(x)", "       ^^^^"),
        ("f('日本')", (1, 8), "f('日本')", "^^^^^^^^^"),
        ("f(x)", (1, 1), "f(x)", "^"),
        ("f(x)", (9, 12), "f(x)", "    ^"),
        ("", (1, 1), "", "^"),
    ],
)
def test_carets_stand_below_the_place(line, columns, shown, carets):
    assert excerpt(line, *columns) == (shown, carets)


def test_long_lines_are_cut_around_the_place():
    line = "a" * 500_000 + "f(x)" + "b" * 500_000
    shown, carets = excerpt(line, 500_001, 500_005)
    assert len(shown) < 200
    assert shown.startswith("...a")
    assert shown.endswith("b...")
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "f(x)"
    shown, carets = excerpt(line, 1, 1_000_005)
    assert len(carets) < 200


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (b"\xef\xbb\xbfx = 1", "x = 1"),
        ("# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1"), "# -*- coding: latin-1 -*-\nx = 'é'"),
        (b"# coding: nonsense\nx = '\xff'", "# coding: nonsense\nx = '\ufffd'"),
        (b"x = '\xff'", "x = '\ufffd'"),
    ],
)
def test_sources_are_decoded_as_declared(source, text):
    assert decoded(source) == text


def test_lines_end_as_python_has_it(project):
    (project / "mixed.py").write_bytes(b"a\r\nb\rc\nd\x0ce\xe2\x80\xa8f")
    sources = Sources()
    assert [sources.line("mixed.py", number) for number in range(6)] == [None, "a", "b", "c", "d\x0ce\u2028f", None]


def test_many_files_do_not_stay_in_memory(project):
    sources = Sources()
    for number in range(200):
        (project / f"m{number}.py").write_text(f"x = {number}\n")
        assert sources.line(f"m{number}.py", 1) == f"x = {number}"
    assert len(sources._lines) <= 64


def test_json_is_as_documented():
    value = json.loads(rendered("json", finding(), finding(code="APL901", chain=())))
    jsonschema.validate(value, json.loads(SCHEMA.read_text()))
    assert value[0] == {
        "code": "APL101",
        "name": "blocking-sleep-in-async",
        "kind": "blocking",
        "path": "app/api.py",
        "line": 3,
        "column": 5,
        "end_line": 3,
        "end_column": 18,
        "function": "wait",
        "severity": "high",
        "confidence": "definite",
        "message": "blocking sleep time.sleep in async function wait: use asyncio.sleep",
        "remedy": "use asyncio.sleep",
        "chain": [{"path": "app/api.py", "line": 3, "function": "wait", "call": "time.sleep(1)"}],
        "sink": "time.sleep",
        "sink_kind": "sleep",
        "statement_line": 3,
        "statement_end_line": 3,
        "fix": None,
    }
    assert json.loads(rendered("json")) == []


def test_schema_is_strict_enough():
    jsonschema.Draft202012Validator.check_schema(schema())
    good = json.loads(rendered("json", finding()))
    for key in good[0]:
        broken = [{name: value for name, value in good[0].items() if name != key}]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{**good[0], "severity": "huge"}], schema())


def test_statistics():
    stream = io.StringIO()
    many = [finding(code="APL104", name="path")] * 1_200
    statistics_renderer_for("full").render(report(*many, finding(), finding(code="APL100", name="a")), stream)
    assert stream.getvalue() == "1,200  APL104  path\n    1  APL100  a\n    1  APL101  blocking-sleep-in-async\n"
    stream = io.StringIO()
    statistics_renderer_for("json").render(report(finding()), stream)
    assert json.loads(stream.getvalue()) == [{"count": 1, "code": "APL101", "name": "blocking-sleep-in-async"}]


def test_plural():
    assert [plural(count, "file") for count in (0, 1, 1024)] == ["0 files", "1 file", "1,024 files"]
    assert [plural(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]


def test_progress_is_silent_in_the_first_second():
    now = [0.0]
    stream = Terminal()
    bar = ProgressBar(stream, clock=lambda: now[0])
    bar.start("Reading", 100)
    now[0] = 0.9
    bar.advance(50)
    assert stream.getvalue() == ""
    now[0] = 1.2
    bar.advance(10)
    assert "Reading" in stream.getvalue()
    assert "60/100" in stream.getvalue()
    bar.stop()
    bar.start("Checking", 5)
    assert "Checking" in stream.getvalue()
    bar.stop()


def test_no_progress_without_a_terminal():
    assert progress_on(io.StringIO()) is None
    assert progress_on(Terminal()) is not None
