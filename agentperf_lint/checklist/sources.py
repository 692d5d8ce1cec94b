"""The source that a trace speaks of, as it is now: found under other prefixes, and after edits."""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence

from agentperf_lint.analysis.parsing import UnreadableSource, parse
from agentperf_lint.checklist.trace import Frame

_IGNORE = re.compile(r"#.*?\bagentperf:\s*ignore\b(?:\[(?P<codes>[^\]]*)\])?")
_NOQA = re.compile(r"#\s*noqa(?:\s*:\s*(?P<codes>[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*))?", re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_INSTALLED = re.compile(r"/(?:site|dist)-packages/")
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib(?:32|64)?/(?:python|pypy)3\.\d+t?/")
_SYNTHETIC = re.compile(r"(?:\.?<(?:locals|listcomp|setcomp|dictcomp|genexpr)>)+")

Mapping = Sequence[tuple[str, str]]


class Function:
    """A function of a file; `first` counts its decorators, `line` is that of `def`."""

    def __init__(self, name: str, first: int, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        self.name = name
        self.first = first
        self.line = node.lineno
        self.last = node.end_lineno or node.lineno
        self.node = node

    def header(self) -> range:
        """The lines from the decorators to the body."""
        body = self.node.body
        start = body[0].lineno if isinstance(body, list) else body.lineno
        return range(self.first, max(start, self.line + 1))


class Code:
    """One file that can be read; `tree` is None when it is not Python that can be parsed."""

    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self.content = content
        self.lines = _LINE_END.split(content)
        self.tree: ast.Module | None = None
        self.functions: list[Function] = []
        try:
            self.tree = parse(content)
        except UnreadableSource:
            return
        self.functions = list(_functions(self.tree, ""))

    def line(self, number: int) -> str:
        """Line `number` (1-based), empty when there is none."""
        return self.lines[number - 1].decode("utf-8", "replace") if 0 < number <= len(self.lines) else ""

    def function_at(self, line: int) -> Function | None:
        """The innermost function around `line`."""
        around = [each for each in self.functions if each.first <= line <= each.last]
        return max(around, key=lambda each: (each.line, -each.last), default=None)

    def named(self, function: str) -> Function | None:
        """The function called so; by its last name when that is all there is (before 3.11) and unique."""
        name = plain_name(function)
        exact = [each for each in self.functions if each.name == name]
        if not exact:
            exact = [each for each in self.functions if each.name.rpartition(".")[2] == name.rpartition(".")[2]]
        return exact[0] if len(exact) == 1 else None

    def statement(self, line: int) -> ast.stmt | None:
        """The innermost statement that holds `line`."""
        found: ast.stmt | None = None
        level: Iterable[ast.AST] = self.tree.body if self.tree is not None else ()
        while True:
            inner = next((each for each in _statements(level) if _first(each) <= line <= (each.end_lineno or 0)), None)
            if inner is None:
                return found
            found = inner
            level = list(ast.iter_child_nodes(inner))

    def with_blocks(self) -> list[tuple[int, range]]:
        """The line of each expression in the head of a `with`, and the lines of that statement's body."""
        if self.tree is None:
            return []
        return [
            (item.context_expr.lineno, range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
            for node in ast.walk(self.tree)
            if isinstance(node, (ast.With, ast.AsyncWith))
            for item in node.items
        ]

    def statement_lines(self, line: int) -> range:
        """The lines of the statement that holds `line`, of a compound one those of its header."""
        statement = self.statement(line)
        if statement is None:
            return range(line, line + 1)
        body = getattr(statement, "body", None)
        last = statement.end_lineno or line
        if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
            last = max(statement.lineno, _first(body[0]) - 1)
        return range(_first(statement), max(last, line) + 1)

    def is_silenced(self, lines: Iterable[int], code: str) -> bool:
        """Whether a comment on one of `lines`, or on lines of its own right above, asks to leave out `code`."""
        numbers = list(lines)
        above = min(numbers, default=1) - 1
        while self.line(above).lstrip().startswith("#"):
            numbers.append(above)
            above -= 1
        return any(_silences(self.line(number), code) for number in numbers)


class Sources:
    """The files that a trace names. `mappings` replace prefixes of paths, `bases` are where to look for the rest."""

    def __init__(self, mappings: Mapping = (), bases: Sequence[str] = ()) -> None:
        self._mappings = [(before.rstrip("/"), after.rstrip("/")) for before, after in mappings]
        self._bases = [os.path.abspath(base) for base in bases]
        self._codes: dict[str, Code | None] = {}
        self._paths: dict[str, str] = {}
        self.missing: set[str] = set()

    def path(self, recorded: str) -> str:
        """Where the file that was recorded as `recorded` is; unchanged when it is nowhere."""
        found = self._paths.get(recorded)
        if found is None:
            found = self._paths[recorded] = self._located(recorded)
        return found

    def _located(self, recorded: str) -> str:
        if not recorded:
            return ""  # spans name no file
        path = recorded.replace("\\", "/")
        for before, after in self._mappings:
            if path == before or path.startswith(f"{before}/"):
                path = after + path[len(before) :]
                break
        if os.path.isfile(path):
            return os.path.abspath(path)
        parts = [part for part in path.split("/") if part]
        for skipped in range(1, len(parts)):
            for base in self._bases:
                candidate = os.path.join(base, *parts[skipped:])
                if os.path.isfile(candidate):
                    return candidate
        if not path.startswith("<"):
            self.missing.add(recorded)
        return path

    @property
    def read(self) -> list[str]:
        """The files that were read."""
        return [path for path, code in self._codes.items() if code is not None]

    def code(self, recorded: str) -> Code | None:
        """The file that was recorded as `recorded`; None when it is missing or cannot be read."""
        path = self.path(recorded)
        if path not in self._codes:
            self._codes[path] = _loaded(path)
            if self._codes[path] is None and path and not path.startswith("<"):
                self.missing.add(recorded)  # is there, but cannot be read
        return self._codes[path]

    def current(self, frame: Frame, first_line: int = 0, digest: str = "") -> Frame:
        """`frame` with the path and line where its code is now.

        `first_line` of the function and `digest` of the line (see `line_digest`) are as recorded, 0 and "" when not.
        """
        path, line, function = frame
        code = self.code(path)
        if code is None:
            return self.path(path), line, function
        return code.path, _current_line(code, line, function, first_line, digest), function


def plain_name(function: str) -> str:
    """The qualified name as the analysis writes it: comprehensions belong to the function that they are in."""
    return _SYNTHETIC.sub("", function) or "<module>"


def line_digest(line: str) -> str:
    """What identifies a line of source whatever its indentation."""
    return hashlib.blake2b(" ".join(line.split()).encode(), digest_size=8).hexdigest()


def is_library_path(path: str, prefixes: Iterable[str] = (), applications: Iterable[str] = ()) -> bool:
    """Whether a file is that of an installed package or the standard library, whose directories are `prefixes`.

    Installed packages in `applications` are none.
    """
    path = path.replace("\\", "/")
    inside = _INSTALLED.split(path)[-1] if applications else ""
    if any(inside.startswith((f"{name}/", f"{name}.py")) for name in _as_paths(applications)):
        return False
    return path.startswith(("<", "~", *prefixes)) or _LIBRARY.search(path) is not None


def _as_paths(packages: Iterable[str]) -> list[str]:
    return [name.replace(".", "/") for name in packages]


def shown_path(path: str) -> str:
    """`path` relative to the working directory where it lies below it, with forward slashes."""
    below = os.getcwd().rstrip(os.sep) + os.sep
    return path.removeprefix(below).replace(os.sep, "/")


def _loaded(path: str) -> Code | None:
    try:
        with open(path, "rb") as stream:
            return Code(path, stream.read())
    except OSError:
        return None


def _current_line(code: Code, line: int, function: str, first_line: int, digest: str) -> int:
    """The line now: where the same text is in the same function, else as far below its beginning as it was."""
    if digest and line_digest(code.line(line)) == digest:
        return line
    if plain_name(function) == "<module>":
        lines = range(1, len(code.lines) + 1)
    else:
        found = code.named(function)
        if found is None:
            return line
        lines = range(found.first, found.last + 1)
    moved = line + lines[0] - first_line if first_line else line
    if digest:
        same = [number for number in lines if line_digest(code.line(number)) == digest]
        if same:
            return min(same, key=lambda number: abs(number - moved))
    return moved if moved in lines else line


def _functions(node: ast.AST, prefix: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                yield Function(name, first, child)
            yield from _functions(child, f"{name}.")
        elif isinstance(child, ast.Lambda):
            yield Function(f"{prefix}<lambda>", child.lineno, child)
            yield from _functions(child, f"{prefix}<lambda>.")
        else:
            yield from _functions(child, prefix)


def _statements(level: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """The statements among `level` and in the handlers and cases there."""
    for node in level:
        if isinstance(node, ast.stmt):
            yield node
        elif isinstance(node, (ast.ExceptHandler, ast.match_case)):
            yield from _statements(node.body)


def _first(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def _silences(line: str, code: str) -> bool:
    if "#" not in line:
        return False
    ignore = _IGNORE.search(line)
    if ignore is not None and _names(ignore["codes"], code):
        return True
    noqa = _NOQA.search(line)
    return noqa is not None and _names(noqa["codes"], code)


def _names(codes: str | None, code: str) -> bool:
    """Whether a list of codes, or of their beginnings, has `code`; an empty one has all."""
    named = re.findall(r"[A-Za-z]+\d+", codes or "")
    return not named or any(code.startswith(each.upper()) for each in named)
