from __future__ import annotations

import os

import pytest
from findings import finding

from agentperf_lint.analysis.filtering import select
from agentperf_lint.config import Config, ConfigError

ALL = [finding(code=code) for code in ("APL101", "APL104", "APL201", "APL901")]


def codes(**settings) -> list[str]:
    return [each.code for each in select(ALL, Config(directory=os.getcwd(), **settings))]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["APL101", "APL104", "APL201", "APL901"]),
        ({"select": ("APL1",)}, ["APL101", "APL104", "APL901"]),
        ({"select": ("apl201",)}, ["APL201", "APL901"]),
        ({"select": ("APL2",), "extend_select": ("APL101",)}, ["APL101", "APL201", "APL901"]),
        ({"ignore": ("APL104",)}, ["APL101", "APL201", "APL901"]),
        ({"ignore": ("APL",)}, ["APL901"]),
        ({"ignore": ("APL901",)}, ["APL101", "APL104", "APL201"]),
        ({"select": ("APL1",), "ignore": ("APL10",)}, ["APL901"]),
        ({"select": ("APL101",), "ignore": ("APL1",)}, ["APL101", "APL901"]),
        ({"select": ("APL101",), "ignore": ("APL101",)}, ["APL901"]),
    ],
)
def test_longest_prefix_counts_and_unread_files_stay(settings, expected):
    assert codes(**settings) == expected


def test_severity_and_confidence():
    found = [
        finding(severity="low", confidence="definite"),
        finding(severity="medium", confidence="likely"),
        finding(severity="high", confidence="possible"),
        finding(code="APL901", severity="low", confidence="possible"),
    ]
    shown = select(found, Config())
    assert [(each.severity, each.confidence) for each in shown] == [
        ("low", "definite"),
        ("medium", "likely"),
        ("low", "possible"),
    ]
    assert len(select(found, Config(min_severity="high", min_confidence="possible"))) == 2


def test_per_file_ignores_are_relative_to_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [finding(path="tests/a.py"), finding(path="app/tests/b.py"), finding(path="app/c.py")]
    config = Config(directory=str(tmp_path), per_file_ignores={"/tests": ("APL1",), "c.py": ("APL2",)})
    assert [each.path for each in select(found, config)] == ["app/tests/b.py", "app/c.py"]
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path / "app")
    assert [each.path for each in select([finding(path="tests/b.py")], config)] == ["tests/b.py"]
    assert select([finding(path=str(tmp_path / "tests" / "a.py"))], config) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"select": ("APL777",)}, "select: unknown code 'APL777'"),
        ({"ignore": ("APL1O1",)}, "ignore: unknown code 'APL1O1': did you mean APL1"),
        ({"extend_select": ("E501",)}, "extend-select: unknown code 'E501'"),
        ({"per_file_ignores": {"tests/*": ("ABC",)}}, r"per-file-ignores.tests/\*: unknown code 'ABC'"),
    ],
)
def test_unknown_codes(settings, message):
    with pytest.raises(ConfigError, match=message):
        codes(**settings)
