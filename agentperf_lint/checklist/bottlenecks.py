"""Single operations that take long."""

from __future__ import annotations

from collections import Counter, defaultdict

from agentperf_lint.checklist.clusters import is_silenced
from agentperf_lint.checklist.items import BottleneckEvidence
from agentperf_lint.checklist.observed import Observed, Scene, item_at, most_frequent, span
from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
from agentperf_lint.checklist.statements import meaning_of
from agentperf_lint.checklist.trace import NANOSECONDS, SLEEP, Frame, Piece, Statement

_SLOW_BY_NATURE = {"llm": 10.0, "subprocess": 10.0}  # times the limit
_HIGH = 2.0  # seconds
_SUPERVISED = 0.9
_SHOWN_STATEMENT = 200  # characters in a message

Key = tuple[str, str, Frame]
Slow = tuple[Piece, int]  # an operation by its index


def bottleneck_items(scene: Scene) -> list[Observed]:
    """One item for each statement and place of which a single operation took longer than the limit."""
    slow: dict[Key, list[Slow]] = defaultdict(list)
    counts: Counter[Key] = Counter()
    for piece in scene.trace.pieces:
        _collect(scene, piece, slow, counts)
    told = {key: found for key, found in slow.items() if not _is_left_out(scene, key, found)}
    return [_observed(scene, key, found, counts[key]) for key, found in told.items()]


def _collect(scene: Scene, piece: Piece, slow: dict[Key, list[Slow]], counts: Counter[Key]) -> None:
    columns = piece.operations
    least = scene.settings.slow_operation * NANOSECONDS
    keys: dict[tuple[int, int], Key] = {}
    for index in [index for index, duration in enumerate(columns.duration) if duration >= least]:
        statement = piece.statements.get(columns.statement[index])
        site = columns.site[index]
        if statement is None or site == 0 or not _is_bottleneck(statement, columns.duration[index], least):
            continue
        if statement.kind == "subprocess" and _is_supervised(piece, index):
            continue
        pair = (columns.statement[index], site)
        if pair not in keys:
            meaning = meaning_of(statement.kind, statement.text)
            keys[pair] = (statement.kind, meaning.fingerprint, scene.site_frame(piece, site))
        slow[keys[pair]].append((piece, index))
    if keys:
        for pair, count in Counter(zip(columns.statement, columns.site)).items():
            if pair in keys:
                counts[keys[pair]] += count


def _is_supervised(piece: Piece, index: int) -> bool:
    """Whether a process was run for as long as the program itself: that one reloads or supervises it."""
    columns = piece.operations
    root = piece.roots.get(columns.root[index])
    return root is not None and root.kind == "script" and columns.duration[index] >= _SUPERVISED * piece.last


def _is_bottleneck(statement: Statement, duration: int, least: float) -> bool:
    if statement.kind == SLEEP or duration < least * _SLOW_BY_NATURE.get(statement.kind, 1.0):
        return False
    return meaning_of(statement.kind, statement.text).effect != "waits"


def _is_left_out(scene: Scene, key: Key, found: list[Slow]) -> bool:
    piece, index = found[0]
    text = piece.statements[piece.operations.statement[index]].text
    stacks = scene.site_frames(piece, piece.operations.site[index])
    return scene.is_ignored(key[2], text) or is_silenced(scene.sources, stacks, RUNTIME_RULES["bottleneck"].code)


def _observed(scene: Scene, key: Key, found: list[Slow], count: int) -> Observed:
    kind, _, frame = key
    seconds = [piece.operations.duration[index] / NANOSECONDS for piece, index in found]
    piece, index = found[seconds.index(max(seconds))]
    root = piece.operations.root[index]
    text = piece.statements[piece.operations.statement[index]].text
    evidence = BottleneckEvidence(
        operation=kind,
        statement=text,
        operations=count,
        slow=len(found),
        total_seconds=sum(seconds),
        worst_seconds=max(seconds),
        root_share=_share_of_root(piece, root, max(seconds)),
        root_name=piece.root_name(root),
    )
    names = Counter(piece.root_name(piece.operations.root[index]) for piece, index in found)
    item = item_at(
        "bottleneck",
        frame,
        what=_what(evidence),
        remedy=_remedy(kind),
        evidence=(evidence,),
        severity="high" if evidence.worst_seconds >= _HIGH else "medium",
        operations=len(found),
        roots=len({(id(piece), piece.operations.root[index]) for piece, index in found}),
        of_roots=scene.roots_called(names),
        root_names=most_frequent(names),
        total_seconds=evidence.total_seconds,
        worst_seconds=evidence.worst_seconds,
        share=scene.share(
            span(piece, piece.operations.start[index], piece.operations.duration[index]) for piece, index in found
        ),
    )
    frames = (each for stack in scene.site_frames(piece, piece.operations.site[index]) for each in stack)
    return Observed(item, tuple(dict.fromkeys(frames)))


def _what(evidence: BottleneckEvidence) -> str:
    share = f"{evidence.root_share:.0%} of its root"
    return f"{evidence.worst_seconds:.2f} s in one operation, {share} ({evidence.statement[:_SHOWN_STATEMENT]})"


def _share_of_root(piece: Piece, root: int, seconds: float) -> float:
    start = piece.roots[root].start if root in piece.roots else 0
    end = piece.root_ends[root].end if root in piece.root_ends else piece.last
    return min(1.0, seconds * NANOSECONDS / (end - start)) if end > start else 0.0


def _remedy(kind: str) -> str:
    if kind == "sql":
        return "look at its plan (EXPLAIN): a missing index, too many rows, or a lock"
    if kind == "http":
        return "set a timeout, cache the answer, or take it out of the request"
    if kind == "llm":
        return "stream the answer, shorten the prompt, or take it out of the request"
    return "do less of it, cache it, or take it out of the request"
