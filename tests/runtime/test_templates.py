"""Operations that templates ask for."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run

BASE = """<title>{{ title }}</title>
{% block body %}{% endblock %}
"""
PAGE = """{% extends "base.html" %}
{# compiled, this is a file of other lines #}
{% macro row(number) %}
  <li>
    {{ read(number) }}</li>
{% endmacro %}
{% block body %}
{% for number in numbers %}
  {{ row(number) }}
{% endfor %}
{% endblock %}
"""


def test_the_line_is_the_templates(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "base.html").write_text(BASE, encoding="utf-8")
    (tmp_path / "templates" / "page.html").write_text(PAGE, encoding="utf-8")
    trace = run(
        tmp_path,
        """
import sqlite3
from jinja2 import Environment, FileSystemLoader
execute = sqlite3.connect(":memory:").execute
pages = Environment(loader=FileSystemLoader("templates"))
exec(compile("def read(number): return execute('select ?', (number,)).fetchone()[0]", "<generated>", "exec"))
page = pages.get_template("page.html").render(title="all", numbers=range(3), read=read)
assert page.count("<li>") == 3
line = pages.from_string("\\n\\n{{ read(7) }}").render(read=read)
assert line.strip() == "7"
""",
    )
    assert [(each.file, each.line) for each in trace.of("sql")] == [("page.html", 5)] * 3 + [("app.py", 9)]
    assert [Path(path).name for path, line, _ in trace.all("stack")[0]["frames"]] == ["page.html"] * 2 + [
        "base.html",
        "page.html",
        "app.py",
    ]
    assert [line for _, line, _ in trace.all("stack")[0]["frames"]][:3] == [5, 9, 2]
