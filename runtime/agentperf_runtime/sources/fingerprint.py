"""Hashes of what a call carries, as deep as it is: bodies, messages, filters. The recorder keeps them with salt."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

_DEEPEST = 32
_MOST_VALUES = 20_000
_WHOLE = 1 << 20
_PIECE = 1 << 16
_LONGEST_PARSED = 1 << 14
_LEAST_ELEMENTS = 10


class Fingerprint(NamedTuple):
    """A hash, and the length of the longest list of separate things (numbers with a fraction are one vector)."""

    value: int
    longest: int


class _Walk:
    """Goes through one value, and gives up counting where there is very much of it."""

    def __init__(self, without: frozenset[str]) -> None:
        self.without = without
        self.left = _MOST_VALUES
        self.longest = 0

    def hash_of(self, value: Any, depth: int = 0) -> int:
        self.left -= 1
        if value is None or isinstance(value, (str, int, float)):
            return hash(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return hash(_excerpt(value))
        if depth >= _DEEPEST or self.left <= 0:
            return hash(type(value).__qualname__)
        if isinstance(value, dict):
            parts = [(key, self.hash_of(part, depth + 1)) for key, part in value.items() if key not in self.without]
            return hash(frozenset(parts))
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._hash_of_list(value, depth)
        return self._hash_of_object(value, depth)

    def _hash_of_list(self, value: Any, depth: int) -> int:
        hashes = []
        first: Any = None
        for part in value:
            if self.left <= 0:
                break
            first = part if first is None else first
            hashes.append(self.hash_of(part, depth + 1))
        if not isinstance(first, float):
            self.longest = max(self.longest, len(value))
        return hash((len(value), frozenset(hashes) if isinstance(value, (set, frozenset)) else tuple(hashes)))

    def _hash_of_object(self, value: Any, depth: int) -> int:
        hasher: Any = type(value).__hash__
        if hasher is not None and hasher is not object.__hash__:
            return hash(value)
        # Models and dataclasses are what their fields are. Others are taken to be what they are: open files, streams.
        fields = getattr(value, "__dict__", None)
        if hasattr(value, "model_dump") or hasattr(value, "__dataclass_fields__"):
            return self.hash_of(fields, depth + 1)
        return hash(type(value).__qualname__)


def fingerprint(value: Any, without: frozenset[str] = frozenset()) -> Fingerprint:
    """The fingerprint of `value`; keys of dictionaries that are in `without` do not count."""
    walk = _Walk(without)
    hashed = walk.hash_of(value)
    return Fingerprint(hashed, walk.longest)


def of_body(body: Any) -> Fingerprint:
    """The fingerprint of a request's body. A short one that is JSON is read for the lists in it."""
    if isinstance(body, str):
        longest = _longest_of(body, ",", "[")
    elif isinstance(body, (bytes, bytearray)):
        longest = _longest_of(body, b",", b"[")
    else:
        return fingerprint(body)
    return Fingerprint(fingerprint(body).value, longest)


def _longest_of(body: Any, comma: str | bytes, bracket: str | bytes) -> int:
    # The length comes first: to look through a long body takes longer than to send it.
    if len(body) > _LONGEST_PARSED or bracket not in body or body.count(comma) < _LEAST_ELEMENTS - 1:
        return 0
    content = _parsed(body)
    return fingerprint(content).longest if content is not None else 0


def procedure_of(body: Any) -> str:
    """The method that a JSON-RPC request calls, or the operation of a GraphQL one: one URL serves all of them."""
    if isinstance(body, (bytes, bytearray)):
        is_call = len(body) <= _LONGEST_PARSED and (b'"jsonrpc"' in body or b'"operationName"' in body)
    elif isinstance(body, str):
        is_call = len(body) <= _LONGEST_PARSED and ('"jsonrpc"' in body or '"operationName"' in body)
    else:
        is_call = False
    content = body if isinstance(body, dict) else _parsed(body) if is_call else None
    if not isinstance(content, dict):
        return ""
    name = content.get("method") if "jsonrpc" in content else content.get("operationName")
    return name if isinstance(name, str) else ""


def _parsed(body: Any) -> Any:
    """What JSON there is in a body, None for any other."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def _excerpt(value: Any) -> Any:
    """All of a short body; of a long one enough to tell it from others without reading it all."""
    if len(value) <= _WHOLE:
        return bytes(value)
    return len(value), bytes(value[:_PIECE]), bytes(value[-_PIECE:])
