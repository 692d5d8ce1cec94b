"""Formatted strings that parsers before 3.12 refuse, and template strings, as expressions they can read.

Before 3.12 a replacement field may hold neither the quote of its string, nor a backslash, a comment or a
line end. Such a string becomes a tuple of its fields, every expression left where it is in the source:
`f"{a["b"]} and {c!r}"` is read as ` ( a["b"],     c,  )`. The tuples are turned into `ast.JoinedStr` once
the tree exists.
"""

from __future__ import annotations

import ast
import re

from agentperf_lint.analysis.rewriting import Edit, apply_edits, blank

Position = tuple[int, int]

_PLAIN_STRING = (
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    r'|"(?!"")[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'(?!'')[^'\\\n]*(?:\\.[^'\\\n]*)*'"
)
_PLAIN = re.compile(_PLAIN_STRING, re.DOTALL)
_STRING_OR_COMMENT = re.compile(
    rf"""(?:(?<=[fFtT])|(?<=[fFtT][rR]))(?P<quote>\"\"\"|'''|"|')|(?P<plain>{_PLAIN_STRING})|\#[^\n]*""",
    re.DOTALL,
)
_WORD_BEFORE = re.compile(r"\w{0,3}\Z")
_FORMATTED_PREFIXES = frozenset({"f", "t", "fr", "rf", "tr", "rt"})
_PLAIN_PREFIXES = frozenset({"r", "u", "b", "br", "rb"})
_BETWEEN_ADJACENT = re.compile(r"(?:\s|\\\r?\n|#[^\n]*\n)*")

_LITERAL_EVENT = {
    quote: re.compile(rf"\\[^{{}}]|\\|\{{\{{|\}}\}}|(?P<field>\{{)|(?P<end>{quote})|(?P<newline>\n)", re.DOTALL)
    for quote in ('"""', "'''", '"', "'")
}
_NAMED_CHARACTER = re.compile(r"\\N\{[^{}]*\}")
_FIELD_EVENT = re.compile(
    r"""(?P<string>["'])|(?P<open>[\[({])|(?P<close>[\])}])|(?P<conversion>!(?!=))|(?P<spec>:)"""
    r"""|(?P<debug>(?<![=!<>:])=(?=\s*[!:}]))|(?P<newline>\n)|(?P<backslash>\\)|(?P<comment>\#[^\n]*)"""
)
_SPEC_EVENT = re.compile(r"""(?P<field>\{)|(?P<end>\})|(?P<quote>["'])""")


def lower_strings(text: str, interpreter: tuple[int, ...]) -> tuple[str, frozenset[Position]]:
    """Rewrite the strings that `interpreter` (major, minor) cannot read.

    Returns the text and where its tuples begin: 1-based line, column in UTF-8 bytes.
    """
    if interpreter >= (3, 14):
        return text, frozenset()
    scanner = _Scanner(text, interpreter)
    scanner.scan()
    positions = frozenset(_position(text, start) for start in scanner.tuple_starts)
    return apply_edits(text, scanner.edits), positions


def restore_joined_strings(tree: ast.Module, positions: frozenset[Position]) -> None:
    """Turn the tuples that begin at `positions` into formatted strings, in place."""
    if not positions:
        return
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, ast.Tuple):
                setattr(parent, field, _joined(value, positions))
            elif isinstance(value, list):
                value[:] = [_joined(item, positions) if isinstance(item, ast.Tuple) else item for item in value]


def _joined(node: ast.Tuple, positions: frozenset[Position]) -> ast.expr:
    if (node.lineno, node.col_offset) not in positions:
        return node
    fields: list[ast.expr] = [
        ast.copy_location(ast.FormattedValue(value=item, conversion=-1, format_spec=None), item) for item in node.elts
    ]
    return ast.copy_location(ast.JoinedStr(values=fields), node)


class _UnclosedError(Exception):
    """A string or field has no end: the file is wrong in another way, which its parser reports."""


class _Scanner:
    """Collects the edits for one text; offsets are in characters of `text`."""

    def __init__(self, text: str, interpreter: tuple[int, ...]) -> None:
        self._text = text
        self._reads_any_field = interpreter >= (3, 12)
        self.edits: list[Edit] = []
        self.tuple_starts: list[int] = []

    def scan(self) -> None:
        try:
            self._scan_expression(0, len(self._text))
        except _UnclosedError:
            return

    def _scan_expression(self, start: int, stop: int) -> bool:
        """Lower the strings between two offsets; say whether any had to be."""
        lowered = False
        group = _Group(start)
        position = start
        while True:
            match = _STRING_OR_COMMENT.search(self._text, position, stop)
            if match is None:
                break
            if match["quote"] is None and match["plain"] is None:
                position = match.end()
                continue
            string = self._read_string(match)
            if group.strings and not self._adjacent(group.end, string.start):
                lowered |= self._finish(group)
                group = _Group(string.start)
            group.strings.append(string)
            group.end = position = string.end
        return self._finish(group) or lowered

    def _adjacent(self, end: int, start: int) -> bool:
        between = _BETWEEN_ADJACENT.match(self._text, end)
        return between is not None and between.end() >= start

    def _read_string(self, match: re.Match[str]) -> _String:
        word = _WORD_BEFORE.search(self._text, max(0, match.start() - 3), match.start())
        prefix = word[0].lower() if word else ""
        if match["quote"] and prefix in _FORMATTED_PREFIXES:
            return self._read_formatted(match.start() - len(prefix), match, prefix)
        plain = _PLAIN.match(self._text, match.start())
        if plain is None:
            raise _UnclosedError
        return _String(plain.start() - (len(prefix) if prefix in _PLAIN_PREFIXES else 0), plain.end())

    def _read_formatted(self, start: int, match: re.Match[str], prefix: str) -> _String:
        quote = match["quote"]
        string = _String(start, match.end())
        string.newer = "t" in prefix
        event_of = _LITERAL_EVENT[quote]
        position = literal = match.end()
        string.literals.append((start, literal))
        while True:
            event = event_of.search(self._text, position)
            if event is None or (event["newline"] and len(quote) == 1):
                raise _UnclosedError
            position = event.end()
            if event["end"]:
                string.literals.append((literal, position))
                string.end = position
                return string
            if event[0] == "\\N" and "r" not in prefix:
                named = _NAMED_CHARACTER.match(self._text, event.start())
                position = named.end() if named else position
            if event["field"]:
                string.literals.append((literal, position))
                position = literal = self._read_field(string, position, quote, 0)

    def _read_field(self, string: _String, start: int, quote: str, depth: int) -> int:
        """Read from behind `{` to behind `}`; the comma goes where the expression ends."""
        position, brackets, separated = start, 0, False
        while True:
            event = _FIELD_EVENT.search(self._text, position)
            if event is None:
                raise _UnclosedError
            position = event.end()
            if event["string"]:
                position = self._read_nested(string, event, quote)
            elif event["open"]:
                brackets += 1
            elif event["close"] and brackets:
                brackets -= 1
            elif event["close"]:
                string.marks.append((event.start(), " " if separated else ","))
                return position
            elif event["newline"]:
                string.newer |= len(quote) == 1 and not self._reads_any_field
            elif event["backslash"] or event["comment"]:
                string.newer |= not self._reads_any_field
            elif brackets:
                continue
            elif event["debug"]:
                string.marks.append((event.start(), " "))
            else:
                string.marks.append((event.start(), " " if separated else ","))
                separated = True
                if event["spec"]:
                    position = self._read_spec(string, position, quote, depth)
                else:
                    string.literals.append((position, position + 1))
                    position += 1

    def _read_nested(self, outer: _String, event: re.Match[str], quote: str) -> int:
        """Read the string at `event`, which stands in a field of `outer`, and those joined to it."""
        match = _STRING_OR_COMMENT.match(self._text, event.start())
        if match is None:
            raise _UnclosedError
        string = self._read_string(match)
        outer.newer |= string.newer or self._refused_inside(quote, self._text[string.start : string.end])
        if outer.nested and self._adjacent(outer.nested[-1].end, string.start):
            outer.nested[-1].strings.append(string)
        else:
            outer.nested.append(_Group(string.start, [string]))
        outer.nested[-1].end = string.end
        return string.end

    def _refused_inside(self, quote: str, string: str) -> bool:
        if self._reads_any_field:
            return False
        return quote in string or "\\" in string or (len(quote) == 1 and "\n" in string)

    def _read_spec(self, string: _String, start: int, quote: str, depth: int) -> int:
        """Read a format specification up to its `}`, which is left for the field to read."""
        position = literal = start
        string.newer |= depth > 0 and not self._reads_any_field
        while True:
            event = _SPEC_EVENT.search(self._text, position)
            if event is None:
                raise _UnclosedError
            position = event.end()
            if event["quote"] and self._text.startswith(quote, event.start()):
                raise _UnclosedError
            if event["end"]:
                string.literals.append((literal, event.start()))
                return event.start()
            if event["field"]:
                string.literals.append((literal, position))
                position = literal = self._read_field(string, position, quote, depth + 1)

    def _finish(self, group: _Group) -> bool:
        """Turn adjacent strings into one tuple where any of them is too new."""
        if not any(string.newer for string in group.strings):
            return False
        first, last = group.strings[0].start, group.end - 1
        self.tuple_starts.append(first)
        self.edits += [(first, first + 1, "("), (last, last + 1, ")")]
        for string in group.strings:
            for start, end in string.literals or [(string.start, string.end)]:
                start, end = max(start, first + 1), min(end, last)
                if start < end:
                    self.edits.append((start, end, blank(self._text[start:end])))
            self.edits += [(offset, offset + 1, mark) for offset, mark in string.marks]
            for nested in string.nested:
                self._finish(nested)
        return True


class _String:
    """One string literal: `literals` are its spans outside the fields, `marks` single characters to set."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.newer = False
        self.literals: list[tuple[int, int]] = []
        self.marks: list[tuple[int, str]] = []
        self.nested: list[_Group] = []


class _Group:
    """String literals that the parser joins, because nothing stands between them."""

    def __init__(self, end: int, strings: list[_String] | None = None) -> None:
        self.end = end
        self.strings = strings or []


def _position(text: str, offset: int) -> Position:
    line_start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, len(text[line_start:offset].encode())
