"""Starts other commands under the tracer: through the environment, which their own children inherit."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentperf_runtime.autostart import APPLICATIONS, OFF, VARIABLE

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Options

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")
_DEFAULTS = {"sample": 1.0, "max_ops": 200_000, "max_bytes": 1 << 28, "keep": 4, "stall_limit": 0.05}


def is_switched_off(environment: Mapping[str, str]) -> bool:
    """Whether `environment` forbids tracing (`AGENTPERF_TRACE=0`), whatever else asks for it."""
    value = environment.get(VARIABLE)
    return value is not None and value.lower() in OFF


def traced_environment(path: str, options: Options, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` for a command that is to be traced into the file `path`."""
    changed = dict(environment)
    changed[VARIABLE] = os.path.abspath(path)
    for name, default in _DEFAULTS.items():
        value = getattr(options, name)
        if value != default:
            changed[f"AGENTPERF_{name.upper()}"] = str(value)
    if options.applications:
        changed[APPLICATIONS] = ",".join(options.applications)
    others = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    changed["PYTHONPATH"] = os.pathsep.join([BOOTSTRAP, *(part for part in others if part != BOOTSTRAP)])
    return changed


def remove_traces(path: str) -> None:
    """Delete the trace `path` and the files of its further processes. Raises OSError."""
    for file in trace_files(path):
        os.unlink(file)


def trace_files(path: str) -> list[str]:
    """The existing files of the trace `path`: its own, and those that other processes and rotations wrote."""
    further = sorted(
        name
        for name in glob.glob(f"{glob.escape(path)}.*.*")
        if all(part.isdecimal() for part in name[len(path) + 1 :].split("."))
    )
    return [name for name in (path, *further) if os.path.isfile(name)]
