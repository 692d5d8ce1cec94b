"""Edits that mend a finding: found in the tree that confirms it, so that they cost next to nothing.

An edit inserts or replaces a few characters and leaves the rest as it is written. What cannot be said in that way, or
where `await` is not allowed, has no fix.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from agentperf_rules.base import FixKind, Rule
from agentperf_rules.documentation import FIXES
from agentperf_rules.model import Edit, Fix, Suspect

# Where an `await` would belong to another function, or to nobody.
_FORBIDDEN = (ast.Lambda, ast.GeneratorExp)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Characters = Callable[[int, int], int]
"""From a line in the tree and a UTF-8 column there to a column in characters, 0-based."""


class Written:
    """The lines of a piece of source with its tree: `offset` is to be added to the tree's line numbers."""

    def __init__(self, lines: Sequence[str], offset: int, characters: Characters) -> None:
        self._lines = lines
        self._offset = offset
        self._characters = characters

    def start(self, node: ast.expr) -> tuple[int, int]:
        """Line (1-based) and column (characters, 1-based) of the first character."""
        line = node.lineno + self._offset
        return line, self._characters(line, node.col_offset) + 1

    def end(self, node: ast.expr) -> tuple[int, int]:
        """The same behind the last one."""
        line = (node.end_lineno or node.lineno) + self._offset
        return line, self._characters(line, node.end_col_offset or 0) + 1

    def opening(self, call: ast.Call) -> tuple[int, int] | None:
        """Where the bracket of the arguments opens, if it does right behind the function."""
        line, column = self.end(call.func)
        return (line, column) if self._lines[line - 1][column - 1 : column] == "(" else None

    def is_last(self, place: tuple[int, int]) -> bool:
        """Whether the character at `place` is the last one of its line, but for blanks."""
        line, column = place
        return not self._lines[line - 1][column:].strip()


def fix_for(suspect: Suspect, rule: Rule, path: Sequence[ast.stmt], written: Written) -> Fix | None:
    """The fix of the suspect, which `path` leads to: the statements around it, outermost first."""
    kind = rule.fix_for(suspect)
    if not kind or not path or not _is_in_coroutine(path):
        return None
    way = _way_to(path[-1], suspect, written)
    if not way or not isinstance(way[-1], ast.Call) or isinstance(way[0], _DEFINITIONS):
        return None
    if any(isinstance(node, _FORBIDDEN) for node in way):
        return None
    return _MAKERS[kind](way, written)


def _is_in_coroutine(path: Sequence[ast.stmt]) -> bool:
    around = [each for each in path[:-1] if isinstance(each, _DEFINITIONS)]
    return bool(around) and isinstance(around[-1], ast.AsyncFunctionDef)


def _way_to(statement: ast.stmt, suspect: Suspect, written: Written) -> list[ast.AST]:
    """The nodes from the statement to the suspect's expression, both included; empty when it is not there."""
    wanted = (suspect.line, suspect.column, suspect.end_line, suspect.end_column)
    todo: list[list[ast.AST]] = [[statement]]
    while todo:
        way = todo.pop()
        node = way[-1]
        if isinstance(node, ast.Call) and written_span(node, written) == wanted:
            return way
        todo.extend([*way, child] for child in _below(node))
    return []


def written_span(node: ast.expr, written: Written) -> tuple[int, int, int, int]:
    """First line, UTF-8 column, last line and UTF-8 column of an expression."""
    first, _ = written.start(node)
    last, _ = written.end(node)
    return first, node.col_offset, last, node.end_col_offset or 0


def _below(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below, without the statements of a block."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child


def _awaited_sleep(way: Sequence[ast.AST], written: Written) -> Fix | None:
    call = way[-1]
    assert isinstance(call, ast.Call)
    if len(call.args) != 1 or call.keywords or isinstance(call.args[0], ast.Starred):
        return None
    start, behind_function = written.start(call.func), written.end(call.func)
    replaced = Edit(*start, *behind_function, "asyncio.sleep")
    return Fix(*FIXES["sleep"], _await(way, written, [replaced]), "asyncio")


def _await_it(way: Sequence[ast.AST], written: Written) -> Fix | None:
    return Fix(*FIXES["await"], _await(way, written, []))


def _offload(way: Sequence[ast.AST], written: Written) -> Fix | None:
    call, above = way[-1], way[-2]
    assert isinstance(call, ast.Call)
    if isinstance(above, (ast.withitem, ast.Await, ast.For, ast.AsyncFor, ast.comprehension)):
        return None  # what it gives is used bit by bit
    handed = _handed_over(call, written)
    if handed is None:
        return None
    start = written.start(call)
    edits = [Edit(*start, *start, "asyncio.to_thread("), handed]
    return Fix(*FIXES["offload"], _await(way, written, edits), "asyncio")


def _function_itself(way: Sequence[ast.AST], written: Written) -> Fix | None:
    """`to_thread(f(x))` as `to_thread(f, x)`: the bracket of the inner call becomes a comma, its end vanishes."""
    call, above = way[-1], way[-2]
    if not isinstance(call, ast.Call) or not isinstance(above, ast.Call) or above.args[-1:] != [call] or above.keywords:
        return None
    takes_keywords = _last_name(above.func) == "to_thread"
    handed = _handed_over(call, written)
    if handed is None or (call.keywords and not takes_keywords):
        return None
    line, column = written.end(call)
    closing = Edit(line, column - 1, line, column, "")
    return Fix(*FIXES["function"], (handed, closing))


def _handed_over(call: ast.Call, written: Written) -> Edit | None:
    """`f(x` as `f, x`."""
    opening = written.opening(call)
    alone = len(call.args) == 1 and not call.keywords and isinstance(call.args[0], ast.GeneratorExp)
    if opening is None or alone:
        return None
    line, column = opening
    has_arguments = bool(call.args or call.keywords)
    between = ("," if written.is_last(opening) else ", ") if has_arguments else ""
    return Edit(line, column, line, column + 1, between)


def _await(way: Sequence[ast.AST], written: Written, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    call, above = way[-1], way[-2]
    assert isinstance(call, ast.expr)
    start, end = written.start(call), written.end(call)
    is_bare = not _binds_tighter(above, call)
    before = Edit(*start, *start, "await " if is_bare else "(await ")
    behind = () if is_bare else (Edit(*end, *end, ")"),)
    return (before, *edits, *behind)


def _binds_tighter(above: ast.AST, call: ast.expr) -> bool:
    """Whether what is around `call` would be read before an `await` in front of it."""
    if isinstance(above, ast.Call):
        return above.func is call
    return isinstance(above, (ast.Attribute, ast.Await)) or (isinstance(above, ast.Subscript) and above.value is call)


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


_MAKERS: dict[FixKind, Callable[[Sequence[ast.AST], Written], Fix | None]] = {
    "sleep": _awaited_sleep,
    "await": _await_it,
    "offload": _offload,
    "function": _function_itself,
}
