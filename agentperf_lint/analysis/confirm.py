"""Suspects -> findings: parses the little text that a rule asks for and lets the rule judge.

LibCST reads about 20,000 lines a second and places nodes at a third of that, so it is given a function only
when one of its suspects' rules reads shapes, once for all of them, and never the file around it. The statement
of a finding comes from `ast`, ten times faster, where the interpreter knows the syntax.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from agentperf_rules.base import Place, Rule, Shape, one_step_lower
from agentperf_rules.model import Finding, Suspect

if TYPE_CHECKING:
    import libcst as cst
    from libcst.metadata import CodeRange

_LINE_END = re.compile(r"\r\n|\r|\n")
_SAFE_LENGTH = 2_000
_MOST_NESTED = 250
_LONGEST_UNKNOWN = 15_000


def confirm(path: str, source: bytes, suspects: Sequence[Suspect], rules: Mapping[str, Rule]) -> list[Finding]:
    """The findings among `suspects`, all in the file `path` with the content `source`, in the order of the suspects.

    A suspect whose code is not in `rules` is left out. A suspect whose rule reads a shape that LibCST cannot
    give is judged by what the suspect says alone, one step less sure.
    """
    lines = _LINE_END.split(_decoded(source))
    known = [index for index, suspect in enumerate(suspects) if suspect.code in rules]
    found: dict[int, Finding] = {}
    for first, last, indices in _excerpts(lines, suspects, known):
        excerpt = _Excerpt(lines, first, last)
        for index in indices:
            finding = _checked(excerpt, suspects[index], rules[suspects[index].code])
            if finding is not None:
                found[index] = msgspec.structs.replace(finding, path=path)
    return [found[index] for index in sorted(found)]


def _decoded(source: bytes) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding, "replace")
    except (SyntaxError, LookupError):
        return source.decode("latin-1")


def _excerpts(
    lines: list[str], suspects: Sequence[Suspect], indices: Sequence[int]
) -> Iterator[tuple[int, int, list[int]]]:
    """First line, last line and suspects of each piece of text to look at: a function, or a top-level statement."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    statements: list[tuple[int, int]] | None = None
    for index in indices:
        suspect = suspects[index]
        bounds = (suspect.first_line, suspect.last_line)
        if suspect.first_line == 0:
            if statements is None:
                statements = _top_level(lines)
            bounds = next((each for each in statements if each[0] <= suspect.line <= each[1]), (1, len(lines)))
        groups[bounds].append(index)
    for (first, last), members in groups.items():
        yield first, last, members


def _top_level(lines: list[str]) -> list[tuple[int, int]]:
    tree = _parsed("\n".join(lines))
    return [] if tree is None else [_bounds(statement) for statement in tree.body]


def _checked(excerpt: _Excerpt, suspect: Suspect, rule: Rule) -> Finding | None:
    place = excerpt.place(suspect)
    if rule.needs == "place":
        return rule.check(suspect, Shape(place))
    shape = excerpt.shape(suspect, place, whole=rule.needs == "function")
    if shape is None:
        less_sure = msgspec.structs.replace(suspect, confidence=one_step_lower(suspect.confidence))
        return rule.check(less_sure, Shape(place))
    return rule.check(suspect, shape)


class _Excerpt:
    """Lines `first` to `last` of a file: a function with its decorators, or a statement."""

    def __init__(self, lines: list[str], first: int, last: int) -> None:
        self.lines = lines
        self.first = first
        self.last = last
        self.nested = lines[first - 1][:1] in {" ", "\t"} if first <= len(lines) else False
        self._whole: _Syntax | None = None
        self._is_read = False
        tree = _parsed(self.text(first, last))
        self.tree = None if tree is None else tree.body

    def text(self, first: int, last: int) -> str:
        """The lines as a module; indented ones below an `if`, since cutting indentation would change strings."""
        body = "\n".join(self.lines[first - 1 : last]) + "\n"
        return f"if 1:\n{body}" if self.lines[first - 1][:1] in {" ", "\t"} else body

    def offset(self, first: int) -> int:
        """What to add to a line number in `text(first, ...)` to get the line in the file."""
        return first - 2 if self.lines[first - 1][:1] in {" ", "\t"} else first - 1

    def place(self, suspect: Suspect) -> Place:
        """Where to show the suspect, its statement included."""
        statement = self.statement(suspect)
        first, last = _own_lines(statement) if statement is not None else (0, 0)
        offset = self.offset(self.first) if statement is not None else 0
        return Place(
            line=suspect.line,
            column=self._characters(suspect.line, suspect.column) + 1,
            end_line=suspect.end_line,
            end_column=self._characters(suspect.end_line, suspect.end_column) + 1,
            statement_line=first + offset or suspect.line,
            statement_end_line=max(last + offset, suspect.end_line),
        )

    def _characters(self, line: int, column: int) -> int:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if text.isascii():
            return column
        return len(text.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace"))

    def statement(self, suspect: Suspect) -> ast.stmt | None:
        """The innermost statement around the suspect."""
        line = suspect.line - self.offset(self.first)
        found: ast.stmt | None = None
        level: Sequence[ast.stmt] = self.tree or ()
        while True:
            inner = next((each for each in level if _covers(each, line, suspect.column)), None)
            if inner is None:
                return found
            found = inner
            level = list(_statements_of(inner))

    def shape(self, suspect: Suspect, place: Place, *, whole: bool) -> Shape | None:
        """The suspect's node among its statement or the `whole` function; None when LibCST cannot read it."""
        statement = None if whole else self.statement(suspect)
        if statement is None:
            if not self._is_read:
                self._whole = _Syntax.read(self.text(self.first, self.last), self.offset(self.first))
                self._is_read = True
            syntax = self._whole
        else:
            offset = self.offset(self.first)
            first, last = (line + offset for line in _own_lines(statement))
            text = self.text(first, last)
            if isinstance(getattr(statement, "body", None), list):
                text = text.rstrip("\n") + "\n" + " " * (statement.col_offset + 1) + "pass\n"
            syntax = _Syntax.read(text, self.offset(first))
        if syntax is None:
            return None
        start = (suspect.line, self._characters(suspect.line, suspect.column))
        end = (suspect.end_line, self._characters(suspect.end_line, suspect.end_column))
        return syntax.shape(start, end, place)


@dataclass(frozen=True, slots=True)
class _Syntax:
    """A parsed excerpt and where its nodes are."""

    module: cst.Module
    ranges: Mapping[cst.CSTNode, CodeRange]
    offset: int

    @classmethod
    def read(cls, text: str, offset: int) -> _Syntax | None:
        """Parses `text`; None when it is no Python that LibCST knows."""
        import libcst as cst
        from libcst.metadata import MetadataWrapper, PositionProvider

        if _is_too_nested(text):
            return None
        try:
            module = cst.parse_module(text)
            ranges = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
        except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError, ValueError):
            return None
        return cls(module, ranges, offset)

    def shape(self, start: tuple[int, int], end: tuple[int, int], place: Place) -> Shape | None:
        """The expression from `start` to `end` (line in the file, 0-based character column) and what encloses it."""
        import libcst as cst

        path = self._path((start[0] - self.offset, start[1]), (end[0] - self.offset, end[1]))
        node = path[-1]
        if not isinstance(node, cst.BaseExpression):
            return None
        ancestors = tuple(reversed(path[:-1]))
        loops = (cst.For, cst.While, cst.BaseComp, cst.Call)
        return Shape(
            place=place,
            node=node,
            ancestors=ancestors,
            function=next((each for each in ancestors if isinstance(each, cst.FunctionDef)), None),
            loop_lines=tuple(
                (each, self.ranges[each].start.line + self.offset)
                for each in (node, *ancestors)
                if isinstance(each, loops)
            ),
        )

    def _path(self, start: tuple[int, int], end: tuple[int, int]) -> list[cst.CSTNode]:
        """From the module down to the expression that `start` and `end` bound (or the smallest around it)."""
        import libcst as cst

        from agentperf_rules.syntax import children

        path: list[cst.CSTNode] = [self.module]
        while True:
            inner = next((each for each in children(path[-1]) if self._covers(each, start, end)), None)
            if inner is None:
                return self._trimmed(path)
            path.append(inner)
            if isinstance(inner, cst.BaseExpression) and self._bounds(inner) == (start, end):
                return path

    def _trimmed(self, path: list[cst.CSTNode]) -> list[cst.CSTNode]:
        import libcst as cst

        if isinstance(path[-1], cst.BaseExpression):
            expressions = [index for index, each in enumerate(path) if isinstance(each, cst.BaseExpression)]
            return path[: expressions[-1] + 1]
        return path

    def _bounds(self, node: cst.CSTNode) -> tuple[tuple[int, int], tuple[int, int]]:
        found = self.ranges[node]
        return (found.start.line, found.start.column), (found.end.line, found.end.column)

    def _covers(self, node: cst.CSTNode, start: tuple[int, int], end: tuple[int, int]) -> bool:
        if node not in self.ranges:
            return False
        first, last = self._bounds(node)
        return first <= start and end <= last


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in the code that is read
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_too_nested(text: str) -> bool:
    """Whether LibCST's native parser, which has no limit of its own, could overflow the stack on `text`.

    It takes some 1,500 brackets or 8,000 operators in one another, which short texts do not hold.
    """
    if len(text) <= _SAFE_LENGTH:
        return False
    tree = _parsed(text)
    if tree is None:
        return len(text) > _LONGEST_UNKNOWN or _bracket_depth(text) > _MOST_NESTED
    level: list[ast.AST] = [tree]
    depth = 0
    while level and depth <= _MOST_NESTED:
        # `a and b and c` is flat in ast and nested in LibCST
        depth += max(len(node.values) if isinstance(node, ast.BoolOp) else 1 for node in level)
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth > _MOST_NESTED


def _bracket_depth(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[()\[\]{}]", text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    return deepest


def _bounds(statement: ast.stmt) -> tuple[int, int]:
    """First and last line, decorators included."""
    decorators = getattr(statement, "decorator_list", ())
    first = min((decorator.lineno for decorator in decorators), default=statement.lineno)
    return min(first, statement.lineno), statement.end_lineno or statement.lineno


def _own_lines(statement: ast.stmt) -> tuple[int, int]:
    """The lines of a simple statement, of a compound one those of its header."""
    first, last = _bounds(statement)
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
        last = max(first, min(last, _bounds(body[0])[0] - 1))
    return first, last


def _covers(statement: ast.stmt, line: int, column: int) -> bool:
    first, last = _bounds(statement)
    if not first <= line <= last:
        return False
    after_start = line > statement.lineno or column >= statement.col_offset or line < statement.lineno
    before_end = line < last or column < (statement.end_col_offset or 0)
    return after_start and before_end


def _statements_of(statement: ast.stmt) -> Iterator[ast.stmt]:
    blocks = [getattr(statement, name, ()) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(statement, "handlers", ())]
    blocks += [case.body for case in getattr(statement, "cases", ())]
    return chain.from_iterable(block for block in blocks if isinstance(block, list))
