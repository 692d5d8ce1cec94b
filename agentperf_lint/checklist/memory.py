"""Processes whose resident memory only ever grows."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from agentperf_lint.checklist.items import Item, MemoryEvidence
from agentperf_lint.checklist.observed import item_at
from agentperf_lint.checklist.trace import NANOSECONDS, Piece, Trace

_MEGABYTE = 1 << 20
_PARTS = 4
_LEAST_SAMPLES = 8 * _PARTS
LEAST_GROWTH = 32 * _MEGABYTE  # bytes
LEAST_SHARE = 0.2  # of what there was in the first part
_LEAST_STEP = 0.02  # from each part to the next

Sampled = tuple[float, int]  # seconds since 1970, resident bytes


def memory_items(trace: Trace) -> list[Item]:
    """One item for each process that grew in every quarter of its time, and by a fifth since the first."""
    by_process: dict[int, list[Piece]] = defaultdict(list)
    for piece in trace.pieces:
        by_process[piece.header.pid].append(piece)
    found = [_grown(pid, pieces) for pid, pieces in by_process.items()]
    return [item for item in found if item is not None]


def _grown(pid: int, pieces: Sequence[Piece]) -> Item | None:
    sampled = sorted(
        (piece.header.wall_start + sample.time / NANOSECONDS, sample.rss)
        for piece in pieces
        for sample in piece.samples
        if sample.rss
    )
    if len(sampled) < _LEAST_SAMPLES:
        return None
    size = len(sampled) // _PARTS
    parts = [sampled[index * size : (index + 1) * size] for index in range(_PARTS)]
    levels = [statistics.median(rss for _, rss in part) for part in parts]
    before, after = levels[0], levels[-1]
    if any(later < earlier * (1 + _LEAST_STEP) for earlier, later in pairwise(levels)):
        return None
    if after - before < max(LEAST_GROWTH, LEAST_SHARE * before):
        return None
    seconds = parts[-1][size // 2][0] - parts[0][size // 2][0]  # the medians are those of the middles
    command = " ".join(os.path.basename(argument) for argument in pieces[0].header.argv[:1]) or "process"
    evidence = MemoryEvidence(int(before), int(after), seconds, pid=pid)
    return item_at(
        "memory",
        ("", 0, ""),
        what=f"{command} ({pid}) grew from {before / _MEGABYTE:.0f} to {after / _MEGABYTE:.0f} MB in {seconds:.0f} s",
        remedy="see what grows with MemoryOptimizer, and give caches a limit",
        evidence=(evidence,),
    )
