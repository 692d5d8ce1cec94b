"""What of a function is read for its loop suspects, and the two ways of finding a node, against each other."""

from __future__ import annotations

import ast
from textwrap import dedent

import libcst as cst
import pytest

from agentperf_lint.analysis.locate import Twins, by_position
from agentperf_lint.analysis.slicing import Slice

LOOP = dedent("""
    def f(db, items):
        unrelated = compute()
        cursor = start()
        for item in items:
            log(1)
            key = item.key
            try:
                row = db.get(key, cursor)
            except OSError:
                time.sleep(1)
            other = compute()
            if row:
                return row
            if other:
                print(other)
            if done(row):
                cursor = row.next
    """)


def statement(tree: ast.Module, text: str) -> ast.stmt:
    return next(node for node in ast.walk(tree) if isinstance(node, ast.stmt) and ast.unparse(node).startswith(text))


@pytest.mark.parametrize(
    ("text", "matters"),
    [
        ("unrelated =", False),
        ("cursor = start", True),
        ("log(1)", False),
        ("key =", True),
        ("time.sleep", True),
        ("other =", False),
        ("if row", True),
        ("if other", False),
        ("if done(row)", True),
    ],
)
def test_statements_that_say_something_about_a_call(text: str, matters: bool) -> None:
    tree = ast.parse(LOOP)
    place = statement(tree, "row = db.get")
    path = [statement(tree, start) for start in ("def f", "for item", "try")] + [place]
    beside = statement(tree, text)
    assert Slice(tree, path, [place]).matters(beside, ast.unparse(beside)) is matters


ORDER = dedent("""
    @decorated(first(), key=second())
    async def f(a, b=default(1), *args, c: note(2) = default(3), **kwargs) -> returned(4):
        import os.path, a.b.c
        from x.y import z
        x = then(1) if test(2) else other(3)
        {key(1): value(2), **rest(3), key(4): value(5)}
        call(one(1), *two(2), three=three(3), **four(4))
        [e(1) for i in it(2) if c(3) for j in it(4) if c(5)]
        {k(1): v(2) for i in it(3)}
        lambda p=d(1): body(2)
        f"{a(1)!r:>{b(2)}}{c.d(3)}" "x" f"{e(4)}"
        a(1)[b(2):c(3):d(4)].e(5)(6)
        o(1) < p(2) <= q(3) and not r(4) or s(5)
        del a.b(1)[0], c.d
        assert t(1), u(2)
        async with v(1) as w(2).x, y(3):
            z: t(4) = u(5)
        try:
            a(1)
        except b(2).c as e:
            raise d(3) from f(4)
        else:
            g(5)
        finally:
            h(6)
        match m(1):
            case n.o if g(2):
                b(3)
            case P(x=q.r):
                yield c(4)
        class C(base(1), metaclass=meta(2)):
            attr = d(3)
        while (n := w(1)):
            await x(2)
        else:
            return (yield_(3))
    """)


def test_counting_finds_what_positions_find() -> None:
    tree, module = ast.parse(ORDER), cst.parse_module(ORDER)
    twins = Twins(tree, module)
    expressions = [node for node in ast.walk(tree) if isinstance(node, (ast.Call, ast.Attribute))]
    in_strings = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    compared = 0
    for node in expressions:
        if id(node) in in_strings or node.end_lineno is None or node.end_col_offset is None:
            continue  # before 3.12 `ast` does not know where the parts of an f-string are
        counted = twins.at((node.lineno, node.col_offset, node.end_lineno, node.end_col_offset))
        placed = by_position(module, (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        assert counted is not None, ast.unparse(node)
        assert placed is not None, ast.unparse(node)
        assert counted.node is placed.node, ast.unparse(node)
        assert [line for _, line in counted.lines] == [line for _, line in placed.lines]
        compared += 1
    assert compared > 70
