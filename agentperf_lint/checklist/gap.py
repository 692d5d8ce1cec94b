"""The fallback for bare timestamps: operations of one type that follow each other quickly.

It knows neither requests nor statements nor parameters, so it merges what is unrelated and misses what is slow
(precision 0.43 and recall 0.64 on the applications that the default detector was built on). It is here for traces
that have nothing else.
"""

from __future__ import annotations

from collections import Counter

from agentperf_lint.checklist.items import GapEvidence
from agentperf_lint.checklist.observed import Observed, Scene, item_at, span
from agentperf_lint.checklist.statements import LOCAL_KINDS
from agentperf_lint.checklist.trace import Frame
from agentperf_runtime.optimization_checker import gap_clusters


def gap_items(scene: Scene) -> list[Observed]:
    """One item for each kind of operation with clusters, at the place where most of them were called."""
    found = []
    for kind in sorted({each.kind for piece in scene.trace.pieces for each in piece.statements.values()}):
        if kind not in LOCAL_KINDS:
            item = _item(scene, kind)
            if item is not None:
                found.append(item)
    return found


def _item(scene: Scene, kind: str) -> Observed | None:
    clusters: list[list[float]] = []
    spans: dict[float, tuple[float, float]] = {}
    places: Counter[Frame] = Counter()
    for piece in scene.trace.pieces:
        columns = piece.operations
        of_kind = {number for number, statement in piece.statements.items() if statement.kind == kind}
        indices = [index for index, number in enumerate(columns.statement) if number in of_kind]
        own = {index: span(piece, columns.start[index], columns.duration[index]) for index in indices}
        in_piece = gap_clusters(start for start, _ in own.values())
        clustered = {time for cluster in in_piece for time in cluster}
        clusters += in_piece
        spans.update((start, (start, end)) for start, end in own.values() if start in clustered)
        places.update(scene.site_frame(piece, columns.site[index]) for index in indices if own[index][0] in clustered)
    if not clusters:
        return None
    sizes = [len(cluster) for cluster in clusters]
    seconds = [sum(spans[time][1] - spans[time][0] for time in cluster) for cluster in clusters]
    frame = places.most_common(1)[0][0]
    evidence = GapEvidence(kind, len(clusters), sum(sizes), sum(sizes) / len(sizes))
    item = item_at(
        "n_plus_one",
        frame,
        what=f"{len(clusters)} clusters of {kind} operations, {evidence.mean_size:.1f} in the mean",
        remedy="look at what is asked there, and ask once for all",
        evidence=(evidence,),
        severity="medium",
        operations=evidence.operations,
        roots=len(clusters),
        of_roots=scene.roots_called(()),
        total_seconds=sum(seconds),
        worst_seconds=max(seconds),
        share=scene.share(spans.values()),
    )
    return Observed(item, (frame,))
