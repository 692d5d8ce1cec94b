"""A progress bar on the terminal, for runs that take longer than a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

QUIET_SECONDS = 1.0
BETWEEN_SECONDS = 0.1


class ProgressBar:
    """Implements `agentperf_lint.analysis.progress.Progress`.

    It draws when steps are reported and has no thread of its own, because the run forks processes meanwhile.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._drawn = self._started
        self._stage = ""
        self._total = 0
        self._done = 0
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._draw()

    def advance(self, n: int) -> None:
        self._done += n
        if self._clock() - self._drawn >= BETWEEN_SECONDS:
            self._draw()

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _draw(self) -> None:
        self._drawn = self._clock()
        if self._drawn - self._started < QUIET_SECONDS:
            return
        bar = self._bar
        if bar is None:
            bar = self._bar = _rich_bar(self._stream)
            bar.start()
            self._task = bar.add_task(self._stage, total=self._total)
        if self._task is not None:
            bar.update(self._task, completed=self._done)
        bar.refresh()


def progress_on(stream: TextIO) -> ProgressBar | None:
    """A bar on `stream`, None where that is no terminal."""
    return ProgressBar(stream) if stream.isatty() else None


def _rich_bar(stream: TextIO) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=stream), auto_refresh=False, transient=True)
