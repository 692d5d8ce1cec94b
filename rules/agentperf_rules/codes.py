"""Which rule answers for which sink: the only place that knows."""

from __future__ import annotations

from typing import Literal

Family = Literal["blocking", "loop", "fan-out"]

_BLOCKING = {
    "sleep": "APL101",
    "http": "APL102",
    "file": "APL103",
    "path": "APL104",
    "subprocess": "APL105",
    "database": "APL106",
    "orm": "APL107",
    "cache": "APL108",
    "cloud": "APL109",
    "llm": "APL110",
    "socket": "APL111",
    "input": "APL112",
    "sync": "APL113",
    "cpu": "APL114",
    "client": "APL115",
    "import": "APL116",
}
_LOOP = {
    "database": "APL201",
    "orm": "APL202",
    "relation": "APL203",
    "http": "APL204",
    "llm": "APL205",
    "cache": "APL206",
    "cloud": "APL209",
}
_QUERIES = frozenset({"database", "orm", "relation", "cache"})
_INSERT_IN_LOOP = "APL207"
_FAN_OUT = "APL208"


def code_for(sink_kind: str, family: Family, write: bool = False) -> str | None:
    """The code of the rule for a sink of `sink_kind`, or None when no rule of `family` covers that kind.

    `write` is the catalogue's mark on inserts, updates and deletes. `fan-out` is one call per element
    started together (`gather`, `TaskGroup`): right for HTTP, one pooled connection per element for queries.
    """
    if family == "blocking":
        return _BLOCKING.get(sink_kind)
    if family == "fan-out":
        return _FAN_OUT if sink_kind in _QUERIES else None
    if write and sink_kind in {"database", "orm"}:
        return _INSERT_IN_LOOP
    return _LOOP.get(sink_kind)
