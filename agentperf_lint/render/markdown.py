"""Markdown for a comment on a pull request."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO
from urllib.parse import quote

from agentperf_lint.render.base import place_of, plural, printable
from agentperf_lint.render.full import plain_source_and_chain
from agentperf_rules.model import SEVERITIES

if TYPE_CHECKING:
    from agentperf_lint.entries import Entry
    from agentperf_lint.source_lines import Sources
    from agentperf_rules.model import Step

LIMIT = 65_536  # characters of a comment on GitHub; GitLab takes a million
MARKER = "<!-- agentperf-lint -->"  # lets a script find the comment that it wrote before
_RESERVED = 200  # characters for the note about what is left out
_LONGEST_TEXT = 1_000

_SPECIAL = re.compile(r"(?P<reference>[@#!](?=\w))|[\\`*_{}\[\]<>#|~&$]")
_LONG_FENCE = re.compile(r"`{3,}")


class MarkdownRenderer:
    """Counts by rule, then each entry with its source and chain folded away, as many as fit into one comment.

    Files are linked where the environment tells the repository's address (GitHub Actions, GitLab CI).
    """

    def __init__(self, sources: Sources, environment: Mapping[str, str] = os.environ) -> None:
        self._sources = sources
        self._base = _address(environment)

    def render(self, entries: Sequence[Entry], stream: TextIO) -> None:
        title = plural(len(entries), "finding") if entries else "No findings"
        text = f"{MARKER}\n## agentperf-lint: {title}\n"
        if entries:
            text += "\n" + "\n".join(_summary(entries)) + "\n"
        stream.write(self.with_blocks(text, entries, "finding"))

    def with_blocks(self, text: str, entries: Sequence[Entry], noun: str) -> str:
        """`text` and below it as many of `entries` as there is room for, with a word on those that are left out."""
        for number, entry in enumerate(entries):
            block = "\n" + "\n".join(self._block(entry)) + "\n"
            if len(text) + len(block) > LIMIT - _RESERVED:
                return (
                    f"{text}\n{plural(len(entries) - number, f'more {noun}')} left out: a comment has no more room.\n"
                )
            text += block
        return text

    def _block(self, entry: Entry) -> Iterator[str]:
        yield f"### {escaped(entry.code)} {escaped(entry.name)}"
        yield ""
        standing = f"{entry.measured.status}, {entry.severity}" if entry.measured else entry.severity
        yield f"{self.link(entry.path, entry.line)} ({standing}): {escaped(entry.message)}"
        yield from (f"\n- {escaped(each)}" for each in entry.evidence)
        source = plain_source_and_chain(entry, self._sources)
        places = [
            *(self._step(step) for step in entry.chain[1:]),
            *(f"{escaped(each.reason)}, at {self.link(each.path, each.line)}" for each in entry.related),
            *(self._step(step) for step in entry.stack),
        ]
        if not source and not places:
            return
        yield from ("", f"<details><summary>{_folded_title(entry)}</summary>", "")
        if source:
            fence = "`" * max([3, *(len(run) + 1 for line in source for run in _LONG_FENCE.findall(line))])
            yield from (f"{fence}text", *source, fence, "")
        yield from (f"{number}. {place}" for number, place in enumerate(places, start=1))
        yield from ("", "</details>") if places else ("</details>",)

    def _step(self, step: Step) -> str:
        return f"{escaped(step.function)} at {self.link(step.path, step.line)}"

    def link(self, path: str, line: int) -> str:
        """`path:line`, as a link where it is a file of the repository."""
        place = escaped(place_of(path, line))
        if not path or os.path.isabs(path):
            return place
        return f"[{place}]({self._base}{quote(path)}#L{line})"


def _folded_title(entry: Entry) -> str:
    parts = (("chain", entry.chain[1:]), ("places", entry.related), ("stack", entry.stack))
    names = ["Source", *(name for name, content in parts if content)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _summary(entries: Sequence[Entry]) -> Iterator[str]:
    yield "| findings | rule | most severe |"
    yield "|---:|---|---|"
    worst: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: SEVERITIES.index(entry.severity)):
        worst[entry.code] = entry
    counts = Counter(entry.code for entry in entries)
    for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield f"| {count:,} | {escaped(code)} {escaped(worst[code].name)} | {worst[code].severity} |"


def _address(environment: Mapping[str, str]) -> str:
    """Where files of the analysed commit are shown, with a slash at the end; empty when nothing tells."""
    if environment.get("GITHUB_REPOSITORY") and environment.get("GITHUB_SHA"):
        server = environment.get("GITHUB_SERVER_URL", "")
        return f"{server}/{environment['GITHUB_REPOSITORY']}/blob/{environment['GITHUB_SHA']}/"
    if environment.get("CI_PROJECT_URL") and environment.get("CI_COMMIT_SHA"):
        return f"{environment['CI_PROJECT_URL']}/-/blob/{environment['CI_COMMIT_SHA']}/"
    return ""


def escaped(text: str) -> str:
    """`text` on one line, without meaning as markup and without mentioning people, issues or merge requests."""
    line = printable(" ".join(text.split()))
    if len(line) > _LONGEST_TEXT:
        line = line[:_LONGEST_TEXT] + "..."
    return _SPECIAL.sub(_neutral, line)


def _neutral(special: re.Match[str]) -> str:
    # A backslash would not keep `@name` from being a mention; a comment splits it.
    return f"{special[0]}<!-- -->" if special["reference"] else f"\\{special[0]}"
