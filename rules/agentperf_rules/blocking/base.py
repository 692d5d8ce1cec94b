"""What the rules on blocked event loops share."""

from __future__ import annotations

from typing import ClassVar

from agentperf_rules.base import FixKind, Rule, Shape, callee, is_plain, via
from agentperf_rules.model import Suspect


class BlockingRule(Rule):
    """A call that holds the event loop, written in an async function or reached through helpers.

    `what` names the call in messages; `offloads` is False where a thread would not help, `is_shared` where what is
    called belongs to the thread that made it.
    """

    kind = "blocking"
    what: ClassVar[str]
    offloads: ClassVar[bool] = True
    is_shared: ClassVar[bool] = True

    def describe(self, suspect: Suspect, shape: Shape) -> str:
        where = "async function" if suspect.in_async else "function run by the event loop"
        if suspect.function == "<module>":
            return f"{self.what} {suspect.sink} at module level{via(suspect.chain)}"
        return f"{self.what} {suspect.sink} in {where} {suspect.function}{via(suspect.chain)}"

    def remedy(self, suspect: Suspect, shape: Shape) -> str:
        choices = [part for part in (self.awaitable(suspect), self.offload(suspect)) if part]
        return f"use {' or '.join(choices)}" if choices else "move it out of the async path"

    def fix_for(self, suspect: Suspect) -> FixKind | None:
        call = suspect.chain[0].call if len(suspect.chain) > 1 else suspect.call
        return "offload" if self.offloads and self.is_shared and is_plain(callee(call)) else None

    def awaitable(self, suspect: Suspect) -> str:
        """The awaitable alternative, empty when there is none."""
        return suspect.use

    def offload(self, suspect: Suspect) -> str:
        """How to run the call in a thread, empty where that is no remedy."""
        if not self.offloads or "to_thread" in suspect.use:
            return ""
        call = suspect.chain[0].call if len(suspect.chain) > 1 else suspect.call
        called = callee(call)
        if not is_plain(called):
            return "await asyncio.to_thread(...) around a function that does it"
        # The text of a call is that of what is called: how far the expression goes on tells what stands behind it.
        behind = suspect.end_column - suspect.column - len(called) if suspect.line == suspect.end_line else len(", ...")
        if behind == 0:  # nothing is called: a property is read
            return f"await asyncio.to_thread(lambda: {called})"
        return f"await asyncio.to_thread({called}{'' if behind == len('()') else ', ...'})"
