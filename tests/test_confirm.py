"""The confirm stage: places, messages, and text that LibCST cannot read."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import Any

import msgspec
import pytest
from suspects import confirmed, suspect_at

from agentperf_lint.analysis.confirm import confirm
from agentperf_rules import builtin_rules
from agentperf_rules.model import Step

LOOP = "def f(db, xs):\n    for x in xs:\n        db.get(x)\n"


def test_places_count_characters_from_one() -> None:
    source = "async def f():\n    größe = 'ü'; requests.get(größe)\n"
    finding = confirmed(source, suspect_at(source, "requests.get(größe)", kind="http", code="APL102"))[0]
    assert (finding.line, finding.column, finding.end_line, finding.end_column) == (2, 18, 2, 37)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_any_line_ending_and_a_byte_order_mark(newline: str, mark: bytes) -> None:
    suspect = suspect_at(LOOP, "db.get(x)")
    findings = confirm("mod.py", mark + LOOP.replace("\n", newline).encode(), [suspect], builtin_rules())
    assert [(finding.line, finding.column) for finding in findings] == [(3, 9)]


def test_form_feeds_are_not_line_ends() -> None:
    source = "x = 1\n\x0c\ndef f(db, xs):\n    s = '\x0b \u2028'\n    for x in xs:\n        db.get(x)\n"
    assert [finding.line for finding in confirmed(source, suspect_at(source, "db.get(x)"))] == [6]


def test_statements_span_their_lines_and_headers_only_theirs() -> None:
    source = dedent("""
        async def f(url):
            total = sum(
                requests.get(url)
                for _ in url
            )
            with requests.get(
                url, 1
            ) as r:
                print(r)
            if requests.get(0):
                return total
        """)
    calls = ["requests.get(url)", "requests.get(\n        url, 1\n    )", "requests.get(0)"]
    findings = confirmed(source, *(suspect_at(source, call, kind="http", code="APL102") for call in calls))
    assert [(f.statement_line, f.statement_end_line) for f in findings] == [(3, 6), (7, 9), (11, 11)]


def test_methods_keep_their_strings_and_nesting() -> None:
    source = dedent('''
        class A:
            class B:
                @decorated(
                    1
                )
                def f(self, xs):
                    text = """
        not indented
                    """
                    for x in xs:
                        self.db.get(x, text)
        ''')
    finding = confirmed(source, suspect_at(source, "self.db.get(x, text)"))[0]
    assert (finding.line, finding.column) == (12, 17)
    assert "for loop at line 11" in finding.message


def test_tabs() -> None:
    source = "class A:\n\tdef f(self, xs):\n\t\tfor x in xs:\n\t\t\tself.db.get(x)\n"
    assert [finding.column for finding in confirmed(source, suspect_at(source, "self.db.get(x)"))] == [4]


def test_several_suspects_of_a_function_keep_their_order() -> None:
    source = (
        "def f(db, xs):\n    for x in xs:\n        db.get(x)\n        db.put(x)\n    return [db.ask(x) for x in xs]\n"
    )
    suspects = [suspect_at(source, call) for call in ("db.ask(x)", "db.get(x)", "db.put(x)")]
    assert [finding.line for finding in confirmed(source, *suspects)] == [5, 3, 4]


def test_rules_that_are_not_selected_are_left_out() -> None:
    assert confirm("mod.py", LOOP.encode(), [suspect_at(LOOP, "db.get(x)")], {}) == []


def test_findings_are_shown_at_the_given_path() -> None:
    findings = confirm("pkg/mod.py", LOOP.encode(), [suspect_at(LOOP, "db.get(x)")], builtin_rules())
    assert [finding.path for finding in findings] == ["pkg/mod.py"]


def test_text_that_libcst_cannot_read_loses_no_finding_and_is_less_sure() -> None:
    suspect = suspect_at(LOOP, "db.get(x)")
    findings = confirm("mod.py", LOOP.replace("def f", "def f(").encode(), [suspect], builtin_rules())
    assert [(finding.line, finding.confidence) for finding in findings] == [(3, "likely")]


def test_a_file_that_changed_meanwhile_does_no_harm() -> None:
    suspect = suspect_at(LOOP, "db.get(x)")
    for source in (b"", b"\n", b"def f():\n    pass\n", b"\x00\xff", b"x = '" + b"y" * 100_000 + b"'\n"):
        confirm("mod.py", source, [suspect], builtin_rules())


def test_deep_nesting_does_no_harm() -> None:
    source = f"def f(db, xs):\n    y = {'(' * 3000}1{')' * 3000}\n    for x in xs:\n        db.get(x)\n"
    suspect = msgspec.structs.replace(suspect_at(LOOP, "db.get(x)"), line=4, end_line=4, last_line=4)
    assert len(confirm("mod.py", source.encode(), [suspect], builtin_rules())) == 1


def test_other_encodings() -> None:
    source = "# -*- coding: latin-1 -*-\ndef f(db, xs):\n    for x in xs:\n        db.get('é', x)\n"
    findings = confirm("mod.py", source.encode("latin-1"), [suspect_at(source, "db.get('é', x)")], builtin_rules())
    assert [(finding.column, finding.end_column) for finding in findings] == [(9, 23)]


def test_libcst_is_not_imported_for_rules_that_read_no_shape() -> None:
    hidden = {name: module for name, module in sys.modules.items() if name == "libcst" or name.startswith("libcst.")}
    source = "async def f(url):\n    requests.get(url)\n"
    for name in hidden:
        del sys.modules[name]
    try:
        assert confirmed(source, suspect_at(source, "requests.get(url)", kind="http", code="APL102"))
        assert "libcst" not in sys.modules
    finally:
        sys.modules.update(hidden)


def message(source: str, call: str, **options: Any) -> str:
    return confirmed(source, suspect_at(source, call, **options))[0].message


def test_a_direct_call_says_what_where_and_what_to_do() -> None:
    source = "async def fetch(url):\n    return requests.get(url)\n"
    suspect = suspect_at(source, "requests.get(url)", kind="http", code="APL102")
    suspect = msgspec.structs.replace(suspect, sink="requests.get", use="httpx.AsyncClient")
    finding = confirmed(source, suspect)[0]
    assert finding.message == (
        "blocking HTTP call requests.get in async function fetch: "
        "use httpx.AsyncClient or await asyncio.to_thread(requests.get, ...)"
    )
    assert finding.remedy == "use httpx.AsyncClient or await asyncio.to_thread(requests.get, ...)"


def test_a_call_through_helpers_names_them() -> None:
    source = "async def fetch(url):\n    return load(url)\n"
    suspect = suspect_at(source, "load(url)", kind="http", code="APL102", through=True)
    assert confirmed(source, suspect)[0].message == (
        "blocking HTTP call library.http in async function fetch, via load() at app/util.py:12: "
        "use await asyncio.to_thread(load, ...)"
    )
    longer = tuple(Step("a.py", line, f"C.f{line}", "g()") for line in range(1, 7))
    suspect = msgspec.structs.replace(suspect, chain=longer)
    assert ", via f2() -> f3() -> ... -> C.f6() at a.py:6:" in confirmed(source, suspect)[0].message


def test_loops_name_themselves() -> None:
    assert message(LOOP, "db.get(x)").startswith(
        "database query db.get once per element of the for loop at line 2 in f: use one query"
    )
    source = "def f(db, xs):\n    return [\n        db.get(x) for x in xs]\n"
    assert "once per element of the comprehension at line 2 in f" in message(source, "db.get(x)")
    source = "def f(db, xs):\n    return map(lambda x: db.get(x), xs)\n"
    assert "once per element mapped at line 2 in f" in message(source, "db.get(x)")
    source = "def f(db, xs):\n    for x in xs:\n        for attempt in range(3):\n            db.get(x)\n"
    assert "for loop at line 2" in message(source, "db.get(x)")


SILENT_WAITS = [
    "lock.acquire(blocking=False)",
    "lock.acquire(False)",
    "lock.acquire(timeout=0)",
    "jobs.get(block=False)",
    "jobs.get(False)",
    "jobs.get(timeout=0)",
    "jobs.put(1, block=False)",
    "thread.join(0)",
    "future.result(timeout=0)",
]


@pytest.mark.parametrize("call", SILENT_WAITS)
def test_waits_that_cannot_wait(call: str) -> None:
    source = f"async def f(lock, jobs, thread, future):\n    {call}\n"
    assert confirmed(source, suspect_at(source, call, kind="sync", code="APL113")) == []


@pytest.mark.parametrize(
    "call", ["lock.acquire()", "jobs.get()", "jobs.get(timeout=5)", "thread.join()", "future.result()"]
)
def test_waits(call: str) -> None:
    source = f"async def f(lock, jobs, thread, future):\n    {call}\n"
    assert len(confirmed(source, suspect_at(source, call, kind="sync", code="APL113"))) == 1


DONE = {
    "tested": "if t.done():\n        t.result()",
    "left when not done": "if not t.done():\n        return\n    t.result()",
    "awaited": "await t\n    t.result()",
    "waited for": "await asyncio.wait([t])\n    t.result()",
    "completed one by one": "for t in as_completed(ts):\n        t.result()",
    "in the done set": "done, _ = wait(ts)\n    for t in done:\n        t.result()",
    "own callback": "t.add_done_callback(lambda t: t.result())",
}


@pytest.mark.parametrize("case", DONE)
def test_results_of_futures_that_are_done(case: str) -> None:
    source = f"async def f(t, ts):\n    {DONE[case]}\n"
    assert confirmed(source, suspect_at(source, "t.result()", kind="sync", code="APL113")) == []


def test_locks_matter_when_the_body_awaits() -> None:
    source = "async def f(lock):\n    with lock:\n        {}\n"
    for body, expected in {
        "x = 1": 0,
        "await g()": 1,
        "async for _ in g(): pass": 1,
        "async def h():\n            await g()": 0,
    }.items():
        text = source.format(body)
        suspect = suspect_at(text, "lock", kind="sync", code="APL113")
        suspect = msgspec.structs.replace(
            suspect, sink="threading.Lock", line=2, column=9, end_line=2, end_column=13, first_line=1, last_line=99
        )
        assert len(confirmed(text, suspect)) == expected, body


def test_sleeping_for_zero_only_yields() -> None:
    for call, expected in {"time.sleep(0)": 0, "time.sleep(0.0)": 0, "time.sleep(1)": 1, "time.sleep(x)": 1}.items():
        source = f"async def f(x):\n    {call}\n"
        assert len(confirmed(source, suspect_at(source, call, kind="sleep", code="APL101"))) == expected


@pytest.mark.parametrize(
    ("body", "sure"),
    [
        ("return boto3.client('s3')", True),
        ("if self.c is None:\n        self.c = boto3.client('s3')", False),
        ("if not self.c:\n        self.c = boto3.client('s3')", False),
    ],
)
def test_clients_built_once_are_possible(body: str, sure: bool) -> None:
    source = f"async def f(self):\n    {body}\n"
    finding = confirmed(source, suspect_at(source, "boto3.client('s3')", kind="client", code="APL115"))[0]
    assert (finding.confidence != "possible") == sure


@pytest.mark.parametrize(
    ("helper", "sure"), [("make_client", True), ("C._get_client", False), ("async_get_session", False)]
)
def test_clients_that_a_helper_hands_out_are_possible(helper: str, sure: bool) -> None:
    source = "async def f():\n    return h()\n"
    suspect = suspect_at(source, "h()", kind="client", code="APL115")
    suspect = msgspec.structs.replace(suspect, chain=(*suspect.chain, Step("a.py", 1, helper, "boto3.client")))
    assert (confirmed(source, suspect)[0].confidence != "possible") == sure


def test_offloads_that_go_nowhere() -> None:
    for statement, expected in {
        "asyncio.to_thread(g)": 1,
        "t = asyncio.to_thread(g)": 0,
        "use(asyncio.to_thread(g))": 0,
    }.items():
        source = f"async def f(g):\n    {statement}\n"
        assert (
            len(confirmed(source, suspect_at(source, "asyncio.to_thread(g)", kind="sync", code="APL120"))) == expected
        )
