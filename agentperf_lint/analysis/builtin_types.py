"""Which expressions can only be objects of builtin types, by literals, annotations and what is made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.expressions import ExpressionTable

if TYPE_CHECKING:
    from agentperf_lint.analysis.extract import Frame

# Builtin types, and builtins that give an object of one.
_PLAIN_TYPES = frozenset("str bytes int float bool dict list set frozenset".split())
_GIVE_PLAIN = frozenset("str bytes int float bool len repr dict abs round hash id ord chr format".split())
_NO_ELEMENTS = frozenset({"plain", "None", "Any"})
_TYPING = frozenset({"typing", "collections.abc", "collections"})
_CONTAINERS = frozenset({"list", "dict", "set", "generator"})
_CONTAINER_ANNOTATIONS = frozenset(
    (
        "Dict Mapping MutableMapping defaultdict DefaultDict OrderedDict List Set FrozenSet Sequence "
        "MutableSequence Iterable Collection AbstractSet"
    ).split()
)
_TRANSPARENT_ANNOTATIONS = frozenset({"Optional", "Union", "Annotated", "Final", "ClassVar", "Required", "NotRequired"})


class BuiltinTypes:
    """Tells the kinds of expressions of `table`; `stars` are the module's star imports, which can hide builtins."""

    def __init__(
        self, table: ExpressionTable, scopes: Sequence[f.Scope], stars: Sequence[tuple[int, str]], module: Frame
    ) -> None:
        self._nodes = table.nodes
        self._args = table.args
        self._scopes = scopes
        self._stars = stars
        self._module = module
        self._kinds: dict[int, str] = {}

    def kind_of(self, ref: int) -> str:
        """What can only be an object of a builtin type is "plain" or a "container", all else "".

        What is reached from something plain by attributes, calls and items is plain too; a container's elements
        can be anything.
        """
        known = self._kinds.get(ref)
        if known is None:
            known = self._kinds[ref] = self._find_plain(ref)
        return known

    def _find_plain(self, ref: int) -> str:
        op, base, text = self._nodes[ref][:3]
        if op == f.TEXT:
            return "plain"
        if op == f.LITERAL:
            return "" if text in ("None", "tuple") else "container" if text in _CONTAINERS else "plain"
        if op == f.ATTR or op == f.ITEM:
            return "plain" if self.kind_of(base) == "plain" else ""
        if op == f.CALL:
            return "plain" if self.kind_of(base) == "plain" or self.is_builtin(base, _GIVE_PLAIN) else ""
        if op == f.INSTANCE:
            return self._plain_annotation(base)
        if op == f.PARAM:
            return self._plain_parameter(self._scopes[base], text)
        return self._all_plain(map(self.kind_of, self._args[ref])) if op == f.UNION else ""

    def _all_plain(self, kinds: Iterable[str]) -> str:
        """The kind of a union of `kinds`; "None" among them says nothing."""
        found = {kind for kind in kinds if kind != "None"}
        if "" in found or not found:
            return ""
        return "plain" if found == {"plain"} else "container"

    def _plain_parameter(self, scope: f.Scope, name: str) -> str:
        for position, param in enumerate(scope.params):
            if param.name == name:
                is_receiver = position == 0 and scope.parent >= 0 and self._scopes[scope.parent].kind == f.CLASS
                kind = "" if is_receiver else self._plain_annotation(param.annotation)
                return "" if kind == "None" else kind
        return ""

    def _plain_annotation(self, ref: int) -> str:
        """The same for what an annotation says, "None" for one that says None."""
        op, base, text = self._nodes[ref][:3]
        if op == f.LITERAL:
            return "None" if text == "None" else ""
        if op == f.UNION:
            return self._all_plain(map(self._plain_annotation, self._args[ref]))
        if op != f.ITEM:
            return self._plain_type(ref)
        args = self._args.get(ref, ())
        if self._plain_type(base):
            elements = {self._plain_annotation(arg) or self._typing_name(arg) for arg in args}
            return "plain" if elements <= _NO_ELEMENTS else "container"
        name = self._typing_name(base)
        if name not in _TRANSPARENT_ANNOTATIONS or not args:
            return ""
        return self._all_plain(map(self._plain_annotation, args if name == "Union" else args[:1]))

    def _plain_type(self, ref: int) -> str:
        if self.is_builtin(ref, _PLAIN_TYPES):
            return "plain"
        op, base, text = self._nodes[ref][:3]
        module, _, name = text.partition(":")
        return "plain" if op == f.MEMBER and not base and module in _TYPING and name in _CONTAINER_ANNOTATIONS else ""

    def is_builtin(self, ref: int, names: frozenset[str]) -> bool:
        """Whether an expression is the builtin of one of `names`, which the module has not replaced."""
        op, _, text = self._nodes[ref][:3]
        return op == f.NAME and text in names and not self._stars and text not in self._module.env

    def _typing_name(self, ref: int) -> str:
        op, base, text = self._nodes[ref][:3]
        module, _, name = text.partition(":")
        return name if op == f.MEMBER and not base and module == "typing" else ""
