"""Suspects -> findings: parses the little text that a rule asks for and lets the rule judge.

LibCST reads about 20,000 lines a second, so it is given only what the rules of a function's suspects ask for:
nothing, the statement, the loops, or the function. Statements and places come from `ast`, ten times faster, where
the interpreter knows the syntax.
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

from agentperf_lint.analysis.fixing import Written, fix_for
from agentperf_lint.analysis.slicing import Slice
from agentperf_rules.base import Needs, Place, Rule, Shape, one_step_lower
from agentperf_rules.model import Finding, Fix, Suspect

if TYPE_CHECKING:
    import libcst as cst

    from agentperf_lint.analysis.locate import Placed, Twins

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
        excerpt = _Excerpt(lines, first, last, [suspects[index] for index in indices])
        for index in indices:
            rule = rules[suspects[index].code]
            finding = _checked(excerpt, suspects[index], rule)
            if finding is not None:
                fix = excerpt.fix(suspects[index], rule)
                found[index] = msgspec.structs.replace(finding, path=path, fix=fix)
    return [found[index] for index in sorted(found)]


def shape_of(source: bytes, suspect: Suspect) -> Shape | None:
    """The suspect's expression in `source` with its whole function around it; None when LibCST cannot read that."""
    lines = _LINE_END.split(_decoded(source))
    ((first, last, _),) = _excerpts(lines, [suspect], [0])
    excerpt = _Excerpt(lines, first, last, [suspect])
    return excerpt.shape(suspect, excerpt.place(suspect), "function")


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
    needs = rule.reads(suspect)
    if needs == "place":
        return rule.check(suspect, Shape(place))
    shape = excerpt.shape(suspect, place, needs)
    if shape is None:
        less_sure = msgspec.structs.replace(suspect, confidence=one_step_lower(suspect.confidence))
        return rule.check(less_sure, Shape(place))
    return rule.check(suspect, shape)


class _Excerpt:
    """Lines `first` to `last` of a file: a function with its decorators, or a statement."""

    def __init__(self, lines: list[str], first: int, last: int, suspects: Sequence[Suspect]) -> None:
        self.lines = lines
        self.first = first
        self.last = last
        self.suspects = suspects
        self.tree = _parsed(_module(lines[first - 1 : last]))
        self.offset = first - 1 - _is_indented(lines[first - 1 : last])
        self.texts: dict[Needs, _Text | None] = {}

    def place(self, suspect: Suspect) -> Place:
        """Where to show the suspect, its statement included."""
        first, last = self.statement(suspect)
        return Place(
            line=suspect.line,
            column=self._characters(suspect.line, suspect.column) + 1,
            end_line=suspect.end_line,
            end_column=self._characters(suspect.end_line, suspect.end_column) + 1,
            statement_line=first,
            statement_end_line=max(last, suspect.end_line),
        )

    def _characters(self, line: int, column: int) -> int:
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        if text.isascii():
            return column
        return len(text.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "replace"))

    def statement(self, suspect: Suspect) -> tuple[int, int]:
        """First and last line of the innermost statement around the suspect, of a compound one those of its header."""
        path = self._statements(suspect)
        if not path:
            return suspect.line, suspect.end_line
        first, last = _own_lines(path[-1])
        return first + self.offset, last + self.offset

    def _statements(self, suspect: Suspect) -> list[ast.stmt]:
        """The statements around the suspect, outermost first."""
        found: list[ast.stmt] = []
        level: Sequence[ast.stmt] = self.tree.body if self.tree is not None else ()
        while True:
            inner = next((each for each in level if _covers(each, suspect.line - self.offset, suspect.column)), None)
            if inner is None:
                return found
            found.append(inner)
            level = list(_statements_of(inner))

    def shape(self, suspect: Suspect, place: Place, needs: Needs) -> Shape | None:
        """The suspect's node with as much around it as its rule `needs`; None when LibCST cannot read it."""
        if needs == "statement" and self.tree is not None:
            text = self._read(self._statement_lines(suspect))
        else:
            if needs not in self.texts:
                self.texts[needs] = self._read(self._lines_for(needs))
            text = self.texts[needs]
        if text is None:
            return None
        start, end = (suspect.line, suspect.column), (suspect.end_line, suspect.end_column)
        placed = text.at(start, end) or text.at_characters(
            (suspect.line, place.column - 1), (suspect.end_line, place.end_column - 1)
        )
        return None if placed is None else _shape(placed, place)

    def fix(self, suspect: Suspect, rule: Rule) -> Fix | None:
        """How to mend the suspect by an edit, if that is possible."""
        return fix_for(suspect, rule, self._statements(suspect), Written(self.lines, self.offset, self._characters))

    def _all_lines(self) -> dict[int, str]:
        return {number: self.lines[number - 1] for number in range(self.first, min(self.last, len(self.lines)) + 1)}

    def _statement_lines(self, suspect: Suspect) -> dict[int, str]:
        first, last = self.statement(suspect)
        kept = {number: self.lines[number - 1] for number in range(first, last + 1)}
        path = self._statements(suspect)
        if path and isinstance(getattr(path[-1], "body", None), list):
            kept[last + 1] = " " * (path[-1].col_offset + 1) + "pass"
        return kept

    def _lines_for(self, needs: Needs) -> dict[int, str]:
        """The lines that `needs` asks for by their numbers, with `pass` where statements were left out."""
        kept = self._all_lines()
        if self.tree is None or needs == "function":
            return kept
        paths = [path for suspect in self.suspects if (path := self._statements(suspect))]
        wanted = {id(statement): statement for path in paths for statement in path}
        relevant = Slice(self.tree, list(wanted.values()), [path[-1] for path in paths]) if needs == "loop" else None
        for statement in _beside(self.tree.body, wanted):
            first, last = (line + self.offset for line in _bounds(statement))
            indentation = self.lines[first - 1][: statement.col_offset]
            text = "\n".join(self.lines[first - 1 : last])
            if indentation.strip() or (relevant is not None and relevant.matters(statement, text)):
                continue
            for number in range(first, last + 1):
                del kept[number]
            kept[first] = f"{indentation}pass"
        return dict(sorted(kept.items()))

    def _read(self, lines: dict[int, str]) -> _Text | None:
        return _Text.read(list(lines.values()), list(lines))


@dataclass(frozen=True, slots=True)
class _Text:
    """Some lines of a file, parsed; `numbers` are their line numbers in the file."""

    twins: Twins | None
    module: cst.Module
    numbers: Sequence[int]

    @classmethod
    def read(cls, lines: Sequence[str], numbers: Sequence[int]) -> _Text | None:
        """Parses `lines`; None when they are no Python that LibCST knows."""
        import libcst as cst

        from agentperf_lint.analysis.locate import Twins

        text = _module(lines)
        tree = _parsed(text)
        if _is_too_nested(text, tree):
            return None
        try:
            module = cst.parse_module(text)
        except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError, ValueError):
            return None
        above = (0,) if _is_indented(lines) else ()
        return cls(None if tree is None else Twins(tree, module), module, (*above, *numbers))

    def at(self, start: tuple[int, int], end: tuple[int, int]) -> Placed | None:
        """The expression from `start` to `end` (line in the file, 0-based UTF-8 column), found by counting."""
        if self.twins is None or start[0] not in self.numbers or end[0] not in self.numbers:
            return None
        first, last = self.numbers.index(start[0]) + 1, self.numbers.index(end[0]) + 1
        placed = self.twins.at((first, start[1], last, end[1]))
        return None if placed is None else placed.renumbered(self.numbers)

    def at_characters(self, start: tuple[int, int], end: tuple[int, int]) -> Placed | None:
        """The same by LibCST's own positions, with columns in characters: slower, and knows all syntax."""
        from agentperf_lint.analysis.locate import by_position

        if start[0] not in self.numbers or end[0] not in self.numbers:
            return None
        first, last = self.numbers.index(start[0]) + 1, self.numbers.index(end[0]) + 1
        placed = by_position(self.module, (first, start[1]), (last, end[1]))
        return None if placed is None else placed.renumbered(self.numbers)


def _shape(placed: Placed, place: Place) -> Shape:
    import libcst as cst

    function = next((each for each in placed.ancestors if isinstance(each, cst.FunctionDef)), None)
    return Shape(place, placed.node, placed.ancestors, function, placed.lines)


def _is_indented(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0][:1] in {" ", "\t"}


def _module(lines: Sequence[str]) -> str:
    """`lines` as a module; indented ones below an `if`, since cutting indentation would change strings."""
    body = "\n".join(lines) + "\n"
    return f"if 1:\n{body}" if _is_indented(lines) else body


def _beside(level: Sequence[ast.stmt], wanted: Mapping[int, ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that lie beside those `wanted`, at every level."""
    for statement in level:
        if id(statement) not in wanted:
            yield statement
        else:
            yield from _beside(list(_statements_of(statement)), wanted)


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in the code that is read
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_too_nested(text: str, tree: ast.Module | None) -> bool:
    """Whether LibCST's native parser, which has no limit of its own, could overflow the stack on `text`.

    It takes some 1,500 brackets or 8,000 operators in one another, which short texts do not hold.
    """
    if len(text) <= _SAFE_LENGTH:
        return False
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
