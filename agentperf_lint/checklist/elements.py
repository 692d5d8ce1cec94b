"""What the element of a loop is to the call that repeats: its object, its connection, a piece of something long."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

# No words that may as well be what an application is about: clients, sessions of a conference, nodes of a tree.
_CONNECTIONS = frozenset("engine conn connection cnx db database pool dsn shard replica sessionmaker".split())
_READS = frozenset({"read", "read1", "recv", "read_chunk", "readexactly"})
_ARRIVING = frozenset({"aiter_lines", "iter_lines", "aiter_text", "aiter_sse", "iter_sse", "iter_any"})
_TOLD = frozenset({"tool_calls", "function_calls", "tool_uses", "tool_use_blocks", "content", "output"})  # of an answer
_TIMERS = frozenset({"call_later", "call_at", "enter", "enterabs", "Timer", "add_timeout"})
_WORD = re.compile(r"[A-Za-z][a-z]*|[A-Z]+(?![a-z])")

Loop = ast.For | ast.AsyncFor | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Element(msgspec.Struct, frozen=True):
    """`is_object`: the call is a method of the element. `is_connection`: it is given a connection made of the element.
    `is_piece`: each turn reads a piece of a file or stream of given size. `arrives`: elements are lines of an answer
    that is still coming. `ends_by_answer`: the loop is left when the answer is as wanted. `is_called`: the element
    itself is called, as hooks and listeners are. `is_told`: elements are what a language model asks for.
    """

    is_object: bool = False
    is_connection: bool = False
    is_piece: bool = False
    arrives: bool = False
    ends_by_answer: bool = False
    is_called: bool = False
    is_told: bool = False


def elements(around: ast.AST, call: ast.expr) -> list[Element]:
    """What is known of the elements of the loops around `call`, the innermost first, within `around`."""
    return [_element(loop, call) for loop in _enclosing(around, call)]


def _enclosing(around: ast.AST, call: ast.expr) -> list[Loop]:
    path = _path(around, call)
    found: list[Loop] = []
    for node, below in pairwise(path):
        if isinstance(node, _LOOPS) and not _runs_once(node, below):
            found.append(node)
    return found[::-1]


def _runs_once(loop: Loop, below: ast.AST) -> bool:
    """Whether the part `below` of a loop is what it runs over, or what follows it."""
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        return below is loop.iter or below in loop.orelse
    if isinstance(loop, ast.While):
        return below in loop.orelse
    return below is loop.generators[0] and len(loop.generators) == 1


def _path(around: ast.AST, wanted: ast.AST) -> list[ast.AST]:
    """From `around` down to `wanted`."""
    if around is wanted:
        return [around]
    for child in ast.iter_child_nodes(around):
        path = _path(child, wanted)
        if path:
            return [around, *path]
    return []


def _element(loop: Loop, call: ast.expr) -> Element:
    names = _names_from(loop)
    receiver = call.func.value if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None
    runs_over = _iterable(loop)
    connections = _targets(loop) if runs_over is not None and _is_called_connection(runs_over) else set[str]()
    return Element(
        is_object=isinstance(receiver, ast.Name) and receiver.id in _targets(loop),
        is_connection=any(
            _is_connection(each, names) or (isinstance(each, ast.Name) and each.id in connections)
            for each in _arguments(call)
        ),
        is_piece=any(_reads_a_piece(each) for each in _turn(loop)),
        arrives=isinstance(runs_over, ast.Call) and _last(runs_over.func) in _ARRIVING,
        ends_by_answer=_ends_by_answer(loop, call),
        is_called=isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in _targets(loop),
        is_told=runs_over is not None and _last(_called(runs_over)) in _TOLD,
    )


def _iterable(loop: Loop) -> ast.expr | None:
    if isinstance(loop, (ast.For, ast.AsyncFor)):
        return loop.iter
    return None if isinstance(loop, ast.While) else loop.generators[0].iter


def _ends_by_answer(loop: Loop, call: ast.expr) -> bool:
    if not isinstance(loop, (ast.For, ast.AsyncFor, ast.While)):
        return False
    answers = _made_of(call, list(_bindings(loop)))
    return any(
        isinstance(node, ast.If)
        and _mentions(node.test, answers)
        and any(isinstance(each, (ast.Break, ast.Return)) for statement in node.body for each in ast.walk(statement))
        for node in ast.walk(loop)
    )


def _targets(loop: Loop) -> set[str]:
    if isinstance(loop, ast.While):
        return set()
    targets = [loop.target] if isinstance(loop, (ast.For, ast.AsyncFor)) else [each.target for each in loop.generators]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _names_from(loop: Loop) -> set[str]:
    """The names of the elements and of what is made of them within the loop."""
    names = _targets(loop)
    bindings = list(_bindings(loop))
    for _ in range(4):
        for target, value in bindings:
            if _mentions(value, names):
                names |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names


def _bindings(around: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for node in ast.walk(around):
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            yield node.optional_vars, node.context_expr
        elif isinstance(node, ast.NamedExpr):
            yield node.target, node.value


def _mentions(value: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(value))


def _arguments(call: ast.expr) -> list[ast.expr]:
    return [*call.args, *(each.value for each in call.keywords)] if isinstance(call, ast.Call) else []


def _is_connection(given: ast.expr, names: set[str]) -> bool:
    """`engine`, `tenant.dsn`, `connect(tenant)`: called a connection, and made of the element."""
    return _mentions(given, names) and _is_called_connection(given)


def _is_called_connection(value: ast.expr) -> bool:
    words = {word.lower() for word in _WORD.findall(_last(_called(value)))}
    return bool((words | {word.removesuffix("s") for word in words}) & _CONNECTIONS)


def _turn(loop: Loop) -> Iterator[ast.AST]:
    """What a turn of a loop begins with: of a `while` its test and what is assigned in its body, of others `iter()`."""
    if isinstance(loop, ast.While):
        yield from ast.walk(loop.test)
        for statement in loop.body:
            if isinstance(statement, ast.Assign):
                yield from ast.walk(statement.value)
    elif (
        isinstance(loop, (ast.For, ast.AsyncFor))
        and isinstance(loop.iter, ast.Call)
        and _last(loop.iter.func) == "iter"
    ):
        yield from ast.walk(loop.iter)


def _reads_a_piece(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(node.args or node.keywords) and _last(node.func) in _READS


def _called(value: ast.expr) -> ast.expr:
    """What is called, or `value` itself; `xs or ()` is `xs`."""
    while isinstance(value, (ast.Call, ast.BoolOp)):
        value = value.func if isinstance(value, ast.Call) else value.values[0]
    return value


def turns_pages(function: ast.AST, call: ast.expr) -> bool:
    """Whether the `__next__` of a pager makes `call`: it ends when an answer said that there is no more."""
    if not isinstance(function, _FUNCTIONS) or getattr(function, "name", "") not in {"__next__", "__anext__"}:
        return False
    answers = _made_of(call, list(_bindings(function)))
    kept = {
        target.attr
        for target, value in _bindings(function)
        if isinstance(target, ast.Attribute) and (_mentions(value, answers) or _contains(value, call))
    }
    return any(
        isinstance(node, ast.If)
        and (_mentions(node.test, answers) or any(_last(each) in kept for each in ast.walk(node.test)))
        and any(isinstance(each, ast.Raise) for each in node.body)
        for node in ast.walk(function)
    )


def sets_a_timer(function: ast.AST, tree: ast.AST) -> bool:
    """Whether a function, or another one of its class, has a timer call something later."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and function in node.body]
    return any(
        isinstance(node, ast.Call) and _last(node.func) in _TIMERS
        for around in (function, *classes)
        for node in ast.walk(around)
    )


def _made_of(call: ast.expr, bindings: list[tuple[ast.AST, ast.AST]]) -> set[str]:
    """The names that are given what `call` returns, or something of it."""
    answers: set[str] = set()
    for target, value in bindings * 2:
        if _contains(value, call) or _mentions(value, answers):
            answers |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)} - {"self"}
    return answers


def _contains(value: ast.AST, call: ast.expr) -> bool:
    return any(node is call for node in ast.walk(value))


def _last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
