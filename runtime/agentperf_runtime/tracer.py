"""The tracer: one for a process, whatever started it."""

from __future__ import annotations

import atexit
import os
import secrets
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from agentperf_runtime import scopes
from agentperf_runtime.exits import patch_exits
from agentperf_runtime.loop_watch import LoopWatch
from agentperf_runtime.patching import ImportHooks, Patches
from agentperf_runtime.recorder import DONE, RAISED, Recorder, new_stacks
from agentperf_runtime.scopes import Root, RootKind, Scopes
from agentperf_runtime.sources import SOURCES
from agentperf_runtime.sources.calls import Call, Pending, Result
from agentperf_runtime.tasks import Handover
from agentperf_runtime.writer import Line, Writer


class Options(NamedTuple):
    """How much is recorded.

    `sample`: share of the roots (0 to 1). `max_ops`: operations that wait for the writer; more are dropped and
    counted. `max_bytes`: size of a file at which the next is begun; `keep`: how many files of a process stay.
    `stall_limit`: seconds that the event loop may be held. `without`: modules that are not instrumented; `stalls`
    leaves event loops alone. `applications`: installed packages that are no libraries, but what is traced.
    """

    sample: float = 1.0
    max_ops: int = 200_000
    max_bytes: int = 1 << 28
    keep: int = 4
    stall_limit: float = 0.05
    without: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()


class Instrument(NamedTuple):
    """What a source is given: the recorder, the roots, threads' hand-over, and patches that are undone with it.

    `see_imports_first` is for the source of a library that puts a finder of its own before the tracer's.
    """

    recorder: Recorder
    scopes: Scopes
    handover: Handover
    patches: Patches
    note: Callable[[str], None]
    see_imports_first: Callable[[], None]


Hook = Callable[[ModuleType], None]

_active: Tracer | None = None
_starting = threading.Lock()
_forks_are_watched = False

_PATIENCE = 1.0
"""Seconds that a fork or the end of the process waits for the tracer, at most."""


class Tracer:
    """Records operations, roots and stalls of this process into `path`.

    Use it as a context manager, or call `start()` and `stop()`. While one tracer runs, starting another one does
    nothing, so that a library's and an application's do not disturb each other.
    """

    def __init__(self, path: str | os.PathLike[str], options: Options | None = None) -> None:
        self.path = os.path.abspath(path)
        self.options = options or Options()
        self.recorder = Recorder(new_stacks(self.options.applications), secrets.randbits(62), self.options.max_ops)
        self.scopes = Scopes(self.options.sample, self.recorder.put)
        self.recorder.scopes = self.scopes
        self.patches = Patches()
        self._writer: Writer | None = None
        self._hooks: ImportHooks | None = None
        self._watch: LoopWatch | None = None
        self._pid = 0

    def start(self) -> Tracer:
        """Begin. Raises OSError when the file cannot be written."""
        global _active
        with _starting:
            if _active is not None:
                return self
            self._open()
            _active = self
        _watch_forks()
        self._instrument()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Put everything back and close the file."""
        global _active
        with _starting:
            if _active is not self:
                return
            _active = None
        atexit.unregister(self.stop)
        if self._hooks is not None:
            self._hooks.uninstall()
        self.patches.undo()
        if self._writer is not None and self._pid == os.getpid():
            self._writer.stop()
        self._writer = None

    def flush(self) -> None:
        """Write what was recorded so far."""
        if self._writer is not None:
            self._writer.flush()

    @property
    def file(self) -> str:
        """The file that this process writes now, "" when it writes none."""
        return self._writer.file if self._writer is not None else ""

    def note(self, text: str) -> None:
        """Leave a note for the reader of the report."""
        self.recorder.put(Line(type="note", text=text))

    def __enter__(self) -> Tracer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _open(self, at_once: bool = True) -> None:
        header = {
            "tool": "agentperf-lint",
            "argv": _arguments(),
            "prefixes": self.recorder.stacks.files.prefixes,
            "applications": list(self.options.applications),
            "stall_limit": int(self.options.stall_limit * 1e9),
            "sample": self.options.sample,
        }
        writer = Writer(self.recorder, self.path, header, self.options.max_bytes, self.options.keep)
        writer.start(at_once)
        writer.extra.append(self._catch_up)
        self._writer = writer
        self._pid = os.getpid()

    def leave(self, ends: bool) -> None:
        """Write everything, before a call on which the process ends, or becomes another one unless that fails."""
        if self._writer is None or self._pid != os.getpid():
            return
        if ends:
            self._writer.stop(_PATIENCE)
        else:
            self._writer.flush(_PATIENCE)

    def before_fork(self) -> None:
        """End the tracer's threads: they would not be in the child, and Python warns of forks while threads run."""
        if self._watch is not None:
            self._watch.before_fork()
        if self._writer is not None:
            self._writer.pause(_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._writer is not None:
            self._writer.resume()
        if self._watch is not None:
            self._watch.after_fork(in_child=False)

    def after_fork_in_child(self) -> None:
        """What was queued is the parent's: begin anew, with a file and a root of its own."""
        self.recorder.queue.clear()
        scopes.current.set(None)
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        try:
            self._open(at_once=False)  # most children become another program, or end
        finally:
            if self._watch is not None:
                self._watch.after_fork(in_child=True)

    def see_imports_first(self) -> None:
        """See imports before any other finder does, again."""
        if self._hooks is not None:
            self._hooks.stay_first()

    def _catch_up(self) -> None:
        if self._hooks is not None:
            self._hooks.catch_up()

    def _instrument(self) -> None:
        handover = Handover(self.recorder, self.scopes, self.patches)
        instrument = Instrument(self.recorder, self.scopes, handover, self.patches, self.note, self.see_imports_first)
        watch = self._watch = LoopWatch(instrument, self.options.stall_limit)
        hooks: dict[str, Hook] = {}
        for name, install in SOURCES.items():
            if name not in self.options.without:
                hooks[name] = _guarded(name, install, instrument)
        if "stalls" not in self.options.without:
            hooks["asyncio"] = _guarded("asyncio", lambda module, _: watch.start(module), instrument)
            watch_uvloop = _guarded("uvloop", lambda module, _: watch.uvloop(module), instrument)
            hooks["uvloop"] = _both(hooks.get("uvloop"), watch_uvloop)
        self._hooks = ImportHooks(hooks)
        self._hooks.install()
        patch_exits(self)


def _guarded(name: str, install: Callable[[ModuleType, Instrument], None], instrument: Instrument) -> Hook:
    """`install`, of which a failure is a note in the trace and leaves the library as it was."""

    def hook(module: ModuleType) -> None:
        before = len(instrument.patches)
        try:
            install(module, instrument)
        except Exception as error:
            instrument.patches.undo(before)
            version = getattr(module, "__version__", "of unknown version")
            instrument.note(f"{name} {version} is not traced: {type(error).__name__}: {error}")

    return hook


def _both(first: Hook | None, second: Hook) -> Hook:
    def hook(module: ModuleType) -> None:
        if first is not None:
            first(module)
        second(module)

    return hook


def _watch_forks() -> None:
    global _forks_are_watched
    if not _forks_are_watched and hasattr(os, "register_at_fork"):
        _forks_are_watched = True
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )


def _before_fork() -> None:
    tracer = _active
    if tracer is not None:
        _survived(tracer, tracer.before_fork)


def _after_fork_in_parent() -> None:
    tracer = _active
    if tracer is not None:
        _survived(tracer, tracer.after_fork_in_parent)


def _after_fork_in_child() -> None:
    global _starting
    _starting = threading.Lock()  # another thread of the parent may have held it
    tracer = _active
    if tracer is not None:
        _survived(tracer, tracer.after_fork_in_child)


def _survived(tracer: Tracer, action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:
        tracer.recorder.errors += 1


def active() -> Tracer | None:
    """The tracer that runs in this process."""
    return _active


def start(path: str | os.PathLike[str], options: Options | None = None) -> Tracer:
    """Trace this process into the file `path` from now on. Raises OSError when it cannot be written."""
    return Tracer(path, options).start()


def stop() -> None:
    """End what `start` began."""
    if _active is not None:
        _active.stop()


class operation(AbstractContextManager[None]):  # noqa: N801  # read as a verb: `with operation("search", "index")`
    """Records a block as one operation of `kind` called `name`; what it consists of is not recorded.

    `key` is what tells equal operations from different ones (an id, a path); only its hash is kept.
    """

    def __init__(self, kind: str, name: str, key: Any = None) -> None:
        self._kind, self._name, self._key = kind, name, key
        self._begun: list[Pending | None] = []

    def __enter__(self) -> None:
        pending = None
        tracer = _active
        if tracer is not None:
            try:
                scope = tracer.scopes.current()
                if not scope.muted:
                    call = Call(self._name, (self._key,) if self._key is not None else ())
                    pending = Pending(tracer.recorder, scope, self._kind, call, blocking=False)
            except Exception:
                tracer.recorder.errors += 1
        self._begun.append(pending)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pending = self._begun.pop()
        if pending is not None:
            pending.finish(Result(outcome=DONE if kind is None else RAISED))


class root(AbstractContextManager["Root | None"]):  # noqa: N801  # `with root("agent run")`
    """Makes a block a unit of work of its own: an agent's run, a job of a queue."""

    def __init__(self, name: str, kind: RootKind = "agent") -> None:
        self._name = name
        self._kind: RootKind = kind
        self._begun: list[tuple[Tracer, Root, Any] | None] = []

    def __enter__(self) -> Root | None:
        tracer = _active
        begun = None
        if tracer is not None:
            try:
                begun = tracer, *tracer.scopes.begin(self._kind, self._name)
            except Exception:
                tracer.recorder.errors += 1
        self._begun.append(begun)
        return begun[1] if begun is not None else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        begun = self._begun.pop()
        if begun is None:
            return
        tracer, opened, token = begun
        try:
            tracer.scopes.end(opened, token, "ok" if kind is None else "error")
        except Exception:
            tracer.recorder.errors += 1


def _arguments() -> list[str]:
    """The command, without what follows the script: arguments hold secrets."""
    return list(getattr(sys, "orig_argv", sys.argv)[:1]) + list(getattr(sys, "argv", [""])[:1])
