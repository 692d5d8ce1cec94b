"""Suspects made from source text, for tests of rules and shapes that need no project stage."""

from __future__ import annotations

import ast

from agentperf_lint.analysis.confirm import confirm
from agentperf_rules import builtin_rules, code_for
from agentperf_rules.model import Finding, Loop, LoopKind, Step, Suspect

LOOPS: dict[type[ast.AST], LoopKind] = {
    ast.For: "for",
    ast.AsyncFor: "async for",
    ast.While: "while",
    ast.ListComp: "comprehension",
    ast.SetComp: "comprehension",
    ast.DictComp: "comprehension",
    ast.GeneratorExp: "comprehension",
}


def suspect_at(source: str, call: str, *, kind: str = "database", code: str = "", through: bool = False) -> Suspect:
    """The suspect for the expression written as `call` in `source`; `through` puts a helper into its chain.

    Its innermost function bounds it, its innermost loop there makes it a loop suspect. Without a loop (or with a
    blocking `code`) it is a blocking one.
    """
    tree = ast.parse(source)
    found = [
        node for node in ast.walk(tree) if isinstance(node, ast.expr) and ast.get_source_segment(source, node) == call
    ]
    assert found, f"{call!r} is not in the source"
    expression = found[0]
    around = [node for node in _around(tree, expression) if node is not expression]
    functions = [node for node in around if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    function = functions[-1] if functions else None
    loops = [
        node
        for node in around
        if isinstance(node, (ast.stmt, ast.expr))
        and type(node) in LOOPS
        and (function is None or node.lineno >= function.lineno)
    ]
    loop = Loop(LOOPS[type(loops[-1])], loops[-1].lineno, loops[-1].end_lineno or 0) if loops else None
    name = function.name if function else "<module>"
    chain = [Step("mod.py", expression.lineno, name, call)]
    if through:
        chain.append(Step("app/util.py", 12, "load", "connection.execute(sql)"))
    first = min([function.lineno, *(each.lineno for each in function.decorator_list)]) if function else 0
    return Suspect(
        code=code or code_for(kind, "loop") or "",
        path="mod.py",
        function=name,
        first_line=first,
        last_line=(function.end_lineno or 0) if function else 0,
        line=expression.lineno,
        column=expression.col_offset,
        end_line=expression.end_lineno or 0,
        end_column=expression.end_col_offset or 0,
        call=call,
        sink=f"library.{kind}",
        sink_kind=kind,
        severity="high",
        confidence="definite",
        use="",
        chain=tuple(chain),
        loop=loop,
        in_async=isinstance(function, ast.AsyncFunctionDef),
        awaited=any(isinstance(node, ast.Await) and node.value is expression for node in ast.walk(tree)),
    )


def _around(tree: ast.AST, part: ast.AST) -> list[ast.AST]:
    """From `tree` down to `part`."""
    if tree is part:
        return [tree]
    for child in ast.iter_child_nodes(tree):
        below = _around(child, part)
        if below:
            return [tree, *below]
    return []


def confirmed(source: str, *suspects: Suspect) -> list[Finding]:
    """What the confirm stage makes of `suspects` with the built-in rules."""
    return confirm("mod.py", source.encode(), suspects, builtin_rules())
