"""Rows that a project adds: what calls of its own libraries, and of its own functions, mean to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import get_args

from agentperf_rules.catalogue.family import Family
from agentperf_rules.catalogue.schema import Kind, Offloader, Sink

OFFLOAD, HARMLESS = "offload", "harmless"
MEANINGS: tuple[str, ...] = (*get_args(Kind), OFFLOAD, HARMLESS)
"""What a call is: one of a kind of calls that cost, one that runs its first argument elsewhere, or nothing at all."""


def configured(calls: Mapping[str, str], families: Iterable[Family]) -> list[Family]:
    """Families with a row for each of `calls`: dotted name -> meaning; a name may end in `.*`.

    What a call of a kind costs, and the advice for it, is what the first of `families` of that kind says, or else
    the first row of that kind.
    """
    families = list(families)
    found = []
    for name, meaning in calls.items():
        if meaning in (OFFLOAD, HARMLESS):
            family = Family("sync", "low")
            family.exempt.append(name)
            if meaning == OFFLOAD:
                family.offloaders.append(Offloader(name, 0, awaitable=False, decorator=True))
        else:
            rows: Iterable[Family | Sink] = chain(families, (row for family in families for row in family.sinks))
            like = next(each for each in rows if each.kind == meaning)
            family = Family(like.kind, like.severity, loop=like.loop, batch=like.batch)
            owner, _, last = name.rpartition(".")
            family.calls(owner, last)
        found.append(family)
    return found
