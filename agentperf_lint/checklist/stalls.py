"""Steps of the event loop that took too long, added up by the application's line that held it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

import msgspec

from agentperf_lint.checklist.clusters import is_silenced
from agentperf_lint.checklist.items import StallEvidence
from agentperf_lint.checklist.observed import (
    Observed,
    Scene,
    is_library,
    item_at,
    most_frequent,
    shown_place,
    shown_places,
    span,
)
from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
from agentperf_lint.checklist.trace import NANOSECONDS, Frame, Piece, Stall, Trace
from agentperf_rules.model import Severity

_NOISE = 2  # times the limit: a single stall below that says more about the machine than about the code
_FRAMES_SHOWN, _LIBRARY_FRAMES_SHOWN = 12, 4
_LISTED = 3
_HIGH, _MEDIUM = 0.5, 0.1  # seconds

_UNKNOWN: Frame = ("", 0, "<module>")  # a step that was over before anybody looked

_REQUESTS = frozenset({"request", "websocket"})

_NEVER = math.inf  # a server's worker that no request reached, while others had some

_FROZEN = "<frozen "  # modules of Python that have no file to look into, among them its way to import

StallKind = Literal["stall", "cold_import"]
Key = tuple[StallKind, Frame]


class _Total(msgspec.Struct):
    """The stalls of one place: those of `pieces`, in parallel with `stalls`."""

    frame: Frame
    in_library: bool
    pieces: list[Piece] = []
    stalls: list[Stall] = []


def stall_items(scene: Scene) -> list[Observed]:
    """One item for each place that held a loop for longer than the limit, cold imports apart."""
    totals: dict[Key, _Total] = {}
    collections: list[int] = []
    starting: list[int] = []
    first_requests = _first_requests(scene.trace)
    for piece in scene.trace.pieces:
        least = least_stall(scene, piece)
        first_request = first_requests.get(piece.header.pid, _NEVER if first_requests else 0)
        for stall in piece.stalls.values():
            if stall.duration >= least and stall.reason == "gc":
                collections.append(stall.duration)  # whoever allocates next is no cause
            elif stall.duration >= least:
                frame, in_library = holder(scene, piece, stall)
                is_start = stall.reason == "import" or (in_library and frame != _UNKNOWN)
                if is_start and _moment(piece, stall.start) < first_request:
                    starting.append(stall.duration)  # nobody waited yet
                    continue
                kind: StallKind = "cold_import" if stall.reason == "import" else "stall"
                key = (kind, (frame[0], 0 if in_library else frame[1], frame[2]))
                total = totals.setdefault(key, _Total(frame, in_library))
                total.pieces.append(piece)
                total.stalls.append(stall)
    if collections:
        worst = max(collections) / NANOSECONDS
        scene.notes.append(f"the garbage collector held an event loop {len(collections)} times, {worst:.2f} s at worst")
    if starting:
        seconds = sum(starting) / NANOSECONDS
        held = f"imports and libraries held an event loop for {seconds:.2f} s"
        scene.notes.append(f"{held} before the first request came")
    told = {key: total for key, total in totals.items() if not _is_noise(scene, key[0], total)}
    left_out = [total for key, total in totals.items() if key not in told]
    if left_out:
        scene.notes.append(f"single stalls under twice the limit were left out: {_listed(left_out)}")
    return [
        _observed(scene, key[0], total)
        for key, total in told.items()
        if not _is_left_out(scene, total, RUNTIME_RULES[key[0]].code)
    ]


def _listed(totals: list[_Total]) -> str:
    places = [shown_place(total.frame) for total in totals[:_LISTED]]
    more = f" and {len(totals) - _LISTED} more" if len(totals) > _LISTED else ""
    names = [f"{place.path}:{place.line}" if place.path else "no line of the application" for place in places]
    seconds = [total.stalls[0].duration / NANOSECONDS for total in totals]
    return ", ".join(f"{name} ({took:.2f} s)" for name, took in zip(names, seconds)) + more


def _first_requests(trace: Trace) -> dict[int, float]:
    """When the first request of each process began, in nanoseconds since 1970; nothing of those that had none."""
    first: dict[int, float] = {}
    for piece in trace.pieces:
        begun = [_moment(piece, root.start) for root in piece.roots.values() if root.kind in _REQUESTS]
        if begun:
            first[piece.header.pid] = min(min(begun), first.get(piece.header.pid, _NEVER))
    return first


def _moment(piece: Piece, start: int) -> float:
    return piece.header.wall_start * NANOSECONDS + start


def _is_left_out(scene: Scene, total: _Total, code: str) -> bool:
    return scene.is_ignored(total.frame) or is_silenced(scene.sources, [[total.frame]], code)


def least_stall(scene: Scene, piece: Piece) -> float:
    """What makes a stall, in nanoseconds: as configured, else as traced."""
    return scene.settings.stall_limit * NANOSECONDS or piece.header.stall_limit


def _is_noise(scene: Scene, kind: StallKind, total: _Total) -> bool:
    if kind != "stall" or len(total.stalls) > 1:
        return False
    stall = total.stalls[0]
    return stall.duration < _NOISE * least_stall(scene, total.pieces[0]) and not stall.ongoing


def holder(scene: Scene, piece: Piece, stall: Stall) -> tuple[Frame, bool]:
    """The innermost application frame; the innermost frame of all, and True, when there is none."""
    if stall.site in piece.sites:
        return scene.site_frame(piece, stall.site), False
    own = next((frame for frame in stall.frames if not is_library(frame, piece)), None)
    if own is not None:
        return scene.sources.current(own), False
    return next(iter(_without_frozen(stall.frames)), _UNKNOWN), True


def _without_frozen(frames: list[Frame]) -> list[Frame]:
    """`frames` without those of frozen modules, if others are left: who imports, or asks for a path, says more."""
    return [frame for frame in frames if not frame[0].startswith(_FROZEN)] or frames


def _telling(frames: list[Frame], piece: Piece) -> list[Frame]:
    """What held the loop, and the application's way there, without the frameworks around and between."""
    frames = _without_frozen(frames)
    called = next((index for index, frame in enumerate(frames) if not is_library(frame, piece)), len(frames))
    own = [frame for frame in frames[called:] if not is_library(frame, piece)]
    return [*frames[:called][:_LIBRARY_FRAMES_SHOWN], *own][:_FRAMES_SHOWN]


def _observed(scene: Scene, kind: StallKind, total: _Total) -> Observed:
    piece, worst = max(zip(total.pieces, total.stalls), key=lambda pair: pair[1].duration)
    seconds = [stall.duration / NANOSECONDS for stall in total.stalls]
    names = Counter(piece.root_name(stall.root) for piece, stall in zip(total.pieces, total.stalls))
    evidence = StallEvidence(
        stalls=len(seconds),
        sampled=sum(stall.confidence == "sampled" for stall in total.stalls),
        ongoing=sum(stall.ongoing for stall in total.stalls),
        total_seconds=sum(seconds),
        worst_seconds=max(seconds),
        stack=shown_places(_telling(worst.frames, piece)),
    )
    item = item_at(
        kind,
        total.frame,
        what=_what(kind, total, evidence),
        remedy=_remedy(kind, total),
        evidence=(evidence,),
        severity=_severity(kind, total, evidence),
        operations=len(seconds),
        roots=len({(id(piece), stall.root) for piece, stall in zip(total.pieces, total.stalls)}),
        of_roots=scene.roots_called(names),
        root_names=most_frequent(names),
        total_seconds=evidence.total_seconds,
        worst_seconds=evidence.worst_seconds,
        share=scene.share(span(piece, stall.start, stall.duration) for piece, stall in zip(total.pieces, total.stalls)),
    )
    return Observed(item, _frames(scene, total))


def _frames(scene: Scene, total: _Total) -> tuple[Frame, ...]:
    frames: dict[Frame, None] = {total.frame: None}
    for piece, stall in zip(total.pieces, total.stalls):
        for frame in stall.frames:
            if not is_library(frame, piece):
                frames[scene.sources.current(frame)] = None
    return tuple(frames)


def _severity(kind: StallKind, total: _Total, evidence: StallEvidence) -> Severity:
    if kind == "cold_import" or (evidence.stalls == 1 and evidence.worst_seconds < _MEDIUM):
        return "low"
    if total.in_library:
        return "medium" if evidence.worst_seconds >= _HIGH else "low"
    return "high" if evidence.worst_seconds >= _HIGH or evidence.total_seconds >= 2 * _HIGH else "medium"


def _what(kind: StallKind, total: _Total, evidence: StallEvidence) -> str:
    times = "once" if evidence.stalls == 1 else f"{evidence.stalls} times"
    if total.frame == _UNKNOWN:
        return f"something that nobody saw held the event loop {times}, {evidence.worst_seconds:.2f} s at worst"
    where = f"{'in library: ' if total.in_library else ''}{shown_place(total.frame).function}()"
    if kind == "cold_import":
        return f"{where} imports a module while the event loop waits, {times}, {evidence.worst_seconds:.2f} s at worst"
    still = ", still blocked when the trace ended" if evidence.ongoing else ""
    unsure = "" if evidence.sampled else " (seen only once it had let go)"
    return f"{where} holds the event loop {times}, {evidence.worst_seconds:.2f} s at worst{still}{unsure}"


def _remedy(kind: StallKind, total: _Total) -> str:
    if kind == "cold_import":
        return "import it before the loop starts"
    if total.frame == _UNKNOWN:
        return "a busy machine, or C code that kept the interpreter's lock; a profile may show which"
    if total.in_library:
        return "see the stack for what was called, and run it in a thread"
    return "use an awaitable counterpart, or run it in a thread (asyncio.to_thread); CPU work needs a process"
