"""Whether a call that runs a statement writes: told by the statement's text, or by what builds it."""

from __future__ import annotations

import re

import libcst as cst

from agentperf_rules.base import Shape
from agentperf_rules.syntax import argument, last_name, walk

_WRITING = re.compile(
    r"[rRbBuUfF]*(?:'''|\"\"\"|'|\")\s*(?:insert|update|delete|replace|merge|upsert)\b", re.IGNORECASE
)
_BUILDERS = frozenset({"insert", "update", "delete"})
_DEEPEST = 8  # calls in a chain, names that stand for each other


def is_write(shape: Shape) -> bool:
    """Whether the first argument of the shape's call is an INSERT, UPDATE, DELETE or the like."""
    if not isinstance(shape.node, cst.Call):
        return False
    statement = argument(shape.node, 0, "statement") or argument(shape.node, 0, "sql")
    return statement is not None and _writes(statement, shape, _DEEPEST)


def _writes(expression: cst.BaseExpression, shape: Shape, deepest: int) -> bool:
    if deepest == 0:
        return False
    if isinstance(expression, cst.ConcatenatedString):
        return _writes(expression.left, shape, deepest - 1)
    if isinstance(expression, cst.SimpleString):
        return _WRITING.match(expression.value) is not None
    if isinstance(expression, cst.FormattedString):
        first = expression.parts[0] if expression.parts else None
        return isinstance(first, cst.FormattedStringText) and _WRITING.match(f"'{first.value}") is not None
    if isinstance(expression, cst.Call):
        return _is_built_to_write(expression, shape, deepest)
    if isinstance(expression, cst.Name):
        return any(_writes(value, shape, deepest - 1) for value in _values_of(expression.value, shape))
    return False


def _is_built_to_write(call: cst.Call, shape: Shape, deepest: int) -> bool:
    """`insert(Table).values(...)`, `table.insert()`, `text("INSERT ...")`."""
    name = last_name(call.func)
    if name in _BUILDERS:
        return True
    if name == "text":
        text = argument(call, 0, "text")
        return text is not None and _writes(text, shape, deepest - 1)
    if isinstance(call.func, cst.Attribute):
        return _writes(call.func.value, shape, deepest - 1)
    return False


def _values_of(name: str, shape: Shape) -> list[cst.BaseExpression]:
    """What is assigned to `name` in the function, as far as the shape shows it."""
    around = shape.function or (shape.ancestors[-1] if shape.ancestors else None)
    if around is None:
        return []
    return [
        node.value
        for node in walk(around)
        if isinstance(node, cst.Assign)
        and any(isinstance(target.target, cst.Name) and target.target.value == name for target in node.targets)
    ]
