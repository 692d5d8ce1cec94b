"""`asyncio.sleep` and `time.sleep`: what tells polls and rate limits from queries in a row."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncio.tasks`."""
    record, started = instrument.recorder.record, instrument.recorder.started

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        # Code that looks for a frame of `sleep`, to read when it is over, shall find asyncio's own.
        async def timed(delay: float, *args: Any, **kwargs: Any) -> Any:
            if not delay > 0:
                return await original(delay, *args, **kwargs)
            start = started()
            try:
                return await original(delay, *args, **kwargs)
            finally:
                record("sleep", "asyncio.sleep", start, blocking=False)

        return timed

    instrument.patches.replace(module, "sleep", make)
    package = sys.modules.get("asyncio")
    if package is not None and hasattr(package, "sleep"):
        instrument.patches.replace(package, "sleep", lambda original: module.sleep)


def install_time(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `time`. Whoever has taken `sleep` from it already keeps the original."""
    record, started = instrument.recorder.record, instrument.recorder.started

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def sleep(seconds: float, /) -> None:
            start = started()
            original(seconds)
            if seconds > 0:
                record("sleep", "time.sleep", start)

        return sleep

    instrument.patches.replace(module, "sleep", make)
