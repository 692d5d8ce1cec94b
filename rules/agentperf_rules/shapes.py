"""Which loops ask once per element: the shapes that make a repeated call an N+1, and those that do not.

A loop is *neutral* when it hands out something else than elements (attempts, pages, chunks, a fixed handful):
the next loop outwards is then asked. Some shapes silence a call altogether: it waits on purpose, it talks to
a different server each time, or it runs a different statement each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import libcst as cst

from agentperf_rules.base import Shape, at_most
from agentperf_rules.blocks import Binding, block_of
from agentperf_rules.branches import conditions, most_elements
from agentperf_rules.model import Confidence, Suspect
from agentperf_rules.syntax import (
    argument,
    contains,
    dotted,
    integer,
    is_zero,
    last_name,
    names_in,
    root_of,
    target_names,
    text_of,
    walk,
    words,
)

RepeatKind = Literal["for", "async for", "while", "comprehension", "map"]

_HANDFUL = 16
_FEW_TIMES = 32
_FEW_SLICED = 5
_LONGEST_FAN_OUT = 3  # steps from what is started to its query
_SUCCESS = range(200, 300)

_STARTERS = frozenset(
    {
        "gather", "create_task", "ensure_future", "start_soon", "as_completed", "wait", "submit", "spawn",
        "add_task",
    }
)  # fmt: skip
_STARTS_ONE = frozenset({"create_task", "ensure_future"})
_MAPPERS = frozenset({"map", "starmap", "filter", "imap", "amap", "imap_unordered"})
_KEYED = frozenset({"sorted", "min", "max"})
_PASS_THROUGH = frozenset(
    {
        "enumerate", "sorted", "reversed", "list", "tuple", "set", "iter", "frozenset", "tqdm", "track",
    }
)  # fmt: skip
_LOOKS_AT = _PASS_THROUGH | {"len", "zip", "range", "print", "str", "debug", "info", "any", "all", "sum", "bool"}
_VIEWS = frozenset({"items", "keys", "values", "copy"})
_POPS = frozenset({"pop", "popleft", "popitem"})

_DRAWS = frozenset({"sample", "choices", "islice", "most_common"})  # as many as one says

_BATCH = frozenset(
    {
        "batch", "batched", "chunk", "chunked", "page", "grouper", "slice", "partition", "bucket", "window",
    }
)  # fmt: skip
_PLURAL_BATCHES = frozenset({"batches", "chunks", "pages", "slices", "partitions", "windows", "paginator"})
_PART_OF_NAME = frozenset({"id", "name", "key", "number", "num", "index", "start", "size", "url", "count"})
_AGAIN = frozenset(
    {
        "attempt", "retry", "try", "turn", "iteration", "iter", "step", "round", "epoch", "repeat", "depth",
        "tick", "retrying", "asyncretrying", "backoff", "poll", "time",
    }
)  # fmt: skip
_PAGING = frozenset({"page", "offset", "skip", "cursor", "token", "pagination", "paginate", "paginator"})
_SERVERS = frozenset(
    {
        "server", "client", "conn", "connection", "host", "hostname", "node", "shard", "replica", "peer",
        "worker", "device", "backend", "provider", "engine", "pool", "broker", "instance", "region", "tenant",
        "database", "db", "schema", "hub", "coordinator", "controller", "cluster", "mirror", "gateway",
        "adapter", "api", "endpoint", "service", "entry", "account", "plugin", "handler", "redis", "session",
        "bucket", "zone", "camera", "sensor", "integration", "driver", "source", "callback", "hook", "listener",
        "observer", "logger", "subscriber", "middleware", "processor", "exporter", "strategy", "guardrail",
        "notifier", "installer", "runner", "store",
    }
)  # fmt: skip
_ADDRESSES = frozenset(
    {
        "server", "host", "hostname", "node", "shard", "replica", "peer", "region", "tenant", "database",
        "schema", "cluster", "mirror", "gateway", "backend", "provider", "endpoint", "zone",
    }
)  # fmt: skip
_CONNECTED = frozenset({"conn", "connection", "cursor", "cur", "session", "engine"})
_HOSTS = frozenset({"host", "hostname", "server", "mirror", "peer"})
_STATEMENTS = frozenset(
    {
        "table", "statement", "stmt", "ddl", "migration", "pragma", "trigger", "extension", "view", "script",
        "sql", "command", "column", "constraint",
    }
)  # fmt: skip
_STREAMS = frozenset(
    {
        "websocket", "ws", "socket", "stream", "subscription", "consumer", "pubsub", "listen", "listener",
        "message", "event", "queue", "channel", "receive", "watch", "notification", "update", "frame",
        "change", "body",
    }
)  # fmt: skip
_WAITS = frozenset({"sleep", "throttle", "rate_limit", "wait_for_token", "wait_for_slot"})
_WAITS_FOR_RATE = re.compile(r"wait.*(rate|throttl|quota)")
_LIMITERS = frozenset({"limiter", "throttle", "throttler", "ratelimit", "ratelimiter", "rate"})
_SEMAPHORES = frozenset({"semaphore", "sem", "limiter", "limit", "throttle"})
_LIMITED = _SEMAPHORES | {"bounded", "concurrency", "concurrent", "limited", "throttled"}
_TEST_CASES = frozenset({"subTest", "subtest"})  # `with self.subTest(case):`
_LOCKS = frozenset({"lock", "locked", "mutex"})
_WENT_WRONG = frozenset({"inconsistent", "inconsistency", "conflict", "mismatch", "corrupted"})  # mostly, nothing
_BUFFERS = frozenset({"pipe", "pipeline", "batch", "bulk", "batcher"})
_FACTORIES = frozenset(
    {
        "connect", "client", "resource", "from_url", "create_engine", "engine", "open", "connection",
    }
)  # fmt: skip
_BULK = re.compile(
    r"executemany|bulk|add_all|insert_many|mset|mget|_batch$|^batch_|copy_(from|records|expert)|execute_values"
)
_DDL = re.compile(
    r"\s*(create|alter|drop|pragma|set|vacuum|analyze|truncate|grant|revoke|attach|detach|reindex|use)\b", re.IGNORECASE
)
_WRITES_PIECE = re.compile(r"\s*(update|delete)\b.*\blimit\s+(?!1\b)\S", re.IGNORECASE | re.DOTALL)
_BEFORE_IDENTIFIER = re.compile(
    r"\b(from|into|update|table|join|index|view|exists|schema|database|pragma)\s+[\"'`\[]?$", re.IGNORECASE
)
_QUERIES = re.compile(
    r"\s*(select|insert|update|delete|merge|replace|with|match|optional|create|call|show|describe|explain)\b",
    re.IGNORECASE,
)
_CYPHER = re.compile(r"\b(match|merge|create)\s+(\w+\s*=\s*)?\(", re.IGNORECASE)
_BEFORE_LABEL = re.compile(r"[(\[]\s*\w*\s*:\s*`?$")  # `(n:Person)`, `[r:KNOWS]`
_STATEMENT_TEXTS = frozenset({"cypher", "sql", "ddl", "statement", "stmt"})
_KINDS = frozenset({"label", "table", "table_name"})  # what says which table or label an element is
_OF_A_SCHEMA = frozenset({"node", "label", "table", "relationship", "rel", "view", "index"})  # so does the name of one
_ENTITY_CALLS = frozenset({"query", "select", "select_from", "insert", "update", "delete", "count"})
_CONSTRUCTS = re.compile(r"(Add|Drop|Create|Alter|Set)(Constraint|Table|Index|Column|Schema|Sequence|View)\w*|DDL")
_DESCRIBES = frozenset(
    {"name", "names", "def", "defs", "cls", "class", "obj", "info", "str", "text", "spec", "schema", "instance"}
)
_IDENTIFIES = re.compile(r"_(?:id|uuid|pk)s?\d?$", re.IGNORECASE)  # a row of its own kind: `trigger_id`
_OF_A_MODEL = frozenset({"attr", "attr_name", "attribute_name", "attrname", "field_name", "fieldname"})
_NEW_KEYS = frozenset({"lastrowid", "inserted_primary_key"})
_OF_CLASSES = frozenset(
    {"objects", "_default_manager", "_base_manager", "__name__", "__qualname__", "__table__", "__tablename__"}
)
_SQL_WRAPPERS = frozenset({"text", "SQL", "format"})
_SQL_PARAMETERS = frozenset({"params", "bindparams"})
_RUNS = frozenset({"execute", "executescript", "exec", "scalars", "scalar", "run"})
_RUN_STATEMENTS = frozenset(
    {"exec_driver_sql", "execute_cypher", "execute_query", "execute_sql", "execute_statement", "run_query", "run_sql"}
)
_MANY = frozenset({"bulk", "ids", "keys", "many", "uuids"})


@dataclass(frozen=True, slots=True)
class RepeatingLoop:
    """One loop around a call: its `targets` are the names it binds per element of `iterable`.

    `node` is the statement, the whole comprehension or the call of `map`; `clause` is the `for` of a comprehension.
    """

    kind: RepeatKind
    node: cst.CSTNode
    targets: frozenset[str]
    iterable: cst.CSTNode
    body: cst.CSTNode
    clause: cst.CompFor | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a loop repeats a call per element: `limit` bounds the confidence, None is innocent for `reason`."""

    limit: Confidence | None
    reason: str
    loop: RepeatingLoop | None = None
    fan_out: bool = False


def loop_verdict(suspect: Suspect, shape: Shape) -> Verdict:
    """Judges the loops around a suspect that has a tree, from the innermost outwards."""
    node = shape.node
    assert node is not None, "a shape without a tree cannot be judged"
    path = (node, *shape.ancestors)
    loops = list(enclosing_loops(path))
    if not loops:
        return Verdict(None, "not repeated by a loop")
    fan_out = is_fan_out(path, shape.function)
    if fan_out and suspect.sink_kind not in {"database", "orm", "relation", "cache"}:
        return Verdict(None, "started together, which is how to do it")
    reason = "no loop"
    for depth, loop in enumerate(loops):
        judge = LoopJudge(suspect, shape, path, loop, inner=depth == 0)
        verdict = judge.verdict()
        if fan_out and verdict.limit is not None and judge.is_limited():
            verdict = Verdict(None, "neutral: as many together as were asked for")
        if verdict.limit is not None:
            # What is far from its query is started side by side for other reasons; caches have layers of their own.
            whole_tasks = suspect.sink_kind != "cache" and len(suspect.chain) > _LONGEST_FAN_OUT
            weak = fan_out and (whole_tasks or _is_bounded(path, shape) or _is_left_to_itself(path, shape))
            limit = at_most(verdict.limit, "possible") if weak else verdict.limit
            return Verdict(limit, verdict.reason, loop, fan_out)
        if not verdict.reason.startswith("neutral"):
            return verdict
        reason = verdict.reason
    return Verdict(None, reason)


def enclosing_loops(path: tuple[cst.CSTNode, ...]) -> Iterator[RepeatingLoop]:
    """The loops that repeat the first node of `path`, innermost first, up to the enclosing function.

    A loop does not repeat its own iterable nor its `else`.
    """
    own = _mapped(path[0], None)
    if own is not None:
        yield own
    for child, parent in pairwise(path):
        if isinstance(parent, cst.For) and child is parent.body:
            kind: RepeatKind = "async for" if parent.asynchronous else "for"
            yield RepeatingLoop(kind, parent, target_names(parent.target), parent.iter, parent.body)
        elif isinstance(parent, cst.While) and child is not parent.orelse:
            yield RepeatingLoop("while", parent, frozenset(), parent.test, parent.body)
        elif isinstance(parent, cst.CompFor) and child is not parent.iter and child is not parent.target:
            whole = next(above for above in path[path.index(parent) :] if isinstance(above, cst.BaseComp))
            yield _comprehension(whole, parent, child)
        elif isinstance(parent, cst.BaseComp) and child is not parent.for_in:
            yield from reversed([_comprehension(parent, clause, child) for clause in _clauses(parent.for_in)])
        elif isinstance(parent, cst.Lambda):
            call = next((above for above in path[path.index(parent) :] if isinstance(above, cst.Call)), None)
            mapped = _mapped(call, parent)
            if mapped is None:
                return
            yield mapped
        elif isinstance(parent, (cst.FunctionDef, cst.ClassDef)):
            return


def _clauses(first: cst.CompFor) -> Iterator[cst.CompFor]:
    clause: cst.CompFor | None = first
    while clause is not None:
        yield clause
        clause = clause.inner_for_in


def _comprehension(whole: cst.BaseComp, clause: cst.CompFor, body: cst.CSTNode) -> RepeatingLoop:
    return RepeatingLoop("comprehension", whole, target_names(clause.target), clause.iter, body, clause)


def _mapped(call: cst.CSTNode | None, function: cst.Lambda | None) -> RepeatingLoop | None:
    """The loop inside `map(f, xs)` or `sorted(xs, key=f)`, when `function` is the f (or is not asked for)."""
    if not isinstance(call, cst.Call):
        return None
    name = last_name(call.func)
    if name in _MAPPERS:
        applied, iterable = argument(call, 0), argument(call, 1)
    elif name in _KEYED:
        applied, iterable = argument(call, 9, "key"), argument(call, 0)
    else:
        return None
    if applied is None or iterable is None or (function is not None and applied is not function):
        return None
    targets = (
        frozenset(param.name.value for param in applied.params.params)
        if isinstance(applied, cst.Lambda)
        else frozenset()
    )
    return RepeatingLoop("map", call, targets, iterable, applied)


def is_fan_out(path: tuple[cst.CSTNode, ...], function: cst.FunctionDef | None) -> bool:
    """Whether the call is handed over to be run together with its siblings, as in `gather(*[f(x) for x in xs])`."""
    if len(path) > 1 and isinstance(path[1], cst.Await):
        return False
    for (child, parent), above in zip(pairwise(path), (*path[2:], None)):
        if isinstance(parent, cst.Call) and child is not parent.func:
            if _starts(parent):
                return not (isinstance(above, cst.Await) and last_name(parent.func) in _STARTS_ONE)
            if last_name(parent.func) in {"append", "add"} and isinstance(parent.func, cst.Attribute):
                return _is_started(target_names(parent.func.value), function)
        if isinstance(parent, cst.Assign) and isinstance(parent.value, cst.BaseComp):
            return _is_started(frozenset().union(*(target_names(target.target) for target in parent.targets)), function)
        if isinstance(parent, cst.BaseCompoundStatement):
            return False
    return False


def _is_started(names: frozenset[str], function: cst.FunctionDef | None) -> bool:
    if function is None or not names:
        return False
    calls = block_of(function.body).calls
    return any(_starts(call) and names & names_in(call) for call in calls)


def _starts(call: cst.Call) -> bool:
    """Whether `call` runs what it is given side by side: `asyncio.gather` and its many wrappers."""
    name = last_name(call.func)
    return name in _STARTERS or "gather" in words(name)


def _is_left_to_itself(path: tuple[cst.CSTNode, ...], shape: Shape) -> bool:
    """Whether the call is the work of a task that nobody waits for here, but that says when it is done."""
    if shape.function is None:
        return False
    for child, parent in pairwise(path):
        if isinstance(parent, cst.Call) and child is not parent.func and last_name(parent.func) in _STARTS_ONE:
            calls = block_of(shape.function.body).calls
            return any(last_name(call.func) == "add_done_callback" for call in calls)
    return False


def _is_bounded(path: tuple[cst.CSTNode, ...], shape: Shape) -> bool:
    """Whether the started coroutine, or what starts it, takes a semaphore: its author has thought of the load."""
    node = path[0]
    if any(
        isinstance(above, cst.Call) and _starts(above) and words(last_name(above.func)) & _LIMITED for above in path
    ):
        return True
    if shape.function is None or not isinstance(node, cst.Call):
        return False
    name = last_name(node.func)
    return any(
        isinstance(inner, cst.With) and any(words(last_name(item.item)) & _SEMAPHORES for item in inner.items)
        for nested in walk(shape.function.body)
        if isinstance(nested, cst.FunctionDef) and nested.name.value == name
        for inner in walk(nested.body)
    )


class LoopJudge:
    """The question for one call and one loop."""

    def __init__(
        self, suspect: Suspect, shape: Shape, path: tuple[cst.CSTNode, ...], loop: RepeatingLoop, *, inner: bool
    ) -> None:
        self.suspect = suspect
        self.shape = shape
        self.path = path
        self.node = path[0]
        self.loop = loop
        self.inner = inner
        self.inside = path[: path.index(loop.node)]
        self.within = frozenset(id(above) for above in path)
        self.block = block_of(*_own_parts(loop))
        self.at = self.block.order.get(id(self.node), -1)
        self.bindings = [*self.block.bindings, *self._comprehended()]
        self.is_direct = len(suspect.chain) <= 1

    def _comprehended(self) -> Iterator[Binding]:
        """The names of comprehensions, which are their own, for a call inside them."""
        for above in self.inside:
            if isinstance(above, cst.BaseComp):
                for clause in _clauses(above.for_in):
                    yield Binding(0, target_names(clause.target), clause.iter, False, names_in(clause.iter))

    def verdict(self) -> Verdict:
        silent = self._silencing_reason()
        if silent:
            return Verdict(None, silent)
        neutral = self._while_reason() if self.loop.kind == "while" else self._neutral_reason()
        if neutral:
            return Verdict(None, f"neutral: {neutral}")
        return self._positive()

    def is_limited(self) -> bool:
        """Whether the elements were asked for by their number, a small one: `claim(limit=10)`, `query.limit(10)`."""
        asked = [link for part in _parts(self._resolved(self.loop.iterable)) for link in _chain(part)]
        calls = [link for link in asked if isinstance(link, cst.Call)]
        statements = [statement for call in calls if (statement := argument(call, 0)) and last_name(call) in _RUNS]
        built = [link for statement in statements for link in _chain(statement) if isinstance(link, cst.Call)]
        return any(_asks_for_few(call) for call in (*calls, *built))

    # What the loop hands out

    def _neutral_reason(self) -> str:
        iterable = self._resolved(self.loop.iterable)
        if is_handful(iterable) or is_handful(self.loop.iterable) or self._is_one_of_handfuls():
            return "a fixed handful"
        if self._is_over_few():
            return "a handful, which was counted"
        if self._is_in_steps():
            return "batches"
        if self.loop.targets & _OF_A_MODEL:
            return "the fields of a model"
        for part in _parts(self.loop.iterable):
            if _hands_out_batches(part):
                return "batches"
            if _hands_out_attempts(part):
                return "attempts"
        named = (
            frozenset().union(*(_batch_words(name) for name in self.loop.targets)) if self.loop.targets else frozenset()
        )
        if named & _BATCH:
            return "batches"
        if _is_range(self.loop.iterable) and named & (_AGAIN | _PAGING):
            return "attempts"
        if named & _PAGING or self.loop.targets == {"_"}:
            return "pages or bare repetition"
        if self.loop.kind == "async for" and self._iterable_words() & _STREAMS:
            return "a stream of events"
        if self._iterable_words() & {"consumer", "pubsub", "listen", "websocket"}:
            return "a stream of events"
        if self._exits_after_call() or self._is_for_one_value():
            return "at most once"
        if self._is_carried():
            return "each call depends on the last"
        if self._is_bare_repetition():
            return "bare repetition"
        if not self.inner and not self._depends():
            return "an outer loop that the call does not depend on"
        return ""

    def _while_reason(self) -> str:
        if self._exits_after_call():
            return "at most once"
        tested = frozenset().union(*(words(name) for name in names_in(self.loop.iterable)), frozenset())
        if tested & _AGAIN:
            return "attempts"
        consumed = self._consumed()
        if not consumed:
            return "a while loop that consumes no collection"
        if frozenset().union(*(words(name) for name in consumed)) & (_BATCH | _PAGING):
            return "batches"
        if not self._names() & self._tainted(consumed):
            return "the call does not depend on what is consumed"
        return ""

    def _consumed(self) -> frozenset[str]:
        """The names that take an element (or the index of one) per turn of a `while`."""
        tested = names_in(self.loop.iterable)
        taken: set[str] = set()
        for binding in self.bindings:
            for call in (part for part in walk(binding.value) if isinstance(part, cst.Call)):
                popped = (
                    call.func.value if isinstance(call.func, cst.Attribute) and call.func.attr.value in _POPS else None
                )
                if last_name(call.func) == "heappop":
                    popped = argument(call, 0)
                if isinstance(popped, cst.Name) and popped.value in tested and not binding.changes:
                    taken |= binding.names
        return frozenset(taken) or self._index(tested)

    def _index(self, tested: frozenset[str]) -> frozenset[str]:
        """The `i` of `while i < len(xs): ... i += 1`."""
        if "len" not in tested:
            return frozenset()
        counters = {
            name
            for node in self.block.by_type[cst.AugAssign]
            if isinstance(node, cst.AugAssign) and integer(node.value) == 1
            for name in target_names(node.target)
        }
        sliced = frozenset().union(*(names_in(node) for node in self.block.by_type[cst.Slice]), frozenset())
        return (frozenset(counters) & tested) - sliced

    # What silences a call wherever its loops are

    def _silencing_reason(self) -> str:
        if self._waits():
            return "waits between calls on purpose"
        if self._is_buffered():
            return "collected into one request"
        if self._passes_batch():
            return "a batch each time"
        if self.is_direct and isinstance(self.node, cst.Call) and _BULK.search(last_name(self.node.func)):
            return "a bulk call"
        if self._asks_another_server():
            return "another server each time"
        if self._runs_another_statement():
            return "another statement each time"
        if self._takes_lock_of_element():
            return "a lock of its own each time"
        if self._writes_piece():
            return "as many rows at a time as a limit says"
        if self._is_for_cluster():
            return "a cluster, in which keys do not share a server"
        if self._is_fallback():
            return "a way out after the batch has failed"
        if any(last_name(item) in _TEST_CASES for item in self.block.entered):
            return "a case of a test each time"
        return ""

    def _passes_batch(self) -> bool:
        """Whether the call itself is given a batch: `embed_documents(text_batch)`, `get_by_ids(group)`."""
        if not isinstance(self.node, cst.Call):
            return False
        if not self.is_direct:
            # A helper that takes many is given each element as it is.
            given = {arg.value.value for arg in self.node.args if isinstance(arg.value, cst.Name)}
            return last_name(self.node.func).rpartition("_")[2] in _MANY and bool(given & self.loop.targets)
        names = (arg.value.value for arg in self.node.args if isinstance(arg.value, cst.Name))
        if any(name.lower().rpartition("_")[2] == "batch" for name in names):
            return True
        return last_name(self.node.func) in _RUNS and isinstance(argument(self.node, 1), cst.ListComp)

    def _takes_lock_of_element(self) -> bool:
        """`with locks[key]:` or `async with self.lock(key):` in the loop: what it guards cannot be done for all."""
        tainted = self._tainted(self.loop.targets)
        entered = (
            _unwrapped(item.item) for above in self.inside if isinstance(above, cst.With) for item in above.items
        )
        for lock in entered:
            made = self._origin(lock) or lock
            if not (words(last_name(lock)) | words(last_name(made))) & _LOCKS:
                continue
            if self._comes_from_element(made, tainted, 4) or _argument_names_in_chain(made) & tainted:
                return True
        return False

    def _writes_piece(self) -> bool:
        """`UPDATE ... LIMIT :size`, again and again until nothing is left."""
        if not self.is_direct or not isinstance(self.node, cst.Call):
            return False
        again = any(isinstance(above, cst.While) for above in self.inside)
        return again and _WRITES_PIECE.match(text_of(self._statement())) is not None

    def _is_for_cluster(self) -> bool:
        """`if is_cluster:` around the loop: a command for many keys wants them on one server, as a pipeline does."""
        if self.suspect.sink_kind != "cache":
            return False
        above = self.path[self.path.index(self.loop.node) :]
        return any(holds and _asks_for_cluster(test) for test, holds in conditions(above))

    def _is_fallback(self) -> bool:
        """Whether the loop runs only after one call with all that it is over was tried and failed.

        Where the handler is for what nobody implements, that call must be the one that is advised.
        """
        for handler, tried in pairwise(self.path[self.path.index(self.loop.node) :]):
            if isinstance(handler, cst.FunctionDef):
                return False
            if isinstance(handler, cst.ExceptHandler) and isinstance(tried, cst.Try):
                whole = {dotted(part) for part in _parts(self.loop.iterable)} - {""}
                calls = [part for part in walk(tried.body) if isinstance(part, cst.Call)]
                if handler.type is not None and any("NotImplemented" in name for name in names_in(handler.type)):
                    advised = {*re.findall(r"\w+(?=\()", self.suspect.use), last_name(self.node)}
                    calls = [call for call in calls if last_name(call.func) in advised]
                loops = [part for part in walk(tried.body) if isinstance(part, cst.For)]
                if any(dotted(loop.iter) in whole for loop in loops):
                    return True  # one pipeline for all, for example
                given = [arg.value for call in calls if last_name(call.func) not in _LOOKS_AT for arg in call.args]
                return any(dotted(part) in whole for value in given for part in _made_from(value))
        return False

    def _waits(self) -> bool:
        names = ((call, last_name(call.func)) for call in self.block.calls)
        pauses = (call for call, name in names if name in _WAITS or _WAITS_FOR_RATE.search(name))
        if any(not is_zero(argument(call, 0)) and not self._is_handled(call) for call in pauses):
            return True
        return any(words(last_name(item)) & _LIMITERS for item in self.block.entered)

    def _is_handled(self, node: cst.CSTNode) -> bool:
        """Whether `node` runs only after an exception: a pause before another try, not between elements."""
        if node is self.node:
            return any(isinstance(above, cst.ExceptHandler) for above in self.inside)
        return any(contains(handler, node) for handler in self.block.by_type[cst.ExceptHandler])

    def _is_buffered(self) -> bool:
        for child, parent in pairwise(self.inside):
            if not isinstance(parent, cst.Call) or child is parent.func or not isinstance(parent.func, cst.Attribute):
                continue
            if (
                parent.func.attr.value in {"add", "append", "enqueue"}
                and words(last_name(parent.func.value)) & _BUFFERS
            ):
                return True
        receiver = self._receiver()
        if receiver is None or not self.is_direct:
            return False
        if words(last_name(receiver)) & _BUFFERS or words(dotted(root_of(receiver))) & _BUFFERS:
            return True
        origin = self._origin(root_of(receiver))
        return isinstance(origin, cst.Call) and bool(words(last_name(origin.func)) & _BUFFERS)

    def _asks_another_server(self) -> bool:
        tainted = self._tainted(self.loop.targets)
        if self._looks_up_function(tainted):
            return True
        if self.suspect.sink_kind in {"orm", "relation"}:
            return False
        if not self.is_direct and self._target_words() & _HOSTS:
            return True
        if not self.is_direct and self._hands_over_connection(tainted):
            return True
        receiver = self._receiver()
        if receiver is None:
            return False
        if self._comes_from_element(receiver, tainted, 4):
            held = words(last_name(receiver.value)) if isinstance(receiver, cst.Subscript) else frozenset[str]()
            return self.is_direct or bool((self._target_words() | self._iterable_words() | held) & _SERVERS)
        return bool(self._target_words() & _ADDRESSES) and self.is_direct

    def _hands_over_connection(self, tainted: frozenset[str]) -> bool:
        """Whether the helper is given a connection to the element: `with server.connect() as conn: load(conn)`."""
        if not isinstance(self.node, cst.Call):
            return False
        given = (arg.value for arg in self.node.args if isinstance(arg.value, cst.Name))
        return any(
            bool(words(name.value) & _CONNECTED) and self._comes_from_element(name, tainted, 4)
            for name in given
            if name.value not in self.loop.targets
        )

    def _looks_up_function(self, tainted: frozenset[str]) -> bool:
        """Whether the element says which function is called: `runners[kind]()`, `run = runners.get(kind)`."""
        if not isinstance(self.node, cst.Call):
            return False
        function: cst.CSTNode | None = self.node.func
        if isinstance(function, cst.Name):
            function = self._origin(function)
        if isinstance(function, cst.Call) and last_name(function.func) in {"get", "getattr"}:
            return bool(_argument_names(function) & tainted)
        return isinstance(function, cst.Subscript) and bool(names_in_slice(function) & tainted)

    def _comes_from_element(self, receiver: cst.CSTNode, tainted: frozenset[str], hops: int) -> bool:
        for part in _chain(receiver):
            if isinstance(part, cst.Subscript) and names_in_slice(part) & tainted:
                return True
            if isinstance(part, cst.Call) and _is_factory(part) and _argument_names(part) & tainted:
                return True
        root = root_of(receiver)
        if not isinstance(root, cst.Name) or hops == 0:
            return False
        if root.value in self.loop.targets:
            return True
        origin = self._origin(root)
        return origin is not None and self._comes_from_element(origin, tainted, hops - 1)

    def _runs_another_statement(self) -> bool:
        """DDL, a script's statements one after the other, or one table after the other."""
        if self.suspect.sink_kind not in {"database", "orm", "cloud"} or not isinstance(self.node, cst.Call):
            return False
        if any(_names_statement(name) for name in self.loop.targets):
            return True
        if "query" in self.loop.targets and {self.suspect.sink.rpartition(".")[2], last_name(self.node)} & _RUNS:
            return True
        tainted = self._tainted(self.loop.targets)
        for call in (part for part in walk(self.node) if isinstance(part, cst.Call)):
            first = argument(call, 0)
            if isinstance(first, cst.Name) and first.value in self.loop.targets and self._takes_statement(call):
                return True
        if self._is_over_classes():
            return True
        if self._runs_statement_about_element(tainted):
            return True
        if not self.is_direct and last_name(self.node) not in _RUNS | _RUN_STATEMENTS:
            return False
        if self._runs_statement_of_element():
            return True
        statement = self._statement()
        if isinstance(statement, cst.Call) and _CONSTRUCTS.fullmatch(last_name(statement.func)):
            return True
        return bool(_DDL.match(text_of(statement))) or _names_identifier(statement, tainted)

    def _runs_statement_of_element(self) -> bool:
        """`cursor.execute(check["query"])`, `session.execute(check.statement, ...)`."""
        assert isinstance(self.node, cst.Call)
        first = self._statement()
        if not isinstance(first, (cst.Attribute, cst.Subscript)) or not self._takes_statement(self.node):
            return False
        root = root_of(first)
        return isinstance(root, cst.Name) and root.value in self.loop.targets

    def _runs_statement_about_element(self, tainted: frozenset[str]) -> bool:
        """Whether the statement's text has the element's name where a table or a label stands, as far as one sees."""
        statement = self._statement()
        if isinstance(statement, (cst.FormattedString, cst.ConcatenatedString)):
            return bool(_QUERIES.match(text_of(statement))) and _names_identifier(statement, tainted)
        if not isinstance(statement, cst.Call):
            return False
        assert isinstance(self.node, cst.Call)
        said = words(last_name(statement.func)) | words(last_name(argument(self.node, 0)))
        named = (arg.value for arg in statement.args if names_in(arg.value) & tainted)
        kinds = _KINDS | ({"name"} if self._target_words() & _OF_A_SCHEMA else set())
        return bool(said & _STATEMENT_TEXTS) and any(_member(value) in kinds for value in named)

    def _is_over_classes(self) -> bool:
        """Whether each element is a class, which stands for a table: `model.objects`, `model.__tablename__`."""
        return any(
            isinstance(node, cst.Attribute)
            and isinstance(node.value, cst.Name)
            and node.value.value in self.loop.targets
            and node.attr.value in _OF_CLASSES
            for node in self.block.by_type[cst.Attribute]
        )

    def _takes_statement(self, call: cst.Call) -> bool:
        name = last_name(call.func)
        if call is self.node:
            if name in _RUNS:
                return self.is_direct
            return name in _RUN_STATEMENTS
        return name in _ENTITY_CALLS or name in _SQL_WRAPPERS

    def _statement(self) -> cst.CSTNode | None:
        assert isinstance(self.node, cst.Call)
        first: cst.CSTNode | None = argument(self.node, 0)
        if isinstance(first, cst.Name):
            first = self._origin(first)
        while isinstance(first, cst.Call) and last_name(first.func) in _SQL_WRAPPERS | _SQL_PARAMETERS:
            if last_name(first.func) in _SQL_PARAMETERS:
                first = first.func.value if isinstance(first.func, cst.Attribute) else None
                continue
            first = (
                first.func.value
                if isinstance(first.func, cst.Attribute) and text_of(first.func.value)
                else argument(first, 0)
            )
        return first

    # How a call hangs on the loop

    def _positive(self) -> Verdict:
        if self._is_carried():
            return Verdict(None, "neutral: each call depends on the last")
        limit: Confidence = "definite"
        reason = "one call per element"
        if self.loop.kind == "async for":
            limit = "likely"
        if not self._depends():
            limit, reason = "likely", "the same call for every element"
            asks_around = not self.is_direct and self.suspect.code != "APL207"  # "cancelled?", "which settings?"
            if asks_around or self._is_guarded_by_cache():
                limit = "possible"
        elif self._is_guarded_by_cache():
            limit = "likely"
        if self._is_first_hit() or self._is_handled(self.node) or self._asks_for_new_key() or self._gives_list():
            limit = "possible"
        if self._iterable_words() & _WENT_WRONG:
            limit = "possible"
        return Verdict(limit, reason)

    def _asks_for_new_key(self) -> bool:
        """Whether the key of the row that was written is wanted, which a statement with many rows does not tell."""
        if not self.is_direct:
            return False
        above = self.inside[1] if len(self.inside) > 1 else None
        if isinstance(above, cst.Attribute) and above.attr.value in _NEW_KEYS:
            return True
        asked = self._own_results() | names_in(receiver) if (receiver := self._receiver()) else self._own_results()
        return any(
            isinstance(node, cst.Attribute) and node.attr.value in _NEW_KEYS and names_in(node.value) & asked
            for node in self.block.by_type[cst.Attribute]
        )

    def _gives_list(self) -> bool:
        """Whether the call is given what each element holds many of: `embed([part.text for part in doc.parts])`."""
        if not isinstance(self.node, cst.Call) or self.loop.kind in {"comprehension", "map"}:
            return False
        tainted = self._tainted(self.loop.targets)
        for arg in self.node.args:
            held = arg.value
            value = self._origin(held) if isinstance(held, cst.Name) and held.value in tainted else held
            if isinstance(value, cst.ListComp) and names_in(value.for_in.iter) & tainted:
                return True
        return False

    def _depends(self) -> bool:
        targets = self.loop.targets or (self._consumed() if self.loop.kind == "while" else frozenset())
        if self.loop.kind == "map" and not targets:
            return True
        return bool(self._names() & self._tainted(targets))

    def _names(self) -> frozenset[str]:
        return names_in(self.node)

    def _is_bare_repetition(self) -> bool:
        """`for _ in range(n)` in other words: nothing in the body uses the element."""
        if self.loop.kind in {"comprehension", "map"} or not self.loop.targets:
            return False
        if not _is_range(self.loop.iterable):
            return False
        return not self.loop.targets & self.block.names

    def _tainted(self, sources: frozenset[str]) -> frozenset[str]:
        """The names whose value in this turn of the loop comes from `sources`."""
        tainted = set(sources)
        grew = True
        while grew:
            grew = False
            for binding in self.bindings:
                if not binding.names <= tainted and binding.sources & tainted:
                    tainted |= binding.names
                    grew = True
        return frozenset(tainted - {"self", "cls"})

    def _is_carried(self) -> bool:
        """Whether the call is given what an earlier turn's call returned: pages, conversations, walks by key."""
        own = self._own_results()
        if not own:
            return False
        results = self._tainted(own)
        receiver = self._receiver()
        asked = dotted(root_of(receiver)) if receiver is not None else ""
        around = {"self", "cls", asked}  # a session that is given what was found is still the same session
        wanted = _argument_names_in_chain(self.node) - around
        seen: set[str] = set()
        while wanted - seen:
            name = min(wanted - seen)
            seen.add(name)
            earlier = [binding for binding in self.bindings if name in binding.names and binding.at < self.at]
            for binding in earlier:
                wanted |= binding.sources - around
            if any(not binding.changes and name not in binding.sources for binding in earlier):
                continue  # it is made anew in every turn
            if name in self.loop.targets:
                continue
            later = (binding for binding in self.bindings if name in binding.names and binding.at > self.at)
            if any(binding.sources & results for binding in later) or name in own:
                return True
        return False

    def _own_results(self) -> frozenset[str]:
        """The names bound to what the call returns."""
        holding = (binding.names for binding in self.bindings if id(binding.value) in self.within)
        return frozenset().union(*holding, frozenset())

    def _is_guarded_by_cache(self) -> bool:
        for child, parent in pairwise(self.inside):
            if isinstance(parent, cst.If) and child is parent.body and _asks_for_absence(parent.test):
                return True
        return False

    def _is_first_hit(self) -> bool:
        """`row = get(x); if row: return row`: stops at the first element that answers."""
        results = self._tainted(self._own_results())
        for node in self.block.by_type[cst.If]:
            if not isinstance(node, cst.If) or not (id(node.test) in self.within or _answered(node.test) & results):
                continue
            returns = any(isinstance(inner, cst.Return) for inner in walk(node.body, into_functions=False))
            if returns or _ends_with(node.body, (cst.Break,)):
                return True
        return False

    def _exits_after_call(self) -> bool:
        """Whether a `return` or `break` always follows, so that the call runs for one element at most."""
        if self.loop.kind in {"comprehension", "map"}:
            return False
        nested = next((above for above in self.inside if isinstance(above, (cst.For, cst.While))), None)
        exits = (cst.Return, cst.Raise) if nested is not None else (cst.Return, cst.Raise, cst.Break)
        for child, parent in pairwise((*self.inside, self.loop.node)):
            if isinstance(child, (cst.Return, cst.Raise)):
                return True
            if isinstance(parent, (cst.IndentedBlock, cst.SimpleStatementLine)):
                if any(_is_exit(statement, exits) for statement in _after(child, parent.body)):
                    return True
            elif isinstance(parent, cst.Try) and child is parent.body and parent.orelse:
                if _ends_with(parent.orelse.body, exits):
                    return True
            elif parent is nested:
                return False
        return False

    def _is_for_one_value(self) -> bool:
        """Whether the call belongs to one element only: `if key == "cache":` around it."""
        for child, parent in pairwise(self.inside):
            if isinstance(parent, cst.If) and child is parent.body and _asks_for_value(parent.test, self.loop.targets):
                return True
            if isinstance(parent, cst.MatchCase) and isinstance(parent.pattern, cst.MatchValue):
                match = next(above for above in self.inside if isinstance(above, cst.Match))
                return last_name(match.subject) in self.loop.targets
        return False

    # Names and where they come from

    def _receiver(self) -> cst.CSTNode | None:
        if isinstance(self.node, cst.Call):
            return self.node.func.value if isinstance(self.node.func, cst.Attribute) else None
        return self.node.value if isinstance(self.node, cst.Attribute) else None

    def _origin(self, name: cst.CSTNode) -> cst.CSTNode | None:
        """What `name` was bound to: nearest in the loop, else in the function."""
        if not isinstance(name, cst.Name):
            return None
        own = [each for each in self.bindings if name.value in each.names and not each.changes]
        if own:
            return _unwrapped(own[0].value)
        elsewhere = [each for each in self._in_function() if each.names == {name.value} and not each.changes]
        return _unwrapped(elsewhere[0].value) if len(elsewhere) == 1 else None

    def _in_function(self) -> Sequence[Binding]:
        return block_of(self.shape.function.body).bindings if self.shape.function is not None else ()

    def _parameters(self) -> frozenset[str]:
        if self.shape.function is None:
            return frozenset()
        params = self.shape.function.params
        return frozenset(param.name.value for param in (*params.posonly_params, *params.params, *params.kwonly_params))

    def _resolved(self, iterable: cst.CSTNode) -> cst.CSTNode:
        """What a variable was bound to where nothing else binds or changes it."""
        if not isinstance(iterable, cst.Name):
            return iterable
        found = [binding for binding in self._in_function() if iterable.value in binding.names]
        if iterable.value in self._parameters():  # `if not isinstance(ids, list): ids = [ids]`
            return iterable
        if len(found) != 1 or found[0].changes or found[0].names != {iterable.value}:
            return iterable
        return found[0].value

    def _is_one_of_handfuls(self) -> bool:
        """Whether a variable is bound to one written-out handful or another, and never changed."""
        values = self._choices(self.loop.iterable)
        return len(values) > 1 and all(
            isinstance(value, (cst.List, cst.Tuple, cst.Set)) and is_handful(value) for value in values
        )

    def _choices(self, name: cst.CSTNode) -> list[cst.CSTNode]:
        """The values that a variable of the function may have; none where it is changed, or is a parameter."""
        if not isinstance(name, cst.Name) or name.value in self._parameters():
            return []
        found = [binding for binding in self._in_function() if name.value in binding.names]
        if any(binding.changes or binding.names != {name.value} for binding in found):
            return []
        return [binding.value for binding in found]

    def _is_in_steps(self) -> bool:
        """Whether a variable holds the starts of slices, or the slices: `steps = range(0, len(xs), 100)`."""
        values = self._choices(self.loop.iterable)
        return bool(values) and all(any(_is_in_steps(part) for part in _parts(value)) for value in values)

    def _is_over_few(self) -> bool:
        """Whether a test has found few elements: `if len(xs) <= 3:` around the loop."""
        whole = frozenset(dotted(part) for part in _parts(self.loop.iterable)) - {""}
        for test, holds in conditions(self.path[self.path.index(self.loop.node) :]):
            most = most_elements(test, whole, holds)
            if most is not None and most <= _HANDFUL and not self._is_bound_between(whole, test):
                return True
        return False

    def _is_bound_between(self, names: frozenset[str], test: cst.CSTNode) -> bool:
        """Whether one of `names` gets another value or more elements after `test` and before the loop."""
        if self.shape.function is None:
            return False
        block = block_of(self.shape.function.body)
        first, last = block.order.get(id(test), 0), block.order.get(id(self.loop.node), 0)
        bound = (binding.names for binding in block.bindings if first < binding.at < last)
        return any(not each.isdisjoint(name.partition(".")[0] for name in names) for each in bound)

    def _target_words(self) -> frozenset[str]:
        return frozenset().union(*(words(name) for name in self.loop.targets), frozenset())

    def _iterable_words(self) -> frozenset[str]:
        return frozenset().union(*(words(last_name(part)) for part in _parts(self.loop.iterable)), frozenset())


def is_handful(iterable: cst.CSTNode) -> bool:
    """Whether `iterable` is a fixed, small collection: a literal, an upper-case constant, an Enum, `range(3)`."""
    if isinstance(iterable, (cst.Tuple, cst.List, cst.Set)):
        plain = all(_is_counted(element) for element in iterable.elements)
        return plain and 1 <= len(iterable.elements) <= _HANDFUL
    if isinstance(iterable, cst.Dict):
        return 1 <= len(iterable.elements) <= _HANDFUL
    if isinstance(iterable, (cst.Name, cst.Attribute)):
        return _is_constant_name(last_name(iterable))
    if isinstance(iterable, cst.BinaryOperation):
        return is_handful(iterable.left) and is_handful(iterable.right)
    if isinstance(iterable, cst.Subscript):
        return _is_short_slice(iterable) or is_handful(iterable.value)
    return isinstance(iterable, cst.Call) and _is_handful_call(iterable)


def _is_counted(element: cst.BaseElement) -> bool:
    """Whether an element of a display stands for itself, or for the few of `*((x,) if x else ())`."""
    if not isinstance(element, cst.StarredElement):
        return True
    choice = element.value
    return isinstance(choice, cst.IfExp) and all(isinstance(each, cst.Tuple) for each in (choice.body, choice.orelse))


def _is_handful_call(call: cst.Call) -> bool:
    name = last_name(call.func)
    if name == "range":
        bounds = [arg.value for arg in call.args]
        top = bounds[min(1, len(bounds) - 1)] if bounds else None
        return (integer(top) or _FEW_TIMES + 1) <= _FEW_TIMES or (isinstance(top, cst.Name) and top.value.isupper())
    if name in _VIEWS and isinstance(call.func, cst.Attribute):
        return is_handful(call.func.value)
    if name in _DRAWS:
        return _is_short(argument(call, 1, "k") or argument(call, 1, "n") or argument(call, 0, "n"))
    if name == "fromkeys":
        return bool(call.args) and is_handful(call.args[0].value)
    if name == "get_models" and dotted(call.func).endswith("apps.get_models"):
        return True  # the tables of a project
    if name == "zip":
        return any(is_handful(arg.value) for arg in call.args)
    return name in _PASS_THROUGH and bool(call.args) and is_handful(call.args[0].value)


def _asks_for_few(call: cst.Call) -> bool:
    limit = argument(call, 0) if last_name(call.func) == "limit" else argument(call, len(call.args), "limit")
    return 0 < (integer(limit) or 0) <= _HANDFUL


def _is_short(count: cst.CSTNode | None) -> bool:
    """Whether `count` is a small number, or at most one: `min(3, len(xs))`."""
    if isinstance(count, cst.Call) and last_name(count.func) == "min":
        return any(_is_short(arg.value) for arg in count.args)
    return 0 < (integer(count) or 0) <= _HANDFUL


def _is_constant_name(name: str) -> bool:
    bare = name.strip("_")
    if len(bare) < 2:
        return False
    is_enum = bare[0].isupper() and any(char.islower() for char in bare) and "_" not in bare
    return bare.isupper() or is_enum or name in {"__members__", "__subclasses__", "sorted_tables"}


def _is_short_slice(node: cst.Subscript) -> bool:
    element = node.slice[0].slice if len(node.slice) == 1 else None
    if not isinstance(element, cst.Slice):
        return False
    return element.lower is None and (integer(element.upper) or _FEW_SLICED + 1) <= _FEW_SLICED


def _is_range(iterable: cst.CSTNode) -> bool:
    return isinstance(iterable, cst.Call) and last_name(iterable.func) in {"range", "count"}


def _parts(iterable: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """`iterable` and what it passes through: `enumerate(chunks(xs))` is made of `chunks(xs)`."""
    pending = [iterable]
    while pending:
        current = pending.pop()
        if isinstance(current, (cst.Await, cst.BooleanOperation)):
            pending.append(current.expression if isinstance(current, cst.Await) else current.left)
            continue
        yield current
        if isinstance(current, cst.Call):
            if last_name(current.func) in _PASS_THROUGH | {"zip"}:
                pending.extend(arg.value for arg in current.args)
            elif last_name(current.func) in _VIEWS and isinstance(current.func, cst.Attribute):
                pending.append(current.func.value)


def _made_from(value: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """What a value stands for as a whole: itself, `list(xs)`, or `[x.id for x in xs]`."""
    yield from _parts(value.for_in.iter if isinstance(value, cst.BaseComp) else value)


def _hands_out_batches(iterable: cst.CSTNode) -> bool:
    if isinstance(iterable, cst.Call) and last_name(iterable.func) == "range":
        return len(iterable.args) == 3
    name = last_name(iterable)
    if isinstance(iterable, cst.Call):
        return bool(words(name) & (_BATCH | {"paginate", "paginator"})) or "chunk" in name.lower()
    return name.lower().rpartition("_")[2] in _PLURAL_BATCHES  # `for id in chunk` hands out elements


def _is_in_steps(iterable: cst.CSTNode) -> bool:
    """`range(0, len(xs), 100)`, or a comprehension of slices over it."""
    if isinstance(iterable, (cst.ListComp, cst.GeneratorExp)):
        element = iterable.elt
        slices = isinstance(element, cst.Subscript) and isinstance(element.slice[0].slice, cst.Slice)
        return slices and _is_in_steps(iterable.for_in.iter)
    if not isinstance(iterable, cst.Call) or last_name(iterable.func) != "range":
        return False
    step = argument(iterable, 2)
    return step is not None and integer(step) != 1 and not isinstance(step, cst.UnaryOperation)


def _hands_out_attempts(iterable: cst.CSTNode) -> bool:
    if not isinstance(iterable, cst.Call):
        return False
    if last_name(iterable.func) == "range":
        return any(words(last_name(part)) & _AGAIN for arg in iterable.args for part in walk(arg.value))
    return bool(words(last_name(iterable.func)) & {"retry", "retrying", "attempt", "backoff"})


def _batch_words(name: str) -> frozenset[str]:
    """The words of `name`, unless they say that it is only something about a batch (`batch_id`)."""
    found = words(name)
    last = name.lower().rpartition("_")[2]
    return found if last not in _PART_OF_NAME or (found & {"chunk"} and last in {"id", "key"}) else frozenset()


def _own_parts(loop: RepeatingLoop) -> tuple[cst.CSTNode, ...]:
    """What a loop repeats."""
    if loop.clause is not None:
        return (loop.body, *loop.clause.ifs)
    return (loop.iterable, loop.body) if loop.kind == "while" else (loop.body,)


def _unwrapped(value: cst.CSTNode) -> cst.CSTNode:
    while isinstance(value, cst.Await):
        value = value.expression
    return value


def _chain(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The links of `a.b(c)[d].e`, from the end to the root."""
    while isinstance(node, (cst.Attribute, cst.Subscript, cst.Call, cst.Await)):
        yield node
        node = (
            node.func if isinstance(node, cst.Call) else node.expression if isinstance(node, cst.Await) else node.value
        )
    yield node


def names_in_slice(node: cst.Subscript) -> frozenset[str]:
    """The variables that index `node`."""
    return frozenset().union(*(names_in(element) for element in node.slice))


def _argument_names(call: cst.Call) -> frozenset[str]:
    return frozenset().union(*(names_in(arg.value) for arg in call.args), frozenset())


def _argument_names_in_chain(node: cst.CSTNode) -> frozenset[str]:
    """The variables given to any call of the chain `node`, its root left out."""
    return frozenset().union(
        *(_argument_names(part) for part in _chain(node) if isinstance(part, cst.Call)), frozenset()
    )


def _is_factory(call: cst.Call) -> bool:
    name = last_name(call.func)
    if isinstance(call.func, cst.Name):
        return True
    return name[:1].isupper() or name in _FACTORIES or bool(words(name) & {"client", "connection", "engine", "session"})


def _names_statement(name: str) -> bool:
    """Whether what is called so is a statement or a table: a `view_name` is, a `view_restriction` is not."""
    first, *rest = name.lower().strip("_").split("_") or [""]
    while rest and rest[-1] in _DESCRIBES:
        rest.pop()
    return bool(words(rest[-1] if rest else first) & _STATEMENTS) and not _IDENTIFIES.search(name)


def _names_identifier(statement: cst.CSTNode | None, tainted: frozenset[str]) -> bool:
    """Whether an f-string puts an element where SQL wants the name of a table, or Cypher a label."""
    if not isinstance(statement, cst.FormattedString):
        if isinstance(statement, cst.ConcatenatedString):
            return _names_identifier(statement.left, tainted) or _names_identifier(statement.right, tainted)
        return False
    before = text = ""
    for part in statement.parts:
        if isinstance(part, cst.FormattedStringText):
            before = part.value
            text += part.value
        elif not names_in(part) & tainted:
            continue
        elif _BEFORE_IDENTIFIER.search(before) or (_CYPHER.search(text) and _BEFORE_LABEL.search(before)):
            return True
    return False


def _member(value: cst.CSTNode) -> str:
    """The last attribute or key that `value` reads: `name` for `table.name` and `table["name"]`."""
    if isinstance(value, cst.Subscript) and len(value.slice) == 1:
        element = value.slice[0].slice
        return text_of(element.value) if isinstance(element, cst.Index) else ""
    return value.attr.value if isinstance(value, cst.Attribute) else ""


def _asks_for_value(test: cst.CSTNode, names: frozenset[str]) -> bool:
    """`name == "text"` (or a number), alone or as a part of an `and`."""
    if isinstance(test, cst.BooleanOperation):
        both = isinstance(test.operator, cst.And)
        return both and (_asks_for_value(test.left, names) or _asks_for_value(test.right, names))
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return False
    part = test.comparisons[0]
    is_literal = isinstance(part.comparator, (cst.SimpleString, cst.Integer))
    is_named = isinstance(test.left, cst.Name) and test.left.value in names
    return is_named and is_literal and isinstance(part.operator, cst.Equal)


def _asks_for_cluster(test: cst.CSTNode) -> bool:
    """`self.is_cluster`, `isinstance(client, RedisCluster)`, alone or as a part of an `and`."""
    if isinstance(test, cst.BooleanOperation):
        both = isinstance(test.operator, cst.And)
        return both and (_asks_for_cluster(test.left) or _asks_for_cluster(test.right))
    if isinstance(test, cst.Call) and last_name(test.func) == "isinstance":
        kind = argument(test, 1)
        return "cluster" in words(last_name(kind))
    return isinstance(test, (cst.Name, cst.Attribute, cst.Call)) and "cluster" in words(last_name(test))


def _asks_for_absence(test: cst.CSTNode) -> bool:
    """`x not in seen`, `not x`, `x is None`, alone or as a part of an `and`."""
    if isinstance(test, cst.BooleanOperation):
        return _asks_for_absence(test.left) or _asks_for_absence(test.right)
    if isinstance(test, cst.UnaryOperation):
        return isinstance(test.operator, cst.Not)
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return False
    part = test.comparisons[0]
    is_none = isinstance(part.operator, (cst.Is, cst.Equal)) and last_name(part.comparator) == "None"
    return is_none or isinstance(part.operator, cst.NotIn)


def _answered(test: cst.CSTNode) -> frozenset[str]:
    """The names that `test` wants to have a value: `row`, `row is not None`, `(row := ...)`, in an `and` as well."""
    if isinstance(test, cst.BooleanOperation):
        return _answered(test.left) | _answered(test.right)
    if isinstance(test, cst.NamedExpr):
        return target_names(test.target)
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        part = test.comparisons[0]
        succeeded = isinstance(part.operator, cst.Equal) and (
            integer(part.comparator) in _SUCCESS or is_zero(part.comparator)
        )
        return names_in(test.left) if succeeded or isinstance(part.operator, cst.IsNot) else frozenset()
    if isinstance(test, cst.Attribute) and test.attr.value in {"ok", "is_success", "success", "found"}:
        return names_in(test)
    return frozenset({test.value}) if isinstance(test, cst.Name) else frozenset()


def _after(child: cst.CSTNode, block: Sequence[cst.CSTNode]) -> Sequence[cst.CSTNode]:
    position = next((index for index, statement in enumerate(block) if statement is child), len(block))
    return block[position + 1 :]


def _ends_with(block: cst.CSTNode, exits: tuple[type[cst.CSTNode], ...]) -> bool:
    """Whether the last statement of `block` is one of `exits`."""
    if not isinstance(block, (cst.IndentedBlock, cst.SimpleStatementSuite)) or not block.body:
        return False
    return _is_exit(block.body[-1], exits)


def _is_exit(statement: cst.CSTNode, exits: tuple[type[cst.CSTNode], ...]) -> bool:
    if isinstance(statement, cst.SimpleStatementLine):
        return bool(statement.body) and isinstance(statement.body[-1], exits)
    return isinstance(statement, exits)
