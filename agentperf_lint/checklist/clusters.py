"""Finds the operations of one root that ought to have been one: N+1 clusters and duplicates.

The key is root, fingerprint and call site. What the trace shows comes first (how parameters differ, what failed, how
long it waited in between, how much one call carries), then what the source says of the loop around the call site.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Literal

import msgspec

from agentperf_lint.checklist.observed import Scene
from agentperf_lint.checklist.repetition import AGAIN, ELSEWHERE, HANDFUL, UNKNOWN, Judgement, Repetitions
from agentperf_lint.checklist.sources import Sources
from agentperf_lint.checklist.statements import LOCAL_KINDS, Meaning, asks_for_work, meanings_of
from agentperf_lint.checklist.trace import NANOSECONDS, SLEEP, Frame, Piece, Statement, is_failure

ClusterKind = Literal["n_plus_one", "duplicate"]

_BATCH = 10  # elements in one call that make a batch of it
_HANDFUL = 16  # different parameters that constants may have
_IDLE = 20_000_000  # nanoseconds between operations of a loop that waits
_MOSTLY = 0.5  # share of the gaps, or of the operations
_COVERED = 0.8  # share of a gap that a sleep of another task must fill
_STREAMED = frozenset({"each turn waits for work", "goes on until an answer says stop", ELSEWHERE})


class Cluster(msgspec.Struct):
    """Operations of one key in one root: indices into the columns of `piece`, in the order of their start."""

    kind: ClusterKind
    piece: Piece
    root: int
    statement: int
    meaning: Meaning
    sites: list[int]
    operations: list[int]
    distinct: int
    judgement: Judgement = UNKNOWN

    @property
    def seconds(self) -> float:
        """The time of all of them, added up."""
        durations = self.piece.operations.duration
        return sum(durations[index] for index in self.operations) / NANOSECONDS


def find_clusters(piece: Piece, scene: Scene, repetitions: Repetitions) -> Iterator[Cluster]:
    """The clusters of one piece that are worth telling."""
    return _Finder(piece, scene, repetitions).clusters()


class _Finder:
    def __init__(self, piece: Piece, scene: Scene, repetitions: Repetitions) -> None:
        self.piece = piece
        self.columns = piece.operations
        self.scene = scene
        self.settings = scene.settings
        self.repetitions = repetitions
        self.groups, self.group_of, self.meanings = _grouped(piece)
        self.places, self.sites_at = _placed(piece)
        self.silenced: dict[tuple[int, str], bool] = {}
        self.stacks: dict[int, list[list[Frame]]] = {}

    def clusters(self) -> Iterator[Cluster]:
        taken: set[int] = set()
        for indices in self._frequent(self.groups, self.places, self.settings.min_operations):
            cluster = self._n_plus_one(self._in_order(indices))
            if cluster is not None:
                taken.update(cluster.operations)
                yield cluster
        for indices in self._frequent(self._readable, self.columns.params, self.settings.min_duplicates):
            if taken:
                indices = [index for index in indices if index not in taken]
            if len(indices) >= self.settings.min_duplicates:
                yield from self._duplicates(self._in_order(indices))

    def _frequent(self, groups: Sequence[int], others: Sequence[int], least: int) -> Iterator[list[int]]:
        """The operations that share root, group and a third thing, where they are at least as many as `least`.

        Most keys are rare, so they are counted before anything is collected. A group below 0 is no candidate.
        """
        counts = Counter(zip(self.columns.root, groups, others))
        members: dict[tuple[int, int, int], list[int]] = {
            key: [] for key, count in counts.items() if count >= least and key[1] >= 0
        }
        if not members:
            return
        for index, key in enumerate(zip(self.columns.root, groups, others)):
            if key in members:
                members[key].append(index)
        yield from members.values()

    def _in_order(self, indices: list[int]) -> list[int]:
        """What was done, in order: tries that failed are left out, and so are further turns of a conversation."""
        outcome, continues, start = self.columns.outcome, self.columns.continues, self.columns.start
        done = [index for index in indices if not continues[index] and not is_failure(outcome[index])]
        done.sort(key=start.__getitem__)
        return done

    # N+1

    def _n_plus_one(self, indices: list[int]) -> Cluster | None:
        if len(indices) < self.settings.min_operations or self.columns.site[indices[0]] == 0:
            return None
        meaning = self._meaning(indices[0])
        distinct = self._distinct(indices, meaning)
        if (
            distinct < 2
            or self._carries_batches(indices, meaning)
            or self._is_heartbeat(indices)
            or self._is_fed(indices)
        ):
            return None
        sites = sorted({self.columns.site[index] for index in indices})
        judgement = self._judgement(indices[0], sites)
        if judgement.reason == HANDFUL and distinct > _HANDFUL:
            judgement = msgspec.structs.replace(judgement, answer="repeats")
        if judgement.answer == "innocent" or self._feeds_reads(indices, meaning):
            return None
        if judgement.periodic and self._waits(indices):
            return None
        kind = self._kind(indices[0])
        if kind != "llm" and (judgement.told or judgement.answer == "unknown") and self._is_told(indices):
            return None
        if kind == "llm" and (judgement.together or self._overlap(indices)):
            return None  # starting them together is the remedy
        if kind == "http" and ((judgement.together and judgement.bounded) or self._asks_services(indices, judgement)):
            return None
        if not self._is_varied(indices, distinct, judgement):
            return None
        if self._is_silenced(sites, judgement, "APL501"):
            return None
        return self._cluster("n_plus_one", indices, sites, distinct, judgement)

    def _distinct(self, indices: Sequence[int], meaning: Meaning) -> int:
        """How many different parameters there are; unknown ones are taken for different."""
        params = {self.columns.params[index] for index in indices}
        unknown = sum(self.columns.params[index] == 0 for index in indices) if meaning.has_parameters else 0
        return len(params) + max(0, unknown - 1)

    def _is_varied(self, indices: Sequence[int], distinct: int, judgement: Judgement) -> bool:
        """Few different parameters, each many times, are elements only where a loop hands them out."""
        if distinct >= self.settings.min_operations or distinct >= _MOSTLY * len(indices):
            return True
        return judgement.answer == "repeats" and judgement.depends

    def _feeds_reads(self, indices: Sequence[int], written: Meaning) -> bool:
        """Whether after most of these writes the same question is asked about what they changed."""
        if written.effect != "write":
            return False
        times = [self.columns.start[index] for index in indices]
        asked: dict[tuple[int, int], set[int]] = defaultdict(set)
        for group, params, start in self._reads.get(self.columns.root[indices[0]], ()):
            if self.meanings[group].resources & written.resources:
                asked[group, params].add(bisect_left(times, start))
        return any(len(turns - {0}) > _MOSTLY * len(times) for turns in asked.values())

    @cached_property
    def _reads(self) -> dict[int, list[tuple[int, int, int]]]:
        """What each root read: group, parameters and time."""
        is_read = [meaning.effect == "read" for meaning in self.meanings]
        found: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for root, group, params, start in zip(self.columns.root, self.groups, self.columns.params, self.columns.start):
            if group >= 0 and is_read[group]:
                found[root].append((group, params, start))
        return found

    def _overlap(self, indices: Sequence[int]) -> bool:
        """Whether most of the operations began while another one was under way, whoever has started them."""
        start, duration = self.columns.start, self.columns.duration
        overlapping, last = 0, 0
        for index in indices:
            overlapping += start[index] < last
            last = max(last, start[index] + duration[index])
        return overlapping > _MOSTLY * (len(indices) - 1)

    def _asks_services(self, indices: Sequence[int], judgement: Judgement) -> bool:
        """Whether objects of the application ask each for something else, of which only the words differ."""
        return judgement.of_element and len({self.columns.statement[index] for index in indices}) == len(indices)

    def _carries_batches(self, indices: Sequence[int], meaning: Meaning) -> bool:
        """Whether each call is one piece of a collection, all of one size but the last; what is written in large
        groups may be grouped by something else.
        """
        sizes = [self.columns.batch[index] for index in indices]
        size = max(sizes)
        if meaning.effect == "write" and sum(each >= _BATCH for each in sizes) >= len(sizes) - max(1, len(sizes) // 10):
            return True
        return size >= _BATCH and sum(each == size for each in sizes) >= len(sizes) - max(1, len(sizes) // 10)

    # Duplicates

    @cached_property
    def _readable(self) -> list[int]:
        """The group of each operation, -1 where the same again would not be a duplicate."""
        repeatable = [
            meaning.effect == "read" and not meaning.is_volatile and not meaning.is_ping for meaning in self.meanings
        ]
        return [group if group >= 0 and repeatable[group] else -1 for group in self.groups]

    def _duplicates(self, indices: list[int]) -> Iterator[Cluster]:
        indices = [index for index in indices if self.columns.site[index]]
        if len(indices) < self.settings.min_duplicates:
            return
        meaning = self._meaning(indices[0])
        if self._distinct(indices, meaning) > 1 or self._is_poll(indices):
            return
        kept = [
            index
            for between in self._between_writes(indices, meaning)
            if len(between) >= self.settings.min_duplicates
            for index in between
        ]
        if not kept:
            return
        sites = [site for site, _ in Counter(self.columns.site[index] for index in kept).most_common()]
        judgement = self._judgement(kept[0], sites)
        if judgement.reason in _STREAMED or (judgement.periodic and self._waits(kept)):
            return
        if judgement.reason == AGAIN and self._ways(kept) == 1:
            return  # one call that asks until it likes the answer
        if self._is_silenced(sites, judgement, "APL502"):
            return
        yield self._cluster("duplicate", kept, sites, 1, judgement)

    def _between_writes(self, indices: Sequence[int], meaning: Meaning) -> list[list[int]]:
        """`indices` divided where the root wrote to something that they read."""
        start = self.columns.start
        writes = self._writes.get(self.columns.root[indices[0]], {})
        touching = [times for group, times in writes.items() if self._touches(group, indices[0], meaning)]
        if not touching:
            return [list(indices)]
        times = sorted(time for each in touching for time in each)
        parts: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            parts[bisect_left(times, start[index])].append(index)
        return list(parts.values())

    def _touches(self, group: int, index: int, read: Meaning) -> bool:
        written = self.meanings[group]
        if self.piece.statements[self.group_of[group]].kind != self._kind(index):
            return False
        if not written.resources or not read.resources:
            return self._kind(index) != "sql" or not written.resources
        return bool(written.resources & read.resources)

    @cached_property
    def _writes(self) -> dict[int, dict[int, list[int]]]:
        """When each root wrote, by group, ignored statements left out."""
        is_write = [meaning.effect == "write" for meaning in self.meanings]
        found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for root, group, start in zip(self.columns.root, self.groups, self.columns.start):
            if group >= 0 and is_write[group]:
                found[root][group].append(start)
        return found

    # Waiting in between

    def _is_poll(self, indices: Sequence[int]) -> bool:
        """Whether the same question is asked again after a while, on purpose."""
        return self._sleeps_between(indices) or self._median_gap(indices) >= self.settings.poll_interval * NANOSECONDS

    def _sleeps_between(self, indices: Sequence[int]) -> bool:
        """Whether the task slept between most of the operations."""
        return self._pauses(indices, 0.0) >= _MOSTLY * (len(indices) - 1)

    def _waits(self, indices: Sequence[int]) -> bool:
        """Whether a loop that waits in every turn did so: not every kind of waiting is recorded."""
        return self._sleeps_between(indices) or self._median_gap(indices) >= _IDLE

    def _is_heartbeat(self, indices: Sequence[int]) -> bool:
        """Whether the loop is slow on purpose: a timer, or a limit on the rate."""
        return self._pauses(indices, self.settings.poll_interval) >= _MOSTLY * (len(indices) - 1)

    def _is_fed(self, indices: Sequence[int]) -> bool:
        """Whether the task asked a queue for more work between most of the operations: one for each piece of work."""
        root, task, asked = self.columns.root, self.columns.task, self._asked_for_work
        return bool(asked) and self._lie_between(indices, lambda index: asked.get((root[index], task[index]), ()))

    def _is_told(self, indices: Sequence[int]) -> bool:
        """Whether a language model answered between most of the operations: they are what it asked for, one by one."""
        answers = self._answers_of_models.get(self.columns.root[indices[0]], ())
        return bool(answers) and self._lie_between(indices, lambda _: answers)

    def _lie_between(self, indices: Sequence[int], times_of: Callable[[int], Sequence[int]]) -> bool:
        """Whether between most of the operations lies one of the times, in order, that are those of the first."""
        start = self.columns.start
        between = 0
        for before, after in pairwise(indices):
            times = times_of(before)
            between += bisect_left(times, start[before]) < bisect_left(times, start[after])
        return between > _MOSTLY * (len(indices) - 1)

    @cached_property
    def _answers_of_models(self) -> dict[int, list[int]]:
        """When language models answered in each root."""
        columns = self.columns
        found: dict[int, list[int]] = defaultdict(list)
        for index in self._operations_of(lambda statement: statement.kind == "llm"):
            found[columns.root[index]].append(columns.start[index] + columns.duration[index])
        return {root: sorted(times) for root, times in found.items()}

    @cached_property
    def _asked_for_work(self) -> dict[tuple[int, int], list[int]]:
        """When each task asked for work that it would have waited for."""
        columns = self.columns
        found: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index in self._operations_of(lambda statement: asks_for_work(statement.kind, statement.text)):
            found[columns.root[index], columns.task[index]].append(columns.start[index])
        return {place: sorted(times) for place, times in found.items()}

    def _operations_of(self, wanted: Callable[[Statement], bool]) -> list[int]:
        """The operations with a statement that is `wanted`."""
        numbers = {number for number, statement in self.piece.statements.items() if wanted(statement)}
        return [index for index, number in enumerate(self.columns.statement) if number in numbers] if numbers else []

    def _median_gap(self, indices: Sequence[int]) -> int:
        """Nanoseconds from the end of an operation to the start of the next."""
        start, duration = self.columns.start, self.columns.duration
        gaps = sorted(start[after] - start[before] - duration[before] for before, after in pairwise(indices))
        return gaps[len(gaps) // 2]

    def _pauses(self, indices: Sequence[int], least: float) -> int:
        """Between how many of the operations their task slept, for at least `least` seconds."""
        if not self._sleeps:
            return 0
        return sum(self._slept(before, after, least) for before, after in pairwise(indices))

    def _slept(self, before: int, after: int, least: float) -> bool:
        columns = self.columns
        begin, end = columns.start[before] + columns.duration[before], columns.start[after]
        root, task = columns.root[before], columns.task[before]
        own = self._sleeps.get((root, task), ())
        first = bisect_left(own, (begin, 0))
        if first < len(own) and own[first][1] <= end:
            return own[first][1] - own[first][0] >= least * NANOSECONDS
        if task == columns.task[after]:
            return False
        # Each ran in a task of its own, as under `wait_for`: whoever started them slept for most of the gap.
        everyone = self._sleeps_of_roots.get(root, ())
        position = bisect_left(everyone, (begin, 0))
        for slept, woke in everyone[position : position + 50]:
            if slept >= end:
                break
            if woke <= end and woke - slept >= max(_COVERED * (end - begin), least * NANOSECONDS):
                return True
        return False

    @cached_property
    def _sleeps(self) -> dict[tuple[int, int], list[tuple[int, int]]]:
        """When each task slept: beginnings and ends, sorted."""
        columns = self.columns
        sleeping = {number for number, statement in self.piece.statements.items() if statement.kind == SLEEP}
        found: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        if not sleeping:
            return found
        for statement, root, task, start, duration in zip(
            columns.statement, columns.root, columns.task, columns.start, columns.duration
        ):
            if statement in sleeping:
                found[root, task].append((start, start + duration))
        for spans in found.values():
            spans.sort()
        return found

    @cached_property
    def _sleeps_of_roots(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for (root, _), spans in self._sleeps.items():
            found[root].extend(spans)
        for spans in found.values():
            spans.sort()
        return found

    # What is known of an operation

    def _kind(self, index: int) -> str:
        return self.piece.statements[self.columns.statement[index]].kind

    def _meaning(self, index: int) -> Meaning:
        return self.meanings[self.groups[index]]

    def _stacks_of(self, site: int) -> list[list[Frame]]:
        """The ways in which `site` was reached, with the lines where the code is now."""
        if site not in self.stacks:
            self.stacks[site] = self.scene.site_frames(self.piece, site)
        return self.stacks[site]

    def _was_seen(self, site: int, statement: int) -> bool:
        return any(stack.statement == statement for stack in self.piece.stacks.get(site, ()))

    def _stacks_for(self, site: int, statement: int, root: int) -> list[list[Frame]]:
        """The ways in which `site` was reached for `statement`, in `root` if that was seen."""
        stacks = self.piece.stacks_of(site, statement, root)
        if len(stacks) == len(self.piece.stacks.get(site, ())):
            return self._stacks_of(site)
        return self.scene.site_frames(self.piece, site, statement, root)

    def _judgement(self, index: int, sites: Sequence[int]) -> Judgement:
        statement = self.piece.statements[self.columns.statement[index]]
        root = self.columns.root[index]
        places = [other for site in sites for other in self._same_place(site)]
        places = [site for site in places if self._was_seen(site, statement.id)] or places
        stacks = [stack for site in places for stack in self._stacks_for(site, statement.id, root)]
        return self.repetitions.of(statement.kind, self._meaning(index).fingerprint, stacks)

    def _ways(self, indices: Sequence[int]) -> int:
        """In how many ways the application came to these operations of one root, as far as that is known."""
        first = indices[0]
        statement, root = self.columns.statement[first], self.columns.root[first]
        sites = {self.columns.site[index] for index in indices}
        return len({tuple(stack) for site in sites for stack in self._stacks_for(site, statement, root)})

    def _same_place(self, site: int) -> Sequence[int]:
        return self.sites_at.get(site, (site,))

    def _is_silenced(self, sites: Sequence[int], judgement: Judgement, code: str) -> bool:
        """Whether a comment on the call, on the loop, or on a function around them asks for silence."""
        if judgement.loop is not None:
            loop = self.scene.sources.code(judgement.loop.path)
            if loop is not None and loop.is_silenced((judgement.loop.line,), code):
                return True
        return all(self._is_silenced_site(site, code) for site in sites)

    def _is_silenced_site(self, site: int, code: str) -> bool:
        key = (site, code)
        if key not in self.silenced:
            self.silenced[key] = is_silenced(self.scene.sources, self._stacks_of(site), code)
        return self.silenced[key]

    def _cluster(
        self, kind: ClusterKind, indices: list[int], sites: Sequence[int], distinct: int, judgement: Judgement
    ) -> Cluster:
        first = indices[0]
        return Cluster(
            kind,
            self.piece,
            self.columns.root[first],
            self.columns.statement[first],
            self._meaning(first),
            list(sites),
            indices,
            distinct,
            judgement,
        )


def is_silenced(sources: Sources, stacks: Sequence[Sequence[Frame]], code: str) -> bool:
    """Whether every way to a call has a comment against `code`: on the call's statement or a function's header."""
    return bool(stacks) and all(_is_silenced_way(sources, stack, code) for stack in stacks)


def _is_silenced_way(sources: Sources, stack: Sequence[Frame], code: str) -> bool:
    for path, line, _ in stack:
        file = sources.code(path)
        if file is None:
            continue
        function = file.function_at(line)
        if file.is_silenced(file.statement_lines(line), code):
            return True
        if function is not None and file.is_silenced(function.header(), code):
            return True
    return False


def _grouped(piece: Piece) -> tuple[list[int], list[int], list[Meaning]]:
    """The group of each operation, -1 when it does not count; a statement and the meaning of each group.

    Statements of one kind and fingerprint are one group.
    """
    counts = Counter(piece.operations.statement)
    often = [number for number, _ in counts.most_common() if number in piece.statements]
    texts = [(piece.statements[number].kind, piece.statements[number].text) for number in often]
    meanings = meanings_of(texts)
    numbers: dict[tuple[str, str], int] = {}
    group_of_statement: dict[int, int] = {}
    statements: list[int] = []
    found: list[Meaning] = []
    for number, (kind, text) in zip(often, texts):
        meaning = meanings[kind, text]
        if kind in LOCAL_KINDS or meaning.effect in {"ignored", "waits"}:
            group_of_statement[number] = -1
            continue
        key = (kind, meaning.fingerprint)
        if key not in numbers:
            numbers[key] = len(numbers)
            statements.append(number)
            found.append(meaning)
        group_of_statement[number] = numbers[key]
    lookup: Callable[[int], int] = lambda number: group_of_statement.get(number, -1)  # noqa: E731
    return list(map(lookup, piece.operations.statement)), statements, found


def _placed(piece: Piece) -> tuple[list[int], dict[int, list[int]]]:
    """The first site at the same place for each operation's site, and all the sites there."""
    first: dict[tuple[str, int, str], int] = {}
    same: dict[int, int] = {}
    together: dict[int, list[int]] = defaultdict(list)
    for number, site in piece.sites.items():
        same[number] = first.setdefault((site.path, site.line, site.function), number)
        together[same[number]].append(number)
    at = {number: together[canonical] for number, canonical in same.items()}
    if all(number == canonical for number, canonical in same.items()):
        return piece.operations.site, at
    return [same.get(site, site) for site in piece.operations.site], at
