"""What the loops around a call say about it to somebody who has seen the call happen.

A rule that knows only the source must be careful: a variable called `page` may hold a page. Somebody who has counted
the calls and compared their parameters needs less, and can tell from the shape alone why a call repeats: because
there are elements, because each answer names the next question, or because work keeps coming in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from agentperf_rules.base import Shape
from agentperf_rules.blocks import Block, block_of
from agentperf_rules.model import Suspect
from agentperf_rules.shapes import (
    _ADDRESSES,
    _PAGING,
    _STREAMS,
    LoopJudge,
    RepeatingLoop,
    _chain,
    _hands_out_attempts,
    _hands_out_batches,
    _is_bounded,
    _is_range,
    _parts,
    enclosing_loops,
    is_fan_out,
    is_handful,
)
from agentperf_rules.syntax import contains, dotted, last_name, names_in, walk, words

_INCOMING = frozenset({"message", "msg", "event", "frame", "notification", "packet", "job", "delivery"})
_TAKES = frozenset(
    {
        "receive", "receive_text", "receive_json", "receive_bytes", "receive_message", "receive_messages", "recv",
        "recv_json", "recv_string", "recv_multipart", "accept", "readline", "readuntil", "readexactly", "blpop",
        "brpop", "blmove", "brpoplpush", "bzpopmin", "bzpopmax", "get_message", "poll", "dequeue", "get_job",
        "next_job", "reserve", "consume", "getone", "getmany", "next_message", "fetch_next", "xread", "xreadgroup",
        "claim", "claim_job", "next_event", "wait_for_notify", "get_nowait",
    }
)  # fmt: skip
_QUEUES = _STREAMS | {"job", "inbox", "mailbox", "broker", "work", "task", "outbox", "backlog"}
_QUERIES = frozenset(
    {
        "all", "filter", "exclude", "select", "query", "find", "aggregate", "execute", "scalars", "cursor", "iterate",
        "iterator", "fetch", "fetchall", "fetch_all", "values", "values_list", "order_by", "limit", "prefetch_related",
        "select_related", "where",
    }
)  # fmt: skip
_DATABASES = frozenset({"session", "conn", "connection", "db", "database", "engine", "tx", "transaction"})
_CONNECTIONS = _ADDRESSES | {"conn", "connection", "pool", "engine", "db", "redis"}
_TIMED = frozenset({"sleep", "wait", "wait_for", "timeout", "throttle"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What one loop says. More than one answer may be true.

    `handful`: it runs over a fixed few; `batched`: over pieces of a collection; `attempts`: over tries of one thing;
    `carried`: each call is given what an earlier one returned; `fed`: each turn waits for work that comes in;
    `pages`: it goes on until an answer says stop; `walks`: it takes elements from a collection that answers add to;
    `periodic`: it hands out no elements and waits in every turn; `leaves`: the call runs once at most;
    `elsewhere`: every element is a server of its own; `depends`: the call is given the element;
    `together`: the calls are started together, `bounded`: with a limit.
    """

    loop: RepeatingLoop
    handful: bool = False
    batched: bool = False
    attempts: bool = False
    carried: bool = False
    fed: bool = False
    pages: bool = False
    walks: bool = False
    periodic: bool = False
    leaves: bool = False
    elsewhere: bool = False
    depends: bool = False
    together: bool = False
    bounded: bool = False


def readings(suspect: Suspect, shape: Shape) -> Iterator[Reading]:
    """What the loops around a suspect that has a tree say, from the innermost outwards."""
    node = shape.node
    assert node is not None, "a shape without a tree has no loops"
    path = (node, *shape.ancestors)
    together = is_fan_out(path, shape.function)
    bounded = together and _is_bounded(path, shape)
    for depth, loop in enumerate(enclosing_loops(path)):
        yield _Repetition(suspect, shape, path, loop, inner=depth == 0).reading(together, bounded)


def keeps_its_place(shape: Shape) -> bool:
    """Whether the call is given an attribute or outer variable that its function sets from the call's result.

    So does a pager whose loop is elsewhere: `page = get(self.cursor); self.cursor = page.next`.
    """
    if shape.node is None or shape.function is None:
        return False
    path = frozenset(id(above) for above in (shape.node, *shape.ancestors))
    block = block_of(shape.function.body)
    results = _results(block, path)
    kept = _kept(block, path, results)
    return bool(kept & _given(shape.node, block)) or bool(
        results & _outer_names(shape.function) & _given(shape.node, block)
    )


def _results(block: Block, path: frozenset[int]) -> frozenset[str]:
    """The names whose values come from what the call returns."""
    results = set[str]()
    for binding in block.bindings:
        if id(binding.value) in path:
            results |= binding.names
    grew = True
    while grew:
        grew = False
        for binding in block.bindings:
            if binding.sources & results and not binding.names <= results:
                results |= binding.names - {"self", "cls"}
                grew = not binding.names <= {"self", "cls"}
    return frozenset(results - {"self", "cls"})


def _kept(block: Block, path: frozenset[int], results: frozenset[str]) -> frozenset[str]:
    """The attributes, as written, that are set from the call's result."""
    kept = set[str]()
    for node in (*block.by_type[cst.Assign], *block.by_type[cst.AugAssign], *block.by_type[cst.AnnAssign]):
        targets = [each.target for each in node.targets] if isinstance(node, cst.Assign) else [node.target]  # type: ignore[attr-defined]
        value: cst.CSTNode | None = node.value  # type: ignore[attr-defined]
        if value is None or not (id(value) in path or names_in(value) & results):
            continue
        kept |= {dotted(target) for target in targets if isinstance(target, cst.Attribute)}
    return frozenset(kept - {""})


def _given(node: cst.CSTNode, block: Block) -> frozenset[str]:
    """Names and attributes, as written, that go into the arguments of a call, also through variables."""
    arguments = [arg.value for part in _chain(node) if isinstance(part, cst.Call) for arg in part.args]
    given = frozenset[str]().union(*(_mentioned(each) for each in arguments))
    at = block.order.get(id(node), -1)
    for binding in reversed(block.bindings):
        if binding.at < at and binding.names & given:
            given |= _mentioned(binding.value)
    return given


def _mentioned(node: cst.CSTNode) -> frozenset[str]:
    inside = list(walk(node))
    attributes = {dotted(each) for each in inside if isinstance(each, cst.Attribute)}
    return frozenset(attributes - {""}) | names_in(node)


def _outer_names(function: cst.FunctionDef) -> frozenset[str]:
    declared = (each for each in walk(function.body) if isinstance(each, (cst.Nonlocal, cst.Global)))
    return frozenset(item.name.value for each in declared for item in each.names)


class _Repetition(LoopJudge):
    """The questions for one call and one loop."""

    def reading(self, together: bool, bounded: bool) -> Reading:
        is_while = self.loop.kind == "while"
        consumed = self._consumed() if is_while else frozenset[str]()
        carried = self._is_carried() or self._is_carried_by_object()
        walks = is_while and bool(consumed) and carried
        return Reading(
            self.loop,
            handful=self._is_over_handful(),
            batched=any(_hands_out_batches(part) for part in _parts(self.loop.iterable) if isinstance(part, cst.Call)),
            attempts=any(_hands_out_attempts(part) for part in _parts(self.loop.iterable)),
            carried=carried and not walks,
            fed=self._is_fed(),
            pages=self._is_paging(consumed),
            walks=walks,
            periodic=self._is_periodic(consumed),
            leaves=self._exits_after_call() or self._is_for_one_value(),
            elsewhere=self._is_asked_of_element(),
            depends=self._depends(),
            together=together,
            bounded=bounded,
        )

    def _is_over_handful(self) -> bool:
        """A literal, a constant or an Enum; numbers that are counted through may stand for elements."""
        if self.loop.kind == "while":
            return False
        iterable = self._resolved(self.loop.iterable)
        if any(_is_range(part) for part in (*_parts(iterable), *_parts(self.loop.iterable))):
            return False
        return is_handful(iterable) or is_handful(self.loop.iterable)

    def _is_carried_by_object(self) -> bool:
        """`page = pager.next(); pager.cursor = page.cursor`: what is called, or given, was set from the last result."""
        path = self.within
        results = _results(self.block, path)
        kept = _kept(self.block, path, results)
        if not kept:
            return False
        if kept & _given(self.node, self.block):
            return True
        receiver = dotted(self._receiver())
        roots = {name.rpartition(".")[0] for name in kept}
        return bool(receiver) and receiver in roots

    def _is_asked_of_element(self) -> bool:
        """Whether each element is the server, or the connection to it, that the call goes to."""
        receiver = self._receiver()
        if receiver is None or self.suspect.sink_kind in {"orm", "relation"}:
            return False
        if not self._comes_from_element(receiver, self._tainted(self.loop.targets), 4):
            return False
        return self.is_direct or bool((self._target_words() | self._iterable_words()) & _CONNECTIONS)

    def _is_fed(self) -> bool:
        if _is_query(self._resolved(self.loop.iterable)):
            return False
        if self.loop.kind == "async for" and (self._iterable_words() | self._target_words()) & (_STREAMS | _INCOMING):
            return True
        if self._iterable_words() & {"consumer", "pubsub", "listen", "websocket"}:
            return True
        if self.loop.kind != "while":
            return False
        return any(self._takes_work(call) for call in self.block.calls if not contains(self.node, call))

    def _takes_work(self, call: cst.Call) -> bool:
        name = last_name(call.func)
        if name in _TAKES:
            return True
        if name != "get" or not isinstance(call.func, cst.Attribute):
            return False
        given = [arg for arg in call.args if arg.keyword is None or arg.keyword.value not in {"timeout", "block"}]
        return not given or bool(words(last_name(call.func.value)) & _QUEUES)

    def _is_paging(self, consumed: frozenset[str]) -> bool:
        """Whether the loop counts on until an answer is empty or says that it was the last."""
        counted = self.loop.kind == "while" or _is_range(self.loop.iterable)
        if not counted or consumed:
            return False
        if self.loop.kind != "while" and self._names_of_targets() & _PAGING:
            return True
        results = self._tainted(self._own_results())
        if self.loop.kind == "while" and names_in(self.loop.iterable) & results:
            return True
        return any(
            isinstance(node, cst.If) and names_in(node.test) & results and self._leaves_in(node)
            for node in self.block.by_type[cst.If]
        )

    def _leaves_in(self, node: cst.If) -> bool:
        exits = (cst.Break, cst.Return) if self.loop.kind == "while" else (cst.Break,)
        return any(isinstance(each, exits) for each in walk(node.body, into_functions=False)) and (
            self.loop.kind == "while" or _asks_for_nothing(node.test)
        )

    def _names_of_targets(self) -> frozenset[str]:
        return frozenset[str]().union(*(words(name) for name in self.loop.targets))

    def _is_periodic(self, consumed: frozenset[str]) -> bool:
        hands_out = bool(consumed) or (self.loop.kind != "while" and not self._is_idle_count())
        return not hands_out and any(last_name(call.func) in _TIMED for call in self.block.calls)

    def _is_idle_count(self) -> bool:
        """`for _ in range(n)`, or with a number that only the log sees."""
        if not _is_range(self.loop.iterable):
            return self.loop.targets == {"_"}
        return self.loop.targets == {"_"} or not self._depends()


def _is_query(iterable: cst.CSTNode) -> bool:
    """Whether a loop runs over the rows of a query, whatever these are called."""
    while isinstance(iterable, cst.Await):
        iterable = iterable.expression
    if not isinstance(iterable, cst.Call):
        return False
    name = last_name(iterable.func)
    if name.startswith("stream"):
        return isinstance(iterable.func, cst.Attribute) and bool(words(last_name(iterable.func.value)) & _DATABASES)
    return name in _QUERIES


def _asks_for_nothing(test: cst.CSTNode) -> bool:
    """`not rows`, `len(rows) < size`, `rows == []`."""
    if isinstance(test, cst.UnaryOperation):
        return isinstance(test.operator, cst.Not)
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return False
    part = test.comparisons[0]
    return isinstance(part.operator, (cst.LessThan, cst.NotEqual, cst.Equal, cst.Is, cst.LessThanEqual))
