"""Writes the trace file: a thread that empties the recorder's queue every half second.

The format is described in `docs/trace-file.md`. Lines are written whole and flushed, so that a process that is
killed loses what it recorded since the last flush, at most.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from agentperf_runtime.recorder import Ended, Recorder, SampledStack
from agentperf_runtime.scopes import Root
from agentperf_runtime.sites import Frames, Site, function_of, lines_of
from agentperf_runtime.statements import Statement, cleaned

SCHEMA = 1
COLUMNS = (
    "statement", "start", "duration", "params", "batch", "rows", "outcome", "root", "task", "site", "thread",
    "input_tokens", "output_tokens", "continues",
)  # fmt: skip
FLUSH_SECONDS = 0.5
_ROWS_PER_LINE = 1_000
_STACKS_PER_SITE = 32
_REMEMBERED_TEXTS = 20_000
_NO_TOKENS = (0, 0, 0)


class Line(dict[str, Any]):
    """A record that is put into the queue as the file will have it; times are absolute in `times`."""

    def __init__(self, times: tuple[str, ...] = (), **fields: Any) -> None:
        super().__init__(fields)
        self.times = times


class Writer:
    """Writes what `recorder` queues into `path`, in pieces of at most `max_bytes` of which the last `keep` stay.

    `header` are further fields of the header. Failures are counted and never raised.
    """

    def __init__(
        self, recorder: Recorder, path: str, header: dict[str, Any], max_bytes: int = 1 << 28, keep: int = 4
    ) -> None:
        self.recorder = recorder
        self.path = path
        self.header = header
        self.max_bytes = max_bytes
        self.keep = keep
        self.extra: list[Callable[[], Line | None]] = []
        self._files: list[str] = []
        self._stream: TextIO | None = None
        self._segment = 0
        self._size = 0
        self._clock = time.perf_counter_ns()
        self._recorded = 0
        self._counted = (-1, -1, -1)
        self._texts: dict[tuple[str, str], Statement] = {}
        self._statements: dict[tuple[str, str], int] = {}
        self._sites: dict[Site, int] = {}
        self._stacks: dict[Site, set[tuple[Frames, str]]] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the file and start the thread. Raises OSError when the file cannot be written."""
        self._open()
        self._thread = threading.Thread(target=self._run, name="agentperf-writer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, say that the process ended, and close."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(timeout=5)
        self.flush()
        with self._lock:
            if self._stream is not None:
                self._write({"type": "end", "time": time.perf_counter_ns() - self._clock})
                self._close()

    def flush(self) -> None:
        """Write everything that is queued now."""
        try:
            with self._lock:
                self._drain()
        except Exception:
            self.recorder.errors += 1

    # --- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()

    def _drain(self) -> None:
        if self._stream is None:
            return
        queue = self.recorder.queue
        rows: list[list[int]] = []
        for _ in range(len(queue)):
            try:
                entry = queue.popleft()
            except IndexError:
                break
            try:
                self._take(entry, rows)
            except Exception:
                self.recorder.errors += 1
            if len(rows) >= _ROWS_PER_LINE:
                self._write_rows(rows)
        self._write_rows(rows)
        for extra in self.extra:
            line = extra()
            if line is not None:
                self._write_line(line)
        self._write_counters()
        self._stream.flush()
        if self._size > self.max_bytes:
            self._rotate()

    def _take(self, entry: Any, rows: list[list[int]]) -> None:
        if entry.__class__ is tuple:
            rows.append(self._row(*entry))
        elif entry.__class__ is SampledStack:
            self._write_stack(entry)
        elif entry.__class__ is Ended:
            self._write_end(entry.root)
        elif entry.__class__ is Line:
            self._write_line(entry)

    def _write_end(self, root: Root) -> None:
        if root.kind == "task" and root.segment < 0:
            return  # a task of a library's that did nothing
        number = self._root_id(root)
        end = root.end - self._clock
        self._write({"type": "root_end", "id": number, "name": str(root.name), "end": end, "outcome": root.outcome})

    def _row(
        self, kind: str, text: str, start: int, end: int, params: int, batch: int, rows: int, outcome: int,
        scope: Any, site: Site | None, on_loop: int, tokens: tuple[int, int, int] | None,
    ) -> list[int]:  # fmt: skip
        self._recorded += 1
        statement = self._texts.get((kind, text)) or self._clean(kind, text)
        if statement.changed:
            params = hash((self.recorder.salt, params, text))
        inputs, outputs, continues = tokens or _NO_TOKENS
        return [
            self._statement_id(kind, statement.text), start - self._clock, end - start, params,
            batch or statement.batch, rows, outcome, self._root_id(scope.root), scope.task, self._site_id(site),
            on_loop, inputs, outputs, continues,
        ]  # fmt: skip

    def _clean(self, kind: str, text: Any) -> Statement:
        if not isinstance(text, str):
            text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if len(self._texts) >= _REMEMBERED_TEXTS:
            self._texts.clear()
        statement = self._texts[kind, text] = cleaned(kind, text)
        return statement

    # --- what is written once for each file ------------------------------------------------------------------

    def _statement_id(self, kind: str, text: str) -> int:
        number = self._statements.get((kind, text))
        if number is None:
            number = self._statements[kind, text] = len(self._statements) + 1
            self._write({"type": "statement", "id": number, "kind": kind, "text": text})
        return number

    def _root_id(self, root: Root) -> int:
        if root.segment != self._segment:
            root.segment = self._segment
            line = {"type": "root", "id": root.serial, "kind": root.kind, "name": str(root.name), "parent": root.parent}
            self._write({**line, "start": root.start - self._clock})
        return root.serial

    def _site_id(self, site: Site | None) -> int:
        if site is None:
            return 0
        site.count += 1
        if not site.count & (site.count - 1):
            site.samples += 1  # what calls a helper shows early, and again after a while: at every doubling
        number = self._sites.get(site)
        if number is None:
            number = self._sites[site] = len(self._sites) + 1
            path, line, function = place_of(site.code, site.lasti)
            end_line = lines_of(site.code, site.lasti)[1]
            self._write(
                {"type": "site", "id": number, "path": path, "line": line, "end_line": end_line, "function": function}
            )
        return number

    def _write_stack(self, stack: SampledStack) -> None:
        known = self._stacks.setdefault(stack.site, set())
        if len(known) >= _STACKS_PER_SITE or (stack.frames, stack.relation) in known:
            return
        known.add((stack.frames, stack.relation))
        number = self._site_id(stack.site)
        self._write({"type": "stack", "site": number, "frames": places_of(stack.frames), "relation": stack.relation})

    # --- files --------------------------------------------------------------------------------------------

    def _write_rows(self, rows: list[list[int]]) -> None:
        if rows:
            self._write({"type": "ops", "rows": rows})
            rows.clear()

    def _write_line(self, line: Line) -> None:
        fields: dict[str, Any] = dict(line)
        for name in line.times:
            fields[name] -= self._clock
        root = fields.get("root")
        if isinstance(root, Root):
            fields["root"] = self._root_id(root)
        site = fields.get("site")
        if isinstance(site, Site):
            fields["site"] = self._site_id(site)
        self._write(fields)

    def _write_counters(self) -> None:
        counted = (self._recorded, self.recorder.dropped, self.recorder.errors)
        if counted != self._counted:
            self._counted = counted
            recorded, dropped, errors = counted
            now = time.perf_counter_ns() - self._clock
            self._write({"type": "counters", "time": now, "recorded": recorded, "dropped": dropped, "errors": errors})

    def _write(self, fields: dict[str, Any]) -> None:
        text = json.dumps(fields, ensure_ascii=True, separators=(",", ":"), check_circular=False)
        stream = self._stream
        if stream is not None:
            stream.write(text + "\n")
            self._size += len(text) + 1

    def _open(self) -> None:
        name = self._claim()
        self._stream = open(name, "w", encoding="utf-8", buffering=1 << 16)  # noqa: SIM115  # open for as long as we run
        self._files.append(name)
        self._segment += 1
        self._size = 0
        self._statements.clear()
        self._sites.clear()
        self._stacks.clear()
        self._counted = (-1, -1, -1)
        self._clock = time.perf_counter_ns()
        self._write(
            {
                "type": "header", "schema": SCHEMA, "pid": os.getpid(), "parent_pid": os.getppid(),
                "python": sys.version.partition(" ")[0], "cwd": _STARTED_IN, "wall_start": time.time(),
                "clock_start": self._clock, "columns": COLUMNS, **self.header,
            }
        )  # fmt: skip
        self._stream.flush()

    def _claim(self) -> str:
        """The first process writes `path`, every further file has the process and a number in its name."""
        if not self._files:
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                return self.path
            except FileExistsError:
                pass
        return f"{self.path}.{os.getpid()}.{self._segment}"

    def _rotate(self) -> None:
        self._close()
        self._open()
        while len(self._files) > self.keep:
            try:
                os.unlink(self._files.pop(0))
            except OSError:
                self.recorder.errors += 1

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def place_of(code: Any, lasti: int) -> tuple[str, int, str]:
    """Absolute path, line and qualified function of an instruction."""
    name = code.co_filename
    path = name if name.startswith("<") else os.path.normpath(os.path.join(_STARTED_IN, name))
    return path, lines_of(code, lasti)[0], function_of(code)


def places_of(frames: Frames) -> list[tuple[str, int, str]]:
    """`place_of` for each frame."""
    return [place_of(code, lasti) for code, lasti in frames]


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


_STARTED_IN = _cwd()
"""Names of files may be relative to where the process was started; the application may have gone elsewhere."""
