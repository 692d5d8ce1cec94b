"""Writes docs/*.schema.json: `python docs/generate_schema.py`, with `--check` only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from agentperf_lint.render import checklist_json, comparison, json_list

SCHEMAS = {
    "findings.schema.json": json_list.schema,
    "report.schema.json": checklist_json.schema,
    "comparison.schema.json": comparison.schema,
}


def main() -> int:
    """Writes the files, or with `--check` says which differ; 1 when one does."""
    differing = [Path(__file__).parent / name for name, schema in SCHEMAS.items() if not _is_current(name, schema())]
    if "--check" in sys.argv[1:]:
        sys.stdout.writelines(f"{path} differs from the output: run make docs\n" for path in differing)
        return 1 if differing else 0
    for path in differing:
        path.write_text(_text(SCHEMAS[path.name]()), "utf-8")
    return 0


def _is_current(name: str, schema: dict[str, Any]) -> bool:
    path = Path(__file__).parent / name
    return path.exists() and path.read_text("utf-8") == _text(schema)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
