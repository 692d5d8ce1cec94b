"""What the rules on calls repeated by a loop share."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import msgspec

from agentperf_rules.base import Rule, Shape, at_most, callee, via
from agentperf_rules.codes import code_for
from agentperf_rules.model import Finding, Suspect


class LoopRule(Rule):
    """A call that costs one round trip per element of a loop.

    `what` names the call in messages, `batch` is the advice where the catalogue has none.
    """

    kind = "loop"
    needs = "loop"
    what: ClassVar[str]
    batch: ClassVar[str]

    def check(self, suspect: Suspect, shape: Shape) -> Finding | None:
        if shape.node is None:
            return None if _needs_shape(suspect) else self.finding(suspect, shape, suspect.confidence)
        from agentperf_rules.shapes import (
            loop_verdict,  # LibCST is loaded for suspects only
        )

        verdict = loop_verdict(suspect, shape)
        if verdict.limit is None:
            return None
        if verdict.fan_out and self.code != code_for(suspect.sink_kind, "fan-out"):
            from agentperf_rules.loops.apl208_fan_out import FanOutPerElement

            return FanOutPerElement().check(suspect, shape)
        rule: LoopRule = self
        if self._runs_a_write(suspect, shape):
            from agentperf_rules.loops.apl207_insert import InsertInLoop

            rule, suspect = InsertInLoop(), msgspec.structs.replace(suspect, use="")  # which is for reading
        return rule.finding(suspect, replace(shape, loop=verdict.loop), at_most(suspect.confidence, verdict.limit))

    def _runs_a_write(self, suspect: Suspect, shape: Shape) -> bool:
        """Whether the statement that is run here writes, which another rule is on."""
        write = code_for(suspect.sink_kind, "loop", write=True)
        if len(suspect.chain) > 1 or write in (self.code, code_for(suspect.sink_kind, "loop")):
            return False
        from agentperf_rules.writes import is_write

        return is_write(shape)

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        where = f"in {suspect.function}{via(suspect.chain)}"
        return f"{self.what} {self.shown(suspect)} {self.repetition(suspect, shape)} {where}"

    def shown(self, suspect: Suspect) -> str:
        """The repeated call: as written where it is direct, by its canonical name behind helpers."""
        return callee(suspect.call) if len(suspect.chain) == 1 else suspect.sink

    def repetition(self, suspect: Suspect, shape: Shape) -> str:
        """What repeats the call: the loop that hands out the elements, and its line."""
        kind, line = _loop_shown(suspect, shape)
        if kind == "comprehension":
            return f"once per element of the comprehension at line {line}"
        if kind == "map":
            return f"once per element mapped at line {line}"
        return f"once per element of the {kind} loop at line {line}"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        return f"use {suspect.use}" if suspect.use else self.batch


def _needs_shape(suspect: Suspect) -> bool:
    """A `while` is mostly a poll or a pager, and without a loop there is nothing to tell an element by."""
    return suspect.loop is None or suspect.loop.kind == "while"


def _loop_shown(suspect: Suspect, shape: Shape) -> tuple[str, int]:
    if shape.loop is not None:
        return shape.loop.kind, shape.line_of(shape.loop.node) or shape.place.line
    if suspect.loop is None:
        return "for", shape.place.line
    return suspect.loop.kind, suspect.loop.line
