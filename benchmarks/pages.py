"""What the benchmarks share that write a page of results: their options, the machine, the file."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path


def options(description: str | None, results: Path, rounds: int) -> argparse.ArgumentParser:
    """A parser with `--rounds` and `--output`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--output", type=Path, default=results)
    return parser


def machine() -> str:
    """Processors, system, and how busy the machine was in the last 1, 5 and 15 minutes."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    return f"{os.cpu_count()} processors, {platform.platform(terse=True)}, load average {load}"


def write(text: str, output: Path) -> None:
    """Show the page, and keep it."""
    print(text)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
