"""Other programs: `subprocess`, `os.system`, `asyncio.create_subprocess_*`. Only the program's name is kept.

Running one with `run`, `call` and the like lasts until it has ended, starting one with `Popen` until it has begun.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.calls import Call, awaited, synchronous

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PROGRAM = re.compile(r"[\w.+-]{1,64}\Z", re.ASCII)


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `subprocess`."""
    for name in ("run", "call", "check_call", "check_output"):
        instrument.patches.replace(module, name, synchronous(instrument, "subprocess", _program))
    instrument.patches.replace(module.Popen, "__init__", synchronous(instrument, "subprocess", _started))


def install_os(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `os`."""
    instrument.patches.replace(module, "system", synchronous(instrument, "subprocess", _program))


def install_asyncio(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `asyncio.subprocess`."""
    package = sys.modules.get("asyncio")
    for name in ("create_subprocess_exec", "create_subprocess_shell"):
        instrument.patches.replace(module, name, awaited(instrument, "subprocess", _awaited))
        if package is not None and hasattr(package, name):
            instrument.patches.replace(package, name, _same(getattr(module, name)))


def _same(traced: Any) -> Callable[[Any], Any]:
    return lambda original: traced


def _program(*args: Any, **kwargs: Any) -> Call | None:
    command = args[0] if args else kwargs.get("args", kwargs.get("command"))
    return _call(command, kwargs.get("executable"))


def _started(popen: Any, *args: Any, **kwargs: Any) -> Call | None:
    return _program(*args, **kwargs)


def _awaited(*args: Any, **kwargs: Any) -> Call | None:
    if not args:
        return _call(kwargs.get("program", kwargs.get("cmd")), None)
    return _call(args[0] if len(args) == 1 else args, None)


def _call(command: Any, executable: Any) -> Call | None:
    if command is None:
        return None
    parts = _parts(command)
    return Call(_name(executable or (parts[0] if parts else "")), tuple(map(_text, parts)))


def _parts(command: Any) -> list[Any]:
    if isinstance(command, (str, bytes)):
        # A shell's command line may begin with variables for the program.
        words = _text(command).split()
        while words and _ASSIGNMENT.match(words[0]):
            words.pop(0)
        return words
    if isinstance(command, os.PathLike):
        return [command]
    return list(command)


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def _name(program: Any) -> str:
    name = os.path.basename(_text(program).strip("\"';&|"))
    return name if _PROGRAM.match(name) else "program"
