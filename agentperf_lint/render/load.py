"""A load test: how it goes, on a terminal, and what it measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from agentperf_lint.render.base import duration, plural, printable
from agentperf_lint.render.full import Line, wants_colour, write_coloured
from agentperf_runtime.budgets import shown

if TYPE_CHECKING:
    from rich.live import Live

    from agentperf_runtime.budgets import Verdict
    from agentperf_runtime.load.measurements import LoadResult, Progress, ResponseTime

_DIM = "bright_black"
_RECENT = 8  # updates over which the present rate is taken
_LISTED_ERRORS = 10
_BUSY = 0.9  # of a processor


class LiveDisplay:
    """One line at the end of a terminal, which goes away with the block. `is_shown` is False elsewhere.

    It draws when it is told something, and has no thread of its own that would take time from the test.
    """

    def __init__(self, stream: TextIO) -> None:
        self.is_shown = stream.isatty()
        self._stream = stream
        self._live: Live | None = None
        self._recent: deque[Progress] = deque(maxlen=_RECENT)

    def __enter__(self) -> LiveDisplay:
        if self.is_shown:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream, highlight=False), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> Literal[False]:
        if self._live is not None:
            self._live.stop()
        return False

    def update(self, progress: Progress) -> None:
        """Show how far the test is."""
        if self._live is None:
            return
        self._recent.append(progress)
        self._live.update(progress_line(progress, self._recent[0]), refresh=True)


def progress_line(now: Progress, before: Progress) -> str:
    """How far a test is, and the rate since `before`."""
    apart = now.seconds - before.seconds
    rate = (now.requests - before.requests) / apart if apart > 0 else 0.0
    return (
        f"{now.seconds:.0f} s  {now.active:,} active  {plural(now.requests, 'request')}  {rate:,.1f}/s  "
        f"p95 {duration(now.p95)}  {plural(now.failed, 'error')}"
    )


def write_load(heading: str, result: LoadResult, verdicts: Sequence[Verdict], stream: TextIO) -> None:
    """Writes what a test measured to `stream`; raises OSError when that cannot be written."""
    lines = _lines(heading, result, verdicts)
    if wants_colour(stream):
        write_coloured(lines, stream)
    else:
        stream.writelines("".join(text for text, _ in line).rstrip() + "\n" for line in lines)


def _lines(heading: str, result: LoadResult, verdicts: Sequence[Verdict]) -> Iterator[Line]:
    yield [(printable(heading), "bold")]
    if result["interrupted"]:
        yield [("interrupted: this is a part of the test", "yellow")]
    yield []
    yield from _figures(result)
    for problem in _doubts(result):
        yield [(problem, "yellow")]
    if result["errors"]:
        yield []
        yield from _errors(result)
    if verdicts:
        yield []
        yield from map(_verdict, verdicts)


def _figures(result: LoadResult) -> Iterator[Line]:
    failed = result["failed_requests"]
    yield [("requests    ", _DIM), (f"{result['total_requests']:,} in {duration(result['duration_seconds'])}", "")]
    share = f"{failed:,} ({result['error_rate'] * 100:.3g} %)"
    yield [("failed      ", _DIM), (share, "red" if failed else "")]
    yield [("throughput  ", _DIM), (f"{result['throughput_rps']:,.1f}/s", "")]
    yield [("at once     ", _DIM), (f"{result['active_most']:,}", "")]
    yield []
    yield [("".join(f"{name:>12}" for name in ("", *result["response_time"])), _DIM)]
    yield _times("all", result["response_time"])
    if failed and result["successful_requests"]:
        yield _times("successful", result["successful_response_time"])


def _times(name: str, times: ResponseTime) -> Line:
    values = (times["min"], times["max"], times["mean"], times["median"], times["p95"], times["p99"])
    return [(f"{name:<12}", _DIM), ("".join(f"{duration(each):>12}" for each in values), "")]


def _doubts(result: LoadResult) -> Iterator[str]:
    """What keeps the figures from being the target's."""
    if result["unfinished_requests"]:
        yield f"{plural(result['unfinished_requests'], 'request')} had not ended and are in no figure"
    if result["unstarted_requests"]:
        yield f"{plural(result['unstarted_requests'], 'request')} were due and never began"
    if result["cancelled_requests"]:
        yield f"{plural(result['cancelled_requests'], 'request')} were cancelled by what they called"
    if result["held_back"]:
        yield f"{plural(result['held_back'], 'request')} had to wait: as many as are allowed ran already"
    if result["late_starts"]:
        most = duration(result["most_late_seconds"])
        yield f"{plural(result['late_starts'], 'request')} began late, by {most} at most (counted as response time)"
    if result["generator_cpu"] > _BUSY:
        share = f"{result['generator_cpu']:.0%}"
        yield f"this process used {share} of a processor: what it computes is in the response times"


def _errors(result: LoadResult) -> Iterator[Line]:
    for error in result["errors"][:_LISTED_ERRORS]:
        example = f"  {printable(error['example'].partition(chr(10))[0])}" if error["example"] else ""
        yield [(f"{error['count']:>10,}  ", "red"), (printable(error["error"]), ""), (example, _DIM)]
    more = len(result["errors"]) - _LISTED_ERRORS
    if more > 0:
        yield [(f"{'':>12}and {more} more kinds", _DIM)]


def _verdict(verdict: Verdict) -> Line:
    measured = f"{verdict.budget}: measured {shown(verdict.budget.measure, verdict.measured)}"
    if verdict.kept:
        return [("budget kept      ", "green"), (measured, "")]
    return [("budget exceeded  ", "bold red"), (measured, "")]
