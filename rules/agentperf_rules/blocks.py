"""What a block of code binds, read once for all the questions about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import libcst as cst

from agentperf_rules.syntax import names_in, target_names, walk

_MUTATORS = frozenset({"append", "appendleft", "extend", "add", "insert", "update", "setdefault", "push"})


@dataclass(frozen=True, slots=True)
class Binding:
    """`names` get `value`, at the position `at` in their block; or are only changed by it."""

    at: int
    names: frozenset[str]
    value: cst.CSTNode
    changes: bool
    sources: frozenset[str]


class Block:
    """What a stretch of code holds, the functions inside it left out: its nodes as written, and its bindings."""

    def __init__(self, parts: Sequence[cst.CSTNode]) -> None:
        nodes = [node for part in parts for node in walk(part, into_functions=False)]
        self.order = {id(node): index for index, node in enumerate(nodes)}
        self.by_type: dict[type[cst.CSTNode], list[cst.CSTNode]] = defaultdict(list)
        for node in nodes:
            self.by_type[type(node)].append(node)
        self.bindings = sorted(self._bindings(), key=lambda binding: binding.at)
        self._parts = parts  # keeps the nodes alive for as long as their ids are in use

    @property
    def calls(self) -> list[cst.Call]:
        """Every call, as written."""
        return self.by_type[cst.Call]  # type: ignore[return-value]

    @property
    def entered(self) -> Iterator[cst.BaseExpression]:
        """What `with` statements enter."""
        return (item.item for item in self.by_type[cst.WithItem])  # type: ignore[attr-defined]

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name written, attributes and keywords among them."""
        return frozenset(name.value for name in self.by_type[cst.Name])  # type: ignore[attr-defined]

    def _bindings(self) -> Iterator[Binding]:
        for kind in (cst.Assign, cst.AnnAssign, cst.AugAssign, cst.NamedExpr, cst.For, cst.WithItem, cst.Call):
            for node in self.by_type[kind]:
                for names, value, changes in _bound(node):
                    yield Binding(self.order[id(node)], names, value, changes, names_in(value))


@lru_cache(maxsize=64)
def block_of(*parts: cst.CSTNode) -> Block:
    """The block of `parts`; the suspects of a function mostly share their loops."""
    return Block(parts)


def _bound(node: cst.CSTNode) -> Iterator[tuple[frozenset[str], cst.CSTNode, bool]]:
    """The names that `node` binds, their value, and whether they are changed rather than replaced."""
    if isinstance(node, cst.Assign):
        for target in node.targets:
            changes = isinstance(target.target, (cst.Subscript, cst.Attribute))
            yield target_names(target.target), node.value, changes
    elif isinstance(node, cst.AnnAssign):
        if node.value is not None:
            yield target_names(node.target), node.value, False
    elif isinstance(node, cst.AugAssign):
        yield target_names(node.target), node.value, True
    elif isinstance(node, cst.NamedExpr):
        yield target_names(node.target), node.value, False
    elif isinstance(node, cst.For):
        yield target_names(node.target), node.iter, False
    elif isinstance(node, cst.WithItem):
        if node.asname is not None:
            yield target_names(node.asname.name), node.item, False
    elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in _MUTATORS:
        for arg in node.args:
            yield target_names(node.func.value), arg.value, True
