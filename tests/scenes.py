"""Applications as source text with marked lines, and the checklist of a trace of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

from trace_builder import TraceBuilder

from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.items import Item
from agentperf_lint.checklist.trace import Frame, read_traces
from agentperf_lint.config import TraceSettings


class App:
    """Source in a file: the line with the comment `# name` is called `name`."""

    def __init__(self, directory: Path, source: str, name: str = "app.py") -> None:
        self.path = directory / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lines = dedent(source).lstrip("\n").splitlines()
        self.path.write_text("\n".join(self.lines) + "\n")

    def line(self, name: str) -> int:
        return next(number for number, line in enumerate(self.lines, 1) if line.rstrip().endswith(f"# {name}"))

    def frame(self, name: str, function: str) -> Frame:
        return str(self.path), self.line(name), function


def items_of(tmp_path: Path, trace: TraceBuilder, **settings: Any) -> list[Item]:
    """What the trace shows, without findings."""
    file = trace.write(tmp_path / "t.trace")
    return list(build_checklist(read_traces([str(file)]), TraceSettings(**settings)).items)


def kinds(items: list[Item]) -> list[tuple[str, str, int]]:
    """Kind, name of the file and line of each."""
    return [(item.kind, item.path.rpartition("/")[2], item.line) for item in items]


def repeated(
    times: int, *stack: Frame, kind: str = "sql", text: str = "select name from users where id = ?", same: bool = False,
    between: Callable[[TraceBuilder, int], None] | None = None, **op: Any,
) -> TraceBuilder:  # fmt: skip
    """A trace of one root in which one operation is done again and again, with parameters that differ or not."""
    trace = TraceBuilder()
    trace.root()
    for number in range(times):
        trace.op(kind, text, *stack, params=7 if same else 1000 + number, **op)
        if between is not None:
            between(trace, number)
    return trace
