"""Writes traces as docs/trace-file.md describes them, for tests of what reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MS = 1_000_000  # nanoseconds


class TraceBuilder:
    """One process. Its clock moves on with every operation and pause; all times in milliseconds."""

    def __init__(self, *, pid: int = 1, **header: Any) -> None:
        self.now = 0.0
        self.records: list[dict[str, Any]] = [
            {"type": "header", "schema": 1, "tool": "test", "pid": pid, "wall_start": 1_000.0, "clock_start": 0,
             "stall_limit": 50 * MS, "sample": 1.0, **header}
        ]  # fmt: skip
        self.statements: dict[tuple[str, str], int] = {}
        self.sites: dict[tuple[str, int, str], int] = {}
        self.stacks: set[str] = set()
        self.roots = 0

    def write(self, path: Path, *, end: str = "") -> Path:
        """Writes the file; `end` is appended as it is."""
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records) + end)
        return path

    def root(self, kind: str = "request", name: str = "GET /", parent: int = 0) -> int:
        self.roots += 1
        self.records.append({"type": "roots", "rows": [[self.roots, kind, name, parent, self._ns()]]})
        return self.roots

    def end_root(self, root: int = 1, name: str = "", outcome: str | int = "ok") -> None:
        self.records.append({"type": "roots_end", "rows": [[root, name, self._ns(), outcome]]})

    def sleep(self, milliseconds: float, *, root: int = 1, task: int = 1) -> None:
        """An `asyncio.sleep`."""
        self.op("sleep", "asyncio.sleep", ("", 0, ""), params=0, ms=milliseconds, root=root, task=task)

    def pause(self, milliseconds: float) -> None:
        """Time in which nothing is recorded."""
        self.now += milliseconds

    def op(
        self,
        kind: str,
        text: str,
        *stack: tuple[str | Path, int, str],
        params: int = 0,
        ms: float = 1.0,
        root: int = 1,
        task: int = 1,
        relation: str = "",
        advance: bool = True,
        library: str = "",
        **columns: int,
    ) -> None:
        """One operation, called from `stack` (the site first); `advance` moves the clock behind it."""
        row = {
            "statement": self._statement(kind, text, library), "start": self._ns(), "duration": int(ms * MS),
            "params": params, "root": root, "task": task, "site": self._site(stack, relation), **columns,
        }  # fmt: skip
        self.records.append({"type": "ops", "count": 1, **{name: [value] for name, value in row.items()}})
        if advance:
            self.now += ms + 0.1

    def stall(self, milliseconds: float, *frames: tuple[str | Path, int, str], **fields: Any) -> None:
        """A step of the loop that took too long; `frames` innermost first."""
        shown = [[str(path), line, function] for path, line, function in frames]
        self.records.append(
            {"type": "stall", "start": self._ns(), "duration": int(milliseconds * MS), "root": 1, "task": 1,
             "site": self._site(frames, "") if frames else 0, "frames": shown, "samples": 3, "total_samples": 4,
             "confidence": "sampled", "reason": "call", "ongoing": False, **fields}
        )  # fmt: skip
        self.now += milliseconds + 1

    def _ns(self) -> int:
        return int(self.now * MS)

    def _statement(self, kind: str, text: str, library: str) -> int:
        if (kind, text) not in self.statements:
            self.statements[kind, text] = len(self.statements) + 1
            record = {"type": "statement", "id": len(self.statements), "kind": kind, "text": text}
            self.records.append({**record, "library": library} if library else record)
        return self.statements[kind, text]

    def _site(self, stack: tuple[tuple[str | Path, int, str], ...], relation: str) -> int:
        if not stack or not stack[0][1]:
            return 0
        frames = [[str(path), line, function] for path, line, function in stack]
        path, line, function = frames[0]
        key = (str(path), int(line), str(function))
        if key not in self.sites:
            self.sites[key] = len(self.sites) + 1
            self.records.append(
                {"type": "site", "id": len(self.sites), "path": path, "line": line, "end_line": line,
                 "function": function}
            )  # fmt: skip
        record = {"type": "stack", "site": self.sites[key], "frames": frames, "relation": relation}
        if json.dumps(record) not in self.stacks:
            self.stacks.add(json.dumps(record))
            self.records.append(record)
        return self.sites[key]
