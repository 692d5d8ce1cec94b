"""Files that the application opens: `open`, `io.open` and what `pathlib` makes of it. Opening is the operation.

Libraries open files of their own all the time, so only calls from application code count, directly or through
`pathlib`, or by a thread that works for it (`aiofiles`, `asyncio.to_thread`). Names of files are never kept, but their
extension: names hold what they are about.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from time import perf_counter_ns
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.tasks import Carried

if TYPE_CHECKING:
    from agentperf_runtime.recorder import Recorder
    from agentperf_runtime.tracer import Instrument

_EXTENSION = re.compile(r"\.[A-Za-z]\w{0,7}\Z", re.ASCII)
_PATHLIB = re.compile(r"[/\\]pathlib(?:\.py\Z|[/\\])")  # a package from Python 3.13 on
_HANDED_OVER = Carried.__call__.__code__


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `io`, whose `open` is the builtin one."""
    builtins = sys.modules["builtins"]
    traced = _Open(module.open, instrument.recorder)
    instrument.patches.replace(builtins, "open", lambda original: traced)
    instrument.patches.replace(module, "open", lambda original: traced)
    traced.__module__ = "io"  # where pickle finds it


def install_pathlib(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `pathlib` of Python 3.10, which keeps the function that it found when it was imported."""
    accessor = getattr(module, "_NormalAccessor", None)
    if accessor is not None and not isinstance(accessor.open, _Open):
        traced = sys.modules["io"].open
        instrument.patches.replace(accessor, "open", lambda original: traced)


class _Open:
    """Stands for the builtin `open`: like it, no descriptor, so that it does not turn into a method in a class."""

    def __init__(self, original: Callable[..., Any], recorder: Recorder) -> None:
        self._original = original
        self._recorder = recorder

    def __call__(self, file: Any, mode: Any = "r", *args: Any, **kwargs: Any) -> Any:
        # There may be no caller: the interpreter itself reads source lines for a traceback.
        if not self._is_asked_by_application(sys._getframe().f_back):
            return self._original(file, mode, *args, **kwargs)
        start = perf_counter_ns()
        outcome = RAISED
        try:
            opened = self._original(file, mode, *args, **kwargs)
            outcome = DONE
            return opened
        finally:
            self._record(file, mode, start, outcome)

    def __repr__(self) -> str:
        return repr(self._original)

    def __reduce__(self) -> str:
        return "open"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._original, name)

    def _is_asked_by_application(self, frame: FrameType | None) -> bool:
        stacks = self._recorder.stacks
        while frame is not None:
            code = frame.f_code
            if stacks.files.is_application(code):
                return True
            if code is _HANDED_OVER:
                return bool(stacks.thread_origin.frames)
            if not _is_pathlib(code):
                return False
            frame = frame.f_back
        return False

    def _record(self, file: Any, mode: Any, start: int, outcome: int) -> None:
        recorder = self._recorder
        try:
            if isinstance(file, int):
                return  # opened already, by whatever gave the descriptor
            path = os.fspath(file)
            if isinstance(path, bytes):
                path = os.fsdecode(path)
            extension = _EXTENSION.search(path)
            text = f"open {mode} {extension[0]}" if extension else f"open {mode}"
            recorder.record("file", text, start, recorder.hash_of((path,))[0], outcome=outcome, depth=3)
        except Exception:
            recorder.errors += 1


def _is_pathlib(code: CodeType) -> bool:
    return _PATHLIB.search(code.co_filename) is not None
