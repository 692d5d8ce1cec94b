"""What every rule shares: the base class, the place of a finding, and the shape that a rule judges.

LibCST is imported only by the functions that read a shape, so that listing rules costs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from agentperf_rules.model import (
    CONFIDENCES,
    Confidence,
    Finding,
    Severity,
    Step,
    Suspect,
)

if TYPE_CHECKING:
    import libcst as cst

    from agentperf_rules.shapes import RepeatingLoop

Needs = Literal["place", "statement", "path", "loop", "function"]
FixKind = Literal["sleep", "await", "offload", "function"]

_SHOWN_HOPS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is shown. Lines and columns are 1-based, columns count characters."""

    line: int
    column: int
    end_line: int
    end_column: int
    statement_line: int
    statement_end_line: int


@dataclass(frozen=True, slots=True)
class Shape:
    """The syntax around a suspect, as far as its rule asked for it with `Rule.needs`.

    `node` is the suspect's expression and `ancestors` what encloses it, innermost first, up to the module;
    `function` is the enclosing function's definition, `line_of` gives the source line of any loop among
    the ancestors, and `loop` is the one that a loop rule found to repeat the call. Without a tree (the rule
    needs none, or LibCST could not read the text) `node` is None.
    """

    place: Place
    node: cst.CSTNode | None = None
    ancestors: tuple[cst.CSTNode, ...] = ()
    function: cst.FunctionDef | None = None
    loop_lines: tuple[tuple[cst.CSTNode, int], ...] = ()
    loop: RepeatingLoop | None = None

    def line_of(self, loop: cst.CSTNode) -> int | None:
        """The 1-based line on which `loop` starts."""
        return next((line for node, line in self.loop_lines if node is loop), None)


class Rule:
    """One rule: what it is called, how it is documented and tried, and when a suspect becomes a finding.

    `needs` says how much syntax `judge` reads at most: nothing beyond the place; the statement; the path
    of statements around it; the loops around it, with what encloses them and the simple statements beside them; or
    the whole function.
    In `invalid` examples the comment `# expect` marks each line that must be reported.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    kind: ClassVar[Literal["blocking", "loop", "hygiene", "run"]]
    severity: ClassVar[Severity]
    needs: ClassVar[Needs] = "place"
    valid: ClassVar[tuple[str, ...]] = ()
    invalid: ClassVar[tuple[str, ...]] = ()

    def check(self, suspect: Suspect, shape: Shape) -> Finding | None:
        """The finding for `suspect`, or None when its shape is innocent."""
        confidence = self.judge(suspect, shape)
        if confidence is None:
            return None
        return self.finding(suspect, shape, confidence)

    def reads(self, suspect: Suspect) -> Needs:
        """How much syntax it takes to judge this suspect; less is faster."""
        return self.needs

    def fix_for(self, suspect: Suspect) -> FixKind | None:
        """What could be done about the suspect by an edit: sleep without blocking, await what it returns, run it in a
        thread, or hand over the function instead of its result. None: nothing.
        """
        return None

    def judge(self, suspect: Suspect, shape: Shape) -> Confidence | None:
        """How sure the finding is, given its shape; None drops it."""
        return suspect.confidence

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        """The part of the message that says what happens where."""
        raise NotImplementedError

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        """What to do instead, as an imperative."""
        raise NotImplementedError

    def finding(self, suspect: Suspect, shape: Shape, confidence: Confidence) -> Finding:
        """Builds the finding from what the rule says about the suspect."""
        remedy = self.remedy(suspect, shape)
        place = shape.place
        return Finding(
            code=self.code,
            name=self.name,
            kind=self.kind,
            path=suspect.path,
            line=place.line,
            column=place.column,
            end_line=place.end_line,
            end_column=place.end_column,
            function=suspect.function,
            severity=suspect.severity,
            confidence=confidence,
            message=f"{self.describe(suspect, shape)}: {remedy}",
            remedy=remedy,
            chain=suspect.chain,
            sink=suspect.sink,
            sink_kind=suspect.sink_kind,
            statement_line=place.statement_line,
            statement_end_line=place.statement_end_line,
        )


def at_most(confidence: Confidence, limit: Confidence) -> Confidence:
    """The weaker of two confidences."""
    return CONFIDENCES[min(CONFIDENCES.index(confidence), CONFIDENCES.index(limit))]


def one_step_lower(confidence: Confidence) -> Confidence:
    """The next weaker confidence; `possible` stays."""
    return CONFIDENCES[max(0, CONFIDENCES.index(confidence) - 1)]


def callee(call: str) -> str:
    """The called expression of `call` as written: `self.store.load` for `self.store.load(key)`."""
    text = " ".join(call.removeprefix("await ").split())
    if not text.endswith(")"):
        return text
    depth = 0
    for index in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[index], 0)
        if depth == 0:
            return text[:index] or text
    return text


def is_plain(expression: str) -> bool:
    """Whether `expression` is a dotted name that can be handed over as a function."""
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", expression) is not None


def via(chain: tuple[Step, ...]) -> str:
    """`, via load() -> Store.get() at app/util.py:12` for a chain through helpers, empty for a direct call.

    The last one is where the sink is, of all the methods that may be meant: it is named with its class.
    """
    helpers = chain[1:]
    if not helpers:
        return ""
    names = [f"{step.function.rpartition('.')[2]}()" for step in helpers[:-1]]
    names.append(f"{'.'.join(helpers[-1].function.split('.')[-2:])}()")
    if len(names) > _SHOWN_HOPS:
        names = [*names[: _SHOWN_HOPS - 1], "...", names[-1]]
    return f", via {' -> '.join(names)} at {helpers[-1].path}:{helpers[-1].line}"


def article(noun: str) -> str:
    """`noun` with its indefinite article."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"
