"""What the items that come from a trace share: places, ignored patterns, and the share of the wall time."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from agentperf_lint.checklist.items import Evidence, Item, Kind, LoopEvidence, Place
from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
from agentperf_lint.checklist.sources import Sources, is_library_path, plain_name, shown_path
from agentperf_lint.checklist.trace import NANOSECONDS, Frame, Piece, Trace, units_of
from agentperf_lint.config import TraceSettings
from agentperf_rules.model import Severity

_NAMES_SHOWN = 3


class Observed(msgspec.Struct):
    """An item and the frames that led to it (absolute paths, lines as they are now), to be joined with findings.

    `by_line` is False where the line is that of the function, and what is in it unknown. What is not `notable` is
    evidence where there is an item at its place, and none by itself.
    """

    item: Item
    frames: tuple[Frame, ...] = ()
    by_line: bool = True
    notable: bool = True


class Scene(msgspec.Struct):
    """What every detector works on."""

    trace: Trace
    settings: TraceSettings
    sources: Sources
    notes: list[str] = []
    named: Counter[str] = Counter()

    def site_frame(self, piece: Piece, site: int) -> Frame:
        """The call site as it is now."""
        found = piece.sites.get(site)
        if found is None:
            return "", 0, "<module>"
        frame = (found.path, found.line, found.function)
        return self.sources.current(frame, found.first_line, found.digest)

    def site_frames(self, piece: Piece, site: int, statement: int = 0, root: int = 0) -> list[list[Frame]]:
        """The ways in which the call site was reached, as they are now: for `statement` in `root` if that is known."""
        own = self.site_frame(piece, site)
        found = piece.frames_of(site, statement, root)
        return [[own, *map(self.sources.current, frames[1:])] for frames in found]

    def is_ignored(self, frame: Frame, statement: str = "") -> bool:
        """Whether the configuration leaves out this place or statement."""
        place = f"{shown_path(frame[0])}:{plain_name(frame[2])}"
        return any(
            fnmatch.fnmatchcase(text, pattern)
            for pattern in self.settings.ignore
            for text in (place, statement)
            if text
        )

    def roots_called(self, names: Iterable[str]) -> int:
        """How many units of work have one of `names`; all of them where one is the name of something else, or empty."""
        if not self.named:
            self.named = _names_of_units(self.trace)
        wanted = set(names)
        if wanted and all(self.named[name] for name in wanted):
            return sum(self.named[name] for name in wanted)
        return self.named.total()

    def share(self, spans: Iterable[tuple[float, float]]) -> float:
        """The part of the traced wall time that `spans` (seconds since 1970) fill together."""
        wall = self.trace.wall_seconds
        return min(1.0, _covered(sorted(spans)) / wall) if wall > 0 else 0.0


def _names_of_units(trace: Trace) -> Counter[str]:
    """How many units of work have each name. A root may go on in another file: its last name counts."""
    names = {(piece.header.pid, root): piece.root_name(root) for piece in trace.pieces for root in piece.roots}
    return Counter(names[key] for key in units_of(trace))


def most_frequent(names: Counter[str]) -> tuple[str, ...]:
    """The names of roots to show of those that were counted, the most frequent first."""
    return tuple(name for name, _ in names.most_common(_NAMES_SHOWN) if name)


def span(piece: Piece, start: int, duration: int) -> tuple[float, float]:
    """Beginning and end in seconds since 1970 of something in `piece`."""
    begin = piece.header.wall_start + start / NANOSECONDS
    return begin, begin + duration / NANOSECONDS


def item_at(
    kind: Kind,
    frame: Frame,
    *,
    what: str,
    remedy: str,
    evidence: tuple[Evidence, ...],
    severity: Severity | None = None,
    operations: int = 0,
    roots: int = 0,
    of_roots: int = 0,
    root_names: tuple[str, ...] = (),
    total_seconds: float = 0.0,
    worst_seconds: float = 0.0,
    share: float = 0.0,
    loop: LoopEvidence | None = None,
    lines: int = 1,
) -> Item:
    """An observed item of `kind` at `frame` and its `lines`; without a severity it has that of its rule."""
    rule = RUNTIME_RULES[kind]
    place = shown_place(frame)
    return Item(
        code=rule.code,
        name=rule.name,
        kind=kind,
        status="observed",
        path=place.path,
        line=place.line,
        end_line=place.line + max(0, lines - 1),
        function=place.function,
        severity=severity or rule.severity,
        operations=operations,
        roots=roots,
        of_roots=of_roots,
        root_names=root_names,
        total_seconds=total_seconds,
        worst_seconds=worst_seconds,
        share=share,
        message=f"{what}: {remedy}",
        remedy=remedy,
        loop=loop,
        evidence=evidence,
    )


def shown_place(frame: Frame) -> Place:
    """A frame as a report shows it."""
    return Place(shown_path(frame[0]), frame[1], plain_name(frame[2]))


def shown_places(frames: Iterable[Frame]) -> tuple[Place, ...]:
    return tuple(shown_place(frame) for frame in frames)


def is_library(frame: Frame, piece: Piece) -> bool:
    """Whether a frame belongs to an installed package or the standard library."""
    return is_library_path(frame[0], piece.header.prefixes, piece.header.applications)


def _covered(spans: Sequence[tuple[float, float]]) -> float:
    total, reached = 0.0, float("-inf")
    for start, end in spans:
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return total
