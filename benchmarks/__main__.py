"""`python -m benchmarks [NAME...]`: measure, and write the results. Without names: accuracy and speed of the linter."""

from __future__ import annotations

import argparse
import importlib

_LINTER = ("accuracy", "speed")
_RUNTIME = ("tracing", "stalls", "profiling", "memory", "remedies", "load", "middleware")

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument(
    "names", nargs="*", metavar="NAME", help=f"of {', '.join((*_LINTER, *_RUNTIME))}, or runtime: the last ones"
)
parser.add_argument("--wheels", help="take wheels from this directory instead of downloading them")
parser.add_argument("--slow", action="store_true", help="run flake8-async on large trees too (20 minutes a run)")
options = parser.parse_args()
wheels = ["--wheels", options.wheels] if options.wheels else []
names = [each for name in options.names or _LINTER for each in (_RUNTIME if name == "runtime" else (name,))]
for name in names:
    if name not in (*_LINTER, *_RUNTIME):
        parser.error(f"there is no benchmark {name!r}")
    module = importlib.import_module(f"benchmarks.{name}")
    if name in _LINTER:
        importlib.import_module("benchmarks.corpus").main(wheels)
        module.main([*wheels, *(["--slow"] if options.slow and name == "speed" else [])])
    else:
        module.main([])
