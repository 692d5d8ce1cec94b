"""The values that pass between the project stage, the rules and the renderers.

The project stage produces `Suspect` values, a rule turns a suspect into a `Finding` or drops it,
and every renderer reads findings only.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["low", "medium", "high"]
Confidence = Literal["possible", "likely", "definite"]
LoopKind = Literal["for", "async for", "while", "comprehension"]

SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
CONFIDENCES: tuple[Confidence, ...] = ("possible", "likely", "definite")


class Step(msgspec.Struct, frozen=True):
    """One hop of a chain: `function` at `path`:`line` (1-based) runs `call`, as written in the source."""

    path: str
    line: int
    function: str
    call: str


class Loop(msgspec.Struct, frozen=True):
    """The innermost loop around a suspect; `line` to `end_line` are 1-based and inclusive."""

    kind: LoopKind
    line: int
    end_line: int


class Suspect(msgspec.Struct, frozen=True):
    """A place that the project stage marked, for the rule `code` to confirm.

    `line`/`column`/`end_line`/`end_column` bound the expression that costs (a call, an attribute
    read, the context manager of a `with`, the iterable of a `for`). Lines are 1-based, columns are 0-based
    offsets into the UTF-8 line, as in the `ast` module. `first_line`/`last_line` bound the enclosing
    function, decorators included; both are 0 at module level. `sink` is the canonical dotted name
    at the end of `chain`, `sink_kind` its kind in the catalogue, `use` the alternative that the catalogue names.
    `chain` holds the steps from the reported function down to the sink, at least one.
    """

    code: str
    path: str
    function: str
    first_line: int
    last_line: int
    line: int
    column: int
    end_line: int
    end_column: int
    call: str
    sink: str
    sink_kind: str
    severity: Severity
    confidence: Confidence
    use: str
    chain: tuple[Step, ...]
    loop: Loop | None = None
    in_async: bool = False
    awaited: bool = False


class Edit(msgspec.Struct, frozen=True):
    """`content` in place of the text between two places; lines and columns are 1-based, columns count characters."""

    line: int
    column: int
    end_line: int
    end_column: int
    content: str


class Fix(msgspec.Struct, frozen=True):
    """What to change so that a finding is mended, in an imperative and as edits in the order of their places.

    A `safe` one keeps what the code means. `module` is to be imported under its own name, "" for none.
    """

    message: str
    safe: bool
    edits: tuple[Edit, ...]
    module: str = ""


class Finding(msgspec.Struct, frozen=True):
    """What a user reads. `line` and `column` are 1-based, columns count characters.

    `path` is relative to the working directory where it lies below it. `function` is a qualified
    name (`Service.fetch`, `<module>` at module level). `chain` has the steps from the async function
    or loop down to the sink. `statement_line`/`statement_end_line` bound the statement, for `# noqa`.
    `fix` is what `check --fix` would do, None where it cannot do anything.
    """

    code: str
    name: str
    kind: str
    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str
    severity: Severity
    confidence: Confidence
    message: str
    remedy: str
    chain: tuple[Step, ...] = ()
    sink: str = ""
    sink_kind: str = ""
    statement_line: int = 0
    statement_end_line: int = 0
    fix: Fix | None = None
