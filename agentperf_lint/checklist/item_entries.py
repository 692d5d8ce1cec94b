"""Items of the checklist as entries, for the formats that show findings too, and for the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentperf_lint.checklist.items import (
    BottleneckEvidence,
    BudgetEvidence,
    ClusterEvidence,
    GapEvidence,
    Item,
    ProfileEvidence,
    StallEvidence,
    StaticEvidence,
)
from agentperf_lint.checklist.items import Place as Frame
from agentperf_lint.entries import Entry, Measured, Place, Related, fingerprints, folded_source
from agentperf_lint.source_lines import Sources
from agentperf_rules.model import CONFIDENCES, Confidence, Step


def item_entries(items: Sequence[Item], sources: Sources) -> list[Entry]:
    """The items as entries, in their order."""
    lines = [_own_line(sources, item) for item in items]
    places = [_place(item, line, sources) for item, line in zip(items, lines)]
    return [
        _entry(item, place, max(len(line.rstrip()), place.column) + 1, identifier, sources)
        for item, line, place, identifier in zip(items, lines, places, _fingerprints(items, places))
    ]


def statement_of(item: Item) -> str:
    """The kind of the operation and its statement, which tell apart what is done at one place; empty for stalls."""
    for each in item.evidence:
        if isinstance(each, (ClusterEvidence, BottleneckEvidence)):
            return f"{each.operation} {each.statement}"
        if isinstance(each, GapEvidence | ProfileEvidence):
            return each.operation
        if isinstance(each, BudgetEvidence):
            return f"{each.scope} {each.measure} {each.source}"
    return ""


def _fingerprints(items: Sequence[Item], places: Sequence[Place]) -> list[str]:
    """Several statements at one place are numbered by their text: their costs, which order the items, change."""
    order = sorted(range(len(items)), key=lambda index: statement_of(items[index]))
    found = dict(zip(order, fingerprints([places[index] for index in order])))
    return [found[index] for index in range(len(items))]


def _own_line(sources: Sources, item: Item) -> str:
    return (sources.line(item.path, item.line) or "") if _has_file(item.path) else ""


def _has_file(path: str) -> bool:
    """Not what lies in no file: `<frozen importlib._bootstrap>`."""
    return bool(path) and not path.startswith("<")


def _place(item: Item, line: str, sources: Sources) -> Place:
    if not _has_file(item.path):
        return Place(item.code, "", "", 0, 1)
    source = folded_source(sources, item.path, item.line)
    return Place(item.code, item.path, source, item.line, len(line) - len(line.lstrip()) + 1)


def _entry(item: Item, place: Place, end_column: int, fingerprint: str, sources: Sources) -> Entry:
    return Entry(
        code=item.code,
        name=item.name,
        severity=item.severity,
        confidence=_confidence(item),
        message=item.message,
        remedy=item.remedy,
        path=place.path,
        line=place.line,
        column=place.column,
        end_line=max(place.line, item.end_line) if place.line else 0,
        end_column=end_column,
        function=item.function,
        source=place.source,
        fingerprint=fingerprint,
        chain=_chain(item),
        evidence=tuple(_sentences(item)),
        stack=_stack(item, sources),
        related=tuple(_related(item)),
        measured=Measured(
            status=item.status,
            operations=item.operations,
            roots=item.roots,
            total_seconds=item.total_seconds,
            worst_seconds=item.worst_seconds,
            share=item.share,
        ),
    )


def _static(item: Item) -> list[StaticEvidence]:
    return [each for each in item.evidence if isinstance(each, StaticEvidence)]


def _confidence(item: Item) -> Confidence:
    """What was seen is definite; what is only suspected is as sure as the source makes it."""
    if item.status != "suspected":
        return "definite"
    found: list[Confidence] = [each.confidence for each in _static(item)]
    return max(found, key=CONFIDENCES.index) if found else "likely"


def _chain(item: Item) -> tuple[Step, ...]:
    """The longest: with several findings at one place it is the one that explains most."""
    return max((each.chain for each in _static(item)), key=len, default=())


def _stack(item: Item, sources: Sources) -> tuple[Step, ...]:
    stacks = [each.stack for each in item.evidence if isinstance(each, StallEvidence)]
    frames: tuple[Frame, ...] = max(stacks, key=len, default=())
    return tuple(
        Step(frame.path, frame.line, frame.function, folded_source(sources, frame.path, frame.line))
        for frame in reversed(frames)
        if _has_file(frame.path)
    )


def _related(item: Item) -> Iterator[Related]:
    if item.loop is not None and item.loop.path:
        loop = item.loop
        yield Related(loop.path, loop.line, loop.function, f"the {loop.kind} that repeats it, in {loop.function}")
    for each in item.evidence:
        if isinstance(each, ClusterEvidence):
            for place in each.other_places:
                if place.path:
                    yield Related(place.path, place.line, place.function, f"asks the same, in {place.function}")


def _sentences(item: Item) -> Iterator[str]:
    """What else speaks for the item, apart from its cost."""
    for each in item.evidence:
        if isinstance(each, ClusterEvidence):
            if each.root_names:
                yield f"in {', '.join(each.root_names)}"
            if each.relation:
                yield f"loads the relation {each.relation}"
            if each.input_tokens or each.output_tokens:
                yield f"{each.input_tokens:,} tokens in, {each.output_tokens:,} out"
        elif isinstance(each, BottleneckEvidence):
            yield f"{each.slow:,} of {each.operations:,} operations were slow, {each.worst_seconds:.2f} s the worst"
        elif isinstance(each, ProfileEvidence):
            what = f"{each.executions:,} executions of {each.operation}" if each.operation else "this line"
            yield f"{each.profiler} saw {each.seconds:.2f} s in {what}"
        elif isinstance(each, StallEvidence) and each.ongoing:
            yield f"{each.ongoing:,} of {each.stalls:,} stalls had not ended when the trace did"
        elif isinstance(each, StaticEvidence) and item.status == "confirmed":
            yield f"the source says so too: {each.code} {each.message}"
