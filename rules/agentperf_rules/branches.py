"""What the tests around a piece of code say about it where it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import libcst as cst

from agentperf_rules.syntax import argument, dotted, integer, last_name

_MIRRORED: dict[type[cst.BaseCompOp], type[cst.BaseCompOp]] = {
    cst.LessThan: cst.GreaterThan,
    cst.LessThanEqual: cst.GreaterThanEqual,
    cst.GreaterThan: cst.LessThan,
    cst.GreaterThanEqual: cst.LessThanEqual,
}
_OPPOSITE: dict[type[cst.BaseCompOp], type[cst.BaseCompOp]] = {
    cst.GreaterThan: cst.LessThanEqual,
    cst.GreaterThanEqual: cst.LessThan,
    cst.NotEqual: cst.Equal,
}


def conditions(path: Sequence[cst.CSTNode]) -> Iterator[tuple[cst.BaseExpression, bool]]:
    """The tests around `path[0]` up to its function, innermost first, and whether they came out true where it runs."""
    for child, parent in pairwise(path):
        if isinstance(parent, (cst.FunctionDef, cst.Lambda, cst.ClassDef)):
            return
        if isinstance(parent, (cst.If, cst.IfExp)) and child is not parent.test:
            yield parent.test, child is parent.body


def most_elements(test: cst.BaseExpression, names: frozenset[str], holds: bool) -> int | None:
    """How long a collection called one of `names` is at most where `test` holds (or does not); None: any length.

    `len(xs) <= 3`, `3 >= len(xs)`, `len(xs) == 1`, and their opposites where the test does not hold.
    """
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return most_elements(test.expression, names, not holds)
    if isinstance(test, cst.BooleanOperation):
        if isinstance(test.operator, cst.And) is not holds:
            return None
        parts = (most_elements(part, names, holds) for part in (test.left, test.right))
        return min((part for part in parts if part is not None), default=None)
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return None
    left, right, operator = test.left, test.comparisons[0].comparator, type(test.comparisons[0].operator)
    if integer(left) is not None:
        left, right, operator = right, left, _MIRRORED.get(operator, operator)
    bound = integer(right)
    if bound is None or not _is_length_of(left, names):
        return None
    found = operator if holds else _OPPOSITE.get(operator)
    if found in (cst.LessThanEqual, cst.Equal):
        return bound
    return bound - 1 if found is cst.LessThan else None


def _is_length_of(node: cst.BaseExpression, names: frozenset[str]) -> bool:
    if not isinstance(node, cst.Call) or last_name(node.func) != "len":
        return False
    return dotted(argument(node, 0)) in names
