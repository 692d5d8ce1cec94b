"""The rules of what only a running program shows: their codes, names and documentation."""

from __future__ import annotations

from inspect import cleandoc

import msgspec

from agentperf_rules.model import Severity


class RuntimeRule(msgspec.Struct, frozen=True):
    """One kind of item. `severity` is what most of its items have; `documentation` is Markdown."""

    code: str
    name: str
    kind: str
    severity: Severity
    documentation: str


_N_PLUS_ONE = cleandoc("""
    ## What it does
    Reports one statement that ran at one place again and again within a request or task, each time with other
    parameters. Retries, polls, pages, batches and the like are left out.

    ## Why is this bad?
    Every round trip waits for the network and the server, and their number grows with the data.

    ## Use instead
    Ask once for all elements: a join, `WHERE id = ANY(...)`, eager loading of the relation, a bulk request, a pipeline.
""")
_DUPLICATE = cleandoc("""
    ## What it does
    Reports one reading statement that ran several times within a request or task with the same parameters, while
    nothing was written in between.

    ## Why is this bad?
    The answer was known already.

    ## Use instead
    Keep the answer for as long as the request lasts, or hand it down to whoever asks again.
""")
_STALL = cleandoc("""
    ## What it does
    Reports a line that held the event loop for longer than the limit of the trace (0.05 s if nothing else was said).

    ## Why is this bad?
    All other requests and tasks of the process wait meanwhile.

    ## Use instead
    An awaitable counterpart of the call, `asyncio.to_thread` for calls that block, a process for work of the CPU.
""")
_SLOW_OPERATION = cleandoc("""
    ## What it does
    Reports single operations, such as one query or one HTTP request, that took longer than `slow-operation` (0.5 s).

    ## Why is this bad?
    The request cannot be faster than its slowest part.

    ## Use instead
    An index or fewer rows for a query; a timeout, a cache or a task in the background for a call.
""")
_BUDGET = cleandoc("""
    ## What it does
    Reports a budget of the configuration that the traced program exceeded.

    ## Why is this bad?
    Somebody decided that more than that is too much.

    ## Use instead
    Less of what was counted, or another budget.
""")
_MEMORY = cleandoc("""
    ## What it does
    Reports memory that grew as long as the program ran.

    ## Why is this bad?
    A process that grows ends in swapping, or is killed.

    ## Use instead
    Caches with a limit, and references that are dropped when a request ends.
""")
_COLD_IMPORT = cleandoc("""
    ## What it does
    Reports modules that were imported for the first time while the event loop waited.

    ## Why is this bad?
    The first request after each start pays for it. It happens once, so it is kept apart from stalls.

    ## Use instead
    An import before the loop starts.
""")

# By kind of item.
RUNTIME_RULES: dict[str, RuntimeRule] = {
    rule.kind: rule
    for rule in (
        RuntimeRule("APL501", "n-plus-one-cluster", "n_plus_one", "high", _N_PLUS_ONE),
        RuntimeRule("APL502", "duplicate-query", "duplicate", "medium", _DUPLICATE),
        RuntimeRule("APL503", "event-loop-stall", "stall", "high", _STALL),
        RuntimeRule("APL504", "slow-operation", "bottleneck", "medium", _SLOW_OPERATION),
        RuntimeRule("APL505", "exceeded-budget", "budget", "medium", _BUDGET),
        RuntimeRule("APL506", "memory-growth", "memory", "medium", _MEMORY),
        RuntimeRule("APL507", "cold-import-on-event-loop", "cold_import", "low", _COLD_IMPORT),
    )
}
