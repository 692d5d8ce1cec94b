"""Expressions as a table: each is an operation on another one, with a text, and is there once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentperf_lint.analysis import facts as f

_ROOTS = frozenset({f.PARAM, f.DEF, f.SUPER, f.IMPORT, f.MEMBER})  # their `base` is no reference
MAX_DEPTH = 48  # operations from the root of a reference; longer chains are unknown
MAX_UNION = 4

Node = tuple[int, int, str] | tuple[int, int, str, tuple[int, ...], tuple[tuple[str, int], ...]]
"""Operation, the reference that it is applied to, and a text; for calls and displays their arguments too."""


class ExpressionTable:
    """The expressions of a module by reference: an index into `nodes`, 0 for what is unknown.

    `args` and `keywords` have the references of a call's arguments or of a display's elements.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = [(f.UNKNOWN, 0, "")]
        self.args: dict[int, list[int]] = {}
        self.keywords: dict[int, dict[str, int]] = {}
        self._depths = [0]
        self._indices: dict[Node, int] = {}

    def ref(self, op: int, base: int = 0, text: str = "") -> int:
        """The index of this expression in the table, added when it is new; 0 when it is too deep."""
        key = (op, base, text)
        index = self._indices.get(key)
        if index is not None:
            return index
        depth = self._depths[base] + 1 if op not in _ROOTS else 1
        return self._add(key, depth)

    def ref_with(
        self, op: int, base: int, text: str, args: Sequence[int], keywords: dict[str, int] | None = None
    ) -> int:
        """The same for an expression with arguments or elements."""
        if not args and not keywords:
            return self.ref(op, base, text)
        key = (op, base, text, tuple(args), tuple(keywords.items()) if keywords else ())
        index = self._indices.get(key)
        if index is not None:
            return index
        depths = self._depths
        depth = max(depths[base], *[depths[arg] for arg in args]) + 1 if args else depths[base] + 1
        index = self._add(key, depth)
        if index:
            if args:
                self.args[index] = list(args)
            if keywords:
                self.keywords[index] = keywords
        return index

    def _add(self, key: Node, depth: int) -> int:
        if depth > MAX_DEPTH:
            return 0
        index = self._indices[key] = len(self._depths)
        self.nodes.append(key)
        self._depths.append(depth)
        return index

    def union(self, refs: Iterable[int]) -> int:
        """The reference to one of `refs`; unknown members are dropped, as are those beyond `MAX_UNION`."""
        members: list[int] = []
        refs = tuple(refs)
        if len(refs) == 2 and (refs[0] == refs[1] or not refs[0] or not refs[1]):
            return refs[0] or refs[1]
        for ref in refs:
            for member in self.args[ref] if self.nodes[ref][0] == f.UNION else (ref,):
                if member and member not in members:
                    members.append(member)
        if len(members) > 1:
            members = [
                m for m in members if not (self.nodes[m][0] == f.LITERAL and self.nodes[m][2] == "None")
            ] or members[:1]
        if len(members) < 2:
            return members[0] if members else 0
        return self.ref_with(f.UNION, 0, "", members[:MAX_UNION])
