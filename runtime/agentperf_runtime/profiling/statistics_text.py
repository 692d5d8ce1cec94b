"""An operation's figures as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from agentperf_runtime.profiling.operations import Operation
from agentperf_runtime.profiling.stack_tree import RUNNING, WAITING, Place, Stack, inside, place_finder

_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


@dataclass
class FunctionShare:
    """Samples of a function: `own` at lines of its own, `total` with what it called, `waiting` of these in awaits.

    `lines`: where in it the samples were, own ones and those of what it called. `depth`: how far from the outermost
    function it was first seen.
    """

    path: str
    function: str
    depth: int
    own: int = 0
    total: int = 0
    waiting: int = 0
    lines: dict[int, int] = field(default_factory=dict)

    @property
    def line(self) -> int:
        """The line with most samples."""
        return max(self.lines, key=lambda line: (self.lines[line], -line))


def function_shares(operation: Operation, stacks: Iterable[Stack]) -> list[FunctionShare]:
    """The functions of an operation and of the operations inside it, by their samples, most first.

    With as many a caller comes before what it calls.
    """
    place_of = place_finder()
    shares: dict[tuple[str, str], FunctionShare] = {}
    for stack in stacks:
        if operation not in stack.nesting.operations:
            continue
        places = [place_of(code, lasti) for code, lasti in inside(stack, operation)]
        innermost: dict[tuple[str, str], Place] = {(place.path, place.function): place for place in places}
        # Once for each, however often it calls itself.
        for depth, (key, place) in enumerate(innermost.items()):
            share = shares.setdefault(key, FunctionShare(*key, depth))
            share.total += stack.samples
            share.waiting += stack.samples if stack.state == WAITING else 0
            share.lines[place.line] = share.lines.get(place.line, 0) + stack.samples
        for place in places[-1:]:
            shares[place.path, place.function].own += stack.samples
    return sorted(shares.values(), key=lambda share: (-share.total, share.depth, share.path, share.function))


def totals_text(operation: Operation) -> str:
    """What is known of all executions, in lines. To be called with the lock of the operations."""
    title = ["", f"Performance Profile: {operation.name}", "==================================="]
    return "\n".join([*title, *_totals(operation), ""])


def functions_text(operation: Operation, stacks: list[Stack], interval: float, top_n: int) -> str:
    """The `top_n` functions with most samples, in lines. `interval`: seconds for which a sample stands."""
    title = ["", "Top Time-Consuming Operations:"]
    return "\n".join([*title, *_functions(operation, stacks, interval, top_n), ""])


def _totals(operation: Operation) -> Iterable[str]:
    count, duration = operation.executions, operation.duration
    ended = [f"{operation.failed} failed"] if operation.failed else []
    ended += [f"{operation.cancelled} cancelled"] if operation.cancelled else []
    ended += [f"{operation.active} more active"] if operation.active else []
    yield f"Executions: {count}" + (f" ({', '.join(ended)})" if ended else "")
    yield f"Total Time: {duration.total:.2f}s"
    yield f"Average Time: {duration.mean:.2f}s"
    yield f"Average Memory Delta: {operation.memory_delta_mb / max(count, 1):.2f}MB"
    quantiles = [f"{name} {duration.quantile(share):.4g}s" for name, share in _QUANTILES]
    yield f"Percentiles: {', '.join(quantiles)}, max {duration.most:.4g}s"
    yield (
        f"Running: {operation.running_seconds:.2f}s ({_percent(operation.running_seconds, duration.total)}),"
        f" Waiting: {operation.waiting_seconds:.2f}s ({_percent(operation.waiting_seconds, duration.total)}),"
        f" CPU: {operation.cpu_seconds:.2f}s"
    )
    yield f"Self Time: {operation.self_seconds:.2f}s"
    yield f"Peak Memory: {operation.memory_peak_mb:.2f}MB"
    if operation.tokens_used:
        yield f"Tokens: {operation.tokens_used} ({operation.tokens_used / max(count, 1):.1f} per execution)"
    lookups = operation.cache_hits + operation.cache_misses
    if lookups:
        yield f"Cache: {operation.cache_hits} of {lookups} hit ({_percent(operation.cache_hits, lookups)})"
    for name, values in sorted(operation.custom_metrics.items()):
        yield (
            f"{name}: total {values.total:.6g}, average {values.total / values.count:.6g},"
            f" least {values.least:.6g}, most {values.most:.6g}"
        )


def _functions(operation: Operation, stacks: list[Stack], interval: float, top_n: int) -> Iterable[str]:
    shares = function_shares(operation, stacks)
    own = [stack for stack in stacks if operation in stack.nesting.operations]
    samples = sum(stack.samples for stack in own)
    if not samples:
        yield "  no samples"
        return
    running = sum(stack.samples for stack in own if stack.state == RUNNING)
    yield (
        f"  {samples} samples, each for {interval * 1000:g} ms of one execution:"
        f" {running} running, {samples - running} waiting"
    )
    yield f"  {'cumulative':>10} {'self':>6} {'waiting':>8}  function"
    for share in shares[:top_n]:
        yield (
            f"  {_percent(share.total, samples):>10} {_percent(share.own, samples):>6}"
            f" {_percent(share.waiting, samples):>8}  {share.function} ({share.path}:{share.line})"
        )


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"
