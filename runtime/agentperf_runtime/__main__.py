"""`python -m agentperf_runtime run [OPTION...] [--] SCRIPT|-m MODULE [ARGUMENT...]`: runs Python code under the tracer.

What `agentperf-lint trace` does, where only this package is at hand: in a container that has no linter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from agentperf_runtime.launch import is_switched_off, remove_traces, traced_environment
from agentperf_runtime.tracer import Options


def main(arguments: Sequence[str]) -> int:
    """Run what `arguments` say in the place of this process; returns an exit code only where that is not possible."""
    parser = _parser()
    own, command = _split(arguments)
    asked = parser.parse_args(own)
    if not command:
        parser.error("a script or -m MODULE is missing")
    if sys.flags.ignore_environment:
        parser.error("python -I and -E keep the tracer out; leave them away")
    options = Options(
        asked.sample, asked.max_ops, asked.max_size << 20, stall_limit=asked.stall_limit, applications=tuple(asked.app)
    )
    environment = dict(os.environ)
    if is_switched_off(environment):
        sys.stderr.write("agentperf: AGENTPERF_TRACE=0: not traced\n")
    else:
        try:
            _make_room(asked.output)
        except OSError as error:
            parser.error(f"the trace {asked.output} cannot be written: {error.strerror or error}")
        environment = traced_environment(asked.output, options, environment)
    return _become([sys.executable, *_interpreter_options(), *command], environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agentperf_runtime", allow_abbrev=False)
    run = parser.add_subparsers(required=True, metavar="run").add_parser(
        "run",
        help="run a script or module and record its operations and event-loop stalls",
        usage="%(prog)s [OPTION...] [--] SCRIPT|-m MODULE [ARGUMENT...]",
        allow_abbrev=False,
    )
    run.add_argument("-o", "--output", default="agentperf.trace", metavar="FILE", help="default: %(default)s")
    run.add_argument("--sample", type=_share, default=1.0, help="share of the requests that is recorded, 0 to 1")
    run.add_argument("--max-ops", type=int, default=200_000, metavar="N", help="operations that may wait to be written")
    run.add_argument("--max-size", type=int, default=256, metavar="MB", help="begin another file at this size")
    run.add_argument("--stall-limit", type=float, default=0.05, metavar="SECONDS", help="default: %(default)s")
    run.add_argument(
        "--app", action="append", default=[], metavar="PACKAGE", help="an installed package that is the application"
    )
    return parser


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is for us, and the command. The first argument that is no option begins it; `-m` and `-c` are Python's."""
    position = 1
    while position < len(arguments):
        argument = arguments[position]
        if argument == "--":
            return list(arguments[:position]), list(arguments[position + 1 :])
        if argument in ("-m", "-c") or not argument.startswith("-"):
            break
        # Each option of ours but the request for help has a value.
        has_value = argument[1:2] != "-" and len(argument) > 2  # as in -oFILE
        position += 1 if has_value or "=" in argument or argument in ("-h", "--help") else 2
    return list(arguments[:position]), list(arguments[position:])


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def _make_room(path: str) -> None:
    """Delete an older trace and see that a new one can be written. Raises OSError."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    remove_traces(path)
    with open(path, "w", encoding="utf-8"):
        pass
    os.unlink(path)


def _interpreter_options() -> list[str]:
    """Options like `-O` or `-X dev` of this interpreter, which the command shall have too."""
    given = sys.orig_argv[1:]
    return given[: given.index("-m")] if "-m" in given else []


def _become(command: list[str], environment: dict[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)  # noqa: S606  # the command that was asked for
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
