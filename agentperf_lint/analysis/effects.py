"""What functions do in the end: sinks carried to whoever reaches them, with how sure that is."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Seq
from itertools import pairwise
from typing import NamedTuple

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.edges import (
    NEAR_ONLY,
    Edge,
    Family,
    applies,
    flags_of,
    given_by,
    guard_of,
    hops,
    is_batched,
    is_on_self,
)
from agentperf_lint.analysis.infer import LoadedFile, Resolver
from agentperf_lint.analysis.values import Class, Function
from agentperf_rules.base import at_most
from agentperf_rules.catalogue.schema import Sink
from agentperf_rules.model import SEVERITIES, Confidence, Severity

MAX_LOOP_HOPS = 4  # calls between a loop and its query; further away the loop is rarely the place to fix
MAX_HELPERS = 3  # sync functions between an async one and the sink; beyond, a finding is only possible ...
MAX_SURE_HELPERS = 5  # ... unless every call on the way always runs: then so many
MAX_BRANCHES = 2  # conditional calls on the way; with more, the sink is rarely reached
MAX_DEPTH = 1_000_000
MAX_CALLERS = 10  # of a helper that reaches the sink for one kind of caller only, like a logger with many back ends
# What a single implementation of a method does is not what mostly happens, with so many or beside one in memory.
SEVERAL, MANY = 3, 6
_IN_MEMORY = re.compile(r"Memory|Null|Noop|NoOp|Dummy|Fake|Mock|Local|AsyncQueue")
_IN_PROCESS = ("sqlite3.", "duckdb.")  # databases
_ENDS = (".commit", ".rollback", ".close")  # of a transaction
_THROTTLES = frozenset({"Throttle", "throttle", "debounce", "rate_limited"})  # calls that come too soon do nothing
_CACHES = frozenset({"lru_cache", "cache", "cached", "cachedmethod", "memoize", "alru_cache"})


class Effect(NamedTuple):
    """What a function does in the end: the sink, the edge to take towards it, and the effect at its other end.

    `branches` counts the calls on the way that stand in a branch or behind a cache.
    """

    sink: Sink
    name: str
    confidence: Confidence
    depth: int
    edge: Edge
    then: Effect | None
    branches: int

    @property
    def code(self) -> str:
        """The code that the last edge asks for, "" for the one of the sink's kind."""
        effect = self
        while effect.then is not None:
            effect = effect.then
        return effect.edge.code


class Effects:
    """Carries what sinks do against `edges` to the functions that reach them; `into` has the edges of each callee.

    `depths`: how many calls away from the nearest sink of a family a function is. What is less sure than `least` (of
    `CONFIDENCES`) is left out.
    """

    def __init__(
        self,
        resolver: Resolver,
        edges: Mapping[int, list[Edge]],
        into: Mapping[int, list[Edge]],
        depths: Mapping[Family, Mapping[int, int]],
        least: int,
    ) -> None:
        self.resolver = resolver
        self.files: Seq[LoadedFile] = resolver.files
        self.edges = edges
        self.into = into
        self.least = least
        self._depths = depths
        self._surest: dict[Family, dict[int, Effect]] = {"blocking": {}, "loop": {}}
        self._choices: dict[int, list[tuple[tuple[int, ...], int]]] = {}

    def of(self, family: Family) -> dict[int, Effect]:
        """The effect of every function that has one: first what no argument avoids, then the gravest, the nearest."""
        effects: dict[int, Effect] = {}
        groups: dict[tuple[int, bool, int], list[Edge]] = defaultdict(list)
        for edges in self.edges.values():
            for edge in edges:
                if (
                    edge.sink is not None
                    and applies(edge, family)
                    and not (family == "loop" and is_batched(edge, self.files))
                ):
                    severity = edge.sink.severity if family == "blocking" else "high"
                    possible, gravity = by_gravity(edge.confidence, severity)
                    groups[possible, bool(guard_of(edge, self.files)), gravity].append(edge)
        certain = [rank for rank in sorted(groups) if rank[0] == 0]
        for rank in certain:
            self._spread(groups[rank], family, effects, certain=True)
        surest = self._surest[family] = self._surest_effects(
            [edge for rank in certain for edge in groups[rank]], family
        )
        for key, effect in surest.items():
            effects.setdefault(key, effect)
        if self.least:
            return effects  # what is only possible will not be shown
        self._carry(deque(effects), family, effects, certain=False)
        for rank in sorted(groups):
            if rank[0]:
                self._spread(groups[rank], family, effects, certain=False)
        return effects

    def _surest_effects(self, sinks: list[Edge], family: Family) -> dict[int, Effect]:
        """For every function the effect with the fewest branches before it, however light: it is sure farther away.

        The lightest, such as a `stat`, must be sure to happen.
        """
        found: dict[int, Effect] = {}
        for most in range(MAX_BRANCHES):
            for edge in sinks:
                assert edge.sink is not None
                if edge.caller not in found and self._branches(edge, family) <= _most_branches(edge.sink, most):
                    found[edge.caller] = Effect(
                        edge.sink, edge.name, edge.confidence, 1, edge, None, self._branches(edge, family)
                    )
            self._carry(deque(found), family, found, certain=True, most=most)
        return found

    def _spread(self, sinks: list[Edge], family: Family, effects: dict[int, Effect], certain: bool) -> None:
        """Breadth first from the sinks to the callers of the functions that reach them.

        First come those that always run; what ends a transaction says less than what was done in it. While it is
        about what is `certain`, what is only possible from a caller leaves room for another sink that is sure there.
        """
        reached: deque[int] = deque()
        for edge in sorted(sinks, key=lambda e: (e.name.endswith(_ENDS), self._branches(e, family), e.file, e.use)):
            if edge.caller not in effects:
                assert edge.sink is not None
                effects[edge.caller] = Effect(
                    edge.sink, edge.name, edge.confidence, 1, edge, None, self._branches(edge, family)
                )
                reached.append(edge.caller)
        self._carry(reached, family, effects, certain)

    def _carry(
        self,
        reached: deque[int],
        family: Family,
        effects: dict[int, Effect],
        certain: bool,
        most: int = MAX_DEPTH,
    ) -> None:
        """From the functions `reached`, which have an effect, to their callers by `most` branches, breadth first."""
        while reached:
            key = reached.popleft()
            effect = effects[key]
            for edge in self.into.get(key, ()):
                if edge.caller in effects or (certain and edge.confidence == "possible"):
                    continue
                if (family == "blocking" and not edge.sync) or (family == "loop" and is_batched(edge, self.files)):
                    continue
                met = self._met(edge, effect, family, effects)
                behind = self._behind(edge, met, family) if met is not None else None
                if (
                    behind is None
                    or behind.branches > _most_branches(behind.sink, most)
                    or (certain and behind.confidence == "possible")
                ):
                    continue
                effects[edge.caller] = behind
                reached.append(edge.caller)

    def _behind(self, edge: Edge, effect: Effect, family: Family) -> Effect:
        """The effect of the caller whose `edge` leads to a function with `effect`."""
        weaker = at_most(effect.confidence, edge.confidence)
        branches = effect.branches + self._branches(edge, family)
        if self._is_doubtful(edge, effect, branches, family):
            weaker = "possible"
        return Effect(effect.sink, effect.name, weaker, effect.depth + hops(edge, self.files), edge, effect, branches)

    def _met(self, edge: Edge, effect: Effect, family: Family, effects: dict[int, Effect]) -> Effect | None:
        """What the callee does when it is called as `edge` does: `effect`, another one, or nothing."""
        if not self._avoids(edge, effect):
            return effect
        others = (self._direct(other, family, effects) for other in self.edges[edge.callee])
        return next((other for other in others if other is not None and not self._avoids(edge, other)), None)

    def _direct(self, edge: Edge, family: Family, effects: dict[int, Effect]) -> Effect | None:
        """The effect that `edge` alone gives its caller."""
        if family == "loop" and is_batched(edge, self.files):
            return None
        if edge.sink is not None:
            if not applies(edge, family):
                return None
            return Effect(edge.sink, edge.name, edge.confidence, 1, edge, None, self._branches(edge, family))
        effect = effects.get(edge.callee)
        if effect is None or effect.edge.caller == edge.caller or (family == "blocking" and not edge.sync):
            return None
        return None if self._avoids(edge, effect) else self._behind(edge, effect, family)

    def _avoids(self, edge: Edge, effect: Effect) -> bool:
        """Whether the call cannot have the effect.

        Either the arguments keep it from that (each guard names one that must be None, or not), or it is what a class
        does that the object is not of.
        """
        if self._is_overridden(edge, effect):
            return True
        return any(given is not None and given is not wanted for given, wanted in self._asked(edge, effect))

    def _is_undecided(self, edge: Edge, effect: Effect, family: Family) -> bool:
        """Whether it is up to variables that the call hands over if the effect is had, which may be rare in a loop."""
        if family != "loop" or "*" in given_by(edge, self.files):
            return False
        return any(given is None for given, _ in self._asked(edge, effect))

    def _asked(self, edge: Edge, effect: Effect) -> Iterator[tuple[bool | None, bool]]:
        """For each parameter on which the effect depends: whether the call gives it (None: unknown), and should."""
        guard = guard_of(effect.edge, self.files)
        if not guard or edge.callee != effect.edge.caller:
            return
        called = self._takes_arguments(self.files[edge.file], edge)
        if called < 0:
            return
        given = given_by(edge, self.files)
        params = [param.name for param in self.resolver.scope(called).params]
        if params[:1] in (["self"], ["cls"]):
            params = params[1:]
        for name in guard.split("&"):
            yield _is_given(name.lstrip("!"), given, params), name[0] == "!"

    def _is_overridden(self, edge: Edge, effect: Effect) -> bool:
        """Whether the effect is another class's implementation of a method than that of the object that is called."""
        then = effect.edge
        if then.confidence != "likely" or then.callee < 0 or edge.callee != then.caller:
            return False
        inner = self.files[then.file]
        if not is_on_self(inner, inner.use(then.use)):
            return False
        file = self.files[edge.file]
        use = file.use(edge.use)
        if file.ops[use.ref] != f.CALL:
            return False
        receivers = [
            value.receiver
            for value in self.resolver.values(file, file.bases[use.ref])
            if isinstance(value, Function) and value.key == edge.callee
        ]
        return bool(receivers) and all(
            receiver >= 0 and self.resolver.overrides(receiver, then.callee) for receiver in receivers
        )

    def _takes_arguments(self, file: LoadedFile, edge: Edge) -> int:
        """The function whose parameters the arguments at the edge are for, -1 where they are for none on its way.

        That is its callee, which may implement the method that is called or stand around the function.
        """
        use = file.use(edge.use)
        is_call = use.kind == f.USE_CALL
        if not is_call and file.ops[use.ref] != f.CALL:
            return -1
        name = self.resolver.scope(edge.callee).name
        for value in self.resolver.values(file, file.bases[use.ref]):
            if isinstance(value, Class):
                return edge.callee if is_call else -1  # what is entered or iterated over was given its arguments before
            if isinstance(value, Function) and edge.decorates:
                return value.key
            if isinstance(value, Function) and self.resolver.scope(value.key).name == name:
                return edge.callee
        return -1

    def _branches(self, edge: Edge, family: Family) -> int:
        """Whether the call of `edge` may well not happen when its function runs.

        For a loop, what does not happen for every element is as good as far away.
        """
        flags = flags_of(edge, self.files)
        decorators = self.resolver.decorator_names(edge.caller)
        cached = bool(flags & f.KEPT or decorators & _CACHES)
        if family == "loop":
            cached = cached or bool(decorators & _THROTTLES)
            return MAX_BRANCHES * (cached or self._happens_sometimes(edge) or self._is_left_to_itself(edge, flags))
        return int(bool(flags & f.CONDITIONAL)) + MAX_BRANCHES * cached

    def _is_left_to_itself(self, edge: Edge, flags: int) -> bool:
        """Whether a function that cannot await starts the call as a task: telemetry, for which nobody waits."""
        starts = bool(flags & f.FANNED_OUT) and edge.callee >= 0 and not edge.sync
        return starts and not self.resolver.scope(edge.caller).flags & f.ASYNC

    def _happens_sometimes(self, edge: Edge) -> bool:
        """Whether the function of `edge` can do without any query: by a branch that has no counterpart with one."""
        file = self.files[edge.file]
        flags = flags_of(edge, self.files)
        if flags & f.SOMETIMES or not flags & f.CONDITIONAL:
            return bool(flags & f.SOMETIMES)
        at = self._place(file, edge.use)
        around = [(arms, end) for arms, end in self._choices_of(file) if arms[0] <= at < end]
        if around and guard_of(edge, self.files):
            around.remove(max(around))  # the arguments of each call tell which of these branches it takes
        if not around:
            return False
        queries = [self._place(file, each.use) for each in self.edges[edge.caller] if self._may_query(each)]
        return any(
            not any(start <= query < stop for query in queries)
            for arms, end in around
            for start, stop in pairwise((*arms, end))
            if not start <= at < stop
        )

    def _place(self, file: LoadedFile, use: int) -> int:
        at = file.use(use)
        return f.position(at.line, at.column)

    def _choices_of(self, file: LoadedFile) -> list[tuple[tuple[int, ...], int]]:
        """The starts of the arms, and the end, of each branch in `file` that is taken one way or the other."""
        found = self._choices.get(file.index)
        if found is None:
            found = self._choices[file.index] = []
            packed = f.ints(file.facts.choices)
            at = 0
            while at < len(packed):
                last = at + packed[at]
                found.append((tuple(packed[at + 1 : last + 1]), packed[last + 1]))
                at = last + 2
        return found

    def _may_query(self, edge: Edge) -> bool:
        return applies(edge, "loop") if edge.sink is not None else edge.callee in self._depths["loop"]

    def _is_doubtful(self, edge: Edge, effect: Effect, branches: int, family: Family) -> bool:
        """Whether the effect, behind so many `branches`, is only possible where `edge` calls what has it."""
        return (
            self._is_far(effect, branches, family)
            or self._says_little(edge, effect)
            or self._is_undecided(edge, effect, family)
        )

    def _is_far(self, effect: Effect, branches: int, family: Family) -> bool:
        """Whether a call of a function with this effect says little about what happens at the caller."""
        if family == "loop" and effect.depth > 1 and effect.name.startswith(_IN_PROCESS):
            return True  # no round trip: many small queries are what it is made for
        farthest = MAX_HELPERS if branches else MAX_SURE_HELPERS
        return effect.sink.kind in NEAR_ONLY or effect.depth > farthest or branches >= MAX_BRANCHES

    def _says_little(self, edge: Edge, effect: Effect) -> bool:
        """Whether the callee does this for some callers only: one way of a hub, or of a decorator."""
        flags = flags_of(effect.edge, self.files)
        if edge.decorates:
            return effect.branches > 0 or (bool(flags & f.AFTER_EXIT) and not guard_of(effect.edge, self.files))
        return bool(flags & f.SELECTED) and len(self.into.get(effect.edge.caller, ())) > MAX_CALLERS

    def effect_at(self, edge: Edge, family: Family, effects: dict[int, Effect]) -> Effect | None:
        effect = effects.get(edge.callee)
        met = self._met(edge, effect, family, effects) if effect is not None else None
        if met is None or self.weaker(edge, met, effects, family) != "possible":
            return met
        others = (self._direct(other, family, effects) for other in self.edges[edge.callee])
        surer = (
            each
            for each in others
            if each is not None
            and not self._avoids(edge, each)
            and self.weaker(edge, each, effects, family) != "possible"
        )
        found = next(surer, met)
        surest = self._surest[family].get(edge.callee) if found is met else None
        if surest is None or self._avoids(edge, surest) or self.weaker(edge, surest, effects, family) == "possible":
            return found
        return surest

    def weaker(self, edge: Edge, effect: Effect | None, effects: dict[int, Effect], family: Family) -> Confidence:
        if effect is None:
            return edge.confidence
        if self._is_doubtful(edge, effect, effect.branches, family):
            return "possible"
        if any(self._is_exception(step, effects) for step in _edges_towards_sink(edge, effect)):
            return "possible"
        return at_most(effect.confidence, edge.confidence)

    def _is_exception(self, edge: Edge, effects: dict[int, Effect]) -> bool:
        """Whether a single one of several implementations that the edge can lead to has such an effect."""
        if edge.callee < 0 or edge.confidence != "likely" or edge.decorates:
            return False
        twins = {
            each.callee for each in self.edges[edge.caller] if each.use == edge.use and each.confidence == "likely"
        }
        if len(twins) < SEVERAL or sum(callee in effects for callee in twins) != 1:
            return False
        return len(twins) >= MANY or any(_IN_MEMORY.search(self.resolver.qualified_name(callee)) for callee in twins)


def _edges_towards_sink(edge: Edge, effect: Effect) -> Iterator[Edge]:
    yield edge
    step: Effect | None = effect
    while step is not None:
        yield step.edge
        step = step.then


def _is_given(guard: str, given: str, params: Seq[str]) -> bool | None:
    """Whether a call that passes `given` gives the parameter of `guard` a value; None where it cannot be told.

    For a switch: whether it is true.
    """
    name, switch, default = guard.partition("=")
    passed = _passed(name, given, params)
    if passed in ("*", ""):
        return None if passed else default == "1"
    if passed == "x":
        return None if switch else True
    if passed == "f":
        return False if switch else None
    return passed == "t"


def _passed(name: str, given: str, params: Seq[str]) -> str:
    """What stands for the parameter in `given`: `x`, `t`, `f`, `_`, `*` where it cannot be told, "" for nothing."""
    positions, _, listed = given.partition("|")
    names = listed.split(",")
    for written, passed in ((name, "x"), (f"{name}=1", "t"), (f"{name}=0", "f")):
        if written in names:
            return passed
    if "*" in positions or "**" in names:
        return "*"
    position = params.index(name) if name in params else len(positions)
    return positions[position : position + 1]


def _most_branches(sink: Sink, most: int) -> int:
    """Of those that may stand before the sink: none, when it hardly costs anything and `most` is a limit at all."""
    return 0 if sink.severity == "low" and most < MAX_DEPTH else most


def by_gravity(confidence: Confidence, severity: Severity) -> tuple[int, int]:
    """Smaller is graver; what is only possible comes after all else."""
    return int(confidence == "possible"), -SEVERITIES.index(severity)
