"""How many instructions one traced request takes, counted by Valgrind: the same within half a percent, however busy
the machine is.

Requests take fifty times as long here, so what the tracer's threads do by the clock would count fifty times: event
loops are given an hour before anybody looks at what holds them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentperf_runtime.launch import traced_environment
from agentperf_runtime.tracer import Options

LOADS = Path(__file__).resolve().parent / "recording_loads.py"
_COUNT = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
_FEW, _MANY = 100, 500
_NONE_RECORDED = 1e-9
_NEVER = 3_600.0


def per_request(python: str) -> dict[str, float]:
    """Instructions of one request of `recording_loads.py requests` by what is recorded of it.

    Raises RuntimeError where Valgrind is not installed or fails.
    """
    if shutil.which("valgrind") is None:
        raise RuntimeError("valgrind is not installed")
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(os.cpu_count()) as pool:
        trace = str(Path(directory) / "trace")
        environments = {
            "nothing": dict(os.environ),
            "watched, not recorded": traced_environment(
                trace, Options(sample=_NONE_RECORDED, stall_limit=_NEVER), os.environ
            ),
            "all of it": traced_environment(f"{trace}-all", Options(stall_limit=_NEVER), os.environ),
        }
        runs = {
            (name, requests): pool.submit(_instructions, python, requests, environment)
            for name, environment in environments.items()
            for requests in (_FEW, _MANY)
        }
    return {name: (runs[name, _MANY].result() - runs[name, _FEW].result()) / (_MANY - _FEW) for name in environments}


def _instructions(python: str, requests: int, environment: Mapping[str, str]) -> int:
    counted = subprocess.run(
        [*_COUNT, python, LOADS, "requests"],
        input=f"{requests}\n", capture_output=True, text=True, check=False,
        env={**environment, "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    found = re.search(r"I\s*refs:\s*([\d,]+)", counted.stderr)
    if found is None:
        raise RuntimeError(f"valgrind: {counted.stderr[-500:]}")
    return int(found[1].replace(",", ""))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has FastAPI (default: this one)")
    options = parser.parse_args(arguments)
    counts = per_request(options.python)
    plain = counts["nothing"]
    for name, count in counts.items():
        print(f"{name:24} {count:10,.0f} instructions, {count / plain - 1:+.1%}")


if __name__ == "__main__":
    main()
