"""GitLab's code quality report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from agentperf_lint.entries import Entry

_SEVERITY = {"low": "minor", "medium": "major", "high": "critical"}


class GitlabRenderer:
    """A list of the fields that GitLab documents; it knows an entry again by the fingerprint."""

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        # ASCII only: standard output need not be UTF-8.
        json.dump([_issue(entry) for entry in entries], stream, indent=2)
        stream.write("\n")


def _issue(entry: Entry) -> dict[str, Any]:
    return {
        "description": f"{entry.code} {entry.message}",
        "check_name": entry.name,
        "fingerprint": entry.fingerprint,
        "severity": _SEVERITY[entry.severity],
        # An issue without a file is refused.
        "location": {"path": entry.path or ".", "lines": {"begin": max(1, entry.line), "end": max(1, entry.end_line)}},
    }
