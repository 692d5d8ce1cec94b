"""Texts of operations without the values in them: what the trace file may contain.

Runs in the writer's thread, once for every distinct text that it remembers.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

PROCEDURE = "\0"
"""Stands between a URL and the name of what is called there, see `cleaned`. No URL has it."""
_LONGEST_TEXT = 10_000

_LONGEST_PROCEDURE = 60

_SQL_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<string> [EeNnBbXx]? ' (?: [^'\\] | '' | \\[^'] )* (?: ' | \\' .* ' | \\' .* \Z | \Z ) )
    | (?P<dollar> \$\$ .*? (?: \$\$ | \Z) | \$ (?P<tag> [A-Za-z_]\w* ) \$ .*? (?: \$ (?P=tag) \$ | \Z) )
    | (?P<quoted> " (?: [^"] | "" )* (?: " | \Z) )
    | (?P<name> ` [^`]* ` | \[ [A-Za-z_] \w* \] )
    | (?P<bound> \$\d+ | %\(\w+\)s | %s | (?<![:\w]) :[A-Za-z_]\w* | (?<!\w) @p?\d+ | \?\d* )
    | (?P<number> (?<![\w.]) [-+]? (?: 0[xX][0-9a-fA-F]+ | (?: \d+ (?: \.\d* )? | \.\d+ ) (?: [eE][-+]?\d+ )? ) (?!\w) )
    """,
    re.VERBOSE | re.DOTALL,
)
# Where a double-quoted text is a value (MySQL, SQLite) and not a name: behind these, unless a dot follows.
_BEFORE_VALUE = re.compile(
    r"(?:[=<>|+*/%-]|\b(?:LIKE|ILIKE|THEN|ELSE|BETWEEN|AND|IN\s*\(|VALUES?\b.*[(,]))\s*$", re.IGNORECASE | re.DOTALL
)
_LISTED = re.compile(r"\bIN\s*\([^()]*,\s*$", re.IGNORECASE)
_NAME_IN_QUOTES = re.compile(r'"[\w$. -]+"')

_SPACE = re.compile(r"\s+")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
# A value, perhaps cast (`?::NUMERIC(?, ?)`), or a row of them.
_VALUE = r"\?(?:\s*::\s*\w[\w ]*(?:\(\s*\?(?:\s*,\s*\?)*\s*\))?(?:\[\])?)?"
_ITEM = rf"(?:{_VALUE}|\(\s*{_VALUE}(?:\s*,\s*{_VALUE})*\s*\))"
_IN_LIST = re.compile(rf"\bIN\s*\(\s*({_ITEM})((?:\s*,\s*{_ITEM})*)\s*\)", re.IGNORECASE)
_ITEMS = re.compile(_ITEM)
# Names of savepoints are made up, each a new one.
_SAVEPOINT = re.compile(r"^((?:SAVEPOINT|RELEASE(?: SAVEPOINT)?|ROLLBACK TO(?: SAVEPOINT)?) )\S+$", re.IGNORECASE)
_ROWS = re.compile(r"\bVALUES\s*(\((?:[^()]|\([^()]*\))*\))((?:\s*,\s*\((?:[^()]|\([^()]*\))*\))+)", re.IGNORECASE)
_IDENTIFIER = re.compile(
    r"""(?: \d+ | [0-9a-fA-F]{8}-[0-9a-fA-F-]{27} | (?=[^/]*\d) [\w.=+~-]{16,} | [0-9a-fA-F]{12,}
        | [A-Za-z]{0,4}[-_]?\d[\w.-]* | [A-Za-z]+[-_]\d[\w.-]* | (?=[^/]*[a-z]) (?=[^/]*[A-Z]) [\w-]{24,}
        | .*[@=,%\s].* )""",
    re.VERBOSE,
)
_VERSION = re.compile(r"v\d+(?:\.\d+)?(?:alpha|beta)?\d*")
_PROCEDURE_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$.]*(?:[/:-][A-Za-z_$.]+)*")
_VERB = re.compile(r"[a-z][A-Za-z]{2,23}")


class Statement(NamedTuple):
    """A text that may be written, how many elements it carries (0: one), and whether values were taken out."""

    text: str
    batch: int
    changed: bool


def cleaned(kind: str, text: str) -> Statement:
    """The text of an operation of `kind` as the trace file has it."""
    if kind == "sql":
        return _sql(text)
    if kind == "http":
        return _http(text)
    return Statement(text[:_LONGEST_TEXT], 0, False)


def _sql(text: str) -> Statement:
    changed = False
    was_cut = len(text) > 20 * _LONGEST_TEXT

    def replaced(match: re.Match[str]) -> str:
        nonlocal changed
        kind = match.lastgroup
        if kind == "name" or (kind == "quoted" and _is_name(match)):
            return match[0]
        if kind == "comment":
            return " "
        if kind != "bound":
            changed = True
        sign = match[0][0] if kind == "number" and match[0][0] in "+-" else ""
        # `a -1` is a subtraction; the sign stays so that the text is still SQL.
        return f"{sign}?"

    plain = _SPACE.sub(" ", _SQL_TOKEN.sub(replaced, text[: 20 * _LONGEST_TEXT])).strip()
    batch = 0
    for found in _IN_LIST.finditer(plain):
        batch = max(batch, 1 + len(_ITEMS.findall(found[2])))
    rows = _ROWS.search(plain)
    if rows:
        batch = max(batch, 1 + _top_level_groups(rows[2]))
        plain = plain[: rows.end(1)] + plain[rows.end(2) :]
    plain = _IN_LIST.sub(lambda match: f"{match[0].partition('(')[0]}({match[1]})", plain)
    plain = _SAVEPOINT.sub(r"\1?", plain)
    return Statement(plain[:_LONGEST_TEXT], batch if batch > 1 else 0, changed or was_cut)


def _is_name(match: re.Match[str]) -> bool:
    if not _NAME_IN_QUOTES.fullmatch(match[0]):
        return False
    before = match.string[: match.start()]
    is_value = _BEFORE_VALUE.search(before[-2_000:]) or _LISTED.search(before[-2_000:])
    return not is_value or match.string[match.end() : match.end() + 1] == "."


def _top_level_groups(text: str) -> int:
    depth = groups = 0
    for character in text:
        if character == "(":
            groups += depth == 0
            depth += 1
        elif character == ")":
            depth -= 1
    return groups


def _http(text: str) -> Statement:
    method, _, target = text.partition(" ")
    url, _, procedure = target.partition(PROCEDURE)
    if len(procedure) > _LONGEST_PROCEDURE or not _PROCEDURE_NAME.fullmatch(procedure):
        procedure = ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
        values = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return Statement(method, 0, True)
    path = "/".join(map(_segment, parts.path.split("/")))
    names = Counter(_segment(name) for name, _ in values)
    query = "?" + "&".join(sorted(names)) if names else ""
    origin = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}" if host else ""
    plain = f"{method} {origin}{path}{query}{' ' if procedure else ''}{procedure}"
    lists = [_elements(part) for part in (*parts.path.split("/"), *(value for _, value in values))]
    batch = max(*lists, *names.values(), 0)
    return Statement(plain[:_LONGEST_TEXT], batch if batch > 1 else 0, plain != text)


def _segment(segment: str) -> str:
    """A segment of a path, or the name of a parameter, if it is a word; `{}` if it is a value."""
    head, colon, verb = segment.partition(":")
    if colon:
        return f"{_segment(head)}:{verb if _VERB.fullmatch(verb) else '{}'}"
    if not _IDENTIFIER.fullmatch(segment) or _VERSION.fullmatch(segment):
        return segment
    return "{}"


def _elements(value: str) -> int:
    """How many identifiers a list such as `12,13,14` has; a list of words says which fields are wanted."""
    parts = value.split(",") if "," in value else ()
    return len(parts) if all(map(_IDENTIFIER.fullmatch, parts)) else 0
