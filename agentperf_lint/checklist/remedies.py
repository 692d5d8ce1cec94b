"""What to do instead of asking once per element, in the words of the library that asks."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from agentperf_lint.checklist.sources import Sources
from agentperf_lint.checklist.trace import Frame

_ORMS = {
    "sqlalchemy": "sqlalchemy",
    "flask_sqlalchemy": "sqlalchemy",
    "sqlmodel": "sqlmodel",
    "django": "django",
    "rest_framework": "django",
    "tortoise": "tortoise",
    "peewee": "peewee",
    "playhouse": "peewee",
    "pony": "pony",
    "ormar": "ormar",
}


def n_plus_one_remedy(
    kind: str, statement: str, relation: str, library: str, orm: str, *, is_write: bool, together: bool
) -> str:
    """The remedy for an N+1 cluster. `relation` is `Model.attribute`, `library` as in the trace, both may be empty."""
    if kind == "sql":
        if relation and not orm and " AS " in statement:
            orm = "sqlalchemy"  # which gives every column a name of its own
        return _sql(relation, _orm_of(library) or orm, is_write)
    if kind == "redis":
        return _redis(statement)
    if kind == "mongo":
        return "use insert_many or bulk_write" if is_write else 'fetch all of them with one find({"_id": {"$in": ids}})'
    if kind == "http":
        if together:
            return "use an endpoint that takes many ids; until there is one, limit how many requests run at a time"
        return "use an endpoint that takes many ids, or start the requests together under a limit (asyncio.Semaphore)"
    if kind == "llm":
        if statement.startswith("embeddings"):
            return "pass them all in one call: input takes a list"
        return "put several elements into one prompt, or start the calls together under a limit (asyncio.Semaphore)"
    return "ask once for all elements before the loop"


def _sql(relation: str, orm: str, is_write: bool) -> str:
    if is_write:
        if orm == "django":
            return "use bulk_create() or bulk_update()"
        if orm in {"sqlalchemy", "sqlmodel"}:
            return "pass all rows to one execute(insert(...), rows), or session.add_all()"
        return "use executemany() or one statement with many rows"
    if relation:
        attribute = relation.rpartition(".")[2]
        if orm == "django":
            if attribute.endswith("_set"):  # a key from the other side, which select_related() does not follow
                return f'load them with the rows: prefetch_related("{attribute}"), or annotate() what is counted'
            return f'load it with the rows: select_related("{attribute}"), or prefetch_related("{attribute}") for many'
        if orm == "tortoise":
            return f'load it with the rows: prefetch_related("{attribute}")'
        if orm == "peewee":
            return f"load {relation} with the rows: prefetch(), or a join"
        if orm in {"sqlalchemy", "sqlmodel"}:
            return f"load it with the rows: options(selectinload({relation}))"
        return f"load {relation} with the rows: where they are selected, ask for the relation as well"
    if orm == "django":
        return "use one query with __in, or select_related() / prefetch_related() on the first one"
    if orm == "tortoise":
        return "use one query with __in, or prefetch_related() on the first one"
    if orm in {"sqlalchemy", "sqlmodel"}:
        return "use one query with .in_(ids), or selectinload() on the first one"
    return "fetch all of them with one query (IN, = ANY, a join), or batch the lookups with a DataLoader"


def _redis(statement: str) -> str:
    command = statement.split(None, 1)[0].upper() if statement.strip() else ""
    if command == "GET":
        return "use mget(keys)"
    if command == "SET":
        return "use mset(mapping), or a pipeline"
    if command in {"HGET", "HSET"}:
        return "use hmget() or one hset(mapping=...) for fields of one hash, else a pipeline"
    return "send the commands in one pipeline"


def duplicate_remedy(kind: str) -> str:
    """The remedy for the same question asked again."""
    if kind == "llm":
        return "ask once and keep the answer, or cache by prompt"
    return "ask once and pass the result on, or cache it for the request"


def orm_of(sources: Sources, frames: Sequence[Frame]) -> str:
    """The ORM that the files of `frames` import, nearest first; empty when there is none."""
    for path, _, _ in frames:
        code = sources.code(path)
        if code is None or code.tree is None:
            continue
        for name in _imported(code.tree):
            if name in _ORMS:
                return _ORMS[name]
    return ""


def _orm_of(library: str) -> str:
    package = library.partition(".")[0].partition(" ")[0]
    return _ORMS.get(package, "")


def _imported(tree: ast.Module) -> list[str]:
    """The packages that a module imports, at any depth of nesting."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module.partition(".")[0])
    return names
