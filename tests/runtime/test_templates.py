"""Operations that templates ask for."""

from __future__ import annotations

from pathlib import Path

from runtime.recorded import run
from runtime.stand_ins import module

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


TORNADO_BASE = """<title>all</title>
{% block body %}{% end %}
<footer>
  {{ read(9) }}</footer>
"""
TORNADO_PAGE = """{% extends "base.html" %}
{% block body %}
{% for number in numbers %}
  <li>{{ read(number) }}</li>
{% end %}
{% end %}
"""


def test_the_line_is_that_of_tornados_template(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "base.html").write_text(TORNADO_BASE, encoding="utf-8")
    (tmp_path / "pages" / "page.html").write_text(TORNADO_PAGE, encoding="utf-8")
    trace = run(
        tmp_path,
        """
import sqlite3
from tornado.template import Loader, Template
execute = sqlite3.connect(":memory:").execute
exec(compile("def read(number): return execute('select ?', (number,)).fetchone()[0]", "<generated>", "exec"))
page = Loader("pages").load("page.html").generate(numbers=range(2), read=read)
assert page.count(b"<li>") == 2
assert Template("{{ read(7) }}").generate(read=read) == b"7"
""",
    )
    places = [(each.file, each.line) for each in trace.of("sql")]
    assert places[:3] == [("page.html", 4)] * 2 + [("base.html", 4)]
    assert trace.all("site")[0]["path"] == str(tmp_path / "pages" / "page.html")


MAKO = """
import re

class ModuleInfo:
    def __init__(self, module, module_filename, template, template_filename, module_source, template_source, uri):
        self.code = module_source

class Template:  # what is compiled has the name of a module, and says at its end which lines stand for which
    def __init__(self, filename):
        with open(filename, encoding="utf-8") as file:
            text = file.read()
        code = "def render_body(read):\\n    pass\\n    return " + re.search("{(.+)}", text)[1]
        code += '\\n\"\"\"\\n__M_BEGIN_METADATA\\n{"line_map": {"1": 1, "3": 4}}\\n__M_END_METADATA\\n\"\"\"'
        module = type(re)("page_mako")
        exec(compile(code, module.__name__, "exec"), vars(module))
        ModuleInfo(module, None, self, filename, code, None, None)
        self.render = module.render_body
"""


def test_the_line_is_that_of_makos_template(tmp_path: Path) -> None:
    module(tmp_path, "mako/template.py", MAKO)
    (tmp_path / "page.mako").write_text("<p>\n\n\n${read(3)}\n", encoding="utf-8")
    trace = run(
        tmp_path,
        """
import sqlite3
from mako.template import Template
execute = sqlite3.connect(":memory:").execute
exec(compile("def read(number): return execute('select ?', (number,)).fetchone()[0]", "<generated>", "exec"))
assert Template("page.mako").render(read) == 3
""",
    )
    assert [(each.file, each.line) for each in trace.of("sql")] == [("page.mako", 4)]
