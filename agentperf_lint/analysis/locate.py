"""Finding in a LibCST tree what was found in an `ast` tree of the same text.

LibCST can place nodes, but only by writing out the whole tree (`PositionProvider`), at three times the cost of
parsing it. Both trees hold the same calls, attributes and names in the same order, so counting is enough.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from agentperf_rules.syntax import children, walk

Span = tuple[int, int, int, int]

_KINDS: dict[type[ast.AST], type[cst.CSTNode]] = {ast.Call: cst.Call, ast.Attribute: cst.Attribute}
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Call)
_CST_LOOPS = (cst.For, cst.While, cst.BaseComp, cst.Call)


@dataclass(frozen=True, slots=True)
class Placed:
    """A node with its ancestors, innermost first, and the 1-based line of each loop and call among them."""

    node: cst.CSTNode
    ancestors: tuple[cst.CSTNode, ...]
    lines: tuple[tuple[cst.CSTNode, int], ...]

    def renumbered(self, numbers: Sequence[int]) -> Placed:
        """The same with `numbers[n - 1]` for line n."""
        return replace(self, lines=tuple((node, numbers[line - 1]) for node, line in self.lines))


class Twins:
    """One text as an `ast` and as a LibCST tree."""

    def __init__(self, tree: ast.Module, module: cst.Module) -> None:
        self.module = module
        self.parents: dict[ast.AST, ast.AST] = {}
        self.by_kind: dict[type[ast.AST], list[ast.AST]] = {kind: [] for kind in _KINDS}
        self._read(tree)
        self.cst_parents: dict[int, cst.CSTNode] = {}
        self.cst_by_kind: dict[type[cst.CSTNode], list[cst.CSTNode]] = {kind: [] for kind in _KINDS.values()}
        self._read_cst(module)

    def _read(self, tree: ast.Module) -> None:
        pending: list[ast.AST] = [tree]
        while pending:
            node = pending.pop()
            found = self.by_kind.get(type(node))
            if found is not None:
                found.append(node)
            below = list(_in_source_order(node))
            for child in below:
                self.parents[child] = node
            pending.extend(reversed(below))

    def _read_cst(self, module: cst.Module) -> None:
        pending: list[cst.CSTNode] = [module]
        while pending:
            node = pending.pop()
            found = self.cst_by_kind.get(type(node))
            if found is not None:
                found.append(node)
            below = list(_cst_in_source_order(node))
            for child in below:
                self.cst_parents[id(child)] = node
            pending.extend(reversed(below))

    def at(self, span: Span) -> Placed | None:
        """The expression at `span` (1-based line, 0-based UTF-8 column, end likewise); None when the trees disagree."""
        for kind, cst_kind in _KINDS.items():
            nodes, twins = self.by_kind[kind], self.cst_by_kind[cst_kind]
            for index, node in enumerate(nodes):
                if _span(node) != span:
                    continue
                if len(nodes) != len(twins) or _name(node) != _cst_name(twins[index]):
                    return None
                return self._placed(node, twins[index])
        return None

    def _placed(self, node: ast.AST, twin: cst.CSTNode) -> Placed | None:
        ancestors = tuple(self._above(twin))
        loops = [above for above in (node, *self._ast_above(node)) if isinstance(above, _LOOPS)]
        cst_loops = [above for above in (twin, *ancestors) if isinstance(above, _CST_LOOPS)]
        if len(loops) != len(cst_loops):
            return None
        lines = tuple((above, loop.lineno) for above, loop in zip(cst_loops, loops, strict=True))
        return Placed(twin, ancestors, lines)

    def _above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        parent = self.cst_parents.get(id(node))
        while parent is not None:
            yield parent
            parent = self.cst_parents.get(id(parent))

    def _ast_above(self, node: ast.AST) -> Iterator[ast.AST]:
        parent = self.parents.get(node)
        while parent is not None:
            yield parent
            parent = self.parents.get(parent)


def _span(node: ast.AST) -> Span | None:
    assert isinstance(node, ast.expr)
    if node.end_lineno is None or node.end_col_offset is None:
        return None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return _name(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _cst_name(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Call):
        return _cst_name(node.func)
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""


def _in_source_order(node: ast.AST) -> Sequence[ast.AST]:
    """The children of `node` as they are written; by position only where `ast` keeps another order."""
    if isinstance(node, ast.IfExp):
        return node.body, node.test, node.orelse
    if isinstance(node, ast.Dict):
        return [part for pair in zip(node.keys, node.values, strict=True) for part in pair if part is not None]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        body = {id(statement) for statement in node.body}
        parts = list(ast.iter_child_nodes(node))
        header = [part for part in parts if id(part) not in body and part not in node.decorator_list]
        return [*node.decorator_list, *header, *node.body]
    if isinstance(node, ast.arguments):
        return _parameters(node)
    if isinstance(node, ast.Call):
        given: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
        return [node.func, *sorted(given, key=_start)]
    return list(ast.iter_child_nodes(node))


def _start(node: ast.expr | ast.keyword) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _parameters(node: ast.arguments) -> list[ast.AST]:
    positional = [*node.posonlyargs, *node.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(node.defaults)) + list(node.defaults)
    pairs: list[tuple[ast.arg | None, ast.expr | None]] = list(zip(positional, defaults, strict=True))
    pairs += [(node.vararg, None), *zip(node.kwonlyargs, node.kw_defaults, strict=True), (node.kwarg, None)]
    return [part for pair in pairs for part in pair if part is not None]


_CST_ORDER: dict[type[cst.CSTNode], tuple[str, ...]] = {
    cst.IfExp: ("body", "test", "orelse"),
    cst.FunctionDef: ("decorators", "params", "returns", "body"),
    cst.ClassDef: ("decorators", "bases", "keywords", "body"),
    cst.ExceptHandler: ("type", "name", "body"),
    cst.ExceptStarHandler: ("type", "name", "body"),
    cst.MatchCase: ("pattern", "guard", "body"),
    cst.Parameters: ("posonly_params", "params", "star_arg", "kwonly_params", "star_kwarg"),
    cst.Param: ("annotation", "default"),
    cst.Attribute: ("value",),
    cst.Arg: ("value",),
    cst.Import: (),
    cst.ImportFrom: (),
}


def _cst_in_source_order(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    order = _CST_ORDER.get(type(node))
    if order is None:
        yield from children(node)
        return
    for name in order:
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from value


def by_position(module: cst.Module, start: tuple[int, int], end: tuple[int, int]) -> Placed | None:
    """The expression from `start` to `end` (1-based line, 0-based character column)."""
    try:
        ranges = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    except (RecursionError, KeyError):  # a provider that runs out of stack leaves nodes without a position
        return None
    parents: dict[int, cst.CSTNode] = {}
    found: cst.CSTNode | None = None
    for node in walk(module):
        parents.update((id(child), node) for child in children(node))
        if found is None and isinstance(node, cst.BaseExpression) and _bounds(ranges.get(node)) == (start, end):
            found = node
    if found is None:
        return None
    ancestors: list[cst.CSTNode] = []
    while (parent := parents.get(id(ancestors[-1] if ancestors else found))) is not None:
        ancestors.append(parent)
    loops = (each for each in (found, *ancestors) if isinstance(each, _CST_LOOPS))
    return Placed(found, tuple(ancestors), tuple((each, ranges[each].start.line) for each in loops))


def _bounds(found: CodeRange | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if found is None:
        return None
    return (found.start.line, found.start.column), (found.end.line, found.end.column)
