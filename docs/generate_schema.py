"""Writes docs/findings.schema.json: `python docs/generate_schema.py`, with `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from agentperf_lint.render.json_list import schema

TARGET = Path(__file__).parent / "findings.schema.json"


def main() -> int:
    """Writes the file, or with `--check` says that it differs; 1 when it does."""
    text = json.dumps(schema(), indent=2) + "\n"
    if TARGET.exists() and TARGET.read_text("utf-8") == text:
        return 0
    if "--check" in sys.argv[1:]:
        sys.stdout.write(f"{TARGET} differs from the output: run python docs/generate_schema.py\n")
        return 1
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
