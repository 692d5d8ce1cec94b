"""Which statements around a suspect say something about it: what feeds it, what it feeds, and what makes it wait.

A loop of two hundred lines mostly has ten that tell whether a call in it is one query per element. Reading only
those with LibCST saves most of its time, which is nearly all the time of the confirm stage.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

_STARTS = re.compile(
    r"\b(gather|create_task|ensure_future|start_soon|as_completed|wait|submit|spawn|TaskGroup|add_done_callback)\b"
)
_WAITS = re.compile(r"sleep|throttl|limit|rate|wait_for_", re.IGNORECASE)
_NEW_KEYS = re.compile(r"\b(lastrowid|inserted_primary_key)\b")
_MUTATORS = frozenset({"append", "appendleft", "extend", "add", "insert", "update", "setdefault", "push"})
_EXITS = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_SELF = frozenset({"self", "cls"})

Binding = tuple[frozenset[str], frozenset[str]]


class Slice:
    """What matters in a function for the suspects whose statements, innermost ones, are `places`.

    `path` holds the statements around them, themselves included.
    """

    def __init__(self, tree: ast.Module, path: Sequence[ast.stmt], places: Sequence[ast.stmt]) -> None:
        self.bindings = list(_bindings(tree))
        self.called = {name for place in places for name in _called_in(place)}
        self.targets = frozenset(
            name for loop in path if isinstance(loop, (ast.For, ast.AsyncFor)) for name in names(loop.target)
        )
        iterables = [
            loop.test if isinstance(loop, ast.While) else loop.iter for loop in path if isinstance(loop, _LOOPS)
        ]
        headers = [part for place in places for part in _header(place)]
        self.wanted = self._fed_by(_all_names([*iterables, *headers]) - _SELF)
        self.results = self._fed_from(frozenset(name for place in places for name in _bound_by(place)))
        self.tried = frozenset(name for statement in path for name in _iterated_after_failure(statement, path))

    def _fed_by(self, wanted: frozenset[str]) -> frozenset[str]:
        """`wanted` and the names that they are made from."""
        while True:
            more = wanted.union(*(sources - _SELF for targets, sources in self.bindings if targets & wanted))
            if more == wanted:
                return wanted
            wanted = more

    def _fed_from(self, results: frozenset[str]) -> frozenset[str]:
        """`results` and the names that are made from them."""
        while True:
            more = results.union(*(targets - _SELF for targets, sources in self.bindings if sources & results))
            if more == results:
                return results
            results = more

    def matters(self, statement: ast.stmt, text: str) -> bool:
        """Whether a statement beside the path tells anything about the suspects; `text` is its source."""
        if isinstance(statement, _EXITS) or _WAITS.search(text) or _STARTS.search(text) or _NEW_KEYS.search(text):
            return True
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return statement.name in self.called
        if any(targets & self.wanted for targets, _ in _bindings(statement)) or names(statement) & self.tried:
            return True
        if isinstance(getattr(statement, "body", None), list):
            return any(self._leaves_on_result(inner) for inner in ast.walk(statement))
        return bool(self.targets & names(statement))

    def _leaves_on_result(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.If) or not names(node.test) & self.results:
            return False
        return any(
            isinstance(inner, (ast.Return, ast.Break)) for statement in node.body for inner in ast.walk(statement)
        )


def names(node: ast.AST) -> frozenset[str]:
    """The variables that `node` mentions."""
    return frozenset(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _iterated_after_failure(statement: ast.stmt, path: Sequence[ast.stmt]) -> Iterator[str]:
    """What the loops of `path` in the handlers of a `try` run over, which its body may have tried as a whole."""
    if isinstance(statement, ast.Try):
        inside = [node for handler in statement.handlers for node in ast.walk(handler)]
        for loop in inside:
            if isinstance(loop, (ast.For, ast.AsyncFor)) and loop in path:
                yield from names(loop.iter)


def _all_names(nodes: Sequence[ast.AST]) -> frozenset[str]:
    return frozenset().union(*(names(node) for node in nodes), frozenset())


def _header(statement: ast.stmt) -> Iterator[ast.AST]:
    """A simple statement, or the expressions of a compound one that are not in its blocks."""
    if not isinstance(getattr(statement, "body", None), list):
        yield statement
        return
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child


def _called_in(statement: ast.stmt) -> Iterator[str]:
    for part in _header(statement):
        for node in ast.walk(part):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield node.func.id


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    for part in (statement, *_header(statement)):
        for targets, _ in _bound(part):
            yield from targets


def _bindings(node: ast.AST) -> Iterator[Binding]:
    for inner in ast.walk(node):
        yield from _bound(inner)


def _bound(node: ast.AST) -> Iterator[Binding]:
    """The names that `node` itself binds or changes, and those in the value they get."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield names(target), names(node.value)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        if node.value is not None:
            yield names(node.target), names(node.value)
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        yield names(node.target), names(node.iter)
    elif isinstance(node, ast.withitem):
        if node.optional_vars is not None:
            yield names(node.optional_vars), names(node.context_expr)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
        for arg in node.args:
            yield names(node.func.value), names(arg)
