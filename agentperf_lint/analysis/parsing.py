"""Source bytes to an `ast.Module`, also for files whose syntax is newer than the running interpreter.

The interpreter's own parser reads nearly every file. Where it fails, newer syntax is rewritten *in place*:
each replacement is as long as what it replaces, so lines and columns stay true. Lost are only things that
do not run per call: type parameters and the exact shape of an unparenthesised `except A, B`.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings

from agentperf_lint.analysis.newer_strings import lower_strings, restore_joined_strings
from agentperf_lint.analysis.rewriting import Edit, apply_edits, blank

_FILENAME = "<agentperf-lint source>"
_ENCODING_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]", re.MULTILINE)
_COOKIE_REACH = 400
_MAX_STARS = 20
_BEFORE_STAR = 200
_INTERPRETER: tuple[int, ...] = tuple(sys.version_info[:2])


class UnreadableSource(Exception):  # noqa: N818  (a result, not a failure of the tool)
    """The bytes are not Python that can be analysed: `reason` says why, `line` (1-based) says where."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def parse(source: bytes) -> ast.Module:
    """Return the module's tree; columns are offsets into the UTF-8 line, as the `ast` module defines them.

    Byte order marks, encoding cookies and every kind of line end are handled. Raises `UnreadableSource`
    for anything that is not Python.
    """
    try:
        return _parse(source)
    except (RecursionError, MemoryError):
        raise UnreadableSource("nested too deeply to be parsed", 1) from None
    except SyntaxError as error:
        raise UnreadableSource(error.msg or "invalid syntax", max(error.lineno or 1, 1)) from None
    except ValueError as error:
        raise UnreadableSource(str(error), 1) from None


def _parse(source: bytes) -> ast.Module:
    if b"\0" in source:
        raise UnreadableSource("source contains a null byte", source.count(b"\n", 0, source.index(b"\0")) + 1)
    try:
        return _compile(source)
    except SyntaxError:
        text = _decode(source)
        if text is None:
            raise
        tree = _parse_newer(text)
        if tree is None:
            raise
        return tree


def _compile(source: str | bytes) -> ast.Module:
    _silence_escape_warnings()
    tree = compile(source, _FILENAME, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


_ESCAPE_WARNINGS: tuple[type[Warning], ...] = (DeprecationWarning, SyntaxWarning)
_SILENCED = ("ignore", None, SyntaxWarning, re.compile(re.escape(_FILENAME)), 0)


def _silence_escape_warnings() -> None:
    """Keep invalid escapes in analysed code from being printed, or raised under `-W error`.

    The filters name this module's pseudo file only. They are looked for on every call, because
    `warnings.catch_warnings` in the host process drops them again.
    """
    if _SILENCED in warnings.filters:
        return
    for category in _ESCAPE_WARNINGS:
        warnings.filterwarnings("ignore", category=category, module=re.escape(_FILENAME))


def _decode(source: bytes) -> str | None:
    """The text without its byte order mark, or None where it is not in its declared encoding."""
    encoding = "utf-8-sig"
    try:
        if _ENCODING_COOKIE.search(source, 0, _COOKIE_REACH):
            encoding = tokenize.detect_encoding(io.BytesIO(source).readline)[0]
        return source.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return None


def _parse_newer(text: str) -> ast.Module | None:
    """The tree of `text` with its newer syntax rewritten, or None where it has none.

    Raises `SyntaxError` where the rest is wrong too: its message is truer than the first parser's.
    """
    rewritten = _lower_statements(text)
    if rewritten != text:
        try:
            return _compile(rewritten)
        except SyntaxError:
            pass
    lowered, joined_strings = lower_strings(_lower_subscript_stars(rewritten), _INTERPRETER)
    try:
        tree = _compile_without_stars(lowered)
    except SyntaxError:
        if lowered == text:
            return None
        raise
    restore_joined_strings(tree, joined_strings)
    return tree


_GAP = r"[ \t\f]"
# The leading newline instead of `^` lets the regular expression engine skip from line to line.
_NEWER_STATEMENT = re.compile(
    rf"""\n{_GAP}*(?:
        (?:(?:async{_GAP}+)?def|class){_GAP}+\w+{_GAP}*(?P<parameters>\[)
      | except(?P<star>{_GAP}*\*)?(?P<types>(?!\w)[^\n\r:\#]*)
      | (?P<alias>type{_GAP}+(?!(?:in|is|if|or|and|not|for)\b)(?P<alias_name>\w+){_GAP}*)(?P<alias_next>[\[=])
      | (?P<lazy>lazy{_GAP}+)(?P<importing>import|from)\b
    )""",
    re.VERBOSE,
)
_BRACKET_OR_STRING = re.compile(
    r"""(?P<open>[\[({])|(?P<close>[\])}])|(?P<comma>,)|\#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
)


def _lower_statements(text: str) -> str:
    """Rewrite type parameters, type aliases, `except A, B`, `except*` and lazy imports.

    Lines inside string literals are rewritten too; that costs nothing but the literal's exact value.
    """
    padded = "\n" + text
    edits: list[Edit] = []
    for match in _NEWER_STATEMENT.finditer(padded):
        if match["parameters"] is not None:
            edits += _definition_edits(padded, match.start("parameters"))
        elif match["types"] is not None:
            edits += _handler_edits(match)
        elif match["alias"] is not None:
            edits += _alias_edits(padded, match)
        else:
            edits.append((match.start("lazy"), match.end(), match["importing"] + " " * len(match["lazy"])))
    return apply_edits(padded, edits)[1:] if edits else text


def _definition_edits(text: str, opening: int) -> list[Edit]:
    """`def f[T](x)` becomes `def f(   x)` and `class A[T]:` becomes `class A( ):`."""
    closing = _closing_bracket(text, opening)
    if closing is None or not _needs_lowering(text[opening:closing]):
        return []
    following = closing + 1
    while text[following : following + 1] in (" ", "\t"):
        following += 1
    inside = blank(text[opening + 1 : closing])
    if text[following : following + 1] == "(":
        return [(opening, following + 1, "(" + inside + " " * (following + 1 - closing))]
    return [(opening, closing + 1, "(" + inside + ")")]


def _needs_lowering(parameters: str) -> bool:
    """Type parameters are read from 3.12 on, their defaults from 3.13 on."""
    return _INTERPRETER < (3, 12) or (_INTERPRETER < (3, 13) and "=" in parameters)


def _alias_edits(text: str, match: re.Match[str]) -> list[Edit]:
    """`type X = v` becomes `X      = v`, `type X[T] = v` becomes `(X       ) = v`."""
    start, end = match.span("alias")
    if match["alias_next"] == "=":
        return [(start, end, match["alias_name"].ljust(end - start))] if _INTERPRETER < (3, 12) else []
    closing = _closing_bracket(text, end)
    if closing is None or not _needs_lowering(text[end:closing]):
        return []
    name = ("(" + match["alias_name"]).ljust(end - start)
    return [(start, closing + 1, name + " " + blank(text[end + 1 : closing]) + ")")]


def _handler_edits(match: re.Match[str]) -> list[Edit]:
    edits: list[Edit] = []
    if match["star"] is not None and _INTERPRETER < (3, 11):
        edits.append((*match.span("star"), " " * len(match["star"])))
    bare = _INTERPRETER < (3, 14) and "," in match["types"] and match.string.startswith(":", match.end())
    if bare and _has_outer_comma(match["types"]):
        edits.append((*match.span("types"), _parenthesised(match["types"])))
    return edits


def _parenthesised(types: str) -> str:
    """` A, B` becomes `(A,B)`: the two characters come from blanks, or else the commas become `|`."""
    stripped = types.rstrip()
    if not types[0].isspace():
        return types.replace(",", "|")
    if len(stripped) < len(types):
        return ("(" + stripped[1:] + ")").ljust(len(types))
    head, blank_after_comma, last = types.rpartition(", ")
    if not blank_after_comma:
        return types.replace(",", "|")
    return "(" + head[1:] + "," + last + ")"


def _has_outer_comma(types: str) -> bool:
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(types):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        elif token["comma"] and depth == 0:
            return True
    return False


def _closing_bracket(text: str, opening: int) -> int | None:
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(text, opening):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
            if depth == 0:
                return token.start()
    return None


_SUBSCRIPT_STAR = re.compile(
    r"(?<=[\w\])])\[\s*(?P<first>\*)(?!\*)|,\s*(?P<last>\*)\w[\w.]*\s*,?\s*\]|\*\w+\s*:\s*(?P<annotation>\*)"
)
_OPENERS = ("[", "(", "{", ",", ":")


def _lower_subscript_stars(text: str) -> str:
    """`x[*a]`, `x[a, *b]` and `*args: *Ts` without the star; lists lose theirs too, but no call."""
    if _INTERPRETER >= (3, 11):
        return text
    stars = (match.span(match.lastgroup or 0) for match in _SUBSCRIPT_STAR.finditer(text))
    return apply_edits(text, [(start, end, " ") for start, end in stars])


def _compile_without_stars(text: str, tries: int = _MAX_STARS) -> ast.Module:
    """Compile `text`, blanking one by one the stars that this parser refuses.

    All before 3.15 refuse `[*x for x in y]`.
    """
    try:
        return _compile(text)
    except SyntaxError as error:
        unstarred = _without_star_at(text, error)
        if unstarred is None or not tries:
            raise
    return _compile_without_stars(unstarred, tries - 1)


def _without_star_at(text: str, error: SyntaxError) -> str | None:
    if not error.lineno or not error.offset:
        return None
    offset = 0
    for _ in range(error.lineno - 1):
        offset = text.find("\n", offset) + 1
    offset += error.offset - 1
    if text[offset : offset + 1] != "*" or not text[max(0, offset - _BEFORE_STAR) : offset].rstrip().endswith(_OPENERS):
        return None
    end = offset + 2 if text.startswith("**", offset) else offset + 1
    return text[:offset] + " " * (end - offset) + text[end:]
