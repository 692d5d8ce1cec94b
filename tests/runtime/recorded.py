"""Runs programs under the tracer and reads what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agentperf_runtime.launch import trace_files, traced_environment
from agentperf_runtime.tracer import Options
from agentperf_runtime.writer import COLUMNS


class Recorded(NamedTuple):
    """One operation with its references resolved."""

    kind: str
    text: str
    line: int
    function: str
    file: str
    params: int
    batch: int
    rows: int
    outcome: int
    root: str
    root_id: int
    task: int
    on_loop: bool
    duration: int
    tokens: tuple[int, int, int]


class Trace:
    """The records of one or more trace files."""

    def __init__(self, path: Path) -> None:
        self.files = [Path(name) for name in trace_files(str(path))]
        self.records = [each for file in self.files for record in read(file) for each in _single(record)]
        self.operations = [each for file in self.files for each in _operations(read(file))]

    def of(self, kind: str) -> list[Recorded]:
        return [each for each in self.operations if each.kind == kind]

    def all(self, record: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [each for each in self.records if each["type"] == record]

    def ended_roots(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The kind of each root that ended, and the record of its end. Every process numbers its roots from 1."""
        for file in self.files:
            records = [each for record in read(file) for each in _single(record)]
            kinds = {each["id"]: each["kind"] for each in records if each["type"] == "root"}
            for each in records:
                if each["type"] == "root_end":
                    yield kinds[each["id"]], each


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


_ROOTS = {
    "roots": ("root", ("id", "kind", "name", "parent", "start")),
    "roots_end": ("root_end", ("id", "name", "end", "outcome")),
}


def _single(record: dict[str, Any]) -> list[dict[str, Any]]:
    """A line of several roots as a record for each; any other line as it is."""
    if record["type"] not in _ROOTS:
        return [record]
    kind, names = _ROOTS[record["type"]]
    return [{"type": kind, **dict(zip(names, row))} for row in record["rows"]]


def _operations(records: list[dict[str, Any]]) -> Iterator[Recorded]:
    statements = {each["id"]: each for each in records if each["type"] == "statement"}
    sites = {each["id"]: each for each in records if each["type"] == "site"}
    roots = {row[0]: row for each in records if each["type"] == "roots" for row in each["rows"]}
    for record in records:
        if record["type"] != "ops":
            continue
        columns = {name: record.get(name, [default] * record["count"]) for name, default in COLUMNS.items()}
        assert all(len(column) == record["count"] for column in columns.values())
        for row in zip(*columns.values()):
            cell = dict(zip(columns, row))
            statement, site, root = statements[cell["statement"]], sites.get(cell["site"]), roots[cell["root"]]
            yield Recorded(
                statement["kind"],
                statement["text"],
                site["line"] if site else 0,
                site["function"] if site else "",
                Path(site["path"]).name if site else "",
                cell["params"],
                cell["batch"],
                cell["rows"],
                cell["outcome"],
                f"{root[1]} {root[2]}",
                cell["root"],
                cell["task"],
                bool(cell["thread"]),
                cell["duration"],
                (cell["input_tokens"], cell["output_tokens"], cell["continues"]),
            )


def run(
    directory: Path,
    source: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    options: Options | None = None,
    python: str = sys.executable,
    check: bool = True,
) -> Trace:
    """Run `source` as `app.py` in `directory` under the tracer; unless told otherwise it must end well, silently."""
    app = directory / "app.py"
    app.write_text(textwrap.dedent(source), encoding="utf-8")
    path = directory / "app.trace"
    env = traced_environment(str(path), options or Options(), {**os.environ, **(environment or {})})
    shown = subprocess.run(
        [python, str(app), *arguments], cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    if check:
        assert shown.returncode == 0, shown.stderr
        assert not shown.stderr
    return Trace(path)
