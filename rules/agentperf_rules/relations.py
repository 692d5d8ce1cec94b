"""Shapes of relation reads: relations that were loaded with the list, and ones that are only assigned."""

from __future__ import annotations

import libcst as cst

from agentperf_rules.base import Shape
from agentperf_rules.shapes import enclosing_loops
from agentperf_rules.syntax import last_name, target_names, text_of, walk

_LOADERS = frozenset(
    {
        "select_related", "prefetch_related", "joinedload", "selectinload", "subqueryload", "immediateload",
        "contains_eager", "prefetch_related_objects", "prefetch", "with_related",
    }
)  # fmt: skip


def is_loaded_or_assigned(shape: Shape) -> bool:
    """Whether the attribute is only assigned, or the loop's objects come with that relation loaded."""
    node = shape.node
    if not isinstance(node, cst.Attribute) or node is None:
        return False
    if shape.ancestors and isinstance(shape.ancestors[0], (cst.AssignTarget, cst.AnnAssign, cst.Del)):
        return True
    sources = [loop.iterable for loop in enclosing_loops((node, *shape.ancestors))]
    if shape.function is not None:
        names = {name.value for source in sources for name in walk(source) if isinstance(name, cst.Name)}
        sources += [
            part.value
            for part in walk(shape.function.body)
            if isinstance(part, cst.Assign) and any(target_names(target.target) & names for target in part.targets)
        ]
    return any(
        _loads(call, node.attr.value) for source in sources for call in walk(source) if isinstance(call, cst.Call)
    )


def _loads(call: cst.Call, relation: str) -> bool:
    if last_name(call.func) not in _LOADERS:
        return False
    named = [_relation_named(arg.value) for arg in call.args]
    return not named or relation in named or "" in named


def _relation_named(value: cst.CSTNode) -> str:
    """`author` for `"author__publisher"` and for `Book.author`; empty where it cannot be read."""
    if isinstance(value, cst.Attribute):
        return value.attr.value
    return text_of(value).partition("__")[0]
