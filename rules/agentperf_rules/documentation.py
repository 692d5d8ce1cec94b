"""What a rule tells its readers: its docstring, and which fixes it offers."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import NamedTuple

from agentperf_rules.base import FixKind, Rule
from agentperf_rules.model import Step, Suspect


class FixText(NamedTuple):
    """What a kind of fix does, as an imperative; a `safe` one keeps what the code means."""

    title: str
    safe: bool


FIXES: Mapping[FixKind, FixText] = {
    "sleep": FixText("await asyncio.sleep", safe=True),
    "await": FixText("await it", safe=True),
    "offload": FixText("run it in a thread with asyncio.to_thread", safe=False),
    "function": FixText("hand over the function itself", safe=False),
}


def documentation(rule: Rule) -> str:
    """The rule's docstring in Markdown, and a section on its fixes."""
    return f"{cleandoc(rule.__doc__ or '')}\n\n## Fix\n{fix_text(rule)}"


def fix_text(rule: Rule) -> str:
    """Which fixes the rule offers, and with which option each is made."""
    offered = [FIXES[kind] for kind in offered_fixes(rule)]
    if not offered:
        return "None: what to do instead takes more than an edit in one place."
    safe = [fix.title for fix in offered if fix.safe]
    unsafe = [fix.title for fix in offered if not fix.safe]
    sentences = []
    if safe:
        sentences.append(f"Safe, made by `--fix`: {', '.join(safe)}.")
    if unsafe:
        sentences.append(
            f"Unsafe, made by `--fix --unsafe-fixes` since it can change what the code does: {', '.join(unsafe)}."
        )
    return "\n".join(sentences)


def offered_fixes(rule: Rule) -> tuple[FixKind, ...]:
    """The fixes that the rule names for a call where it is reported, and for one that is reached through a helper."""
    kinds: dict[FixKind, None] = {}
    for steps in (1, 2):
        kind = rule.fix_for(_suspect(rule, steps))
        if kind is not None:
            kinds[kind] = None
    return tuple(kinds)


def _suspect(rule: Rule, steps: int) -> Suspect:
    """A call `load()` in an async function, `steps` calls away from its sink."""
    return Suspect(
        code=rule.code,
        path="app.py",
        function="handle",
        first_line=1,
        last_line=2,
        line=2,
        column=4,
        end_line=2,
        end_column=10,
        call="load",
        sink="load",
        sink_kind="file",
        severity=rule.severity,
        confidence="definite",
        use="",
        chain=(Step("app.py", 2, "handle", "load"),) * steps,
        in_async=True,
    )
