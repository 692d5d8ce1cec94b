"""The catalogue: which calls block or query, what factories return, who takes work to a thread.

Data only. `load_catalogue()` gives the one loaded object; `family.Family` is how rows are written, and the
modules named after a kind of library hold them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from agentperf_rules.catalogue.configured import configured
from agentperf_rules.catalogue.family import Family
from agentperf_rules.catalogue.schema import Convention, Invoker, Offloader, Returns, Sink

On = Literal["call", "enter", "iterate", "read"]
Row = TypeVar("Row", Sink, Returns)
Calls = tuple[tuple[str, str], ...]
"""Pairs of a dotted name and what calling it means, see `configured`."""

DEEP = ".**."
ANY_METHOD = ".*"
NOTHING: tuple[Convention, ...] = ()


class Table(dict[str, Row]):
    """Rows by name, with those for whole families of names kept apart.

    `wildcards` holds rows for any method, `deep` those for a method at the end of any chain, by owner.
    """

    def __init__(self) -> None:
        super().__init__()
        self.wildcards: dict[str, Row] = {}
        self.deep: dict[str, dict[str, Row]] = {}

    def take(self, rows: Iterable[Row]) -> None:
        """Enters `rows`; a later one of the same name replaces an earlier one."""
        self.update({row[0]: row for row in rows})

    def sort(self) -> None:
        """Moves the rows for families of names to where `find` looks for them. Call it when all rows are in."""
        for name in [name for name in self if "*" in name]:
            row = self.pop(name)
            owner, deep, method = name.partition(DEEP)
            if deep:
                self.deep.setdefault(owner, {})[method] = row
            else:
                self.wildcards[name.removesuffix(ANY_METHOD)] = row

    def find(self, name: str) -> Row | None:
        """The row for `name`: its own, one for any method of its owner, or one for the longest chain."""
        found = self.get(name)
        if found is not None:
            return found
        owner, _, method = name.rpartition(".")
        found = self.wildcards.get(owner)
        while found is None and owner:
            methods = self.deep.get(owner)
            if methods is not None:
                found = methods.get(method) or methods.get("*")
            owner = owner.rpartition(".")[0]
        return found


class Catalogue:
    """All rows, and the answers to what a canonical dotted name means. Answers are remembered."""

    def __init__(self, families: Iterable[Family], fingerprint: str = "", calls: Calls = ()) -> None:
        """`calls` are what a project says of names of its own; it has the last word."""
        self.fingerprint = fingerprint
        self.calls: dict[str, str] = dict(calls)
        self.sinks: Table[Sink] = Table()
        self.uses: dict[str, dict[str, Sink]] = {"enter": {}, "iterate": {}, "read": {}}
        self.returns: Table[Returns] = Table()
        self.aliases: dict[str, str] = {}
        self.bases: dict[str, tuple[str, ...]] = {}
        self.offloaders: dict[str, Offloader] = {}
        self.invokers: dict[str, Invoker] = {}
        self.exempt: set[str] = set()
        conventions: list[Convention] = []
        contexts: set[str] = set()
        known: set[str] = set()
        families = list(families)
        for family in families:
            self._take(family)
            conventions.extend(family.conventions)
            contexts.update(family.async_contexts)
            known.update(family.known)
        self.exempt.difference_update(self.calls)
        for family in configured(self.calls, families):
            self._take(family)
        self.sinks.sort()
        self.returns.sort()
        self.conventions: tuple[Convention, ...] = tuple(conventions)
        self.async_only_context_managers: frozenset[str] = frozenset(contexts)
        self.offload_decorators: frozenset[str] = frozenset(
            offloader.name for offloader in self.offloaders.values() if offloader.decorator
        )
        self.owners: frozenset[str] = frozenset([name.rpartition(".")[0] for name in self.sinks])
        self.packages: frozenset[str] = self._packages()
        self.terminal_names: frozenset[str] = self._terminal_names(known)
        self._exempts_all = any(name.endswith(ANY_METHOD) for name in self.exempt)
        self._alias_tops: frozenset[str] = frozenset(name.partition(".")[0] for name in self.aliases)
        self._by_method: dict[str, list[Convention]] = {}
        for convention in conventions:
            for method in convention.methods:
                self._by_method.setdefault(method, []).append(convention)
        self._canonical: dict[str, str] = {}
        self._found: dict[tuple[str, str], Sink | None] = {}
        self._gives: dict[str, Returns | None] = {}
        self._conventional: dict[tuple[str, str], tuple[Convention, ...]] = {}

    def _take(self, family: Family) -> None:
        self.sinks.take(family.sinks)
        for use in family.uses:
            self.uses[use.on][use.name] = use
        self.returns.take(family.returned)
        self.aliases.update(family.aliases)
        self.bases.update(family.bases)
        self.offloaders.update((row.name, row) for row in family.offloaders)
        self.invokers.update((row.name, row) for row in family.invokers)
        self.exempt.update(family.exempt)

    def _packages(self) -> frozenset[str]:
        tables = (self.owners, self.sinks.wildcards, self.sinks.deep, self.returns, self.aliases, self.bases, self.offloaders, self.invokers)
        return frozenset([name.partition(".")[0] for table in tables for name in table])

    def _terminal_names(self, known: set[str]) -> frozenset[str]:
        names = {name[name.rfind(".") + 1 :] for table in (self.sinks, self.offloaders, self.invokers) for name in table}
        names.update(known)
        for methods in self.sinks.deep.values():
            names.update(method.rpartition(".")[2] for method in methods)
        for convention in self.conventions:
            names |= convention.methods
        for spelling, canonical in self.aliases.items():
            if canonical in self.sinks or canonical in self.offloaders:
                names.add(spelling.rpartition(".")[2])
        return frozenset([name for name in names if "*" not in name])

    # -- names --------------------------------------------------------------------------------------

    def canonical(self, name: str) -> str:
        """The name under which the catalogue knows `name`: the longest known spelling is replaced."""
        if name.partition(".")[0] not in self._alias_tops:
            return name
        known = self._canonical.get(name)
        if known is None:
            known = self._canonical[name] = self._replace_prefix(name)
        return known

    def _replace_prefix(self, name: str) -> str:
        prefix, rest = name, ""
        while prefix:
            replacement = self.aliases.get(prefix)
            if replacement is not None:
                return replacement + rest
            prefix, _, last = prefix.rpartition(".")
            rest = f".{last}{rest}"
        return name

    def knows_package(self, top: str) -> bool:
        """Whether any row is about the top-level package `top`."""
        return top in self.packages

    def knows(self, name: str) -> bool:
        """Whether any row is about `name` itself, or about methods of it."""
        if name.partition(".")[0] not in self.packages:
            return False
        return (
            name in self.owners
            or name in self.offloaders
            or name in self.invokers
            or self.sink(name) is not None
            or self.returns_of(name) is not None
        )

    def is_a(self, name: str, ancestor: str) -> bool:
        """Whether the class `name` is `ancestor` or inherits from it."""
        return name == ancestor or any(self.is_a(base, ancestor) for base in self.bases.get(name, ()))

    def _spellings(self, name: str) -> Iterator[str]:
        """`name`, then the same attribute on each base of the class that it starts with."""
        yield name
        prefix, rest = name, ""
        while prefix:
            for base in self.bases.get(prefix, ()):
                yield from self._spellings(base + rest)
            prefix, _, last = prefix.rpartition(".")
            rest = f".{last}{rest}"

    # -- rows ---------------------------------------------------------------------------------------

    def sink(self, name: str, on: On = "call") -> Sink | None:
        """The row for calling (entering, iterating over, reading) `name`, looked up through base classes too."""
        if name.partition(".")[0] not in self.packages:
            return None
        key = (name, on)
        try:
            return self._found[key]
        except KeyError:
            found = self._found[key] = self._find_sink(name, on)
            return found

    def _find_sink(self, name: str, on: On) -> Sink | None:
        for spelling in self._spellings(name):
            if spelling in self.exempt or (self._exempts_all and f"{spelling.rpartition('.')[0]}{ANY_METHOD}" in self.exempt):
                return None
            found = self.sinks.find(spelling) if on == "call" else self.uses[on].get(spelling)
            if found is not None:
                return found
        return None

    def returns_of(self, name: str) -> Returns | None:
        """What calling (entering, awaiting, reading) `name` gives, looked up through base classes too."""
        if name.partition(".")[0] not in self.packages:
            return None
        try:
            return self._gives[name]
        except KeyError:
            found = next(filter(None, map(self.returns.find, self._spellings(name))), None)
            self._gives[name] = found
            return found

    def offloads(self, name: str) -> bool:
        """Whether `name`, used as a decorator with or without a call, takes the function to a thread."""
        return name.removesuffix("()") in self.offload_decorators

    def convention(self, receiver: str, method: str, head: str = "") -> tuple[Convention, ...]:
        """What `method` can mean on a receiver of unknown type, strongest first.

        `receiver` is its last segment, `head` all that is written before the method; conventions that
        ask for more than the last segment are left out without it.
        """
        candidates = self._by_method.get(method) or self._by_method.get(f"{method.partition('_')[0]}_*")
        if not candidates:
            return NOTHING
        key = (receiver, method)
        found = self._conventional.get(key)
        if found is None:
            found = tuple(row for row in candidates if _compiled(row.receiver).fullmatch(receiver))
            self._conventional[key] = found
        if any(row.head for row in found):
            return tuple(row for row in found if not row.head or (head and _compiled(row.head).search(head)))
        return found

    def matches(self, pattern: str, text: str) -> bool:
        """Whether the pattern of a convention matches `text` from its start."""
        return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def families() -> list[Family]:
    """The families that ship with the package."""
    from agentperf_rules.catalogue import (
        caches,
        cloud,
        conventions,
        cpu,
        databases,
        files,
        http,
        llm,
        network,
        offloaders,
        orm,
        subprocesses,
        sync,
        vectors,
    )

    modules = (http, files, subprocesses, databases, orm, caches, cloud, llm, vectors, network, sync, cpu, offloaders, conventions)
    return [value for module in modules for value in vars(module).values() if isinstance(value, Family)]


@lru_cache(maxsize=4)
def load_catalogue(calls: Calls = ()) -> Catalogue:
    """The catalogue of all families and of what a project says of `calls`, built at the first call."""
    return Catalogue(families(), _fingerprint(), calls)


def _fingerprint() -> str:
    """Changes with every row: a digest of the modules' sources."""
    digest = hashlib.blake2b(digest_size=8)
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()
