"""Which uses one file's facts hold: what can never block or query must not cost the project stage anything."""

from __future__ import annotations

import textwrap

import pytest

from agentperf_lint.analysis.facts import FileFacts
from agentperf_lint.analysis.workers import facts_of


def facts(source: str) -> FileFacts:
    found = facts_of(textwrap.dedent(source).encode())
    assert found.error is None
    return found


@pytest.mark.parametrize(
    "parameter",
    [
        "data: dict",
        "data: dict[str, Any]",
        "data: Optional[Dict[str, str]]",
        "data: 'Mapping[str, object] | dict[str, int]'",
        "data: Union[str, dict, None] = None",
    ],
)
def test_calls_on_builtin_types_are_no_uses(parameter: str):
    found = facts(f"""
        from typing import Any, Dict, Mapping, Optional, Union
        def f({parameter}):
            data.get("a")
            rows = [1, 2]
            rows.append(str(data))
            return sorted(rows)
    """)
    assert found.called == {}


def test_what_a_container_holds_can_be_anything():
    found = facts("""
        from requests import Session
        def f(sessions: dict[str, Session], name: str):
            sessions["a"].get("/")
            for session in sessions.values():
                session.get("/")
            name.upper().encode()
    """)
    assert len(found.called["get"]) == 2
    assert "encode" not in found.called


@pytest.mark.parametrize(
    "source",
    [
        "from tools import *\ndef f(data: dict):\n    data.get(1)\n",
        "from tools import dict\ndef f(data: dict):\n    data.get(1)\n",
        "from tools import Mapping\ndef f(data: Mapping):\n    data.get(1)\n",
        "class C:\n    def f(self: dict):\n        self.get(1)\n",
    ],
)
def test_names_that_may_be_no_builtins_stay_uses(source: str):
    assert "get" in facts(source).called


def test_builtins_that_call_or_iterate_stay_uses():
    found = facts("""
        def f(rows, load):
            sorted(rows, key=lambda row: row.load())
            list(map(load, rows))
            list(query())
    """)
    assert {"sorted", "map", "list"} <= found.called.keys()


def test_methods_of_unknown_objects_are_uses_where_the_names_say_enough():
    found = facts("""
        def f(cursor, bag):
            cursor.execute("select 1")
            bag.add(1)
            bag.list_gateway_endpoints()
    """)
    assert found.called.keys() == {"execute", "list_gateway_endpoints"}


def test_loops_and_with_are_found_without_a_name_and_attributes_on_the_way_by_theirs():
    found = facts("""
        def f(self, opened):
            with opened():
                for row in query():
                    self.parent.child.execute(row)
    """)
    assert len(found.unnamed) == 2
    assert found.passed.keys() == {"parent", "child"}


def test_iterating_over_a_parameter_does_not_call_it():
    assert facts("def f(rows):\n    for row in rows:\n        print(row)\n").marked == []
    assert facts("def f(each):\n    each()\n").marked == [1]
