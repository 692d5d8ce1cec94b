"""The HTML report as a file; test_html_in_browser.py has what it does."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace
from pages import SOURCE, checklist_of, html_of, large_page, small_page, small_trace
from scenes import App, repeated
from trace_builder import TraceBuilder

from agentperf_lint.render.checklist_html import ChecklistHtmlRenderer

_CODE = 60_000  # characters of markup, style and script
_PAGE = 500_000


class Elements(HTMLParser):
    """The tags of a page, and the text of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.texts:
            self.inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def data_of(page: str) -> dict[str, Any]:
    elements = Elements(page)
    attributes = next(attributes for tag, attributes in elements.tags if attributes.get("id") == "data")
    text = elements.texts["script"][0]
    if "data-packed" in attributes:
        text = zlib.decompress(base64.b64decode(text)).decode("ascii")
    found: dict[str, Any] = json.loads(text)
    return found


def test_page_is_small_and_loads_nothing(tmp_path):
    page = small_page(tmp_path)
    elements = Elements(page)
    assert len(page) - len(elements.texts["script"][0]) < _CODE
    names = {name for _, attributes in elements.tags for name in attributes}
    assert names.isdisjoint({"src", "srcset", "style", "action"} | {name for name in names if name.startswith("on")})
    links = [attributes["href"] for _, attributes in elements.tags if "href" in attributes]
    assert links == ["#checklist"]
    assert {tag for tag, _ in elements.tags}.isdisjoint({"link", "iframe", "img", "base", "object"})
    code = elements.texts["script"][1] + elements.texts["style"][0]
    assert set(re.findall(r"https?://[^\"']*", code)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in code
    assert "@import" not in code


def test_policy_admits_this_script_and_style_only(tmp_path):
    elements = Elements(small_page(tmp_path))
    policy = next(
        attributes["content"] for tag, attributes in elements.tags if "Security" in str(attributes.get("http-equiv"))
    )
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (elements.texts["style"][0], elements.texts["script"][1])
    )
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!-- <script>",
        "]]> & &lt; &amp;",
        "\u2028\u2029\u0000\x1b",
        "'\"`${1}\\",
        "@@data@@ @@script@@",
        "\U0001f600 \u00e9",
    ],
)
def test_no_text_gets_out_of_the_data(tmp_path, text):
    trace = repeated(9, ("/srv/a<b>&'\".py", 3, f"f{text}"), text=f"select '{text}' from t where a = ?")
    trace.records[1]["rows"][0][2] = text
    page = html_of(*checklist_of(trace, tmp_path / "t.trace", []))
    elements = Elements(page)
    assert [len(elements.texts[tag]) for tag in ("script", "style")] == [2, 1]
    assert page.isascii()
    raw = elements.texts["script"][0]
    assert not set("<>&\n") & set(raw)
    (entry,) = data_of(page)["items"]
    assert entry["item"]["function"].startswith("f")
    assert text in entry["item"]["evidence"][0]["statement"]


def test_names_that_are_no_unicode_are_kept(tmp_path):
    checklist, scene = checklist_of(repeated(9, ("/srv/a.py", 3, "f")), tmp_path / "t.trace", [])
    broken = replace(checklist, items=(replace(checklist.items[0], path="/srv/\udc80.py"),))
    page = html_of(broken, scene)
    assert data_of(page)["items"][0]["item"]["path"] == "/srv/\udc80.py"


def test_items_carry_what_they_show_when_opened(tmp_path):
    app = App(tmp_path, SOURCE)
    data = data_of(small_page(tmp_path))
    by_kind = {entry["item"]["kind"]: entry for entry in data["items"]}
    repeated_query = by_kind["n_plus_one"]
    (excerpt,) = repeated_query["excerpts"]
    assert (excerpt["path"], excerpt["first"]) == ("app.py", 1)
    assert excerpt["marked"] == [app.line("loop"), app.line("call")]
    assert excerpt["lines"][app.line("call") - 1] == app.lines[app.line("call") - 1]
    assert [lane["operations"] for lane in repeated_query["timeline"]["lanes"]] == [20, 10]
    assert by_kind["blocking"]["timeline"] is None
    assert len(by_kind["blocking"]["item"]["evidence"][0]["chain"]) == 2
    assert len({entry["fingerprint"] for entry in data["items"]}) == len(data["items"]) == 4
    assert data["summary"]["operations"] == 31
    assert len(data["overview"]["lag"]["values"]) == 3


def test_fingerprints_survive_lines_added_above(tmp_path):
    before = data_of(small_page(tmp_path))
    app = App(tmp_path, "# one more line\n\n" + SOURCE)
    after = data_of(html_of(*checklist_of(small_trace(app), tmp_path / "t.trace", [])))
    known = {entry["item"]["code"]: entry["fingerprint"] for entry in before["items"]}
    assert after["items"]
    for entry in after["items"]:
        assert entry["fingerprint"] == known[entry["item"]["code"]]


def test_a_loop_elsewhere_has_an_excerpt_of_its_own(tmp_path):
    helper = App(tmp_path, "def fetch(conn, id):\n    return conn.execute('q', (id,))  # call\n", "helper.py")
    app = App(tmp_path, "def main(conn, ids):\n    for id in ids:  # loop\n        fetch(conn, id)  # use\n")
    trace = repeated(9, helper.frame("call", "fetch"), app.frame("use", "main"))
    (entry,) = data_of(html_of(*checklist_of(trace, tmp_path / "t.trace", [])))["items"]
    assert [(each["title"], each["path"], each["marked"]) for each in entry["excerpts"]] == [
        ("Loop", "app.py", [2]),
        ("Source", "helper.py", [2]),
    ]


def test_long_lines_and_control_characters_of_a_source_are_not_shown(tmp_path):
    app = App(tmp_path, f"def f(c):\n    c.go('\x1b\u202e{'x' * 500}')  # call\n")
    trace = repeated(9, app.frame("call", "f"))
    (entry,) = data_of(html_of(*checklist_of(trace, tmp_path / "t.trace", [])))["items"]
    line = entry["excerpts"][0]["lines"][1]
    assert line.startswith("    c.go('\ufffd\ufffdxxx")
    assert len(line) < 200


def test_missing_source_is_no_error(tmp_path):
    (entry,) = data_of(html_of(*checklist_of(repeated(9, ("/no/a.py", 3, "f")), tmp_path / "t.trace", [])))["items"]
    assert entry["excerpts"] == []


def test_an_empty_trace_makes_a_page(tmp_path):
    data = data_of(html_of(*checklist_of(TraceBuilder(), tmp_path / "t.trace", [])))
    assert data["items"] == []
    assert "no operations were recorded" in data["notes"][0]


def test_much_data_is_packed(tmp_path):
    page = large_page(tmp_path)
    assert len(page) < _PAGE
    data = data_of(page)
    assert len(data["items"]) == 5_000
    assert data["summary"]["operations"] == 100_000
    observed = [entry for entry in data["items"] if entry["timeline"]]
    assert len(observed) == 100
    assert sum(len(lane["starts"]) for entry in observed for lane in entry["timeline"]["lanes"]) < 22_000


def test_pages_are_the_same_each_time(tmp_path):
    app = App(tmp_path, SOURCE)
    checklist, scene = checklist_of(small_trace(app), tmp_path / "t.trace", [])
    first = ChecklistHtmlRenderer(scene).page(checklist)
    assert html_of(checklist, scene) == html_of(checklist, scene)
    assert first == ChecklistHtmlRenderer(scene).page(checklist)
