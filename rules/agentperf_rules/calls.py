"""Shapes of single calls: waits that cannot wait, locks, statements, things built once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise

import libcst as cst

from agentperf_rules.base import Shape
from agentperf_rules.syntax import (
    argument,
    dotted,
    is_false,
    is_zero,
    last_name,
    names_in,
    target_names,
    text_of,
    walk,
    words,
)

_TIMEOUT_POSITION = {"get": 1, "put": 2, "acquire": 1, "join": 0, "result": 0, "wait": 0, "exception": 0}
_FLAG_POSITION = {"get": 0, "put": 1, "acquire": 0}
_STARTUP = frozenset(
    {
        "startup", "start", "setup", "init", "initialize", "initialise", "lifespan", "connect", "main",
        "open", "create", "build",
    }
)  # fmt: skip
_WAITED = frozenset({"wait", "as_completed", "gather", "wrap_future", "wait_for", "shield"})


def sleeps_for_zero(node: cst.CSTNode | None) -> bool:
    """Whether `node` is `sleep(0)`, which yields and does not wait."""
    return isinstance(node, cst.Call) and is_zero(argument(node, 0, "secs")) and last_name(node.func) == "sleep"


def names_standard_module(node: cst.CSTNode | None) -> bool:
    """Whether `node` imports a module of the standard library: `__import__("time")`, which is mostly loaded already."""
    name = text_of(argument(node, 0, "name")) if isinstance(node, cst.Call) else ""
    return name.partition(".")[0] in sys.stdlib_module_names


def is_a_statement(shape: Shape) -> bool:
    """Whether the expression is a statement of its own: its value goes nowhere."""
    return bool(shape.ancestors) and isinstance(shape.ancestors[0], cst.Expr)


def holds_across_await(shape: Shape) -> bool | None:
    """Whether the body of the `with` whose item the expression is awaits; None when it is no such item."""
    for child, parent in pairwise((shape.node, *shape.ancestors)):
        if isinstance(parent, cst.With) and isinstance(child, cst.WithItem):
            return any(_suspends(node) for node in walk(parent.body, into_functions=False))
        if isinstance(parent, cst.BaseCompoundStatement):
            return None
    return None


def _suspends(node: cst.CSTNode) -> bool:
    if isinstance(node, (cst.Await, cst.Yield)):
        return True
    return isinstance(node, (cst.For, cst.With, cst.CompFor)) and node.asynchronous is not None


def waits(shape: Shape) -> bool:
    """Whether a call on a lock, queue, thread or future can wait at all."""
    call = shape.node
    if not isinstance(call, cst.Call):
        return True
    name = last_name(call.func)
    if is_false(_flag(call, name)) or is_zero(argument(call, _TIMEOUT_POSITION.get(name, 99), "timeout")):
        return False
    if name == "get" and _is_seen_filled(call, shape):
        return False
    return name not in {"result", "exception"} or not _is_known_done(call, shape)


def _is_seen_filled(call: cst.Call, shape: Shape) -> bool:
    """`if not queue.empty(): queue.get()`, as long as no other thread takes from it."""
    queue = dotted(call.func.value) if isinstance(call.func, cst.Attribute) else ""
    for above in shape.ancestors:
        if isinstance(above, cst.FunctionDef):
            return False
        tests = above.test if isinstance(above, (cst.If, cst.While)) else None
        for node in walk(tests) if tests is not None else ():
            if (
                isinstance(node, cst.Attribute)
                and node.attr.value in {"empty", "qsize"}
                and dotted(node.value) == queue
            ):
                return True
    return False


def _flag(call: cst.Call, name: str) -> cst.BaseExpression | None:
    position = _FLAG_POSITION.get(name, 99)
    return argument(call, position, "blocking") or argument(call, position, "block")


def is_given_done(shape: Shape) -> bool:
    """Whether a call is given a future that was seen to be done, or was awaited: what is awaited does not block."""
    call = shape.node
    if not isinstance(call, cst.Call) or shape.function is None:
        return False
    given = {dotted(arg.value) for arg in call.args} - {""}
    return any(not given.isdisjoint(_waited_for(node)) for node in _before(shape.function.body, call))


def _waited_for(node: cst.CSTNode) -> Iterator[str]:
    """What `node` waits for or asks whether it is done: `await f`, `await wait_for(shield(f), 1)`, `f.done()`."""
    if isinstance(node, cst.Await):
        yield dotted(node.expression)
    if not isinstance(node, cst.Call):
        return
    if last_name(node.func) in _WAITED:
        yield from (dotted(arg.value) for arg in node.args[:1])
    elif isinstance(node.func, cst.Attribute) and node.func.attr.value in {"done", "cancelled"}:
        yield dotted(node.func.value)


def _is_known_done(call: cst.Call, shape: Shape) -> bool:
    """Whether the future was seen to be done: a test of `done()`, a wait for it, or its own callback."""
    if not isinstance(call.func, cst.Attribute):
        return False
    future = dotted(call.func.value)
    if not future:
        return False
    if any(isinstance(above, cst.Lambda) for above in shape.ancestors):
        return True
    if shape.function is None:
        return False
    return any(_tells_done(node, future) for node in _before(shape.function.body, call)) or _is_iterated_when_done(
        future, shape
    )


def _before(body: cst.CSTNode, call: cst.Call) -> Iterator[cst.CSTNode]:
    for node in walk(body, into_functions=False):
        if node is call:
            return
        yield node


def _tells_done(node: cst.CSTNode, future: str) -> bool:
    if isinstance(node, cst.Await):
        return future == dotted(node.expression) or (
            isinstance(node.expression, cst.Call) and _mentions(node.expression, future)
        )
    if not isinstance(node, cst.Call):
        return False
    if isinstance(node.func, cst.Attribute) and node.func.attr.value in {"done", "cancelled"}:
        return dotted(node.func.value) == future
    return last_name(node.func) in _WAITED and _mentions(node, future)


def _mentions(call: cst.Call, future: str) -> bool:
    return any(dotted(part) == future for arg in call.args for part in walk(arg.value))


def _is_iterated_when_done(future: str, shape: Shape) -> bool:
    """`for future in as_completed(...)`, or over the `done` of `done, pending = wait(...)`."""
    for above in shape.ancestors:
        if not isinstance(above, (cst.For, cst.CompFor)) or future not in target_names(above.target):
            continue
        if names_in(above.iter) & {"done", "as_completed", "finished", "completed"}:
            return True
        if any(isinstance(part, cst.Call) and last_name(part.func) in _WAITED for part in walk(above.iter)):
            return True
    return False


def is_built_once(function: str, shape: Shape) -> bool:
    """Whether what is built is kept: in a function that starts things up, or behind `if client is None`."""
    name = function.rpartition(".")[2]
    if words(name) & _STARTUP or name in {"__aenter__", "__init__"}:
        return True
    for child, parent in pairwise((shape.node, *shape.ancestors)):
        if isinstance(parent, cst.If) and child is parent.body:
            return _asks_for_none(parent.test)
    return False


def _asks_for_none(test: cst.CSTNode) -> bool:
    if isinstance(test, cst.UnaryOperation):
        return isinstance(test.operator, cst.Not)
    return any(isinstance(node, cst.Name) and node.value == "None" for node in walk(test)) or any(
        isinstance(node, cst.NotIn)
        for part in walk(test)
        if isinstance(part, cst.Comparison)
        for node in _operators(part)
    )


def _operators(comparison: cst.Comparison) -> Iterator[cst.CSTNode]:
    return (part.operator for part in comparison.comparisons)
