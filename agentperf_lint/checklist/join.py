"""Puts what the source suspects and what the trace saw on one line where both mean the same place."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from agentperf_lint.checklist.items import FixAvailable, Item, ProfileEvidence, StaticEvidence
from agentperf_lint.checklist.observed import Observed, Scene, is_library
from agentperf_lint.checklist.sources import plain_name, shown_path
from agentperf_lint.checklist.trace import NANOSECONDS, Frame, Piece
from agentperf_rules.model import CONFIDENCES, Confidence, Finding

# Families of rules that speak of what was observed.
_FAMILY = {"n_plus_one": "loop", "duplicate": "loop", "stall": "blocking", "cold_import": "blocking"}

_OFTEN = 20  # operations, or roots, after which silence says something
_MEASURABLE = 0.001  # seconds
_HARDLY_REPEATED = 2  # operations in one root


def joined(
    scene: Scene,
    observed: Sequence[Observed],
    findings: Sequence[Finding],
    min_confidence: Confidence,
    started: float = math.inf,
) -> list[Item]:
    """The items of a checklist: confirmed, observed and suspected ones.

    What was measured began at `started` (seconds since 1970): files that are younger may have other lines.

    `findings` may hold possible ones: these are joined, but not shown alone unless `min_confidence` says so.
    """
    matching = _Matching(scene, findings, started)
    items = []
    used: set[int] = set()
    for each in observed:
        found = matching.of(each)
        used.update(found)
        items.append(_confirmed(each.item, [findings[index] for index in found]))
    least = CONFIDENCES.index(min_confidence)
    history = _History(scene) if len(used) < len(findings) else None
    for index, finding in enumerate(findings):
        if index not in used and history is not None and CONFIDENCES.index(finding.confidence) >= least:
            items.append(_suspected(finding, history.refutation(finding)))
    return items


def _family_of(item: Item) -> str | None:
    """The kind of findings that speak of the same; None when there is none."""
    if item.kind == "bottleneck":
        ran = any(isinstance(each, ProfileEvidence) and each.running_seconds for each in item.evidence)
        return "blocking" if ran else None
    return _FAMILY.get(item.kind)


class _Matching:
    """Finds the findings that speak of the place of an item."""

    def __init__(self, scene: Scene, findings: Sequence[Finding], started: float) -> None:
        self.scene = scene
        self.started = started
        self.findings = findings
        self.by_path: dict[str, list[int]] = defaultdict(list)
        for index, finding in enumerate(findings):
            self.by_path[finding.path].append(index)

    def of(self, observed: Observed) -> list[int]:
        """Indices of the findings at one of the item's frames, or else in its loop."""
        family = _family_of(observed.item)
        frames = [(shown_path(path), line, plain_name(function)) for path, line, function in observed.frames]
        found = [index for frame in frames for index in self._at(frame, family)]
        if not found:
            found = self._in_loop(observed.item, family)
        if not found and frames:
            found = self._opened_around(observed.frames[0], family)
        if not found and frames and (not observed.by_line or self._is_edited(observed.frames[0])):
            found = self._in_function(observed.frames[0], family)
        return list(dict.fromkeys(found))

    def _of_family(self, path: str, family: str | None) -> Iterable[int]:
        return (index for index in self.by_path.get(path, ()) if self.findings[index].kind == family)

    def _at(self, frame: Frame, family: str | None) -> list[int]:
        path, line, function = frame
        return [
            index
            for index in self._of_family(path, family)
            if _is_in_statement(self.findings[index], line)
            and _is_same_function(self.findings[index].function, function)
        ]

    def _in_loop(self, item: Item, family: str | None) -> list[int]:
        """Findings inside the loop that was seen to repeat the item."""
        if item.loop is None:
            return []
        code = self.scene.sources.code(os.path.abspath(item.loop.path))
        statement = code.statement(item.loop.line) if code is not None else None
        if statement is None:
            return []
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        return [
            index
            for index in self._of_family(item.loop.path, family)
            if self.findings[index].line in lines and self.findings[index].function == item.loop.function
        ]

    def _opened_around(self, frame: Frame, family: str | None) -> list[int]:
        """Findings in the head of a `with` around the frame's line: what is opened there is read or written here."""
        code = self.scene.sources.code(frame[0])
        if code is None:
            return []
        heads = {each for each, block in code.with_blocks() if frame[1] in block}
        return [
            index
            for index in self._of_family(shown_path(frame[0]), family)
            if self.findings[index].sink_kind == "file" and self.findings[index].line in heads
        ]

    def _is_edited(self, frame: Frame) -> bool:
        """Whether the file has changed since it was measured."""
        try:
            return os.stat(frame[0]).st_mtime > self.started
        except OSError:
            return False

    def _in_function(self, frame: Frame, family: str | None) -> list[int]:
        """The only finding of its family in the function."""
        path, _, function = frame
        found = [
            index
            for index in self._of_family(shown_path(path), family)
            if _is_same_function(self.findings[index].function, plain_name(function))
        ]
        return found if len(found) == 1 else []


def _is_in_statement(finding: Finding, line: int) -> bool:
    first = min(finding.line, finding.statement_line or finding.line)
    return first <= line <= max(finding.end_line, finding.statement_end_line)


def _is_same_function(known: str, traced: str) -> bool:
    """Qualified names; the traced one may be bare, and either may name a lambda inside."""
    known, traced = (name.removesuffix(".<lambda>") for name in (known, traced))
    return known == traced or known.rpartition(".")[2] == traced


def _confirmed(item: Item, findings: Sequence[Finding]) -> Item:
    if not findings:
        return item
    surest = max(findings, key=lambda finding: CONFIDENCES.index(finding.confidence))
    remedy = surest.remedy if item.kind == "stall" and surest.remedy else item.remedy
    return msgspec.structs.replace(
        item,
        status="confirmed",
        remedy=remedy,
        message=item.message.removesuffix(item.remedy) + remedy,
        fix=_fix_available(findings),
        evidence=(*item.evidence, *map(_evidence, findings)),
    )


def _suspected(finding: Finding, refutation: str) -> Item:
    return Item(
        code=finding.code,
        name=finding.name,
        kind=finding.kind,  # type: ignore[arg-type]  # the kinds of rules are among those of items
        status="suspected",
        path=finding.path,
        line=finding.line,
        end_line=finding.end_line,
        function=finding.function,
        severity=finding.severity,
        message=finding.message,
        remedy=finding.remedy,
        fix=_fix_available([finding]),
        evidence=(_evidence(finding),),
        refuted=bool(refutation),
        reason=refutation,
    )


def _fix_available(findings: Iterable[Finding]) -> FixAvailable:
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    if not fixes:
        return "none"
    return "safe" if any(fix.safe for fix in fixes) else "unsafe"


def _evidence(finding: Finding) -> StaticEvidence:
    return StaticEvidence(
        code=finding.code,
        name=finding.name,
        path=finding.path,
        line=finding.line,
        end_line=finding.end_line,
        function=finding.function,
        confidence=finding.confidence,
        message=finding.message,
        sink=finding.sink,
        sink_kind=finding.sink_kind,
        chain=finding.chain,
        fix=finding.fix,
    )


class _History:
    """What the trace knows of functions and lines where nothing was wrong."""

    def __init__(self, scene: Scene) -> None:
        self.operations: Counter[tuple[str, str]] = Counter()  # by path and function
        self.at: dict[tuple[str, int], _Measured] = defaultdict(_Measured)
        self.held: set[tuple[str, int]] = set()
        self.watched = False
        for piece in scene.trace.pieces:
            self.watched = self.watched or bool(piece.samples or piece.stalls)
            for stall in piece.stalls.values():
                own = (frame for frame in stall.frames if not is_library(frame, piece))
                self.held.update((shown_path(path), line) for path, line, _ in map(scene.sources.current, own))
            self._count(scene, piece)

    def _count(self, scene: Scene, piece: Piece) -> None:
        """Adds the operations of a piece to every function and line that led to them."""
        columns = piece.operations
        longest: dict[int, int] = defaultdict(int)
        for site, duration in zip(columns.site, columns.duration):
            if duration > longest[site]:
                longest[site] = duration
        by_root: dict[int, list[int]] = defaultdict(list)
        for (_, site), count in Counter(zip(columns.root, columns.site)).items():
            by_root[site].append(count)
        for site, counts in by_root.items():
            frames = {frame for frames in scene.site_frames(piece, site) for frame in frames}
            for path, function in {(shown_path(path), plain_name(function)) for path, _, function in frames}:
                self.operations[path, function] += sum(counts)
            for path, line in {(shown_path(path), line) for path, line, _ in frames}:
                measured = self.at[path, line]
                measured.roots += len(counts)
                measured.most = max(measured.most, *counts)
                measured.worst = max(measured.worst, longest[site] / NANOSECONDS)

    def refutation(self, finding: Finding) -> str:
        """Why the finding costs nothing; empty when the trace does not tell."""
        lines = range(
            min(finding.line, finding.statement_line or finding.line),
            max(finding.end_line, finding.statement_end_line) + 1,
        )
        measured = [self.at[finding.path, line] for line in lines if (finding.path, line) in self.at]
        if finding.kind == "loop":
            return _refuted_loop(measured)
        if finding.kind == "blocking" and self.watched:
            return self._refuted_blocking(finding, lines, measured)
        return ""

    def _refuted_blocking(self, finding: Finding, lines: range, measured: Sequence[_Measured]) -> str:
        if any((finding.path, line) in self.held for line in lines):
            return ""
        ran = self.operations[finding.path, finding.function]
        worst = max((each.worst for each in measured), default=0.0)
        if ran < _OFTEN or worst >= _MEASURABLE:
            return ""
        took = f" and took {worst * 1000:.2f} ms at most" if measured else ""
        return f"its function ran {ran:,} operations while the event loop was watched, and never held it here{took}"


class _Measured(msgspec.Struct):
    """Operations at one line: how many roots, the most in one, the longest in seconds."""

    roots: int = 0
    most: int = 0
    worst: float = 0.0


def _refuted_loop(measured: Sequence[_Measured]) -> str:
    roots = max((each.roots for each in measured), default=0)
    most = max((each.most for each in measured), default=0)
    if roots < _OFTEN or most > _HARDLY_REPEATED:
        return ""
    return f"it ran in {roots:,} roots, never more than {most} times in one"
