"""Reading LibCST trees: cheap walks, names, dotted names and constants.

`CSTNode.children` runs a visitor over a node to list its children, and visitors call back for every comma
and every stretch of whitespace. The walks here follow only the fields that hold code.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import libcst as cst

_SCOPES = frozenset({cst.FunctionDef, cst.Lambda, cst.ClassDef})
_WITHOUT_CODE = ("whitespace", "comma", "lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "semicolon")
_WITHOUT_CODE_NAMES = frozenset(
    {"header", "footer", "leading_lines", "trailing_whitespace", "operator", "dot", "equal", "colon", "asynchronous"}
)


@cache
def _code_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in fields(kind)
        if not field.name.startswith(_WITHOUT_CODE)
        and not field.name.endswith("_lines")
        and field.name not in _WITHOUT_CODE_NAMES
    )


def children(node: cst.CSTNode) -> list[cst.CSTNode]:
    """The nodes directly below `node` that hold code."""
    found: list[cst.CSTNode] = []
    for name in _code_fields(type(node)):
        value = getattr(node, name)
        kind = type(value)
        if kind is tuple or kind is list:
            found.extend(value)
        elif _is_node_type(kind):
            found.append(value)
    return found


_NODE_TYPES: dict[type, bool] = {}  # LibCST's classes are abstract, which makes `isinstance` slow


def _is_node_type(kind: type) -> bool:
    known = _NODE_TYPES.get(kind)
    if known is None:
        known = _NODE_TYPES[kind] = issubclass(kind, cst.CSTNode)
    return known


def walk(node: cst.CSTNode, *, into_functions: bool = True) -> Iterator[cst.CSTNode]:
    """`node` and everything below it; without `into_functions`, not into functions and classes below it."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if not into_functions and type(current) in _SCOPES and current is not node:
            continue
        below = children(current)
        below.reverse()
        pending.extend(below)


def contains(node: cst.CSTNode | None, part: cst.CSTNode) -> bool:
    """Whether `part` is `node` or lies below it."""
    return node is not None and any(inner is part for inner in walk(node))


def names_in(node: cst.CSTNode) -> frozenset[str]:
    """The variables that `node` mentions; attribute and keyword names are not among them."""
    found: set[str] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        kind = type(current)
        if kind is cst.Name:
            found.add(current.value)  # type: ignore[attr-defined]
        elif kind is cst.Attribute or kind is cst.Arg:
            pending.append(current.value)  # type: ignore[attr-defined]
        else:
            pending.extend(children(current))
    return frozenset(found)


def target_names(target: cst.CSTNode) -> frozenset[str]:
    """The variables that an assignment to `target` binds or changes: `row` for `row["id"] = ...` too."""
    if isinstance(target, (cst.Tuple, cst.List)):
        return frozenset().union(*(target_names(element.value) for element in target.elements))
    base = target
    while isinstance(base, (cst.Attribute, cst.Subscript)):
        base = base.value
    return frozenset({base.value}) if isinstance(base, cst.Name) else frozenset()


def dotted(node: cst.CSTNode | None) -> str:
    """`a.b.c` for a plain dotted name; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return ""
    return ".".join([node.value, *reversed(parts)])


def last_name(node: cst.CSTNode | None) -> str:
    """The last identifier of a name, attribute, subscript or call: `query` for `db.query(User)`."""
    while isinstance(node, (cst.Call, cst.Subscript, cst.Await)):
        node = (
            node.func if isinstance(node, cst.Call) else node.expression if isinstance(node, cst.Await) else node.value
        )
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def root_of(node: cst.CSTNode) -> cst.CSTNode:
    """Where a chain of attributes, calls and subscripts starts: `db` in `db.query(User).first()`."""
    while True:
        if isinstance(node, (cst.Attribute, cst.Subscript)):
            node = node.value
        elif isinstance(node, cst.Call):
            node = node.func
        elif isinstance(node, cst.Await):
            node = node.expression
        else:
            return node


def argument(call: cst.Call, position: int, keyword: str = "") -> cst.BaseExpression | None:
    """The argument at `position` (from 0), or named `keyword`."""
    for index, arg in enumerate(call.args):
        if arg.keyword is not None:
            if arg.keyword.value == keyword:
                return arg.value
        elif arg.star:
            return None
        elif index == position:
            return arg.value
    return None


def integer(node: cst.CSTNode | None) -> int | None:
    """The value of an integer literal."""
    return node.evaluated_value if isinstance(node, cst.Integer) else None


def is_zero(node: cst.CSTNode | None) -> bool:
    """Whether `node` is the literal 0 or 0.0."""
    return isinstance(node, (cst.Integer, cst.Float)) and node.evaluated_value == 0


def is_false(node: cst.CSTNode | None) -> bool:
    """Whether `node` is the literal False (or 0)."""
    return (isinstance(node, cst.Name) and node.value == "False") or is_zero(node)


def text_of(node: cst.CSTNode | None) -> str:
    """The literal text of a string, the fixed parts of an f-string included; empty for anything else."""
    if isinstance(node, cst.SimpleString):
        value = node.evaluated_value
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    if isinstance(node, cst.ConcatenatedString):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, cst.FormattedString):
        return "".join(part.value if isinstance(part, cst.FormattedStringText) else "{}" for part in node.parts)
    return ""


def words(identifier: str) -> frozenset[str]:
    """The lower-case words of an identifier in snake_case or CamelCase, without plural endings."""
    spaced = "".join(f"_{char}" if char.isupper() and not identifier.isupper() else char for char in identifier)
    return frozenset(_singular(word) for word in spaced.lower().split("_") if word)


def _singular(word: str) -> str:
    if word.endswith("ies") and word not in {"retries", "tries", "series"}:
        return word[:-3] + "y"
    if word.endswith(("ches", "sses", "shes", "xes")):
        return word[:-2]
    if word in {"retries", "tries"}:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
