"""What the statement of an operation does: its fingerprint, what it reads and writes, and whether it counts at all.

SQL is normalised by regular expressions; sqlglot then reads the statements that occur often, about a millisecond each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

Effect = Literal["read", "write", "ignored", "waits"]

# Kinds that are no round trips: they are judged as stalls and bottlenecks only.
LOCAL_KINDS = frozenset({"file", "subprocess", "sleep"})

_MOST_PARSED = 500  # statements


class Meaning(msgspec.Struct, frozen=True):
    """What a statement does.

    `resources` are the tables, collections or hosts that it reads or else writes, empty when unknown. A *volatile*
    read answers differently each time. A *ping* asks for nothing. `has_parameters` tells whether the text has places
    for them.
    """

    fingerprint: str
    effect: Effect
    resources: frozenset[str] = frozenset()
    is_volatile: bool = False
    is_ping: bool = False
    has_parameters: bool = True


_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_QUOTED = re.compile(r'"([^"]+)"|`([^`]+)`|\[([A-Za-z_]\w*)\]')
_STRING = re.compile(r"'(?:[^']|'')*'")
_PLACEHOLDER = re.compile(r"\$\d+|%s|%\(\w+\)s|(?<![:\w]):[A-Za-z_]\w*|\?\d*|(?<!@)@[A-Za-z_]\w*")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?\b")
_LIST = re.compile(r"([(\[])\s*\?(?:\s*,\s*\?)+\s*([)\]])")
_ROWS = re.compile(r"(\((?:[^()]|\([^()]*\))*\))(?:\s*,\s*\1)+")
_SPACE = re.compile(r"\s+")
_PADDING = re.compile(r"\s*([(),;=])\s*")

_IGNORED = re.compile(
    r"(begin|start transaction|commit|rollback|savepoint|release|pragma|set|reset|discard|show|create|alter|drop|"
    r"truncate|vacuum|analyze|explain|deallocate|listen|unlisten|lock|attach|detach|use|grant|revoke|comment|copy|"
    r"declare|fetch|close|move|checkpoint|reindex|prepare|end|describe|refresh|abort|connect|ping)\b"
    # What Django asks of SQLite for its log of queries, where DEBUG is on.
    r"|select quote\(\?\)(?:, ?quote\(\?\))*$"
)
_WRITES = re.compile(
    r"\b(?:insert (?:or \w+ |ignore )?into|replace into|(?<!for )(?<!do )(?<!key )update|delete from|merge into) "
    r"(?:only )?([\w.]+)"
)
# Tables in which tools note which versions of a schema are there: they have to ask and to tell one by one.
_VERSIONS = re.compile(
    r"(?:\w*_)?(?:migrations?|migration_history|schema_versions?|schema_history)|alembic_version|aerich|"
    r"databasechangelog(?:lock)?"
)
_TABLES = re.compile(r"\b(?:from|join) (?:only )?([a-z_][\w.]*)")
_READ = re.compile(r"\(*(select|with|values|table)\b")
_VOLATILE = re.compile(
    r"\b(nextval|currval|lastval|random|rand|gen_random_uuid|uuid_generate_v\d|clock_timestamp|last_insert_\w+|"
    r"changes|get_lock|pg_\w*advisory\w*|newid|uuid)\(|\bfor (no key )?(update|share)\b|\bskip locked\b"
)
_PING = re.compile(r"select( \?)?( from dual)?;?")

_REDIS_READS = frozenset(
    """GET MGET GETRANGE STRLEN EXISTS TTL PTTL TYPE KEYS HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN
    SMEMBERS SISMEMBER SMISMEMBER SCARD SRANDMEMBER SINTER SUNION SDIFF ZRANGE ZRANGEBYSCORE ZREVRANGE
    ZREVRANGEBYSCORE ZSCORE ZMSCORE ZCARD ZRANK ZREVRANK ZCOUNT ZLEXCOUNT LRANGE LLEN LINDEX LPOS GETBIT BITCOUNT
    BITPOS PFCOUNT XLEN XRANGE XREVRANGE GEOPOS GEODIST GEOSEARCH GEOHASH OBJECT MEMORY DUMP EVAL_RO JSON.GET
    JSON.MGET FT.SEARCH FT.AGGREGATE TS.GET TS.RANGE BF.EXISTS CF.EXISTS""".split()
)
_REDIS_IGNORED = frozenset(
    """PING AUTH HELLO SELECT CLIENT INFO COMMAND CONFIG MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE
    SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE QUIT READONLY READWRITE CLUSTER SCRIPT SCAN SSCAN HSCAN ZSCAN
    ROLE ECHO SENTINEL""".split()
)
_REDIS_WAITS = frozenset(
    """BLPOP BRPOP BLMOVE BRPOPLPUSH BZPOPMIN BZPOPMAX BLMPOP BZMPOP XREAD XREADGROUP WAIT WAITAOF""".split()
)
_MONGO_READS = ("find", "aggregate", "count", "distinct", "estimated")
_MONGO_IGNORED = frozenset(
    """getmore killcursors ping hello ismaster buildinfo listcollections listindexes createindexes create drop
    endsessions committransaction aborttransaction saslstart saslcontinue""".split()
)


def meanings_of(statements: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Meaning]:
    """The meaning of each (kind, text). The first ones, which should be those that occur most, are read by sqlglot."""
    found: dict[tuple[str, str], Meaning] = {}
    parsed: set[str] = set()
    for kind, text in statements:
        if kind != "sql":
            found[kind, text] = _meaning(kind, text)
            continue
        normal = normalised_sql(text)
        if normal not in parsed and len(parsed) < _MOST_PARSED:
            parsed.add(normal)
        found[kind, text] = _sql(normal, normal in parsed)
    return found


@lru_cache(maxsize=4096)
def meaning_of(kind: str, text: str) -> Meaning:
    """The meaning of one statement."""
    return meanings_of([(kind, text)])[kind, text]


def _meaning(kind: str, text: str) -> Meaning:
    if kind == "redis":
        return _redis(text)
    if kind == "mongo":
        return _mongo(text)
    if kind == "http":
        return _http(text)
    return Meaning(text, "ignored" if kind in LOCAL_KINDS else "read")


def asks_for_work(kind: str, text: str) -> bool:
    """Whether an operation takes what others have put somewhere, and waits for it: recorded as a sleep."""
    return kind in {"redis", "sleep"} and text.partition(" ")[0].upper() in _REDIS_WAITS


def normalised_sql(text: str) -> str:
    """`text` in lower case without comments, quotes and literals; every list of placeholders has one element."""
    text = _COMMENT.sub(" ", text)
    text = _STRING.sub("?", text)
    text = _QUOTED.sub(lambda match: next(name for name in match.groups() if name), text)
    text = _PLACEHOLDER.sub("?", text)
    text = _NUMBER.sub("?", text)
    text = _SPACE.sub(" ", text.lower())
    text = _PADDING.sub(r"\1", text).strip(" ;")
    text = _LIST.sub(r"\1?\2", text)
    return _ROWS.sub(r"\1", text)


@lru_cache(maxsize=4096)
def _sql(normal: str, with_parser: bool) -> Meaning:
    if _IGNORED.match(normal):
        return Meaning(normal, "ignored")
    targets = frozenset(name.rpartition(".")[2] for name in _WRITES.findall(normal))
    reads = _READ.match(normal) is not None and not targets
    parsed = _parsed(normal) if with_parser else None
    fingerprint, tables = parsed or (normal, _named_tables(normal))
    concerned = tables if reads else targets
    if concerned and all(_VERSIONS.fullmatch(table) for table in concerned):
        return Meaning(fingerprint, "ignored")
    return Meaning(
        fingerprint,
        "read" if reads else "write",
        concerned,
        is_volatile=_VOLATILE.search(normal) is not None,
        is_ping=_PING.fullmatch(normal) is not None,
        has_parameters="?" in normal,
    )


def _named_tables(normal: str) -> frozenset[str]:
    return frozenset(name.rpartition(".")[2] for name in _TABLES.findall(normal))


def _parsed(normal: str) -> tuple[str, frozenset[str]] | None:
    """The canonical text and the tables of a statement; None when sqlglot does not understand it."""
    import logging

    import sqlglot
    from sqlglot import expressions

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    try:
        tree = sqlglot.parse_one(normal.replace("?", ":p"))
        canonical = tree.sql(normalize=True, comments=False).replace(":p", "?")
        common = {each.alias for each in tree.find_all(expressions.CTE)}
        tables = frozenset(table.name.lower() for table in tree.find_all(expressions.Table)) - common
    except Exception:  # a parser of every dialect there is fails in many ways, none of which is worth a report
        return None
    return canonical, tables - {""}


def _redis(text: str) -> Meaning:
    command = text.split(None, 1)[0].upper() if text.strip() else ""
    if command in _REDIS_IGNORED:
        return Meaning(text, "ignored")
    if command in _REDIS_WAITS:
        return Meaning(text, "waits")
    return Meaning(text, "read" if command in _REDIS_READS else "write")


def _mongo(text: str) -> Meaning:
    words = re.findall(r"\w+", text)
    operations = [word.lower().replace("_", "") for word in words]
    if any(word in _MONGO_IGNORED for word in operations):
        return Meaning(text, "ignored")
    reads = any(word.startswith(_MONGO_READS) and "and" not in word for word in operations)
    return Meaning(text, "read" if reads else "write", frozenset(operations))


def _http(text: str) -> Meaning:
    method, _, url = text.partition(" ")
    host = re.sub(r"^(\w+://[^/]*).*", r"\1", url)
    if method.upper() not in {"GET", "HEAD", "OPTIONS"}:
        return Meaning(text, "write", frozenset({host}))
    return Meaning(text, "read", frozenset({host}), has_parameters="{}" in url or "?" in url)
