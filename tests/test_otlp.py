"""Files of OpenTelemetry spans, as the Collector writes them, on the checklist."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

INTERNAL, SERVER, CLIENT, CONSUMER = 1, 2, 3, 5
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
Attributes = dict[str, Any]

SELECT = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM items WHERE order_id = $1"}


class Spans:
    """Spans as they are sent; times in milliseconds."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._number = itertools.count(1)

    def add(
        self,
        name: str,
        attributes: Attributes,
        start: float,
        took: float = 4,
        *,
        kind: int | str = CLIENT,
        within: dict[str, Any] | None = None,
        status: int = 0,
    ) -> dict[str, Any]:
        number = next(self._number)
        begun = START + int(start * 1_000_000)
        span = {
            "traceId": within["traceId"] if within else f"{number:032x}",
            "spanId": f"{number:016x}",
            "parentSpanId": within["spanId"] if within else "",
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(begun),
            "endTimeUnixNano": str(begun + int(took * 1_000_000)),
            "attributes": described(attributes),
            "status": {"code": status} if status else {},
        }
        self.sent.append(span)
        return span

    def request(self, route: str, start: float, took: float = 90, **others: Any) -> dict[str, Any]:
        told = {"http.request.method": "GET", "http.route": route, "http.response.status_code": 200}
        return self.add(f"GET {route}", {**told, **others}, start, took, kind=SERVER)

    def document(self, service: str = "shop", pid: int = 7) -> dict[str, Any]:
        resource = {"attributes": described({"service.name": service, "process.pid": pid})}
        return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": self.sent}]}]}

    def write(self, path: Path, **others: Any) -> Path:
        path.write_text(json.dumps(self.document(**others)) + "\n", encoding="utf-8")
        return path


def described(attributes: Attributes) -> list[dict[str, Any]]:
    def value(given: Any) -> dict[str, Any]:
        if isinstance(given, int):
            return {"intValue": str(given)}
        return {"doubleValue": given} if isinstance(given, float) else {"stringValue": given}

    return [{"key": key, "value": value(given)} for key, given in attributes.items()]


def report(*arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "agentperf_lint", "report", "--format", "json", *map(str, arguments)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert shown.returncode in (0, 1), shown.stderr
    checklist: dict[str, Any] = json.loads(shown.stdout)
    return checklist


def kinds(checklist: dict[str, Any]) -> list[str]:
    return [item["kind"] for item in checklist["items"]]


@pytest.fixture
def spans() -> Spans:
    return Spans()


def repeated(spans: Spans, attributes: Iterable[Attributes], name: str = "call") -> None:
    request = spans.request("/orders", 0)
    for number, each in enumerate(attributes):
        spans.add(name, each, 5 + number * 5, within=request)


@pytest.mark.parametrize(
    "attributes",
    [
        SELECT,
        {"db.system": "mysql", "db.statement": "SELECT name FROM users WHERE id = 17"},
        {"db.system": "redis", "db.statement": "GET ?"},
        {"db.system": "mongodb", "db.operation": "find", "db.mongodb.collection": "users"},
        {"rpc.system": "grpc", "rpc.service": "users.Users", "rpc.method": "Get"},
    ],
    ids=["sql", "old names", "redis", "mongo", "grpc"],
)
def test_a_query_for_each_element(spans: Spans, tmp_path: Path, attributes: Attributes) -> None:
    def of(number: int) -> Attributes:
        return {key: value.replace("17", str(number)) for key, value in attributes.items()}

    repeated(spans, map(of, range(12)))
    checklist = report("--trace", spans.write(tmp_path / "spans.jsonl"))
    (item,) = checklist["items"]
    assert (item["kind"], item["status"], item["operations"]) == ("n_plus_one", "observed", 12)
    assert (item["path"], item["function"]) == ("", "GET /orders")
    assert item["root_names"] == ["request GET /orders"]
    assert item["total_seconds"] == pytest.approx(0.048)
    assert checklist["summary"]["kpis"]["count"] == 1


def test_a_request_for_each_element_by_its_path(spans: Spans, tmp_path: Path) -> None:
    repeated(spans, ({"http.method": "GET", "http.url": f"http://api/users/{number}"} for number in range(8)))
    assert kinds(report("--trace", spans.write(tmp_path / "spans.jsonl"))) == ["n_plus_one"]


def test_the_same_query_again_and_again(spans: Spans, tmp_path: Path) -> None:
    repeated(spans, [{"db.system.name": "sqlite", "db.query.text": "SELECT value FROM settings WHERE key = 'vat'"}] * 6)
    assert kinds(report("--trace", spans.write(tmp_path / "spans.jsonl"))) == ["duplicate"]


@pytest.mark.parametrize(
    "attributes",
    [
        [{"http.method": "GET", "url.full": f"http://api/users?page={number}"} for number in range(8)],
        [
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 100 + number}
            for number in range(8)
        ],
        [{**SELECT, "db.operation.batch.size": 50}] * 6,
        [{"http.method": "POST", "url.full": "http://api/users/7", "http.status_code": 503}] * 6,
        [SELECT] * 3,
        [{"db.system": "postgresql"}] * 20,
        [{}] * 20,
    ],
    ids=["pages", "agent", "batches", "retries", "few", "connections", "no operations"],
)
def test_innocent(spans: Spans, tmp_path: Path, attributes: list[Attributes]) -> None:
    repeated(spans, attributes)
    assert not report("--trace", spans.write(tmp_path / "spans.jsonl"))["items"]


def test_each_request_by_itself(spans: Spans, tmp_path: Path) -> None:
    for number in range(30):
        spans.add("SELECT", SELECT, number * 10, within=spans.request("/items", number * 10, 8))
    checklist = report("--trace", spans.write(tmp_path / "spans.jsonl"))
    assert not checklist["items"]
    assert checklist["summary"]["kpis"]["count"] == 30


def test_what_an_operation_consists_of_is_part_of_it(spans: Spans, tmp_path: Path) -> None:
    request = spans.request("/orders", 0)
    for number in range(12):
        outer = spans.add("SELECT", SELECT, 5 + number * 5, within=request)
        spans.add("SELECT", SELECT, 6 + number * 5, 2, within=outer)
    (item,) = report("--trace", spans.write(tmp_path / "spans.jsonl"))["items"]
    assert item["operations"] == 12


def test_spans_that_name_their_code_are_joined_with_findings(spans: Spans, tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text(
        "import asyncpg\n\n"
        "async def items(pool: asyncpg.Pool, orders):\n"
        "    found = []\n"
        "    for order in orders:\n"
        "        found.append(await pool.fetch('SELECT * FROM items WHERE order_id = $1', order))\n"
        "    return found\n",
        encoding="utf-8",
    )
    request = spans.request("/orders", 0)
    place = {"code.file.path": str(source), "code.line.number": 6, "code.function.name": "items"}
    for number in range(12):
        spans.add("SELECT", {**SELECT, **place}, 5 + number * 5, within=request)
    items = report(source, "--trace", spans.write(tmp_path / "spans.jsonl"))["items"]
    assert [(item["kind"], item["status"], item["line"], item["loop"]["line"]) for item in items] == [
        ("n_plus_one", "confirmed", 6, 5)
    ]


def test_processes_are_told_apart(spans: Spans, tmp_path: Path) -> None:
    repeated(spans, [SELECT] * 6)
    trace = tmp_path / "spans.jsonl"
    lines = [json.dumps(spans.document(service, pid)) for service, pid in (("shop", 7), ("shop", 8), ("mail", 7))]
    trace.write_text("\n".join(lines) + "\n", encoding="utf-8")
    checklist = report("--trace", trace)
    assert checklist["summary"]["processes"] == 3
    assert [(item["operations"], item["roots"]) for item in checklist["items"]] == [(18, 3)]


def test_slow_operations_and_budgets(spans: Spans, tmp_path: Path) -> None:
    spans.add("SELECT", SELECT, 5, 3_000, within=spans.request("/slow", 0, 3_100))
    (tmp_path / "pyproject.toml").write_text('[tool.agentperf-lint.budgets."GET /slow"]\np95 = "200ms"\n')
    trace = spans.write(tmp_path / "spans.jsonl")
    checklist = report("--config", tmp_path / "pyproject.toml", "--trace", trace)
    assert sorted(kinds(checklist)) == ["bottleneck", "budget"]


def test_one_object_over_many_lines(spans: Spans, tmp_path: Path) -> None:
    repeated(spans, [SELECT] * 6)
    trace = tmp_path / "spans.json"
    trace.write_text("\ufeff" + json.dumps(spans.document(), indent=2), encoding="utf-8")
    assert kinds(report("--trace", trace)) == ["n_plus_one"]


def test_what_cannot_be_read_is_counted_and_told(spans: Spans, tmp_path: Path) -> None:
    repeated(spans, [SELECT] * 6)
    trace = spans.write(tmp_path / "spans.jsonl")
    with trace.open("a", encoding="utf-8") as stream:
        stream.write("nonsense\n" + json.dumps(spans.document())[:300])
    checklist = report("--trace", trace)
    assert kinds(checklist) == ["n_plus_one"]
    assert any("2 lines are not what OTLP's JSON encoding holds" in note for note in checklist["notes"])


@pytest.mark.parametrize("text", ['{"resourceSpans": []}\n', '{"resourceSpans": 7}\n'])
def test_spans_without_operations_do_not_look_clean(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "spans.jsonl"
    trace.write_text(text, encoding="utf-8")
    checklist = report("--trace", trace)
    assert any("no operations were recorded" in note for note in checklist["notes"])


def test_a_span_that_is_its_own_parent(spans: Spans, tmp_path: Path) -> None:
    around = spans.add("loop", {}, 0, 90, kind="SPAN_KIND_INTERNAL")
    around["parentSpanId"] = around["spanId"]
    spans.add("SELECT", SELECT, 5, within=around)
    assert report("--trace", spans.write(tmp_path / "spans.jsonl"))["summary"]["operations"] == 1
