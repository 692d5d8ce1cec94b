"""The project stage: which functions block, which issue a query, and where that is reached from.

Only uses that can matter are resolved. It starts from the names that the catalogue knows; when a function
turns out to block or query, the names under which it can be called become interesting too, until nothing
new is found.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.edges import CONSTRUCTORS, NEAR_ONLY, Edge, EdgeResolver, Family, applies, hops
from agentperf_lint.analysis.effects import MAX_DEPTH, MAX_LOOP_HOPS, MAX_SURE_HELPERS, Effects
from agentperf_lint.analysis.index import Index
from agentperf_lint.analysis.infer import SCOPE_BITS, LoadedFile, Resolver
from agentperf_lint.analysis.suspects import Suspects
from agentperf_lint.analysis.values import Class, Function, Module
from agentperf_rules.catalogue import ANY_METHOD, Catalogue
from agentperf_rules.catalogue.schema import Sink
from agentperf_rules.model import CONFIDENCES, Confidence, Suspect

LOG = logging.getLogger(__name__)
_FAMILIES: tuple[Family, ...] = ("blocking", "loop")
_REACH: dict[Family, int] = {"blocking": MAX_SURE_HELPERS, "loop": MAX_LOOP_HOPS}  # calls
_UNLIMITED: dict[Family, int] = {"blocking": MAX_DEPTH, "loop": MAX_LOOP_HOPS}


class Reach:
    """Follows calls through `resolver.files`; `display` turns an absolute path into the one that is shown.

    Suspects less sure than `least` are left out.
    """

    def __init__(
        self, resolver: Resolver, catalogue: Catalogue, display: Callable[[str], str], least: Confidence = "possible"
    ) -> None:
        self.resolver = resolver
        self.files: Seq[LoadedFile] = resolver.files
        self.catalogue = catalogue
        self.display = display
        self.least = CONFIDENCES.index(least)
        self.index = Index(resolver)
        self.edges: dict[int, list[Edge]] = defaultdict(list)
        self.into: dict[int, list[Edge]] = defaultdict(list)
        self._edge_resolver = EdgeResolver(self.index, catalogue, dict(self._configured()))
        self._reach = _REACH if self.least else _UNLIMITED
        self._done: set[str] = set()
        self._queue: deque[str] = deque()
        self._depths: dict[Family, dict[int, int]] = {"blocking": {}, "loop": {}}
        self._passed: dict[str, list[LoadedFile]] | None = None

    def run(self) -> list[Suspect]:
        """All suspects, in no particular order."""
        self._resolve_always()
        # The order of questions can decide which answer a cycle of them gets, so it is always the same.
        for name in (*sorted(self.catalogue.terminal_names), *self.index.higher_order):
            self._want(name)
        if any(name.endswith(ANY_METHOD) for name in self.catalogue.calls):
            for name in sorted(self.index.by_name):  # whatever the methods are called
                self._want(name)
        for name in sorted(self.index.relations):
            self._want(name)
            self._resolve_middles(name)
        while self._queue:
            self._resolve_name(self._queue.popleft())
        effects = Effects(self.resolver, self.edges, self.into, self._depths, self.least)
        return Suspects(effects, self._edge_resolver, self.display).found()

    def _configured(self) -> Iterator[tuple[int, Sink | None]]:
        """The functions that `catalogue.calls` names: the sink that a call of one is, None for nothing that costs."""
        for name in sorted(self.catalogue.calls, key=lambda name: not name.endswith(ANY_METHOD)):
            sink = self.catalogue.sink(name)
            keys = list(self._functions_named(name, with_overrides=sink is None))
            if not keys and self.resolver.is_module(name.partition(".")[0]):
                LOG.warning('calls: "%s" is no function of this project', name)
            for key in keys:
                if sink is not None and name.endswith(ANY_METHOD):
                    sink = sink._replace(name=name.removesuffix("*") + self.resolver.scope(key).name)
                elif sink is not None:
                    sink = sink._replace(name=name)
                yield key, sink

    def _functions_named(self, name: str, with_overrides: bool) -> Iterator[int]:
        """The functions of the project that a dotted name means; with `.*` all of a class or module.

        What overrides an abstract method is always meant as well.
        """
        owner, every, _ = name.partition(ANY_METHOD)
        for value in self.resolver.named(owner):
            if isinstance(value, Function):
                yield value.key
                receiver = self.resolver.owner(value.key)
                if receiver >= 0 and (with_overrides or self.resolver.is_abstract(value.key)):
                    for subclass in self.index.all_subclasses(receiver):
                        yield from self._methods_of(subclass, self.resolver.scope(value.key).name)
            elif isinstance(value, Class) and not every:
                for constructor in CONSTRUCTORS:
                    yield from self._methods_of(value.key, constructor)
            elif isinstance(value, (Class, Module)) and every:
                key = value.key if isinstance(value, Class) else value.file << SCOPE_BITS
                for attribute in self.resolver.scope(key).names:
                    yield from self._functions_named(f"{owner}.{attribute}", with_overrides)

    def _methods_of(self, cls: int, name: str) -> Iterator[int]:
        yield from (value.key for value in self.resolver.lookup(cls, name) if isinstance(value, Function))

    def _want(self, name: str) -> None:
        if name and name not in self._done:
            self._done.add(name)
            self._queue.append(name)
            for alias in sorted(self.index.aliases.get(name, ())):
                self._want(alias)

    def _resolve_always(self) -> None:
        """Uses that no name leads to: `with`, loops, calls of stores, and callees that are computed."""
        for file in self.files:
            for index in file.facts.unnamed:
                self._resolve(file, index)
        self._resolve_name("")

    def _resolve_name(self, name: str) -> None:
        for file, uses in self.index.by_name.get(name, ()):
            for use in uses:
                self._resolve(file, use)

    def _resolve(self, file: LoadedFile, index: int) -> None:
        start = index * f.USE_STRIDE
        if file.uses[start + 1] == f.USE_READ and file.strings[file.uses[start + 9]] not in self.index.readable:
            return
        for edge in self._edge_resolver.edges_of(file, index, file.use(index)):
            self._add(edge)

    def _add(self, edge: Edge) -> None:
        self.edges[edge.caller].append(edge)
        if edge.callee >= 0:
            self.into[edge.callee].append(edge)
        if edge.sink is not None:
            if edge.sink.kind in NEAR_ONLY:
                return
            if applies(edge, "blocking"):
                self._affect(edge.caller, 1, "blocking")
            if edge.sink.loop:
                self._affect(edge.caller, 1, "loop")
            return
        for family in _FAMILIES:
            depth = self._depths[family].get(edge.callee)
            if depth is not None and (edge.sync or family == "loop"):
                self._affect(edge.caller, depth + hops(edge, self.files), family)

    def _affect(self, key: int, depth: int, family: Family) -> None:
        """`key` blocks or queries within `depth` calls: the names under which it runs become interesting.

        So do those of its callers, up to the distance at which a finding would no longer be sure. Blocking ends
        at async functions: they are where it is reported.
        """
        depths = self._depths[family]
        waiting = [(key, depth)]
        while waiting:
            key, depth = waiting.pop()
            if depths.get(key, MAX_DEPTH + 1) <= depth:
                continue
            depths[key] = depth
            if depth > self._reach[family] or (family == "blocking" and self.resolver.scope(key).flags & f.ASYNC):
                continue
            self._want_callers(key)
            callers = (edge for edge in self.into.get(key, ()) if edge.sync or family == "loop")
            waiting.extend((edge.caller, depth + hops(edge, self.files)) for edge in callers)

    def _want_callers(self, key: int) -> None:
        scope = self.resolver.scope(key)
        if scope.kind != f.FUNCTION:
            return
        if scope.name.startswith("__") and scope.name.endswith("__"):
            owner = self.resolver.owner(key)
            if owner >= 0:
                self._want_class(self.resolver.scope(owner).name, set())
        self._want(scope.name)
        outer = scope.parent
        scopes = self.resolver.file_of(key).facts.scopes
        while outer > 0 and scopes[outer].kind == f.FUNCTION:  # a decorator's inner function runs under other names
            for name in sorted(self.index.decorated.get(scopes[outer].name, ())):
                self._want(name)
            outer = scopes[outer].parent
        if scope.name in self.index.properties:
            self._resolve_middles(scope.name)

    def _want_class(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        self._want(name)
        for subclass in sorted(self.index.subclasses.get(name, ())):
            self._want_class(subclass, seen)

    def _resolve_middles(self, name: str) -> None:
        """Uses that read the property or relation `name` on the way: `self.name.method()`."""
        if self._passed is None:
            self._passed = defaultdict(list)
            for file in self.files:
                for passed in self.index.readable.intersection(file.facts.passed):
                    self._passed[passed].append(file)
        for file in self._passed.pop(name, ()):
            for use in file.facts.passed[name]:
                for edge in self._edge_resolver.middle_edges(file, use, file.use(use), name):
                    self._add(edge)
