"""JUnit's XML, which nearly every CI shows as test results."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from agentperf_lint.render.base import OUTSIDE
from agentperf_lint.render.full import plain_source_and_chain

if TYPE_CHECKING:
    from agentperf_lint.entries import Entry
    from agentperf_lint.source_lines import Sources

# What XML 1.0 cannot hold, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitRenderer:
    """A suite per file and a failed test per entry; one test that passes when there is none.

    Lines are no part of a test's name, so that its history goes on when they move.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        total = str(len(entries))
        root = Element("testsuites", name="agentperf-lint", tests=total if entries else "1", failures=total)
        by_path: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_path[entry.path or OUTSIDE].append(entry)
        for path, of_path in by_path.items():
            self._suite(root, path, of_path)
        if not entries:
            suite = _element(root, "testsuite", {"name": "agentperf-lint", "tests": "1", "failures": "0"})
            _element(suite, "testcase", {"name": "no findings", "classname": "agentperf-lint"})
        indent(root)
        # ASCII with references: the stream need not be UTF-8, whatever the declaration says.
        stream.write(tostring(root, encoding="us-ascii", xml_declaration=True).decode("ascii") + "\n")

    def _suite(self, root: Element, path: str, entries: Sequence[Entry]) -> None:
        count = str(len(entries))
        suite = _element(root, "testsuite", {"name": path, "tests": count, "failures": count})
        seen: Counter[str] = Counter()
        for entry in entries:
            name = f"{entry.code} {entry.name} in {entry.function}"
            seen[name] += 1
            if seen[name] > 1:
                name += f" ({seen[name]})"
            place = {"classname": path}
            if entry.path:
                place |= {"file": path, "line": str(entry.line)}
            test = _element(suite, "testcase", {"name": name, **place})
            failure = _element(test, "failure", {"type": entry.severity, "message": entry.message})
            failure.text = _NOT_XML.sub("", self._text(entry))

    def _text(self, entry: Entry) -> str:
        place = f"{entry.path}:{entry.line}:{entry.column}" if entry.path else OUTSIDE
        return "\n".join((place, *plain_source_and_chain(entry, self._sources), *entry.evidence))


def _element(parent: Element, tag: str, attributes: Mapping[str, str]) -> Element:
    return SubElement(parent, tag, {name: _NOT_XML.sub("", value) for name, value in attributes.items()})
