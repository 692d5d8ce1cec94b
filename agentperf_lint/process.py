"""How the command ends and what it says meanwhile: exit codes, signals, warnings."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

CLEAN, FINDINGS, ERROR, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

_SHOW_CURSOR = b"\x1b[?25h"

kept: list[object] = []
"""What would take its time to be freed, or to end: the process ends without waiting for it."""


def end_at_once(code: int) -> None:
    """Ends the process where something is left that would take its time, which is of no use to anyone."""
    if kept:
        sys.stderr.flush()
        os._exit(code)


class Warnings:
    """Shows what the analysis warns of on standard error, and counts it."""

    def __init__(self, quiet: bool) -> None:
        import logging

        self.count = 0
        self._quiet = quiet
        handler = logging.Handler(logging.WARNING)
        handler.emit = self._emit  # type: ignore[method-assign]  # a subclass would load logging at start-up
        logger = logging.getLogger("agentperf_lint")
        logger.handlers = [handler]
        logger.propagate = False

    def _emit(self, record: Any) -> None:
        self.count += 1
        if not self._quiet:
            click.echo(f"warning: {record.getMessage()}", err=True)


def stop_at_once_when_interrupted() -> None:
    """Ends this process and its workers on SIGINT and SIGTERM, wherever it is.

    An exception would be swallowed in a callback, or leave a pool half started, and a worker would first finish its
    piece of work. The cache is a database that stands this.
    """
    import multiprocessing
    import signal

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    parent = os.getpid()

    def stop(signum: int, frame: object) -> NoReturn:
        code = INTERRUPTED if signum == signal.SIGINT else 128 + signum
        if os.getpid() == parent:
            for child in multiprocessing.active_children():
                child.terminate()
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # which the progress bar hides
        os._exit(code)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
