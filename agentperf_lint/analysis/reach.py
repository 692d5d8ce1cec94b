"""The project stage: which functions block, which issue a query, and where that is reached from.

Only uses that can matter are resolved. It starts from the names that the catalogue knows; when a function
turns out to block or query, the names under which it can be called become interesting too, until nothing
new is found.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Seq
from itertools import pairwise
from typing import Literal, NamedTuple

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.extract import BUILTINS
from agentperf_lint.analysis.infer import (
    EAGER,
    MANAGER,
    MODEL,
    NONE,
    PEEWEE_MODEL,
    QUERY_SET,
    SCOPE_BITS,
    Kind,
    LoadedFile,
    Resolver,
)
from agentperf_lint.analysis.values import (
    Class,
    External,
    Function,
    Instance,
    Module,
    Partial,
    Pending,
    Value,
    Values,
)
from agentperf_rules import code_for
from agentperf_rules.base import at_most
from agentperf_rules.catalogue import ANY_METHOD, Catalogue
from agentperf_rules.catalogue.schema import Sink
from agentperf_rules.model import CONFIDENCES, SEVERITIES, Confidence, Loop, LoopKind, Severity, Step, Suspect

LOG = logging.getLogger(__name__)

Family = Literal["blocking", "loop"]

MAX_LOOP_HOPS = 4  # calls between a loop and its query; further away the loop is rarely the place to fix
MAX_HELPERS = 3  # sync functions between an async one and the sink; beyond, a finding is only possible ...
MAX_SURE_HELPERS = 5  # ... unless every call on the way always runs: then so many
MAX_BRANCHES = 2  # conditional calls on the way; with more, the sink is rarely reached
MAX_DEPTH = 1_000_000
_SCOPE = (1 << SCOPE_BITS) - 1  # the part of a key that is the scope
_FAMILIES: tuple[Family, ...] = ("blocking", "loop")
_REACH: dict[Family, int] = {"blocking": MAX_SURE_HELPERS, "loop": MAX_LOOP_HOPS}  # calls
_UNLIMITED: dict[Family, int] = {"blocking": MAX_DEPTH, "loop": MAX_LOOP_HOPS}
MAX_NAMESAKES = 3  # methods that share a distinctive name, all taken for what is called on an unknown receiver
MAX_CALLERS = 10  # of a helper that reaches the sink for one kind of caller only, like a logger with many back ends
# What a single implementation of a method does is not what mostly happens, with so many or beside one in memory.
SEVERAL, MANY = 3, 6
_IN_MEMORY = re.compile(r"Memory|Null|Noop|NoOp|Dummy|Fake|Mock|Local|AsyncQueue")
MAX_OVERRIDES = 12  # a method with more implementations than this says nothing about any one of them

_LOOP_KINDS: tuple[LoopKind, ...] = ("for", "async for", "while", "comprehension")
_RELATIONS = frozenset({"ForeignKey", "OneToOneField", "ForeignKeyField", "relationship"})
_LOADED_WITH_THE_ROW = ("joined", "selectin", "subquery", "immediate", "dynamic", "write_only", "noload", "raise")
_CONSUMERS = frozenset(
    {"list", "tuple", "set", "frozenset", "sorted", "sum", "any", "all", "max", "min", "dict", "next", "len", "bool"}
)
_BUFFERS = frozenset({"io.BytesIO", "io.StringIO"})
_BUFFER_READERS = frozenset(
    (
        "zipfile tarfile gzip bz2 lzma json pickle csv yaml tomllib wave PIL pandas openpyxl pypdf docx "
        "soundfile numpy pydub"
    ).split()
)
_CAN_REFUSE = frozenset({"sync", "socket", "file"})  # kinds of calls that can be told not to wait
_IN_PROCESS = ("sqlite3.", "duckdb.")  # databases
_ENDS = (".commit", ".rollback", ".close")  # of a transaction
_NEAR_ONLY = frozenset({"import", "client"})  # mostly done once and kept; two calls away nobody can tell
_CACHES = frozenset({"lru_cache", "cache", "cached", "cachedmethod", "memoize", "alru_cache"})
_BATCH_NAME = re.compile(
    r"(?:^|[._])(?:batch|bulk|many|multi|delete_objects|put_records)(?:_|$)|_(?:batch|bulk|many|batches)$"
)
_CONSTRUCTORS = ("__init__", "__new__", "__post_init__")
_SYNC = f.AWAITED | f.FANNED_OUT | f.PASSED | f.RETURNED  # none of these: the value is used as it is


def _relation(name: str, batch: str) -> Sink:
    return Sink(name, "orm", "high", use=batch, batch=batch, loop=True)


DJANGO_RELATION = _relation("django.db.models.ForeignKey", "select_related() in the query")
PEEWEE_RELATION = _relation("peewee.ForeignKeyField", "join() in the query, or prefetch()")
SQLALCHEMY_RELATION = _relation("sqlalchemy.orm.relationship", "selectinload() or joinedload() in the query")


class Edge(NamedTuple):
    """One use, resolved: in `caller` it reaches the sink, or runs the function `callee` (-1 for a sink).

    `sync` says that it runs on the caller's thread before the next statement, `repeats` that the use itself
    runs it once per element, `decorates` that the callee is what a decorator put around the function that is called.
    """

    caller: int
    file: int
    use: int
    callee: int
    sink: Sink | None
    name: str
    confidence: Confidence
    sync: bool
    repeats: bool = False
    code: str = ""
    decorates: bool = False


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
        self._reach = _REACH if self.least else _UNLIMITED
        self.edges: dict[int, list[Edge]] = defaultdict(list)
        self.into: dict[int, list[Edge]] = defaultdict(list)
        self.offloaded_results: set[tuple[int, int]] = set()
        self._offloaded: set[tuple[int, int]] = set()  # functions (caller, reference) that are handed to a thread
        self.suspects: list[Suspect] = []
        self._by_name: dict[str, list[tuple[LoadedFile, list[int]]]] = defaultdict(list)
        self._inert: dict[str, bool] = {}
        self._done: set[str] = set()
        self._queue: deque[str] = deque()
        self._depths: dict[Family, dict[int, int]] = {"blocking": {}, "loop": {}}
        self._surest: dict[Family, dict[int, Effect]] = {"blocking": {}, "loop": {}}
        self._constructors: dict[int, list[int]] = {}
        self._called: dict[int, dict[int, set[str]]] = {}
        self._choices: dict[int, list[tuple[tuple[int, ...], int]]] = {}
        self._passing: set[int] = set()  # functions whose handed over functions are being looked at
        self._changed: dict[int, set[int]] = {}
        self._awaited: dict[int, set[int]] = {}
        self._aliases: dict[str, set[str]] = defaultdict(set)
        self._subclasses: dict[str, set[str]] = defaultdict(set)
        self._decorated: dict[str, set[str]] = defaultdict(set)
        self._subclass_keys: dict[int, list[int]] | None = None
        self._classes: list[tuple[int, f.Scope]] = []
        self._properties: set[str] = set()
        self._relations: set[str] = set()
        self._higher_order: list[str] = []
        self._readable: set[str] = set()
        self._methods: dict[str, list[int]] | None = None
        self._passed: dict[str, list[LoadedFile]] | None = None
        self._told: dict[int, Sink | None] = {}  # functions of which the project says what a call of them is

    # -- finding what matters -----------------------------------------------------------------------

    def run(self) -> list[Suspect]:
        """All suspects, in no particular order."""
        self._index()
        self._told = dict(self._configured())
        self._resolve_always()
        # The order of questions can decide which answer a cycle of them gets, so it is always the same.
        for name in (*sorted(self.catalogue.terminal_names), *self._higher_order):
            self._want(name)
        if any(name.endswith(ANY_METHOD) for name in self.catalogue.calls):
            for name in sorted(self._by_name):  # whatever the methods are called
                self._want(name)
        for name in sorted(self._relations):
            self._want(name)
            self._resolve_middles(name)
        while self._queue:
            self._resolve_name(self._queue.popleft())
        blocking = self._effects("blocking")
        querying = self._effects("loop")
        self._report_blocking(blocking)
        self._report_loops(querying)
        return self.suspects

    def _index(self) -> None:
        by_name = self._by_name
        for file in self.files:
            scopes = file.facts.scopes
            for name, uses in file.facts.called.items():
                by_name[name].append((file, uses))
            for index in file.facts.classes:
                self._index_class(file, self.resolver.key(file, index), scopes[index])
            for index in file.facts.marked:
                scope = scopes[index]
                if scope.flags & f.PROPERTY:
                    self._properties.add(scope.name)
                elif scope.flags & f.HIGHER_ORDER:
                    self._higher_order.append(scope.name)
                for decorator in scope.decorators:
                    self._decorated[self._last_name(file, decorator)].add(scope.name)
            for target, name in file.facts.aliases:
                self._aliases[target].add(name)
        self._readable = self._properties | self._relations

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
                    for subclass in self._all_subclasses(receiver):
                        yield from self._methods_of(subclass, self.resolver.scope(value.key).name)
            elif isinstance(value, Class) and not every:
                for constructor in _CONSTRUCTORS:
                    yield from self._methods_of(value.key, constructor)
            elif isinstance(value, (Class, Module)) and every:
                key = value.key if isinstance(value, Class) else value.file << SCOPE_BITS
                for attribute in self.resolver.scope(key).names:
                    yield from self._functions_named(f"{owner}.{attribute}", with_overrides)

    def _methods_of(self, cls: int, name: str) -> Iterator[int]:
        yield from (value.key for value in self.resolver.lookup(cls, name) if isinstance(value, Function))

    def _index_class(self, file: LoadedFile, key: int, scope: f.Scope) -> None:
        self._classes.append((key, scope))
        for base in scope.bases:
            name = self._last_name(file, base)
            if name:
                self._subclasses[name].add(scope.name)
        for name, ref in scope.names.items():
            for field in self._fields(file, ref):
                self._relations.add(name)
                related = file.keywords.get(field, {}).get("related_name", 0)
                if file.ops[related] == f.TEXT:
                    self.resolver.related_names.add(file.text(related))

    def _fields(self, file: LoadedFile, ref: int) -> list[int]:
        """The calls that declare a relation among what a class attribute holds."""
        refs = file.args[ref] if file.ops[ref] == f.UNION else (ref,)
        return [r for r in refs if file.ops[r] == f.CALL and self._last_name(file, r) in _RELATIONS]

    def _last_name(self, file: LoadedFile, ref: int) -> str:
        while file.ops[ref] in (f.CALL, f.ITEM):
            ref = file.bases[ref]
        op = file.ops[ref]
        if op in (f.ATTR, f.NAME):
            return file.text(ref)
        if op == f.MEMBER:
            return file.text(ref).rpartition(":")[2]
        return file.facts.scopes[file.bases[ref]].name if op == f.DEF else ""

    def _want(self, name: str) -> None:
        if name and name not in self._done:
            self._done.add(name)
            self._queue.append(name)
            for alias in sorted(self._aliases.get(name, ())):
                self._want(alias)

    def _resolve_always(self) -> None:
        """Uses that no name leads to: `with`, loops, calls of stores, and callees that are computed."""
        for file in self.files:
            for index in file.facts.unnamed:
                self._resolve(file, index)
        self._resolve_name("")

    def _resolve_name(self, name: str) -> None:
        for file, uses in self._by_name.get(name, ()):
            for use in uses:
                self._resolve(file, use)

    def _resolve(self, file: LoadedFile, index: int) -> None:
        start = index * f.USE_STRIDE
        if file.uses[start + 1] == f.USE_READ and file.strings[file.uses[start + 9]] not in self._readable:
            return
        for edge in self._edges_of(file, index, file.use(index)):
            self._add(edge)

    def _add(self, edge: Edge) -> None:
        self.edges[edge.caller].append(edge)
        if edge.callee >= 0:
            self.into[edge.callee].append(edge)
        if edge.sink is not None:
            if edge.sink.kind in _NEAR_ONLY:
                return
            if _applies(edge, "blocking"):
                self._affect(edge.caller, 1, "blocking")
            if edge.sink.loop:
                self._affect(edge.caller, 1, "loop")
            return
        for family in _FAMILIES:
            depth = self._depths[family].get(edge.callee)
            if depth is not None and (edge.sync or family == "loop"):
                self._affect(edge.caller, depth + self._hops(edge), family)

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
            waiting.extend((edge.caller, depth + self._hops(edge)) for edge in callers)

    def _hops(self, edge: Edge) -> int:
        """How much farther from the sink the caller is: a function defined inside it is a part of it."""
        scopes = self.files[edge.file].facts.scopes
        inside = edge.callee >> SCOPE_BITS == edge.file
        return 0 if inside and scopes[edge.callee & _SCOPE].parent == edge.caller & _SCOPE else 1

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
            for name in sorted(self._decorated.get(scopes[outer].name, ())):
                self._want(name)
            outer = scopes[outer].parent
        if scope.name in self._properties:
            self._resolve_middles(scope.name)

    def _want_class(self, name: str, seen: set[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        self._want(name)
        for subclass in sorted(self._subclasses.get(name, ())):
            self._want_class(subclass, seen)

    def _resolve_middles(self, name: str) -> None:
        """Uses that read the property or relation `name` on the way: `self.name.method()`."""
        if self._passed is None:
            self._passed = defaultdict(list)
            for file in self.files:
                for passed in self._readable.intersection(file.facts.passed):
                    self._passed[passed].append(file)
        for file in self._passed.pop(name, ()):
            for use in file.facts.passed[name]:
                for edge in self._middle_edges(file, use, file.use(use), name):
                    self._add(edge)

    # -- one use ------------------------------------------------------------------------------------

    def _edges_of(self, file: LoadedFile, index: int, use: f.Use) -> Iterable[Edge]:
        caller = self.resolver.key(file, use.scope)
        if use.kind == f.USE_CALL:
            return self._call_edges(file, index, use, caller)
        if use.kind == f.USE_ITERATE:
            return self._iterate_edges(self.resolver.values(file, use.ref), file, index, use, caller)
        if use.kind == f.USE_ENTER:
            return self._enter_edges(self.resolver.values(file, use.ref), index, use, caller)
        if use.kind == f.USE_READ:
            return self._attribute_edges(file, use.ref, index, use, caller)
        return self._store_edges(file, index, use, caller)

    def _sink(
        self,
        sink: Sink,
        name: str,
        index: int,
        use: f.Use,
        caller: int,
        confidence: Confidence = "definite",
        repeats: bool = False,
    ) -> Edge:
        return Edge(caller, caller >> SCOPE_BITS, index, -1, sink, name, confidence, not use.flags & f.AWAITED, repeats)

    def _call_edges(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterable[Edge]:
        callees = self.resolver.values(file, file.bases[use.ref])
        edges: list[Edge] = []
        unknown = not callees
        for value in callees:
            if isinstance(value, External):
                if not self._is_inert(value.name):
                    edges.extend(self._external_edges(value, file, index, use, caller, False))
                unknown = unknown or self._is_foreign(value)
                continue
            edges.extend(self._run_edges(value, file, index, use, caller))
            if (
                isinstance(value, Function)
                and self.resolver.is_abstract(value.key)
                and not self._implementations(value)
            ):
                unknown = True
        if unknown and not edges:
            edges.extend(self._conventional(file, index, use, caller))
        if not callees and not edges:
            edges.extend(self._namesakes(file, index, use, caller))
        return self._plausible(edges, use) if edges else edges

    def _is_inert(self, name: str) -> bool:
        """Whether calling `name` runs nothing that counts, whatever it is given."""
        known = self._inert.get(name)
        if known is None:
            owner, _, last = name.rpartition(".")
            known = self._inert[name] = not (
                self.catalogue.sink(name) is not None
                or name.removesuffix("()") in self.catalogue.offloaders
                or name in self.catalogue.invokers
                or (owner == "builtins" and last in _CONSUMERS)
            )
        return known

    def _plausible(self, edges: list[Edge], use: f.Use) -> Iterator[Edge]:
        """Of several things that a name can be, those that fit: what is awaited is no sync function, and vice versa."""
        awaited = bool(use.flags & (f.AWAITED | f.FANNED_OUT))
        if any(edge.callee >= 0 and edge.sync is not awaited for edge in edges):
            edges = [edge for edge in edges if edge.callee < 0 or edge.sync is not awaited]
        for edge in edges:
            if edge.callee >= 0 and edge.sync:
                if awaited and not self._gives_awaitable(edge.callee):
                    continue
                if use.flags & f.HANDED_ON and self._is_async_elsewhere(edge.callee):
                    continue
            yield edge

    def _is_async_elsewhere(self, key: int) -> bool:
        """Whether a subclass has an async method in its place: `await ensure_async(manager.save(x))` takes both."""
        owner = self.resolver.owner(key)
        if owner < 0:
            return False
        name = self.resolver.scope(key).name
        twins = (value for cls in self._all_subclasses(owner) for value in self.resolver.lookup(cls, name))
        return any(isinstance(value, Function) and self.resolver.kind(value.key) is Kind.ASYNC for value in twins)

    def _namesakes(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        """Methods of the project with the distinctive name that is called on a receiver of unknown type."""
        head, _, method = file.strings[use.written].rpartition(".")
        if not head or not f.DISTINCTIVE.fullmatch(method):
            return
        keys = self._methods_called(method)
        if 0 < len(keys) <= MAX_NAMESAKES:
            awaited = bool(use.flags & f.AWAITED)
            for key in keys:
                if awaited is (self.resolver.kind(key) is Kind.ASYNC):
                    yield from self._function_edges(Function(key), index, use, caller, confidence="likely")

    def _methods_called(self, name: str) -> list[int]:
        """The methods of that name that do something."""
        if self._methods is None:
            self._methods = defaultdict(list)
            for key, scope in self._classes:
                file = self.resolver.file_of(key)
                for attribute, ref in scope.names.items():
                    if file.ops[ref] == f.DEF and f.DISTINCTIVE.fullmatch(attribute):
                        method = self.resolver.key(file, file.bases[ref])
                        if self.resolver.scope(method).kind == f.FUNCTION and not self.resolver.is_abstract(method):
                            self._methods[attribute].append(method)
        return self._methods.get(name, [])

    def _gives_awaitable(self, key: int) -> bool:
        """Whether what the sync function returns can be awaited; unknown results can."""
        scope, file = self.resolver.scope(key), self.resolver.file_of(key)
        declared = scope.annotation
        if file.ops[declared] == f.LITERAL and file.text(declared) == "None" and not scope.decorators:
            return False
        results = self.resolver.results(key)
        return not results or any(
            isinstance(value, Pending) or (isinstance(value, External) and value.name.startswith("asyncio."))
            for value in results
        )

    def _is_foreign(self, value: External) -> bool:
        """A name of a library that the catalogue does not know."""
        top = value.name.partition(".")[0]
        return top != "builtins" and not self.catalogue.knows_package(top)

    def _run_edges(
        self, value: Value, file: LoadedFile, index: int, use: f.Use, caller: int, repeats: bool = False
    ) -> Iterator[Edge]:
        """The edges of calling `value` at `use`."""
        if isinstance(value, Function):
            yield from self._function_edges(value, index, use, caller, repeats)
        elif isinstance(value, Class):
            yield from self._constructor_edges(value.key, index, use, caller)
        elif isinstance(value, External):
            yield from self._external_edges(value, file, index, use, caller, repeats)
        elif isinstance(value, Partial):
            for target in value.targets:
                yield from self._run_edges(target, file, index, use, caller, repeats)
        elif isinstance(value, Instance):
            for method in self.resolver.attribute(value, "__call__"):
                if isinstance(method, Function):
                    yield from self._function_edges(method, index, use, caller, repeats)

    def _function_edges(
        self,
        function: Function,
        index: int,
        use: f.Use,
        caller: int,
        repeats: bool = False,
        of: tuple[Kind, ...] = (Kind.SYNC, Kind.ASYNC),
        confidence: Confidence = "definite",
    ) -> Iterator[Edge]:
        for key, sure in self._implementations(function):
            kind = self.resolver.kind(key)
            if kind not in of or key == caller:
                continue
            sync = kind not in (Kind.ASYNC, Kind.ASYNC_GENERATOR, Kind.ASYNC_CONTEXT_MANAGER)
            if not sync and use.flags & f.DISCARDED:
                continue
            if key in self._told:
                sink = self._told[key]
                if sink is not None:
                    edge = self._sink(sink, sink.name, index, use, caller, at_most(sure, confidence), repeats)
                    yield edge._replace(sync=sync)
                continue
            yield Edge(caller, caller >> SCOPE_BITS, index, key, None, "", at_most(sure, confidence), sync, repeats)
            for wrapper in self.resolver.wrappers(key) if sync else ():
                yield Edge(caller, caller >> SCOPE_BITS, index, wrapper, None, "", "likely", True, repeats, "", True)
            if use.kind == f.USE_CALL and self.resolver.scope(key).flags & f.HIGHER_ORDER:
                yield from self._passed_edges(key, function, index, use, caller)

    def _passed_edges(self, key: int, function: Function, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        """Functions handed to a project function that calls its parameters.

        `run(partial(run, f))` hands over what is being looked at.
        """
        if key in self._passing:
            return
        self._passing.add(key)
        try:
            yield from self._edges_passed_to(key, function, index, use, caller)
        finally:
            self._passing.discard(key)

    def _edges_passed_to(self, key: int, function: Function, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        file = self.files[caller >> SCOPE_BITS]
        callee = self.resolver.file_of(key)
        scope = self.resolver.scope(key)
        called = self._called_parameters(callee, key & (1 << SCOPE_BITS) - 1)
        shift = 1 if function.receiver >= 0 and scope.params and scope.params[0].name in ("self", "cls") else 0
        for position, param in enumerate(scope.params):
            if param.name not in called:
                continue
            ref = self._argument(file, use.ref, position - shift, param.name) if position >= shift else 0
            for value in self.resolver.values(file, ref) if ref else NONE:
                if isinstance(value, (Function, Partial)):
                    yield from self._run_edges(value, file, index, use, caller)

    def _called_parameters(self, file: LoadedFile, scope: int) -> set[str]:
        found = self._called.get(file.index)
        if found is None:
            found = self._called[file.index] = defaultdict(set)
            for op, base in zip(file.ops, file.bases):
                if op == f.CALL and file.ops[base] == f.PARAM:
                    found[file.bases[base]].add(file.text(base))
        return found.get(scope, set())

    def _implementations(self, function: Function) -> list[tuple[int, Confidence]]:
        """The bodies that can run: the function, or what overrides it where it is abstract."""
        if function.receiver < 0 or not self.resolver.is_abstract(function.key):
            return [(function.key, "definite")]
        name = self.resolver.scope(function.key).name
        found: list[tuple[int, Confidence]] = []
        for subclass in self._all_subclasses(function.receiver):
            for value in self.resolver.lookup(subclass, name):
                if not isinstance(value, Function) or self.resolver.is_abstract(value.key):
                    continue
                if (value.key, "likely") not in found:
                    found.append((value.key, "likely"))
        return found if len(found) <= MAX_OVERRIDES else []

    def _all_subclasses(self, key: int) -> list[int]:
        if self._subclass_keys is None:
            self._subclass_keys = defaultdict(list)
            for subclass, _ in self._classes:
                for base in self.resolver.line(subclass)[1:]:
                    if isinstance(base, Class):
                        self._subclass_keys[base.key].append(subclass)
        return self._subclass_keys.get(key, [])

    def _constructor_edges(self, key: int, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        methods = self._constructors.get(key)
        if methods is None:
            found = [v for name in _CONSTRUCTORS for v in self.resolver.lookup(key, name)]
            methods = self._constructors[key] = [v.key for v in found if isinstance(v, Function)]
        for method in methods:
            yield from self._function_edges(Function(method, key), index, use, caller)
        if methods:
            return
        for base in self.resolver.line(key)[1:]:
            sink = self.catalogue.sink(base.name) if isinstance(base, External) else None
            if sink is not None:
                yield self._sink(sink, sink.name, index, use, caller)
                return

    def _external_edges(
        self, value: External, file: LoadedFile, index: int, use: f.Use, caller: int, repeats: bool
    ) -> Iterator[Edge]:
        sink = self.catalogue.sink(value.name)
        if (
            sink is not None
            and not self._is_prefetched(value, file, file.bases[use.ref])
            and not self._in_memory(sink, file, use.ref)
            and not (use.flags & f.NO_WAIT and sink.kind in _CAN_REFUSE)
            and not (sink.kind == "socket" and self._is_set_not_to_block(file, use))
            and not self._does_not_wait(file, use.ref)
            and not (sink.kind == "client" and self._loads_nothing(sink, file, use.ref))
        ):
            yield self._sink(sink, value.name, index, use, caller, "definite", repeats)
        yield from self._offload_edges(value, file, index, use, caller)
        invoker = self.catalogue.invokers.get(value.name)
        args = file.args.get(use.ref, [])
        if invoker is not None:
            ref = self._argument(file, use.ref, invoker.position, invoker.keyword)
            targets = self.resolver.values(file, ref) if ref else NONE
            if invoker.enters:
                yield from self._enter_edges(targets, index, use, caller)
                targets = NONE
            for target in targets:
                if not isinstance(target, Class) and target != value:
                    yield from self._run_edges(target, file, index, use, caller, invoker.repeats)
        owner, _, last = value.name.rpartition(".")
        if owner == "builtins" and last in _CONSUMERS and args:
            yield from self._iterate_edges(self.resolver.values(file, args[0]), file, index, use, caller)

    def _does_not_wait(self, file: LoadedFile, call: int) -> bool:
        """Whether a constant among the arguments says so."""
        for ref in (*file.args.get(call, ()), *file.keywords.get(call, {}).values()):
            if self._last_name(file, ref) in f.NO_WAIT_FLAGS:
                return True
            if file.ops[ref] == f.NAME and file.text(ref) not in BUILTINS:  # a constant of the module
                held = self.resolver.values(file, ref)
                if any(isinstance(v, External) and v.name.rpartition(".")[2] in f.NO_WAIT_FLAGS for v in held):
                    return True
        return False

    def _is_set_not_to_block(self, file: LoadedFile, use: f.Use) -> bool:
        """Whether the function, or a method of its class, calls `setblocking(False)` of the same socket."""
        receiver = file.strings[use.written].rpartition(".")[0]
        if not receiver:
            return False
        owner = self.resolver.owner(self.resolver.key(file, use.scope))
        for index in file.facts.called.get("setblocking", ()):
            other = file.use(index)
            if (file.strings[other.written], file.strings[other.given][:1]) == (f"{receiver}.setblocking", "f") and (
                other.scope == use.scope
                or (owner >= 0 and owner == self.resolver.owner(self.resolver.key(file, other.scope)))
            ):
                return True
        return False

    def _loads_nothing(self, sink: Sink, file: LoadedFile, call: int) -> bool:
        """A client that is given what it would otherwise load certificates for."""
        given = file.keywords.get(call, {})
        if not sink.name.startswith("httpx."):
            return False
        context = self.resolver.values(file, given["verify"]) if "verify" in given else NONE
        return "transport" in given or any(isinstance(v, External) and v.name.startswith("ssl.") for v in context)

    def _in_memory(self, sink: Sink, file: LoadedFile, call: int) -> bool:
        """A reader or writer that is given a buffer instead of a path."""
        if sink.name.partition(".")[0] not in _BUFFER_READERS:
            return False
        ref = self._argument(file, call, 0, "file") or self._argument(file, call, 0, "fileobj")
        while ref and file.ops[ref] == f.CALL and self._last_name(file, ref) == "cast":
            ref = self._argument(file, ref, 1, "val")
        return any(
            isinstance(value, Instance) or (isinstance(value, External) and value.instance and value.name in _BUFFERS)
            for value in (self.resolver.values(file, ref) if ref else NONE)
        )

    def _is_prefetched(self, value: External, file: LoadedFile, ref: int) -> bool:
        """A related set of a row whose query loaded its relations: `for book in author.books.all()`."""
        if not value.name.startswith((MANAGER, QUERY_SET)):
            return False
        step = ref
        while step and file.ops[step] in (f.ATTR, f.CALL, f.ITEM):
            if file.ops[step] == f.ATTR and file.text(step) == "objects":
                return False
            step = file.bases[step]
        return self.resolver.is_eager(file, ref)

    def _argument(self, file: LoadedFile, call: int, position: int, keyword: str) -> int:
        args = file.args.get(call, [])
        if position < len(args) and args[position]:
            return args[position]
        return file.keywords.get(call, {}).get(keyword, 0) if keyword else 0

    def _offload_edges(self, value: External, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        name = value.name
        offloader = self.catalogue.offloaders.get(name)
        if offloader is None and name.endswith("()"):
            # sync_to_async(f)(x): the call of what the offloader gave.
            maker = self.catalogue.offloaders.get(name[:-2])
            if maker is not None and maker.result and use.flags & f.DISCARDED:
                yield self._mistake("APL120", name[:-2], index, use, caller)
            return
        if offloader is None:
            return
        ref = self._argument(file, use.ref, offloader.position, offloader.keyword)
        if ref and file.ops[ref] == f.CALL:
            self.offloaded_results.add((file.index, ref))
        elif ref:
            self._offloaded.add((caller, ref))
        if use.flags & f.AWAITED:  # off the event loop, but still one call per element of a loop
            for target in self.resolver.values(file, ref) if ref else NONE:
                yield from self._offloaded_edges(target, index, use, caller)
        if offloader.awaitable and not (offloader.result or offloader.starts_at_once) and use.flags & f.DISCARDED:
            yield self._mistake("APL120", name, index, use, caller)

    def _offloaded_edges(self, target: Value, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        if isinstance(target, Partial):
            for each in target.targets:
                yield from self._offloaded_edges(each, index, use, caller)
        elif isinstance(target, Function):
            for edge in self._function_edges(target, index, use, caller, of=(Kind.SYNC,)):
                yield edge._replace(sync=False)
        elif isinstance(target, External):
            sink = self.catalogue.sink(target.name)
            if sink is not None:
                yield self._sink(sink, target.name, index, use, caller)._replace(sync=False)

    def _mistake(self, code: str, name: str, index: int, use: f.Use, caller: int) -> Edge:
        sink = Sink(name, "sync", "high", use="", blocking=False)
        return Edge(caller, caller >> SCOPE_BITS, index, -1, sink, name, "definite", True, False, code)

    def _conventional(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        written = file.strings[use.written]
        head, _, method = written.rpartition(".")
        if not head:
            return
        receiver = head.rpartition(".")[2]
        awaited = bool(use.flags & (f.AWAITED | f.FANNED_OUT))
        sync = not use.flags & _SYNC
        for rule in self.catalogue.convention(receiver, method, head):
            if (rule.when == "awaited" and not awaited) or (rule.when == "sync" and not sync):
                continue
            if rule.when == "changed" and not self._is_changed(file, use):
                continue
            if rule.args and not self._first_argument_matches(file, use.ref, rule.args):
                continue
            sink = Sink(
                written,
                rule.kind,
                rule.severity,
                rule.use,
                rule.batch,
                blocking=rule.blocking and sync,
                loop=rule.loop,
                write=rule.write,
            )
            yield self._sink(sink, written, index, use, caller, rule.confidence)
            return

    def _is_changed(self, file: LoadedFile, use: f.Use) -> bool:
        """Whether the call, without positional arguments, is on an object of which an attribute is set in the file."""
        if file.strings[use.given].partition("|")[0]:
            return False
        changed = self._changed.get(file.index)
        if changed is None:
            kinds, refs = file.uses[1 :: f.USE_STRIDE], file.uses[2 :: f.USE_STRIDE]
            changed = {file.bases[ref] for kind, ref in zip(kinds, refs) if kind == f.USE_STORE}
            self._changed[file.index] = changed
        return file.bases[file.bases[use.ref]] in changed

    def _first_argument_matches(self, file: LoadedFile, call: int, pattern: str) -> bool:
        args = file.args.get(call, [])
        return bool(args) and self.catalogue.matches(pattern, self._source_of(file, args[0]))

    def _source_of(self, file: LoadedFile, ref: int) -> str:
        """Enough of an argument's source for a convention: a name, or a quoted constant."""
        if file.ops[ref] == f.TEXT:
            return f'"{file.text(ref)}'
        return self._last_name(file, ref)

    def _iterate_edges(self, values: Values, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        generators = (Kind.GENERATOR, Kind.ASYNC_GENERATOR)
        for value in values:
            if isinstance(value, Pending):
                yield from self._function_edges(Function(value.key, value.receiver), index, use, caller, of=generators)
            elif isinstance(value, External):
                sink = self.catalogue.sink(value.name, "iterate")
                if sink is not None and not use.flags & f.AWAITED and not self._is_prefetched(value, file, use.ref):
                    yield self._sink(sink, value.name, index, use, caller)
            elif isinstance(value, Instance):
                for method in self.resolver.attribute(value, "__iter__"):
                    if isinstance(method, Function):
                        yield from self._function_edges(method, index, use, caller, of=(Kind.SYNC, Kind.GENERATOR))

    def _enter_edges(self, values: Values, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        for value in values:
            if isinstance(value, Pending):
                yield from self._function_edges(
                    Function(value.key, value.receiver), index, use, caller, of=(Kind.CONTEXT_MANAGER,)
                )
            elif isinstance(value, Instance):
                for name in ("__enter__", "__exit__"):
                    for method in self.resolver.attribute(value, name):
                        if isinstance(method, Function):
                            yield from self._function_edges(method, index, use, caller)
            elif isinstance(value, External):
                async_only = value.instance and value.name in self.catalogue.async_only_context_managers
                if async_only and len(values) == 1:
                    yield self._mistake("APL122", value.name, index, use, caller)
                sink = self.catalogue.sink(value.name, "enter")
                if sink is not None:
                    yield self._sink(sink, value.name, index, use, caller)

    def _middle_edges(self, file: LoadedFile, index: int, use: f.Use, name: str) -> Iterator[Edge]:
        """What reading `name` costs on the way to what `use` calls or reads."""
        caller = self.resolver.key(file, use.scope)
        ref = file.bases[use.ref]
        while ref and file.ops[ref] in (f.ATTR, f.CALL, f.ITEM, f.AWAIT):
            if file.ops[ref] == f.ATTR and file.text(ref) == name:
                yield from self._attribute_edges(file, ref, index, use, caller)
            ref = file.bases[ref]

    def _attribute_edges(self, file: LoadedFile, ref: int, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        """Reading the attribute `ref`: a property of a project class, or a relation of a model."""
        name, base = file.text(ref), file.bases[ref]
        values = self.resolver.values(file, base)
        for value in values:
            if not isinstance(value, Instance):
                continue
            for found in self.resolver.lookup(value.key, name):
                if isinstance(found, Function) and self.resolver.kind(found.key) is Kind.PROPERTY:
                    # Where other classes keep it in an attribute, what this one does is the exception.
                    alike = len(values) == 1 or self._are_properties(values, name)
                    sure: Confidence = "definite" if alike else "possible"
                    yield from self._function_edges(
                        Function(found.key, value.key), index, use, caller, of=(Kind.PROPERTY,), confidence=sure
                    )
            if name in self._relations and use.loop >= 0 and self._is_lazy_relation(file, base, value, name):
                relation = f"{self.resolver.scope(value.key).name}.{name}"
                yield self._sink(self._relation_of(value), relation, index, use, caller)._replace(code="APL203")

    def _are_properties(self, values: Values, name: str) -> bool:
        """Whether all that can have the attribute compute it."""
        held = [self.resolver.lookup(value.key, name) for value in values if isinstance(value, Instance)]
        return all(
            isinstance(each, Function) and self.resolver.kind(each.key) is Kind.PROPERTY
            for found in held
            for each in found
        )

    def _relation_of(self, row: Instance) -> Sink:
        if self.resolver.derives(row.key, MODEL):
            return DJANGO_RELATION
        return PEEWEE_RELATION if self.resolver.derives(row.key, PEEWEE_MODEL) else SQLALCHEMY_RELATION

    def _is_lazy_relation(self, file: LoadedFile, base: int, value: Instance, name: str) -> bool:
        """A relation of a model, read on a row that a query in sight loaded without it."""
        loaders = (*EAGER, "join", "prefetch") if self.resolver.derives(value.key, PEEWEE_MODEL) else EAGER
        if not self._comes_from_loop(file, base) or self.resolver.is_eager(file, base, loaders):
            return False
        for cls in self.resolver.line(value.key):
            if isinstance(cls, Class) and name in self.resolver.scope(cls.key).names:
                owner = self.resolver.file_of(cls.key)
                fields = self._fields(owner, self.resolver.scope(cls.key).names[name])
                return bool(fields) and not any(self._comes_with_the_row(owner, field) for field in fields)
        return False

    def _comes_with_the_row(self, file: LoadedFile, field: int) -> bool:
        lazy = file.keywords.get(field, {}).get("lazy", 0)
        return (file.ops[lazy] == f.TEXT and file.text(lazy) in _LOADED_WITH_THE_ROW) or file.ops[lazy] == f.LITERAL

    def _comes_from_loop(self, file: LoadedFile, ref: int) -> bool:
        while ref and file.ops[ref] in (f.ATTR, f.ITEM, f.AITER, f.ITER):
            if file.ops[ref] in (f.ITER, f.AITER):
                return any(isinstance(v, External) and v.elements for v in self.resolver.values(file, file.bases[ref]))
            ref = file.bases[ref]
        return False

    def _store_edges(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        name = file.strings[use.terminal]
        if name not in self._properties:
            return
        for value in self.resolver.values(file, file.bases[use.ref]):
            if not isinstance(value, Instance):
                continue
            for cls in self.resolver.line(value.key):
                if isinstance(cls, Class) and name in self.resolver.scope(cls.key).setters:
                    key = self.resolver.key(self.resolver.file_of(cls.key), self.resolver.scope(cls.key).setters[name])
                    if key != caller:
                        yield Edge(caller, file.index, index, key, None, "", "definite", True)
                    break

    # -- effects ------------------------------------------------------------------------------------

    def _effects(self, family: Family) -> dict[int, Effect]:
        """The effect of every function that has one: first what no argument avoids, then the gravest, the nearest."""
        effects: dict[int, Effect] = {}
        groups: dict[tuple[int, bool, int], list[Edge]] = defaultdict(list)
        for edges in self.edges.values():
            for edge in edges:
                if (
                    edge.sink is not None
                    and _applies(edge, family)
                    and not (family == "loop" and self._is_batched(edge))
                ):
                    possible, gravity = _rank(edge.confidence, edge.sink.severity if family == "blocking" else "high")
                    groups[possible, self._is_guarded(edge), gravity].append(edge)
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
                if (family == "blocking" and not edge.sync) or (family == "loop" and self._is_batched(edge)):
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
        if self._is_far(effect, branches, family) or self._says_little(edge, effect):
            weaker = "possible"
        return Effect(effect.sink, effect.name, weaker, effect.depth + self._hops(edge), edge, effect, branches)

    def _met(self, edge: Edge, effect: Effect, family: Family, effects: dict[int, Effect]) -> Effect | None:
        """What the callee does when it is called as `edge` does: `effect`, another one, or nothing."""
        if not self._avoids(edge, effect):
            return effect
        others = (self._direct(other, family, effects) for other in self.edges[edge.callee])
        return next((other for other in others if other is not None and not self._avoids(edge, other)), None)

    def _direct(self, edge: Edge, family: Family, effects: dict[int, Effect]) -> Effect | None:
        """The effect that `edge` alone gives its caller."""
        if family == "loop" and self._is_batched(edge):
            return None
        if edge.sink is not None:
            if not _applies(edge, family):
                return None
            return Effect(edge.sink, edge.name, edge.confidence, 1, edge, None, self._branches(edge, family))
        effect = effects.get(edge.callee)
        if effect is None or effect.edge.caller == edge.caller or (family == "blocking" and not edge.sync):
            return None
        return None if self._avoids(edge, effect) else self._behind(edge, effect, family)

    def _is_guarded(self, edge: Edge) -> bool:
        return bool(self.files[edge.file].uses[edge.use * f.USE_STRIDE + 11])

    def _avoids(self, edge: Edge, effect: Effect) -> bool:
        """Whether the arguments of the call keep it from the effect: each guard names one that must be None, or not."""
        file = self.files[effect.edge.file]
        guard = file.strings[file.uses[effect.edge.use * f.USE_STRIDE + 11]]
        if not guard or edge.callee != effect.edge.caller:
            return False
        caller = self.files[edge.file]
        called = self._takes_arguments(caller, edge)
        if called < 0:
            return False
        given = caller.strings[caller.uses[edge.use * f.USE_STRIDE + 12]]
        params = [param.name for param in self.resolver.scope(called).params]
        if params[:1] in (["self"], ["cls"]):
            params = params[1:]
        return any(_is_given(name.lstrip("!"), given, params) is (name[0] != "!") for name in guard.split("&"))

    def _takes_arguments(self, file: LoadedFile, edge: Edge) -> int:
        """The function whose parameters the arguments at the edge are for, -1 where they are for none on its way.

        That is its callee, which may implement the method that is called or stand around the function.
        """
        use = file.use(edge.use)
        if use.kind != f.USE_CALL:
            return -1
        name = self.resolver.scope(edge.callee).name
        for value in self.resolver.values(file, file.bases[use.ref]):
            if isinstance(value, Class):
                return edge.callee
            if isinstance(value, Function) and edge.decorates:
                return value.key
            if isinstance(value, Function) and self.resolver.scope(value.key).name == name:
                return edge.callee
        return -1

    def _is_batched(self, edge: Edge) -> bool:
        return bool(self.files[edge.file].uses[edge.use * f.USE_STRIDE + 7] & f.BATCHED)

    def _branches(self, edge: Edge, family: Family) -> int:
        """Whether the call of `edge` may well not happen when its function runs.

        For a loop, what does not happen for every element is as good as far away.
        """
        flags = self.files[edge.file].uses[edge.use * f.USE_STRIDE + 7]
        cached = bool(flags & f.KEPT or self.resolver.decorator_names(edge.caller) & _CACHES)
        if family == "loop":
            return MAX_BRANCHES * (cached or self._happens_sometimes(edge) or self._is_left_to_itself(edge, flags))
        return int(bool(flags & f.CONDITIONAL)) + MAX_BRANCHES * cached

    def _is_left_to_itself(self, edge: Edge, flags: int) -> bool:
        """Whether a function that cannot await starts the call as a task: telemetry, for which nobody waits."""
        starts = bool(flags & f.FANNED_OUT) and edge.callee >= 0 and not edge.sync
        return starts and not self.resolver.scope(edge.caller).flags & f.ASYNC

    def _happens_sometimes(self, edge: Edge) -> bool:
        """Whether the function of `edge` can do without any query: by a branch that has no counterpart with one."""
        file = self.files[edge.file]
        flags = file.uses[edge.use * f.USE_STRIDE + 7]
        if flags & f.SOMETIMES or not flags & f.CONDITIONAL:
            return bool(flags & f.SOMETIMES)
        at = self._place(file, edge.use)
        around = [(arms, end) for arms, end in self._choices_of(file) if arms[0] <= at < end]
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
        line, column = file.uses[use * f.USE_STRIDE + 3 : use * f.USE_STRIDE + 5]
        return f.position(line, column)

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
        return _applies(edge, "loop") if edge.sink is not None else edge.callee in self._depths["loop"]

    def _is_far(self, effect: Effect, branches: int, family: Family) -> bool:
        """Whether a call of a function with this effect says little about what happens at the caller."""
        if family == "loop" and effect.depth > 1 and effect.name.startswith(_IN_PROCESS):
            return True  # no round trip: many small queries are what it is made for
        farthest = MAX_HELPERS if branches else MAX_SURE_HELPERS
        return effect.sink.kind in _NEAR_ONLY or effect.depth > farthest or branches >= MAX_BRANCHES

    def _says_little(self, edge: Edge, effect: Effect) -> bool:
        """Whether the callee does this for some callers only: one way of a hub, or of a decorator."""
        flags = self.files[effect.edge.file].uses[effect.edge.use * f.USE_STRIDE + 7]
        if edge.decorates:
            return effect.branches > 0 or (bool(flags & f.AFTER_EXIT) and not self._is_guarded(effect.edge))
        return bool(flags & f.SELECTED) and len(self.into.get(effect.edge.caller, ())) > MAX_CALLERS

    # -- reports ------------------------------------------------------------------------------------

    def _report_blocking(self, effects: dict[int, Effect]) -> None:
        for caller, edges in self.edges.items():
            scope = self.resolver.scope(caller)
            best: dict[int, tuple[tuple[int, int], Edge, Effect | None]] = {}
            for edge in edges:
                if edge.code in ("APL120", "APL122"):
                    self._suspect(edge, None, edge.code)
                    continue
                if not scope.flags & f.ASYNC or not edge.sync or self._is_the_quick_way(edge):
                    continue
                effect = None
                if edge.callee >= 0:
                    effect = self._effect_at(edge, "blocking", effects)
                    if effect is None:
                        continue
                elif not _applies(edge, "blocking"):
                    continue
                sink = effect.sink if effect is not None else edge.sink
                assert sink is not None
                rank = _rank(self._weaker(edge, effect, effects, "blocking"), sink.severity)
                if edge.use not in best or rank < best[edge.use][0]:
                    best[edge.use] = (rank, edge, effect)
            for (possible, _), edge, effect in best.values():
                self._suspect(edge, effect, "", weak=bool(possible))

    def _is_the_quick_way(self, edge: Edge) -> bool:
        """Whether another branch of the function hands the very same call to a thread: this one was left on purpose."""
        file = self.files[edge.file]
        use = file.use(edge.use)
        if use.kind != f.USE_CALL or not use.flags & (f.CONDITIONAL | f.AFTER_EXIT):
            return False
        return (edge.caller, file.bases[use.ref]) in self._offloaded

    def _effect_at(self, edge: Edge, family: Family, effects: dict[int, Effect]) -> Effect | None:
        effect = effects.get(edge.callee)
        met = self._met(edge, effect, family, effects) if effect is not None else None
        if met is None or self._weaker(edge, met, effects, family) != "possible":
            return met
        others = (self._direct(other, family, effects) for other in self.edges[edge.callee])
        surer = (
            each
            for each in others
            if each is not None
            and not self._avoids(edge, each)
            and self._weaker(edge, each, effects, family) != "possible"
        )
        found = next(surer, met)
        surest = self._surest[family].get(edge.callee) if found is met else None
        if surest is None or self._avoids(edge, surest) or self._weaker(edge, surest, effects, family) == "possible":
            return found
        return surest

    def _weaker(self, edge: Edge, effect: Effect | None, effects: dict[int, Effect], family: Family) -> Confidence:
        if effect is None:
            return edge.confidence
        if self._is_far(effect, effect.branches, family) or self._says_little(edge, effect):
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

    def _report_loops(self, effects: dict[int, Effect]) -> None:
        for edges in self.edges.values():
            best: dict[int, tuple[tuple[bool, int], Edge, Effect | None, f.LoopFact | None]] = {}
            for edge in edges:
                if edge.code in ("APL120", "APL122"):
                    continue
                file = self.files[edge.file]
                use = file.use(edge.use)
                if (use.loop < 0 and not edge.repeats) or use.flags & f.ITERABLE:
                    continue
                effect = self._effect_at(edge, "loop", effects) if edge.callee >= 0 else None
                if edge.callee >= 0 and effect is None:
                    edge = self._running_sql(file, use, edge)
                if edge.callee >= 0 and (effect is None or effect.depth > MAX_LOOP_HOPS):
                    continue
                if (edge.callee < 0 and not _applies(edge, "loop")) or self._is_batched(edge):
                    continue
                if edge.callee >= 0 and self._is_kept_by_self(file, use, edge.callee):
                    continue
                loop = self._loop_of(file, use)
                if loop is None and not edge.repeats:
                    continue
                weak = self._weaker(edge, effect, effects, "loop") == "possible"
                rank = (weak, effect.depth if effect is not None else 0)
                if edge.use not in best or rank < best[edge.use][0]:
                    best[edge.use] = (rank, edge, effect, loop)
            for (weak, _), edge, effect, loop in best.values():
                self._report_loop(edge, effect, loop, weak)

    def _running_sql(self, file: LoadedFile, use: f.Use, edge: Edge) -> Edge:
        """The call of a project's own `execute()` that cannot be followed to a driver, but is given SQL: a query."""
        args = file.args.get(use.ref, ()) if use.kind == f.USE_CALL else ()
        if not args or file.ops[args[0]] != f.TEXT:
            return edge
        runs = self._conventional(file, edge.use, use, edge.caller)
        return next((each for each in runs if each.sink is not None and each.sink.kind == "database"), edge)

    def _is_kept_by_self(self, file: LoadedFile, use: f.Use, key: int) -> bool:
        """Whether the use reads a property that `self`, the same in every turn of a loop, computes once."""
        if "cached_property" not in self.resolver.decorator_names(key):
            return False
        name = self.resolver.scope(key).name
        ref = use.ref
        while ref and file.ops[ref] in (f.ATTR, f.CALL, f.ITEM, f.AWAIT):
            if file.ops[ref] == f.ATTR and file.text(ref) == name:
                return file.ops[file.bases[ref]] == f.PARAM and file.text(file.bases[ref]) == "self"
            ref = file.bases[ref]
        return False

    def _loop_of(self, file: LoadedFile, use: f.Use) -> f.LoopFact | None:
        """The innermost loop around the use that is not over a handful of written-out elements."""
        index = use.loop
        while index >= 0:
            loop = file.loop(index)
            if not loop.small and not self._is_handful(file, loop.iterable):
                return loop
            index = loop.outer
        return None

    def _is_handful(self, file: LoadedFile, ref: int) -> bool:
        if file.ops[ref] == f.CALL and file.text(file.bases[ref]) in (
            "items",
            "values",
            "keys",
            "enumerate",
            "fromkeys",
            "set",
            "list",
            "tuple",
            "zip",
            "sorted",
            "reversed",
        ):
            inner = file.args.get(ref) or [file.bases[file.bases[ref]]]
            return any(self._is_handful(file, arg) for arg in inner)
        return (
            file.ops[ref] == f.LITERAL
            and 2 <= len(file.args.get(ref, ())) <= f.SMALL_LOOP
            and file.text(ref) != "generator"
        )

    def _report_loop(self, edge: Edge, effect: Effect | None, loop: f.LoopFact | None, weak: bool) -> None:
        file = self.files[edge.file]
        use = file.use(edge.use)
        sink = effect.sink if effect is not None else edge.sink
        assert sink is not None
        if use.flags & f.FANNED_OUT or (edge.callee >= 0 and not edge.sync and not self._is_waited_for(file, use)):
            code = code_for(sink.kind, "fan-out", sink.write)
        else:
            code = edge.code or (effect.code if effect is not None else "") or code_for(sink.kind, "loop", sink.write)
        if code is None:
            return
        place = (
            Loop("comprehension", use.line, use.end_line)
            if loop is None
            else Loop(_LOOP_KINDS[loop.kind], loop.line, loop.end_line)
        )
        self._suspect(edge, effect, code, place, weak=weak)

    def _suspect(
        self, edge: Edge, effect: Effect | None, code: str, loop: Loop | None = None, *, weak: bool = False
    ) -> None:
        file = self.files[edge.file]
        use = file.use(edge.use)
        sink = effect.sink if effect is not None else edge.sink
        assert sink is not None
        confidence = (
            "possible" if weak else edge.confidence if effect is None else at_most(effect.confidence, edge.confidence)
        )
        if CONFIDENCES.index(confidence) < self.least:
            return
        if not code:
            code = code_for(sink.kind, "blocking", sink.write) or ""
            if (file.index, use.ref) in self.offloaded_results:
                code = "APL121"
        scope = self._function_around(file, use.scope)
        span = file.facts.scopes[scope]
        self.suspects.append(
            Suspect(
                code=code,
                path=file.path,
                function=self.resolver.qualified_name(self.resolver.key(file, scope)),
                first_line=span.line if scope else 0,
                last_line=span.end_line if scope else 0,
                line=use.line,
                column=use.column,
                end_line=use.end_line,
                end_column=use.end_column,
                call=file.strings[use.written],
                sink=effect.name if effect is not None else edge.name,
                sink_kind=sink.kind,
                severity=sink.severity,
                confidence=confidence,
                use=sink.batch if loop is not None else sink.use,
                chain=tuple(self._chain(edge, effect)),
                loop=loop,
                in_async=bool(span.flags & f.ASYNC),
                awaited=bool(use.flags & f.AWAITED),
            )
        )

    def _is_waited_for(self, file: LoadedFile, use: f.Use) -> bool:
        """Whether what an async function gives is awaited before its next call: here, or by a name for it."""
        if use.flags & (f.AWAITED | f.HANDED_ON):
            return True
        awaited = self._awaited.get(file.index)
        if awaited is None:
            awaited = {base for op, base in zip(file.ops, file.bases) if op == f.AWAIT}
            self._awaited[file.index] = awaited
        return bool(use.flags & f.ASSIGNED) and use.ref in awaited

    def _function_around(self, file: LoadedFile, scope: int) -> int:
        scopes = file.facts.scopes
        while scope > 0 and scopes[scope].kind != f.FUNCTION:
            scope = scopes[scope].parent
        return max(scope, 0)

    def _chain(self, edge: Edge, effect: Effect | None) -> Iterator[Step]:
        """From the reported place down to the sink."""
        yield self._step(edge)
        while effect is not None:
            yield self._step(effect.edge)
            effect = effect.then

    def _step(self, edge: Edge) -> Step:
        file = self.files[edge.file]
        use = file.use(edge.use)
        return Step(
            self.display(file.path), use.line, self.resolver.qualified_name(edge.caller), file.strings[use.written]
        )


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


def _applies(edge: Edge, family: Family) -> bool:
    """Whether the sink of the edge counts for the family."""
    if edge.sink is None:
        return False
    if family == "blocking":
        return edge.sink.blocking and edge.sync
    return edge.sink.loop and not _BATCH_NAME.search(edge.name)


def _most_branches(sink: Sink, most: int) -> int:
    """Of those that may stand before the sink: none, when it hardly costs anything and `most` is a limit at all."""
    return 0 if sink.severity == "low" and most < MAX_DEPTH else most


def _rank(confidence: Confidence, severity: Severity) -> tuple[int, int]:
    """Smaller is graver; what is only possible comes after all else."""
    return int(confidence == "possible"), -SEVERITIES.index(severity)
