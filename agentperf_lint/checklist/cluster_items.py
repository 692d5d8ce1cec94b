"""Clusters of all roots, added up to one item a statement and place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from agentperf_lint.checklist.clusters import Cluster, find_clusters
from agentperf_lint.checklist.items import ClusterEvidence, LoopEvidence, Place
from agentperf_lint.checklist.observed import Observed, Scene, item_at, most_frequent, shown_place, span
from agentperf_lint.checklist.remedies import duplicate_remedy, n_plus_one_remedy, orm_of
from agentperf_lint.checklist.repetition import Repetitions
from agentperf_lint.checklist.sources import shown_path
from agentperf_lint.checklist.trace import Frame
from agentperf_rules.model import Severity

Key = tuple[str, str, str, Frame]

_MANY = 50  # operations in one root
_SLOW = 0.1  # seconds in one root
_SHOWN_STATEMENT = 200  # characters in a message
_CALLS = {"sql": "query", "redis": "command", "mongo": "query", "http": "request", "llm": "call"}


def cluster_items(scene: Scene) -> list[Observed]:
    """One item for each statement and place with N+1 clusters or duplicates."""
    repetitions = Repetitions(scene.sources)
    totals: dict[Key, _Total] = {}
    for piece in scene.trace.pieces:
        for cluster in find_clusters(piece, scene, repetitions):
            statement = piece.statements[cluster.statement]
            frame = scene.site_frame(piece, cluster.sites[0])
            if scene.is_ignored(frame, statement.text):
                continue
            key = (cluster.kind, statement.kind, cluster.meaning.fingerprint, frame)
            if key not in totals:
                totals[key] = _Total(scene, cluster, frame)
            totals[key].add(cluster)
    return [total.observed() for total in totals.values()]


class _Total:
    """What the clusters of one key come to; times in seconds."""

    def __init__(self, scene: Scene, first: Cluster, frame: Frame) -> None:
        self.scene = scene
        self.first = first
        self.frame = frame
        self.loop = first.judgement.loop
        self.together = first.judgement.together
        self.operations = self.most = self.distinct = self.roots = 0
        self.seconds = self.worst = 0.0
        self.tokens = [0, 0]
        self.names: Counter[str] = Counter()
        self.spans: list[tuple[float, float]] = []
        self.others: dict[Frame, None] = {}
        self.frames: dict[Frame, None] = {}
        self.relations: Counter[str] = Counter()
        self.sites: set[tuple[int, int]] = set()

    def add(self, cluster: Cluster) -> None:
        piece, columns, indices = cluster.piece, cluster.piece.operations, cluster.operations
        seconds = cluster.seconds
        self.roots += 1
        self.operations += len(indices)
        self.most = max(self.most, len(indices))
        self.distinct = max(self.distinct, cluster.distinct)
        self.seconds += seconds
        self.worst = max(self.worst, seconds)
        self.names[piece.root_name(cluster.root)] += 1
        self.tokens[0] += sum(columns.input_tokens[index] for index in indices)
        self.tokens[1] += sum(columns.output_tokens[index] for index in indices)
        self.spans.extend(span(piece, columns.start[index], columns.duration[index]) for index in indices)
        for site in cluster.sites:
            if (id(piece), site) not in self.sites:
                self.sites.add((id(piece), site))
                self._add_site(cluster, site)

    def _add_site(self, cluster: Cluster, site: int) -> None:
        piece = cluster.piece
        for frames in self.scene.site_frames(piece, site, cluster.statement, cluster.root):
            self.frames.update(dict.fromkeys(frames))
        own = self.scene.site_frame(piece, site)
        if own != self.frame:
            self.others[own] = None
        stacks = piece.stacks_of(site, cluster.statement, cluster.root)
        self.relations.update(stack.relation for stack in stacks if stack.relation)

    def observed(self) -> Observed:
        kind = self.first.kind
        site = self.first.piece.sites[self.first.sites[0]]
        item = item_at(
            kind,
            self.frame,
            lines=1 + site.end_line - site.line,
            what=self._what(),
            remedy=self._remedy(),
            evidence=(self._evidence(),),
            severity=self._severity(),
            operations=self.operations,
            roots=self.roots,
            of_roots=self.scene.roots_called(self.names),
            root_names=most_frequent(self.names),
            total_seconds=self.seconds,
            worst_seconds=self.worst,
            share=self.scene.share(self.spans),
            loop=self._loop(),
        )
        return Observed(item, tuple(self.frames) or (self.frame,))

    def _statement(self) -> tuple[str, str, str]:
        statement = self.first.piece.statements[self.first.statement]
        return statement.kind, statement.text, statement.library

    def _remedy(self) -> str:
        kind, text, library = self._statement()
        if self.first.kind == "duplicate":
            return duplicate_remedy(kind)
        relation = next((name for name, _ in self.relations.most_common(1)), "")
        orm = orm_of(self.scene.sources, tuple(self.frames)) if kind == "sql" else ""
        return n_plus_one_remedy(
            kind, text, relation, library, orm, is_write=self.first.meaning.effect == "write", together=self.together
        )

    def _severity(self) -> Severity:
        is_heavy = self.worst >= _SLOW or self.most >= _MANY
        if self.first.kind == "duplicate":
            return "medium" if is_heavy else "low"
        return "high" if is_heavy else "medium"

    def _what(self) -> str:
        kind, text, _ = self._statement()
        call = _CALLS.get(kind, "operation")
        shown = text if len(text) <= _SHOWN_STATEMENT else f"{text[:_SHOWN_STATEMENT]}..."
        if self.first.kind == "duplicate":
            places = f" from {len(self.others) + 1} places" if self.others else ""
            if not self.frame[0]:
                places += f" in the span {self.frame[2]}"
            return f"the same {call} {self.most} times in one root{places} with the same parameters ({shown})"
        return f"{self.most} times the same {call} in one root{self._repetition()} ({shown})"

    def _repetition(self) -> str:
        if not self.frame[0]:
            return f" in the span {self.frame[2]}, with different parameters"
        if self.loop is None:
            return " with different parameters"
        where = f"line {self.loop.line}"
        if self.loop.path != self.frame[0]:
            where = f"{shown_path(self.loop.path)}:{self.loop.line}"
        if self.loop.kind == "map":
            return f", once per element mapped at {where}"
        noun = self.loop.kind if self.loop.kind == "comprehension" else f"{self.loop.kind} loop"
        return f", once per element of the {noun} at {where}"

    def _loop(self) -> LoopEvidence | None:
        if self.loop is None:
            return None
        return LoopEvidence(shown_path(self.loop.path), self.loop.line, self.loop.function, self.loop.kind)

    def _evidence(self) -> ClusterEvidence:
        kind, text, _ = self._statement()
        return ClusterEvidence(
            operation=kind,
            statement=text,
            operations=self.operations,
            roots=self.roots,
            most=self.most,
            distinct=self.distinct,
            total_seconds=self.seconds,
            worst_seconds=self.worst,
            root_names=most_frequent(self.names),
            relation=next((name for name, _ in self.relations.most_common(1)), ""),
            started_together=self.together,
            input_tokens=self.tokens[0],
            output_tokens=self.tokens[1],
            other_places=tuple(self._other_places()),
        )

    def _other_places(self) -> Iterator[Place]:
        return (shown_place(frame) for frame in self.others)
