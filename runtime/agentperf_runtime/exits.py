"""Ways out of a process on which Python runs no exit handlers: the trace is written before."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Tracer


def patch_exits(tracer: Tracer) -> None:
    """Write the trace before the process leaves by itself.

    Children that `multiprocessing` forks end with `os._exit`, servers end by raising again the signal that stopped
    them, and reloaders become another program.
    """

    def written(ends: Callable[..., bool]) -> Any:
        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def leave(*args: Any, **kwargs: Any) -> Any:
                try:
                    tracer.leave(ends(*args, **kwargs))
                except Exception:
                    tracer.recorder.errors += 1
                return original(*args, **kwargs)

            return leave

        return make

    def always(*args: Any, **kwargs: Any) -> bool:
        return True

    def never(*args: Any, **kwargs: Any) -> bool:
        return False

    tracer.patches.replace(os, "_exit", written(always))
    for name in ("execv", "execve"):
        if hasattr(os, name):
            tracer.patches.replace(os, name, written(never))
    tracer.patches.replace(signal, "raise_signal", written(never))
    tracer.patches.replace(os, "kill", _of_itself(written(never)))


def _of_itself(make: Callable[..., Any]) -> Any:
    """`make` for calls that are about this process."""

    def choose(original: Callable[..., Any]) -> Callable[..., Any]:
        leave = make(original)

        def kill(pid: int, *args: Any, **kwargs: Any) -> Any:
            return (leave if pid == os.getpid() else original)(pid, *args, **kwargs)

        return kill

    return choose
