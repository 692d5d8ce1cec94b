"""Workflow commands of GitHub Actions, which become annotations of the changed lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from agentperf_lint.render.base import printable

if TYPE_CHECKING:
    from agentperf_lint.entries import Entry

_COMMAND = {"low": "notice", "medium": "warning", "high": "error"}


class GithubRenderer:
    """One command a line; files are named relative to the working directory, which should be the repository's."""

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        stream.writelines(_command(entry) + "\n" for entry in entries)


def _command(entry: Entry) -> str:
    properties = {}
    if entry.path and entry.line:
        properties = {"file": entry.path, "line": str(entry.line), "endLine": str(entry.end_line)}
        if entry.end_line == entry.line:  # columns of several lines are refused
            properties |= {"col": str(entry.column), "endColumn": str(entry.end_column)}
    properties["title"] = f"{entry.code} {entry.name}"
    written = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{_COMMAND[entry.severity]} {written}::{_escaped(_text(entry))}"


def _text(entry: Entry) -> str:
    return "\n".join(printable(text) for text in (entry.message, *entry.evidence))


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
