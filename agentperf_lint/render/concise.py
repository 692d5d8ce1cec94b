"""One line per finding, as editors and other linters write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from agentperf_lint.render.base import printable

if TYPE_CHECKING:
    from agentperf_lint.analysis.run import Report


class ConciseRenderer:
    """`path:line:column: CODE message`."""

    def render(self, report: Report, stream: TextIO) -> None:
        stream.writelines(
            printable(f"{each.path}:{each.line}:{each.column}: {each.code} {each.message}") + "\n"
            for each in report.findings
        )
