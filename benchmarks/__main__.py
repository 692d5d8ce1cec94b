"""`python -m benchmarks`: fetch the packages, then measure accuracy and speed."""

from __future__ import annotations

import argparse

from benchmarks import accuracy, corpus, speed

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--wheels", help="take wheels from this directory instead of downloading them")
parser.add_argument("--slow", action="store_true", help="run flake8-async on large trees too (20 minutes a run)")
options = parser.parse_args()
wheels = ["--wheels", options.wheels] if options.wheels else []
corpus.main(wheels)
accuracy.main(wheels)
speed.main([*wheels, *(["--slow"] if options.slow else [])])
