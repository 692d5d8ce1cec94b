"""Reading source bytes: newer syntax than the interpreter's, encodings, and what is not Python at all."""

from __future__ import annotations

import ast
import codecs
import pickle
import re
import warnings

import pytest

from agentperf_lint.analysis.parsing import UnreadableSource, parse

NEWER_SYNTAX = {
    "type parameters of a function": "def f[T: probe_a, *Ts, **P](x: T) -> T:\n    return probe_1(x)\n",
    "type parameters over lines": "def f[\n    T,  # a ] comment\n\n    S,\n](x):\n    return probe_1(x)\n",
    "type parameters with a default": "class A[T = int, S: 'str]' = str](probe_1()):\n    x = probe_2()\n",
    "type parameters of a class without bases": "class A[T]:\n    async def f[S](self): probe_1()\n",
    "type parameters beyond ascii": "def f[Größe](x=probe_1()):\n    return probe_2()\n",
    "type alias": "type X = list[int]\nprobe_1()\n",
    "type alias with parameters": "type X[T] = probe_1(T)\nprobe_2()\n",
    "type alias over lines": "type X[\n    T = int\n] = (\n    probe_1(T)\n)\n",
    "type as a name": "type X = int\ny = (\n    type in [probe_1()]\n)\n",
    "except without parentheses": "try:\n    probe_1()\nexcept A, B.C: probe_2()\nexcept D,E:\n    probe_3()\n",
    "except with blanks to spare": "try:\n    probe_1()\nexcept  A , B  :\n    probe_2()\n",
    "except beside a tuple": "try: x\nexcept (A, f(B, C)): probe_1()\nexcept g(D, E), F: probe_2()\n",
    "except star": "try:\n    probe_1()\nexcept* (\n    A, B\n): probe_2()\n",
    "star in a subscript": "x = y[*probe_1(), 1], z[probe_2(), *t]\ndef f(*args: *Ts): probe_3()\n",
    "unpacking in comprehensions": "x = [*probe_1() for y in probe_2()]\nz = {**d for d in probe_3()}\n",
    "lazy imports": "lazy import a.b\nlazy from c import d\nprobe_1()\n",
    "template string": "x = t'{probe_1()} and {probe_2():>{probe_3()}}'\n",
    "same quotes": 'x = f"{probe_1("a")} {b["c"]!r:>{probe_2("d")}} {{}} {probe_3()}"\n',
    "same quotes, nested": 'x = f"{f"{f"{probe_1("a")}"}" + probe_2()}".join(probe_3())\n',
    "backslash in a field": "x = f'{probe_1(\"\\n\")} \\{probe_2()}\\N{BULLET}' rf'\\{probe_3()}'\n",
    "line ends in a field": "x = f'{probe_1(\n    1,\n)}' + probe_2()\n",
    "comment in a field": "x = f'''{probe_1(  # a } 'comment'\n)}''', probe_2()\n",
    "adjacent strings": 'x = probe_1("a"  # it\'s\n    "b" f"{probe_2("c")}"\n    r"d" f"{probe_3()}", 1)\n',
    "self-documenting field": 'x = f"{probe_1("a") = !r} {probe_2() == 1} {y!s}"\n',
    "after a word that ends like a prefix": 'x = 1 if"{"else probe_1(f"{probe_2("a")}")\n',
    "characters beyond ascii": 'x = f"größe {probe_1("ä")} ¤ {probe_2()}"; probe_3()\n',
    "all at once": (
        "type X[T] = int\nclass A[T](B):\n    def f[S](self):\n        try:\n            probe_1()\n"
        '        except A, B:\n            return f"{probe_2("x")}"\n'
    ),
}
PROBE = re.compile(r"probe_\d\(")


def calls_of_probes(tree: ast.Module) -> list[tuple[int, int]]:
    return sorted(
        (node.lineno, node.col_offset)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("probe_")
    )


def places_of_probes(source: str) -> list[tuple[int, int]]:
    return [
        (number, len(line[: match.start()].encode()))
        for number, line in enumerate(source.split("\n"), start=1)
        for match in PROBE.finditer(line)
    ]


@pytest.mark.parametrize("source", NEWER_SYNTAX.values(), ids=NEWER_SYNTAX.keys())
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_newer_syntax_keeps_its_places(source: str, newline: str) -> None:
    indented = "async def outer():\n" + "".join(f"    {line}\n" for line in source.splitlines())
    for text in (source, indented):
        tree = parse(text.replace("\n", newline).encode())
        assert calls_of_probes(tree) == places_of_probes(text)


def test_lowered_names_stay_bound() -> None:
    tree = parse(b"type X = int\ntype Y[T] = T\nclass A[T]: ...\nlazy import a\ntry: ...\nexcept C, D: ...\n")
    assert {"X", "Y"} <= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    handler = next(node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler))
    assert isinstance(handler.type, ast.Tuple)
    assert any(isinstance(node, ast.Import) for node in ast.walk(tree))


def test_lowered_strings_are_formatted_strings() -> None:
    tree = parse(b'try: x\nexcept A, B: y = "a" f"{b["c"]} {d}"\n')
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    assert len(joined) == 1
    assert (joined[0].lineno, joined[0].col_offset) == (2, 17)
    tuples = [node for node in ast.walk(tree) if isinstance(node, ast.Tuple)]
    assert len(tuples) <= 1  # that of the handler


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfprobe_1()\n",
        b"\xef\xbb\xbftry: x\nexcept A, B: probe_1()\n",
        "# -*- coding: latin-1 -*-\nx = 'ü'; probe_1()\n".encode("latin-1"),
        "# coding: latin-1\ntry: x\nexcept A, B: y = 'ü'; probe_1()\n".encode("latin-1"),
        "# coding: cp1251\ntype Б = int; probe_1()\n".encode("cp1251"),
        b"x = 1\rprobe_1()\r",
        b"x = '\\d'; probe_1()\n",
        b"probe_1()",
        b"\x0cprobe_1()\n",
    ],
)
def test_encodings_and_line_ends(source: bytes) -> None:
    assert len(calls_of_probes(parse(source))) == 1


def test_empty_source_is_an_empty_module() -> None:
    assert parse(b"").body == []
    assert parse(codecs.BOM_UTF8).body == []


UNREADABLE = {
    "prose": (b"Dear reader,\nthis is not Python.\n", 1, "invalid syntax"),
    "an open bracket": (b"x = 1\ny = (\n", 2, "never closed"),
    "an open string": (b"x = 1\ny = 'abc\n", 2, "unterminated string"),
    "an open string in a field": (b"type X = int\ny = f'{a('\n", 2, ""),
    "Python 2": (b"x = 1\nprint 'x'\n", 2, "print"),
    "indentation": (b"def f():\nx = 1\n", 2, "indented block"),
    "another error behind newer syntax": (b"try: x\nexcept A, B: y\nz = = 1\n", 3, "invalid syntax"),
    "not its encoding": (b"x = 1\ny = '\xfc'\n", 1, "utf-8"),
    "unknown encoding": (b"# coding: nonsense\nx = 1\n", 1, "nonsense"),
    "a null byte": (b"x = 1\ny = '\0'\n", 2, "null byte"),
    "UTF-16": ("x = 1\n".encode("utf-16"), 1, ""),
    "binary": (bytes(range(256)) * 8, 1, ""),
    "nested parentheses": (b"x = 1\ny = " + b"(" * 5000 + b")" * 5000, 1, "nested"),
    "nested operators": (b"x = " + b"-" * 100_000 + b"1", 1, "nested"),
}


@pytest.mark.parametrize(("source", "line", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_unreadable_sources_say_why_and_where(source: bytes, line: int, reason: str) -> None:
    with pytest.raises(UnreadableSource) as caught:
        parse(source)
    assert reason in caught.value.reason.lower()
    assert caught.value.line >= line
    assert pickle.loads(pickle.dumps(caught.value)).reason == caught.value.reason


@pytest.mark.parametrize("source", [b"x = " + b"1+" * 20_000 + b"1", b"x = a" + b".b" * 20_000])
def test_long_chains_are_read_or_refused(source: bytes) -> None:
    try:
        read = len(parse(source).body)
    except UnreadableSource:
        read = 1
    assert read == 1


def test_a_long_line_is_read() -> None:
    line = b"x = [" + b"f('a', \"b\"), " * 20_000 + b"x" * 500_000 + b"]"
    assert len(parse(line + b"\ntry: x\nexcept A, B: y = f'{c['d']}'\n").body) == 2


def test_warnings_of_analysed_code_are_not_ours() -> None:
    source = b"x = '\\d'\ny = 1 is 1\nassert (z, 'always')\n"
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        parse(source)
        parse(source)
        compile("x = '\\d'", "someone's own.py", "exec")
    assert len(recorded) == 1
