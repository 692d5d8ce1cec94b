"""What must hold for every rule, and for finding them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from inspect import cleandoc
from pathlib import Path
from typing import get_args

import pytest

import agentperf_rules
from agentperf_rules import RulePackError, all_rules, builtin_rules, code_for
from agentperf_rules.base import Rule
from agentperf_rules.catalogue.schema import Kind
from agentperf_rules.model import SEVERITIES

ROOT = Path(agentperf_rules.__file__).parent
DOCS = Path(__file__).parent.parent / "docs"
RULES = builtin_rules()
SECTIONS = ["What it does", "Why is this bad?", "Example", "Use instead"]


def test_every_rule_file_is_a_rule_and_every_rule_has_a_page() -> None:
    files = {path.name[:6].upper() for path in ROOT.rglob("apl[0-9]*.py")}
    pages = {path.stem for path in (DOCS / "rules").glob("APL*.md")}
    assert files == set(RULES) == pages


def test_names_are_unique_and_read_well_after_allow() -> None:
    names = [rule.name for rule in RULES.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)+", name) for name in names)


@pytest.mark.parametrize("code", RULES)
def test_a_rule_is_documented(code: str) -> None:
    rule = RULES[code]
    text = cleandoc(rule.__doc__ or "")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    if code != "APL901":
        for example in examples:
            ast.parse(_in_async(example))
    assert rule.severity in SEVERITIES


def _in_async(example: str) -> str:
    """Documentation examples may await at top level."""
    return "async def _():\n" + "".join(f"    {line}\n" for line in example.splitlines())


@pytest.mark.parametrize("code", RULES)
def test_a_rule_has_examples(code: str) -> None:
    rule = RULES[code]
    for example in (*rule.valid, *rule.invalid):
        ast.parse(example)
    assert all("# expect" in example for example in rule.invalid)
    assert not any("# expect" in example for example in rule.valid)
    assert rule.valid
    assert rule.invalid or code == "APL901"


def test_the_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate_rules.py", "--check"], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT.parent)},
    )  # fmt: skip
    assert done.stdout + done.stderr == ""


def test_every_kind_of_blocking_sink_has_a_rule() -> None:
    assert {code_for(kind, "blocking") for kind in get_args(Kind)} <= set(RULES)


@pytest.mark.parametrize(
    ("kind", "family", "write", "code"),
    [
        ("http", "blocking", False, "APL102"),
        ("database", "loop", False, "APL201"),
        ("database", "loop", True, "APL207"),
        ("orm", "loop", True, "APL207"),
        ("cache", "loop", True, "APL206"),
        ("relation", "loop", False, "APL203"),
        ("database", "fan-out", True, "APL208"),
        ("http", "fan-out", False, None),
        ("file", "loop", False, None),
        ("sleep", "loop", False, None),
    ],
)
def test_codes_of_sinks(kind: str, family: agentperf_rules.Family, write: bool, code: str | None) -> None:
    assert code_for(kind, family, write) == code


def test_listing_the_rules_does_not_import_libcst() -> None:
    code = "import sys, agentperf_rules; agentperf_rules.builtin_rules(); sys.exit('libcst' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT.parent)})


class PackRule(Rule):
    """A rule of a third-party pack."""

    code = "XYZ101"
    name = "own-rule"
    kind = "blocking"
    severity = "low"


class TakenRule(PackRule):
    """Claims a built-in code."""

    code = "APL101"


def pack() -> list[type[Rule]]:
    """What the entry point of a pack with several rules names."""
    return [PackRule]


def broken_pack() -> list[type[Rule]]:
    """Fails like a pack whose dependencies are missing."""
    raise ImportError("no module named missing_dependency")


def install(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    point = EntryPoint("mine", f"{__name__}:{target}", "agentperf_lint.rules")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])


@pytest.mark.parametrize("target", ["PackRule", "pack"])
def test_packs_add_rules(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    install(monkeypatch, target)
    rules = all_rules()
    assert isinstance(rules["XYZ101"], PackRule)
    assert len(rules) == len(RULES) + 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("broken_pack", "rule pack 'mine' .* cannot be loaded: no module named missing_dependency"),
        ("nothing_there", "rule pack 'mine' .* cannot be loaded"),
        ("TakenRule", "rule pack 'mine': code APL101 is already taken"),
        ("Path", "rule pack 'mine': .* is not a rule"),
    ],
)
def test_a_pack_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, target: str, message: str) -> None:
    install(monkeypatch, target)
    with pytest.raises(RulePackError, match=message):
        all_rules()
