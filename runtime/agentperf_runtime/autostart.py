"""Starts the tracer of a process from its environment.

`AGENTPERF_TRACE=FILE` switches it on, `AGENTPERF_TRACE=0` off, whatever else says. Further variables are named like
the fields of `Options`: `AGENTPERF_SAMPLE`, `AGENTPERF_MAX_OPS`, `AGENTPERF_MAX_BYTES`, `AGENTPERF_STALL_LIMIT`;
`AGENTPERF_APP` has its `applications`, with commas between them.
Nothing here raises: a process that cannot be traced runs untraced and says so once on standard error.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Options

VARIABLE = "AGENTPERF_TRACE"
APPLICATIONS = "AGENTPERF_APP"
OFF = ("", "0", "off", "false", "no")


_was_asked = False


def start_from_environment() -> None:
    """Start the tracer if the environment asks for it. Only the first call does anything: several places ask."""
    global _was_asked
    if _was_asked:
        return
    _was_asked = True
    path = os.environ.get(VARIABLE, "")
    # `python -I` and `-E` ask to be left alone by the environment.
    if path.lower() in OFF or sys.flags.ignore_environment or _is_agentperf_itself():
        return
    try:
        from agentperf_runtime import tracer

        os.environ[VARIABLE] = os.path.abspath(path)  # children may start elsewhere
        tracer.start(path, _options())
    except Exception as error:
        print(f"agentperf: not traced: {error}", file=sys.stderr)


def _is_agentperf_itself() -> bool:
    """Whether this is the command that reads traces, or starts others, in a shell that has the variable set.

    Its load test runs functions of the application.
    """
    arguments = getattr(sys, "orig_argv", [])[1:]
    if arguments[:1] == ["-m"]:
        return arguments[1:2] == ["agentperf_runtime"] or (
            arguments[1:2] == ["agentperf_lint"] and arguments[2:3] != ["load"]
        )
    name = os.path.basename(arguments[0] if arguments else "").removesuffix(".exe")
    return name == "agentperf-lint" and arguments[1:2] != ["load"]


def applications_of(text: str) -> tuple[str, ...]:
    """The names of packages in `text`, with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _options() -> Options:
    from agentperf_runtime.tracer import Options

    values: dict[str, Any] = {"applications": applications_of(os.environ.get(APPLICATIONS, ""))}
    for name, kind in (
        ("sample", float),
        ("max_ops", int),
        ("max_bytes", int),
        ("keep", int),
        ("stall_limit", float),
    ):
        text = os.environ.get(f"AGENTPERF_{name.upper()}")
        if text:
            try:
                values[name] = kind(text)
            except ValueError:
                raise ValueError(f"AGENTPERF_{name.upper()}={text!r} is not a number") from None
    return Options(**values)
