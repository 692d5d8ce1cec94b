"""Writes the trace file: a thread that empties the recorder's queue every half second.

The format is described in `docs/trace-file.md`. A process that is killed loses what it recorded since the last time,
at most.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from agentperf_runtime.recorder import Recorder, SampledStack
from agentperf_runtime.scopes import Root
from agentperf_runtime.sites import Frames, Site, function_of, lines_of, path_of
from agentperf_runtime.statements import cleaned
from agentperf_runtime.trace_files import TraceFiles

SCHEMA = 1
COLUMNS = {
    "statement": 0, "start": 0, "duration": 0, "params": 0, "batch": 0, "rows": -1, "outcome": 0, "root": 0, "task": 0,
    "site": 0, "thread": 0, "input_tokens": 0, "output_tokens": 0, "continues": 0,
}  # fmt: skip
"""Columns of operations and the value of each where a line leaves the column out."""

_SCOPE, _SITE = 8, 9  # of the tuple that the recorder makes of an operation

FLUSH_SECONDS = 0.5
_OPERATIONS_PER_LINE = 256
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode

_segments = itertools.count(1)
"""Numbers of files. A forked child goes on counting: what its parent wrote must be written into its own file again."""

_sleep = time.sleep  # not the one that is traced
_BREATH_SECONDS = 0.000_5
"""Between lines: whoever waits for the interpreter's lock would otherwise wait for its switch interval, 5 ms."""

_REMEMBERED_TEXTS = 20_000
_STACKS_PER_SITE = 256
_STACKS_PER_STATEMENT = 32
_COUNTED_STATEMENTS = 64
_UNMATCHED_STACKS = 1_000


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
        self.header = header
        self.max_bytes = max_bytes
        self.extra: list[Callable[[], Line | None]] = []
        self._files = TraceFiles(path, keep)
        self._is_open = self._is_closed = False
        self._segment = 0
        self._clock, self._wall = 0, 0.0
        self._recorded = 0
        self._counted = (-1, -1, -1)
        self._texts: dict[tuple[str, Any], tuple[int, int, bool]] = {}
        self._statements: dict[tuple[str, str], int] = {}
        self._sites = 0
        self._begun: list[Root] = []
        self._ended: list[Root] = []
        self._stacks: dict[Site, Counter[int]] = {}
        self._written_stacks: set[tuple[Site, int, int, Frames]] = set()
        self._sampled: list[tuple[int, SampledStack]] = []
        """Stacks whose operation has not come yet, with the place in the next line from which on it may."""
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._paused = False
        self._thread: threading.Thread | None = None

    def start(self, at_once: bool = True) -> None:
        """Open the file, if need be only when there is something to write, and start the thread.

        Raises OSError when the file cannot be written.
        """
        self._clock, self._wall = time.perf_counter_ns(), time.time()
        if at_once:
            self._open()
            self._files.send()
        self._start_thread()

    @property
    def file(self) -> str:
        """The path of the present file, "" before the first."""
        return self._files.name

    def stop(self, patience: float = 5) -> None:
        """Write what is left, say that the process ended, and close. Takes no more than `patience` seconds or so."""
        self._end_thread(patience)
        self.flush(patience)
        if not self._lock.acquire(timeout=patience):
            return
        try:
            self._close()
        except Exception:
            self.recorder.errors += 1
        finally:
            self._lock.release()

    def flush(self, patience: float = -1) -> None:
        """Write everything that is queued now; wait `patience` seconds for another thread that does (-1: forever)."""
        if not self._lock.acquire(timeout=patience):
            return
        try:
            self._drain()
        except Exception:
            self.recorder.errors += 1
        finally:
            self._lock.release()

    def pause(self, patience: float = 1) -> None:
        """Before a fork: end the thread and let nobody write, so that the child inherits nothing half done."""
        self._end_thread(patience)
        self._paused = self._lock.acquire(timeout=patience)

    def resume(self) -> None:
        """After a fork, in the parent."""
        if self._paused:
            self._paused = False
            self._lock.release()
        self._start_thread()

    def abandon(self) -> None:
        """After a fork, in the child: the file is the parent's."""
        self._is_open, self._is_closed = False, True
        try:
            self._files.close()
        except OSError:
            pass

    # --- the thread ---------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="agentperf-writer", daemon=True)
        self._thread.start()

    def _end_thread(self, patience: float) -> None:
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(timeout=patience)

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(FLUSH_SECONDS):
            self.flush()

    def _drain(self) -> None:
        if not self._is_open:
            if self._is_closed or not self.recorder.queue:
                return
            self._open()
        self._files.send()  # what a full disk did not take; as long as it does not, operations wait, or are dropped
        queue, observe = self.recorder.queue, self.recorder.observer
        operations: list[tuple[Any, ...]] = []
        for _ in range(len(queue)):
            try:
                entry = queue.popleft()
            except IndexError:
                break
            if observe is not None:
                observe(entry)
            if entry.__class__ is tuple:
                operations.append(entry)
                if len(operations) >= _OPERATIONS_PER_LINE:
                    self._write_operations(operations)
                    if not self._stop.is_set():
                        _sleep(_BREATH_SECONDS)
                continue
            try:
                self._take(entry, len(operations))
            except Exception:
                self.recorder.errors += 1
        self._write_operations(operations)
        self._write_roots()
        for extra in self.extra:
            line = extra()
            if line is not None:
                self._write_line(line)
        self._write_counters()
        self._files.send()
        if self._files.size > self.max_bytes:
            self._clock, self._wall = time.perf_counter_ns(), time.time()
            self._open()

    def _take(self, entry: Any, waiting: int) -> None:
        if entry.__class__ is SampledStack:
            self._sampled.append((waiting, entry))
        elif entry.__class__ is Root:
            self._ended.append(entry)
        elif entry.__class__ is Line:
            self._write_line(entry)

    def _write_operations(self, operations: list[tuple[Any, ...]]) -> None:
        """One line with a column for each field, of which those with nothing to say are left out."""
        if not operations:
            return
        clock, texts, salt, segment = self._clock, self._texts, self.recorder.salt, self._segment
        columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        add_statement, add_start = columns["statement"].append, columns["start"].append
        add_duration, add_params = columns["duration"].append, columns["params"].append
        add_batch, add_rows, add_outcome = columns["batch"].append, columns["rows"].append, columns["outcome"].append
        add_root, add_task, add_site = columns["root"].append, columns["task"].append, columns["site"].append
        add_thread = columns["thread"].append
        for number, operation in enumerate(operations):
            kind, text, start, end, params, batch, rows, outcome, scope, site, on_loop, tokens = operation
            known = texts.get((kind, text))
            if known is None:
                known = self._statement(kind, text)
            identifier, elements, changed = known
            root = scope.root
            if root.segment != segment:
                self._new_root(root)
            if site is None:
                add_site(0)
            else:
                counts = site.counts
                counted = identifier if identifier in counts or len(counts) < _COUNTED_STATEMENTS else 0
                count = counts[counted] = counts.get(counted, 0) + 1
                if not count & (count - 1):
                    site.samples += 1  # what calls a helper shows early, and again at every doubling
                add_site(site.number if site.segment == segment else self._site_id(site))
            add_statement(identifier)
            add_start(start - clock)
            add_duration(end - start)
            add_params(hash((salt, params, text)) if changed else params)
            add_batch(batch or elements)
            add_rows(rows)
            add_outcome(outcome)
            add_root(root.serial)
            add_task(scope.task)
            add_thread(on_loop)
            if tokens is not None:
                for name, value in zip(("input_tokens", "output_tokens", "continues"), tokens):
                    column = columns[name]
                    column.extend([0] * (number - len(column)))
                    column.append(value)
        self._recorded += len(operations)
        self._write_roots()
        if self._sampled:
            self._write_stacks(operations, columns["statement"])
        written: dict[str, Any] = {"type": "ops", "count": len(operations)}
        for name, default in COLUMNS.items():
            column = columns[name]
            if column and (column.count(default) != len(column)):
                column.extend([default] * (len(operations) - len(column)))
                written[name] = column
        operations.clear()
        self._write(written)

    def _statement(self, kind: str, text: Any) -> tuple[int, int, bool]:
        """Identifier of the statement that may be written for `text`, elements in it, whether values were taken out."""
        plain = text
        if not isinstance(text, str):
            plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if len(self._texts) >= _REMEMBERED_TEXTS:
            self._texts.clear()
        statement = cleaned(kind, plain)
        known = (self._statement_id(kind, statement.text), statement.batch, statement.changed)
        try:
            self._texts[kind, text] = known
        except TypeError:
            pass  # a statement object that cannot be a key
        return known

    # --- what is written once for each file ------------------------------------------------------------------

    def _statement_id(self, kind: str, text: str) -> int:
        number = self._statements.get((kind, text))
        if number is None:
            number = self._statements[kind, text] = len(self._statements) + 1
            self._write({"type": "statement", "id": number, "kind": kind, "text": text})
        return number

    def _new_root(self, root: Root) -> None:
        root.segment = self._segment
        self._begun.append(root)

    def _write_roots(self) -> None:
        # A task that did nothing is nobody's concern.
        ended = [root for root in self._ended if root.kind != "task" or root.segment >= 0]
        self._ended.clear()
        for root in ended:
            if root.segment != self._segment:
                self._new_root(root)
        if self._begun:
            # Most have ended meanwhile and know the template of their route, which no identifier has to be taken from.
            rows = [
                [root.serial, root.kind, str(root.name), root.parent, root.start - self._clock] for root in self._begun
            ]
            self._begun.clear()
            self._write({"type": "roots", "rows": rows})
        if ended:
            rows = [[root.serial, str(root.name), root.end - self._clock, root.outcome] for root in ended]
            self._write({"type": "roots_end", "rows": rows})

    def _site_id(self, site: Site) -> int:
        if site.segment != self._segment:
            self._sites += 1
            site.segment, site.number = self._segment, self._sites
            path, line, function = place_of(site.code, site.lasti)
            end_line = lines_of(site.code, site.lasti)[1]
            self._write(
                {"type": "site", "id": site.number, "path": path, "line": line, "end_line": end_line,
                 "function": function}
            )  # fmt: skip
        return site.number

    def _write_stacks(self, operations: list[tuple[Any, ...]], statements: list[int]) -> None:
        """Write the stacks of these operations. Each was noted before its operation: that is the next one at its site.

        What another thread or task does at the same place meanwhile may come between, which is rare.
        """
        found: dict[Site, list[int]] = {stack.site: [] for _, stack in self._sampled}
        for index, operation in enumerate(operations):
            if operation[_SITE] in found:
                found[operation[_SITE]].append(index)
        waiting: list[tuple[int, SampledStack]] = []
        for first, stack in self._sampled:
            index = next((each for each in found[stack.site] if each >= first), -1)
            if index < 0:
                waiting.append((0, stack))
                continue
            found[stack.site].remove(index)
            self._write_stack(stack, statements[index], operations[index][_SCOPE].root.serial)
        self._sampled = waiting[-_UNMATCHED_STACKS:]

    def _write_stack(self, stack: SampledStack, statement: int, root: int) -> None:
        counts = self._stacks.setdefault(stack.site, Counter())
        key = (stack.site, statement, root, stack.frames)
        if counts[statement] >= _STACKS_PER_STATEMENT or counts.total() >= _STACKS_PER_SITE:
            return
        if key in self._written_stacks:
            return
        self._written_stacks.add(key)
        counts[statement] += 1
        self._write(
            {"type": "stack", "site": self._site_id(stack.site), "frames": places_of(stack.frames),
             "relation": stack.relation, "statement": statement, "root": root}
        )  # fmt: skip

    # --- files --------------------------------------------------------------------------------------------

    def _write_line(self, line: Line) -> None:
        fields: dict[str, Any] = dict(line)
        for name in line.times:
            fields[name] -= self._clock
        root = fields.get("root")
        if isinstance(root, Root):
            if root.segment != self._segment:
                self._new_root(root)
                self._write_roots()
            fields["root"] = root.serial
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
        self._files.add(_encode(fields))
        self._files.send_if_much()

    def _open(self) -> None:
        self._files.open_next()
        self._is_open = True
        self._segment = next(_segments)
        self._statements.clear()
        self._texts.clear()
        self._sites = 0
        self._stacks.clear()
        self._written_stacks.clear()
        self._counted = (-1, -1, -1)
        self._write(
            {
                "type": "header", "schema": SCHEMA, "pid": os.getpid(), "parent_pid": os.getppid(),
                "python": sys.version.partition(" ")[0], "cwd": _STARTED_IN, "wall_start": self._wall,
                "clock_start": self._clock, "columns": list(COLUMNS), **self.header,
            }
        )  # fmt: skip

    def _close(self) -> None:
        self._is_closed = True
        if not self._is_open:
            return
        self._is_open = False
        for _, stack in self._sampled:
            self._write_stack(stack, 0, 0)
        self._write({"type": "end", "time": time.perf_counter_ns() - self._clock})
        try:
            self._files.send()
        except OSError as error:
            print(f"agentperf: the trace lacks its last {self._files.pending} bytes: {error}", file=sys.stderr)
        self._files.close()


def place_of(code: Any, lasti: int) -> tuple[str, int, str]:
    """Absolute path, line and qualified function of an instruction."""
    name = path_of(code, lasti)
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
