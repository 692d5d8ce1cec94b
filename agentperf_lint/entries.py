"""What a report lists, as the output formats for other programs and the baseline see it: one entry per place.

Findings become entries here; whatever else has a rule, a place and a message can become one too.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from agentperf_lint.source_lines import Sources
from agentperf_rules.model import Confidence, Finding, Fix, Severity, Step

_LONGEST_SOURCE = 200  # characters; what is generated or minified is told apart by a hash
_DIGEST_BYTES = 16


class Related(msgspec.Struct, frozen=True):
    """Another place that a reader should look at, and why; `line` is 1-based."""

    path: str
    line: int
    function: str
    reason: str


class Measured(msgspec.Struct, frozen=True):
    """What an entry cost at run time: the fields of `checklist.items.Item` that have these names."""

    status: str
    operations: int
    roots: int
    total_seconds: float
    worst_seconds: float
    share: float


class Entry(msgspec.Struct, frozen=True):
    """One line of a report.

    Places are as in `Finding`: lines and columns 1-based, columns in characters, `end_column` behind the last one,
    `path` relative to the working directory where it lies below it. `source` is the line of the place with its
    blanks folded. `fingerprint` stays the same when lines above are added or removed, and differs between entries.
    `chain` has the calls down to what costs, `stack` those that were seen to lead there, outermost first; `evidence`
    says what else speaks for the entry, a sentence each. What has no place in the application has an empty `path` and
    line 0.
    """

    code: str
    name: str
    severity: Severity
    confidence: Confidence
    message: str
    remedy: str
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    source: str
    fingerprint: str
    chain: tuple[Step, ...] = ()
    evidence: tuple[str, ...] = ()
    stack: tuple[Step, ...] = ()
    related: tuple[Related, ...] = ()
    measured: Measured | None = None
    fix: Fix | None = None


class Place(NamedTuple):
    """What a fingerprint is made from; `line` and `column` only say which of equal ones comes first."""

    code: str
    path: str
    source: str
    line: int
    column: int


def entries_of(findings: Sequence[Finding], sources: Sources) -> list[Entry]:
    """The findings as entries, in their order."""
    places = [
        Place(each.code, each.path, folded_source(sources, each.path, each.line), each.line, each.column)
        for each in findings
    ]
    return [
        _entry(finding, place.source, fingerprint)
        for finding, place, fingerprint in zip(findings, places, fingerprints(places))
    ]


def fingerprints(places: Sequence[Place]) -> list[str]:
    """A fingerprint (32 hexadecimal digits) for each place: of rule, path, source and the number among equal ones."""
    seen: Counter[tuple[str, str, str]] = Counter()
    result = [""] * len(places)
    for index in sorted(range(len(places)), key=lambda index: (places[index].line, places[index].column)):
        key = places[index][:3]
        seen[key] += 1
        result[index] = _digest("\0".join((*key, str(seen[key]))))
    return result


def folded_source(sources: Sources, path: str, line: int) -> str:
    """Line `line` (1-based) of `path` with its blanks folded; empty when it cannot be read."""
    text = " ".join((sources.line(path, line) or "").split())
    text = text.encode("utf-8", "replace").decode()  # some codecs yield half characters, which no file can hold
    if len(text) <= _LONGEST_SOURCE:
        return text
    return f"{text[:_LONGEST_SOURCE]}... {_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()


def _entry(finding: Finding, source: str, fingerprint: str) -> Entry:
    return Entry(
        code=finding.code,
        name=finding.name,
        severity=finding.severity,
        confidence=finding.confidence,
        message=finding.message,
        remedy=finding.remedy,
        path=finding.path,
        line=finding.line,
        column=finding.column,
        end_line=finding.end_line,
        end_column=finding.end_column,
        function=finding.function,
        source=source,
        fingerprint=fingerprint,
        chain=finding.chain,
        fix=finding.fix,
    )
