"""Which operation, root and place of the code a span of OpenTelemetry is, by the semantic conventions.

Stable and older names of attributes are read alike. Sources: the conventions for database, HTTP, RPC and generative AI
spans and for attributes of source code, versions 1.20 to 1.40.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from agentperf_runtime.recorder import DONE, RAISED
from agentperf_runtime.scopes import RootKind

Attributes = Mapping[str, Any]
SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

OUTERMOST: frozenset[SpanKind] = frozenset({"SERVER", "CONSUMER"})
"""Kinds of spans that begin a unit of work, whatever is around them in the same process."""

_FAILED_STATUS = 400
_KEY_VALUE_STORES = frozenset({"redis", "valkey", "memcached"})
_DOCUMENT_STORES = frozenset({"mongodb", "documentdb", "couchdb", "cosmosdb", "azure.cosmosdb", "dynamodb"})
_MODEL_CALLS = frozenset({"chat", "completion", "embeddings", "generate_content", "response", "text_completion"})
_PARAMETER = "db.query.parameter."


class SpanOperation(NamedTuple):
    """What a span did, as `Operation` has it: the text may still contain values.

    `key` is equal for equal parameters, None where nothing tells them. `status` is that of an HTTP answer, 0 if none.
    """

    kind: str
    text: str
    key: tuple[Any, ...] | None = None
    batch: int = 0
    status: int = 0
    tokens: tuple[int, int, int] | None = None

    def outcome(self, failed: bool) -> int:
        """The outcome of the operation. `failed`: the span has the status of an error."""
        if self.status >= _FAILED_STATUS:
            return self.status
        return RAISED if failed else DONE


class SpanRoot(NamedTuple):
    """What to call a root, and the status with which a request ended (0: unknown)."""

    kind: RootKind
    name: str
    status: int = 0

    def outcome(self, failed: bool) -> str:
        """How the root ended. `failed`: the span has the status of an error."""
        return str(self.status) if self.status else "error" if failed else "ok"


def operation_of(name: str, kind: SpanKind, attributes: Attributes) -> SpanOperation | None:
    """The operation that a span is; None for a span around operations."""
    system = _text(attributes, "db.system.name", "db.system")
    if system:
        return _database(system, name, attributes)
    if any(each.startswith("gen_ai.") for each in attributes):
        return _model_call(attributes)
    if kind == "CLIENT":
        return _request(attributes) or _procedure(attributes)
    return None


def root_of(name: str, kind: SpanKind, attributes: Attributes) -> SpanRoot:
    """What the outermost span of a process is."""
    if kind == "SERVER":
        method = _text(attributes, "http.request.method", "http.method")
        route = _text(attributes, "http.route")
        status = _number(attributes, "http.response.status_code", "http.status_code")
        return SpanRoot("request", f"{method} {route}" if method and route else name, status)
    if _text(attributes, "celery.action", "messaging.celery.task_name") and kind == "CONSUMER":
        return SpanRoot("celery", name)
    if _text(attributes, "gen_ai.operation.name") == "invoke_agent":
        return SpanRoot("agent", name)
    return SpanRoot("task", name)


def place_of(attributes: Attributes) -> tuple[str, int, str] | None:
    """Path, line and qualified function that a span was started from, where it says so."""
    path = _text(attributes, "code.file.path", "code.filepath")
    line = _number(attributes, "code.line.number", "code.lineno")
    function = _text(attributes, "code.function.name", "code.function")
    return (path, line, function or "<module>") if path and line > 0 else None


def _database(system: str, name: str, attributes: Attributes) -> SpanOperation | None:
    text = _text(attributes, "db.query.text", "db.statement")
    done = _text(attributes, "db.operation.name", "db.operation")
    target = _text(
        attributes, "db.collection.name", "db.mongodb.collection", "db.sql.table", "db.cassandra.table", "db.redis.key"
    )
    if not (text or done):
        return None  # a connection is made, or a pool is asked for one
    batch = _number(attributes, "db.operation.batch.size", "db.redis.pipeline_length")
    key = _key(attributes)
    if system in _KEY_VALUE_STORES:
        return _commands(text or done, batch, key)
    if system in _DOCUMENT_STORES:
        return SpanOperation("mongo", f"{done or name} {target}".strip(), key, batch)
    return SpanOperation("sql", text or f"{done} {target}".strip(), key, batch)


def _commands(text: str, batch: int, key: tuple[Any, ...] | None) -> SpanOperation:
    """Commands of a key-value store: one, or those of a pipeline, one a line."""
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    names = [line[0].upper() for line in lines]
    if max(batch, len(names)) > 1 or names[:1] == ["PIPELINE"]:
        named = " ".join(sorted({each for each in names if each != "PIPELINE"}))
        return SpanOperation("redis", f"PIPELINE {named}".strip(), key, max(batch, len(names)))
    # Values are most often replaced by question marks, which tell nothing.
    arguments = lines[0][1] if lines and len(lines[0]) > 1 else ""
    if key is None and arguments and not set(arguments) <= {"?", " "}:
        key = (arguments,)
    return SpanOperation("redis", names[0] if names else "", key)


def _model_call(attributes: Attributes) -> SpanOperation | None:
    done = _text(attributes, "gen_ai.operation.name")
    model = _text(attributes, "gen_ai.request.model", "gen_ai.response.model")
    if (done and done.lower() not in _MODEL_CALLS) or not model:
        return None  # an agent's run, or a tool's
    tokens = (
        _number(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        _number(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        0,
    )
    return SpanOperation("llm", f"{done or 'chat'} {model}", tokens=tokens)


def _request(attributes: Attributes) -> SpanOperation | None:
    method = _text(attributes, "http.request.method", "http.method")
    if not method:
        return None
    url = _text(attributes, "url.full", "http.url")
    if not url:
        host = _text(attributes, "server.address", "net.peer.name", "http.host")
        url = f"{_text(attributes, 'url.scheme', 'http.scheme') or 'http'}://{host}{_text(attributes, 'http.target')}"
    status = _number(attributes, "http.response.status_code", "http.status_code")
    return SpanOperation("http", f"{method.upper()} {url}", (url,), status=status)


def _procedure(attributes: Attributes) -> SpanOperation | None:
    method = _text(attributes, "rpc.method")
    if not method:
        return None
    service = _text(attributes, "rpc.service")
    return SpanOperation("rpc", f"{service}/{method}" if service else method)


def _key(attributes: Attributes) -> tuple[Any, ...] | None:
    given = [(name, str(value)) for name, value in attributes.items() if name.startswith(_PARAMETER)]
    return tuple(sorted(given)) or None


def _text(attributes: Attributes, *names: str) -> str:
    for name in names:
        value = attributes.get(name)
        if value:
            return str(value)
    return ""


def _number(attributes: Attributes, *names: str) -> int:
    for name in names:
        value = attributes.get(name)
        if value is not None:
            try:
                return int(value)
            except (TypeError, ValueError):
                return 0
    return 0
