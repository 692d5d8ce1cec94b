"""What each use reaches: the functions that it runs, and the sinks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Seq
from typing import Literal, NamedTuple

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.extract import BUILTINS
from agentperf_lint.analysis.index import Index, last_name, relation_fields
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
)
from agentperf_lint.analysis.values import Class, External, Function, Instance, Partial, Pending, Value, Values
from agentperf_rules.base import at_most
from agentperf_rules.catalogue import Catalogue
from agentperf_rules.catalogue.schema import Sink
from agentperf_rules.model import Confidence

Family = Literal["blocking", "loop"]
# Where the walk's columns of a use are read alone: to build a `Use` takes longer.
_FLAGS, _GUARD, _GIVEN = map(f.Use._fields.index, ("flags", "guard", "given"))
_SCOPE = (1 << SCOPE_BITS) - 1  # the part of a key that is the scope
MAX_NAMESAKES = 3  # methods that share a distinctive name, all taken for what is called on an unknown receiver
MAX_OVERRIDES = 12  # a method with more implementations than this says nothing about any one of them
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
NEAR_ONLY = frozenset({"import", "client"})  # mostly done once and kept; two calls away nobody can tell
_BATCH_NAME = re.compile(
    r"(?:^|[._])(?:batch|bulk|many|multi|delete_objects|put_records)(?:_|$)|_(?:batch|bulk|many|batches)$"
)
CONSTRUCTORS = ("__init__", "__new__", "__post_init__")
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


class EdgeResolver:
    """Resolves uses to edges. `told`: the sinks that functions of the project are by its configuration.

    `offloaded` are the functions (caller, reference) that are handed to a thread, `offloaded_results` the calls
    (file, reference) of which the result is.
    """

    def __init__(self, index: Index, catalogue: Catalogue, told: Mapping[int, Sink | None]) -> None:
        self.index = index
        self.resolver = index.resolver
        self.files = index.files
        self.catalogue = catalogue
        self.offloaded: set[tuple[int, int]] = set()
        self.offloaded_results: set[tuple[int, int]] = set()
        self._told = told
        self._inert: dict[str, bool] = {}
        self._constructors: dict[int, list[int]] = {}
        self._called: dict[int, dict[int, set[str]]] = {}
        self._passing: set[int] = set()  # functions whose handed over functions are being looked at
        self._changed: dict[int, set[int]] = {}

    def edges_of(self, file: LoadedFile, index: int, use: f.Use) -> Iterable[Edge]:
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
            edges.extend(self.conventional(file, index, use, caller))
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
        twins = (value for cls in self.index.all_subclasses(owner) for value in self.resolver.lookup(cls, name))
        return any(isinstance(value, Function) and self.resolver.kind(value.key) is Kind.ASYNC for value in twins)

    def _namesakes(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        """Methods of the project with the distinctive name that is called on a receiver of unknown type."""
        head, _, method = file.strings[use.written].rpartition(".")
        if not head or not f.DISTINCTIVE.fullmatch(method):
            return
        keys = self.index.methods_called(method)
        if 0 < len(keys) <= MAX_NAMESAKES:
            awaited = bool(use.flags & f.AWAITED)
            for key in keys:
                if awaited is (self.resolver.kind(key) is Kind.ASYNC):
                    yield from self._function_edges(Function(key), index, use, caller, confidence="likely")

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
        for key, sure in self._implementations(function, self._method_on_self(use, caller)):
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

    def _implementations(self, function: Function, method: int = -1) -> list[tuple[int, Confidence]]:
        """The bodies that can run: the function, or what overrides it where it is abstract.

        Classes that override `method` as well, which calls it on `self`, never call it from there.
        """
        if function.receiver < 0 or not self.resolver.is_abstract(function.key):
            return [(function.key, "definite")]
        name = self.resolver.scope(function.key).name
        found: dict[int, bool] = {}
        for subclass in self.index.all_subclasses(function.receiver):
            runs = method < 0 or not self.resolver.overrides(subclass, method)
            for value in self.resolver.lookup(subclass, name):
                if isinstance(value, Function) and not self.resolver.is_abstract(value.key):
                    found[value.key] = found.get(value.key, False) or runs
        return [(key, "likely") for key, runs in found.items() if runs] if len(found) <= MAX_OVERRIDES else []

    def _method_on_self(self, use: f.Use, caller: int) -> int:
        """The method `caller` where `use` calls another one of `self`, -1 for all else."""
        is_method = self.resolver.owner(caller) >= 0
        return caller if is_method and is_on_self(self.resolver.file_of(caller), use) else -1

    def _constructor_edges(self, key: int, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
        methods = self._constructors.get(key)
        if methods is None:
            found = [v for name in CONSTRUCTORS for v in self.resolver.lookup(key, name)]
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
            if last_name(file, ref) in f.NO_WAIT_FLAGS:
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
        while ref and file.ops[ref] == f.CALL and last_name(file, ref) == "cast":
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
            self.offloaded.add((caller, ref))
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

    def conventional(self, file: LoadedFile, index: int, use: f.Use, caller: int) -> Iterator[Edge]:
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
        return last_name(file, ref)

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

    def middle_edges(self, file: LoadedFile, index: int, use: f.Use, name: str) -> Iterator[Edge]:
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
            if name in self.index.relations and use.loop >= 0 and self._is_lazy_relation(file, base, value, name):
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
                fields = relation_fields(owner, self.resolver.scope(cls.key).names[name])
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
        if name not in self.index.properties:
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


def is_self(file: LoadedFile, ref: int) -> bool:
    """Whether an expression is the parameter `self`."""
    return file.ops[ref] == f.PARAM and file.text(ref) == "self"


def is_on_self(file: LoadedFile, use: f.Use) -> bool:
    """Whether a use calls or reads an attribute of `self`."""
    attribute = file.bases[use.ref] if file.ops[use.ref] == f.CALL else use.ref
    return file.ops[attribute] == f.ATTR and is_self(file, file.bases[attribute])


def hops(edge: Edge, files: Seq[LoadedFile]) -> int:
    """How much farther from the sink the caller is: a function defined inside it is a part of it."""
    scopes = files[edge.file].facts.scopes
    inside = edge.callee >> SCOPE_BITS == edge.file
    return 0 if inside and scopes[edge.callee & _SCOPE].parent == edge.caller & _SCOPE else 1


def flags_of(edge: Edge, files: Seq[LoadedFile]) -> int:
    """`Use.flags` of the edge's use."""
    return files[edge.file].uses[edge.use * f.USE_STRIDE + _FLAGS]


def guard_of(edge: Edge, files: Seq[LoadedFile]) -> str:
    """`Use.guard` of the edge's use: the arguments of its function that decide if the edge is taken."""
    file = files[edge.file]
    return file.strings[file.uses[edge.use * f.USE_STRIDE + _GUARD]]


def given_by(edge: Edge, files: Seq[LoadedFile]) -> str:
    """`Use.given` of the edge's use: the arguments that it passes."""
    file = files[edge.file]
    return file.strings[file.uses[edge.use * f.USE_STRIDE + _GIVEN]]


def is_batched(edge: Edge, files: Seq[LoadedFile]) -> bool:
    """Whether the call hands over many elements at once."""
    return bool(flags_of(edge, files) & f.BATCHED)


def applies(edge: Edge, family: Family) -> bool:
    """Whether the sink of the edge counts for the family."""
    if edge.sink is None:
        return False
    if family == "blocking":
        return edge.sink.blocking and edge.sync
    return edge.sink.loop and not _BATCH_NAME.search(edge.name)
