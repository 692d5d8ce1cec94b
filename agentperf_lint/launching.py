"""`agentperf-lint trace`: runs a command under the tracer, in the place of this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from agentperf_runtime.launch import is_switched_off, remove_traces, traced_environment
from agentperf_runtime.tracer import Options


class LaunchError(Exception):
    """The command cannot be run, or its trace not be written."""


def run_traced(command: Sequence[str], path: str, options: Options) -> int:
    """Run `command` and trace it into the file `path`; an older trace there is deleted.

    Where the system allows it the command takes the place of this process, so that its exit code, signals and streams
    are untouched, and this does not return. Returns the exit code elsewhere. Raises `LaunchError`.
    """
    program, *arguments = _resolved(command)
    environment = dict(os.environ)
    if is_switched_off(environment):
        sys.stderr.write("agentperf-lint: AGENTPERF_TRACE=0: not traced\n")
    else:
        _prepare(path)
        environment = traced_environment(path, options, environment)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        try:
            name = program if program == sys.executable else command[0]
            os.execve(program, [name, *arguments], environment)  # noqa: S606  # the command that was asked for
        except OSError as error:
            raise LaunchError(f"{program}: {error.strerror or error}") from error
    return subprocess.run([program, *arguments], env=environment, check=False).returncode


def _resolved(command: Sequence[str]) -> list[str]:
    """The command with the path of its program; a Python script that is not executable is run by this Python."""
    program = command[0]
    if program.endswith(".py") and os.path.isfile(program) and not os.access(program, os.X_OK):
        return [sys.executable, *command]
    found = shutil.which(program)
    if found is None:
        raise LaunchError(f"command {program!r} was not found")
    return [found, *command[1:]]


def _prepare(path: str) -> None:
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path):
        raise LaunchError(f"{path} is a directory")
    try:
        os.makedirs(directory, exist_ok=True)
        remove_traces(path)
        with open(path, "w", encoding="utf-8"):
            pass
        os.unlink(path)
    except OSError as error:
        raise LaunchError(f"the trace {path} cannot be written: {error.strerror or error}") from error
