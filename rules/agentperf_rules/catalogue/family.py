"""How rows of the catalogue are written: one `Family` per group of libraries, one line per call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agentperf_rules.catalogue.schema import Convention, Invoker, Kind, Offloader, Returns, Sink
from agentperf_rules.model import Confidence, Severity

When = Literal["any", "awaited", "sync", "changed"]

_row = tuple.__new__


class Family:
    """Rows of libraries of one kind.

    Names are given as one string, separated by spaces: `http.calls("requests.Session", "get post")`.
    What a line does not say comes from the family: its kind, its severity, whether a call in a loop costs
    a round trip (`loop`), and the advice for that (`batch`). An empty `use` says that nothing but a thread helps.
    """

    def __init__(self, kind: Kind, severity: Severity, *, loop: bool = False, batch: str = "") -> None:
        self.kind: Kind = kind
        self.severity: Severity = severity
        self.loop = loop
        self.batch = batch
        self.sinks: list[Sink] = []
        self.uses: list[Sink] = []
        self.returned: list[Returns] = []
        self.aliases: dict[str, str] = {}
        self.bases: dict[str, tuple[str, ...]] = {}
        self.offloaders: list[Offloader] = []
        self.invokers: list[Invoker] = []
        self.conventions: list[Convention] = []
        self.exempt: list[str] = []
        self.known: list[str] = []
        self.async_contexts: list[str] = []

    # -- calls that cost ----------------------------------------------------------------------------

    def calls(
        self,
        owners: str,
        names: str,
        *,
        use: str = "",
        batch: str = "",
        kind: Kind | None = None,
        severity: Severity | None = None,
        blocking: bool = True,
        loop: bool | None = None,
        write: bool = False,
        since: str = "",
    ) -> None:
        """Every `owner.name` of the modules or classes `owners` blocks (and queries, when it counts in loops)."""
        repeats = self.loop if loop is None else loop
        kind = kind or self.kind
        severity = severity or self.severity
        advice = batch or self.batch if repeats else ""
        rest = (kind, severity, use, advice, blocking, repeats, write, "call", since)
        # Thousands of rows are built at every start: `Sink(...)` would take three times as long.
        self.sinks += [_row(Sink, (name, *rest)) for name in _each(owners, names)]

    def awaited(
        self,
        owners: str,
        names: str,
        *,
        batch: str = "",
        kind: Kind | None = None,
        severity: Severity | None = None,
        write: bool = False,
    ) -> None:
        """Every `owner.name` is awaited: it blocks nothing, and costs a round trip per element of a loop."""
        self.calls(owners, names, batch=batch, kind=kind, severity=severity, blocking=False, loop=True, write=write)

    def below(
        self,
        owners: str,
        names: str,
        *,
        use: str = "",
        batch: str = "",
        severity: Severity | None = None,
        blocking: bool = True,
        loop: bool | None = None,
        write: bool = False,
    ) -> None:
        """Calls of `names` at the end of any chain of attributes, items and calls below `owners`."""
        deep = " ".join(f"**.{name}" for name in names.split())
        self.calls(
            owners, deep, use=use, batch=batch, severity=severity, blocking=blocking, loop=loop, write=write
        )

    def any_method(
        self,
        owners: str,
        known: str,
        *,
        exempt: str = "",
        use: str = "",
        batch: str = "",
        blocking: bool = True,
        loop: bool | None = None,
    ) -> None:
        """Every method of `owners` is such a call, apart from `exempt`; `known` are the names to look for first."""
        self.calls(owners, "*", use=use, batch=batch, blocking=blocking, loop=loop)
        self.known.extend(known.split())
        self.exempt.extend(_each(owners, exempt))

    def entering(self, classes: str, *, use: str = "", severity: Severity | None = None) -> None:
        """`with` on an instance of one of `classes` blocks."""
        for name in classes.split():
            self.uses.append(Sink(name, self.kind, severity or self.severity, use, on="enter"))

    def iterating(
        self, classes: str, *, use: str = "", severity: Severity | None = None, batch: str = "", loop: bool | None = None
    ) -> None:
        """Iterating over an instance of one of `classes` blocks."""
        repeats = self.loop if loop is None else loop
        advice = batch or self.batch if repeats else ""
        for name in classes.split():
            self.uses.append(Sink(name, self.kind, severity or self.severity, use, advice, loop=repeats, on="iterate"))

    # -- what names stand for -----------------------------------------------------------------------

    def gives(self, names: str, type_name: str, elem: Literal["", "arg0", "self"] = "", of: str = "") -> None:
        """Calling, awaiting or reading any of `names` gives an instance of `type_name`."""
        self.returned += [_row(Returns, (name, type_name, elem, of)) for name in names.split()]

    def methods_give(
        self, owners: str, names: str, type_name: str, elem: Literal["", "arg0", "self"] = "", of: str = ""
    ) -> None:
        """`gives` for every `owner.name`; the type `self` is the receiver, `elem` one element of what it holds."""
        self.returned += [_row(Returns, (name, type_name, elem, of)) for name in _each(owners, names)]

    def alias(self, canonical: str, spellings: str) -> None:
        """Other spellings of a name, or of a package prefix."""
        for spelling in spellings.split():
            self.aliases[spelling] = canonical

    def subclass(self, classes: str, bases: str) -> None:
        """`classes` inherit what is said about `bases`."""
        for name in classes.split():
            self.bases[name] = tuple(bases.split())

    def async_context(self, classes: str) -> None:
        """`classes` work under `async with` only."""
        self.async_contexts.extend(classes.split())

    # -- who runs a function ------------------------------------------------------------------------

    def offloads(
        self,
        names: str,
        position: int,
        keyword: str = "",
        *,
        awaitable: bool = True,
        result: bool = False,
        decorator: bool = False,
    ) -> None:
        """`names` run the function at argument `position`, or `keyword`, in a thread or process."""
        for name in names.split():
            self.offloaders.append(Offloader(name, position, keyword, awaitable, result, decorator))

    def invokes(
        self,
        names: str,
        position: int,
        keyword: str = "",
        *,
        repeats: bool = False,
        later: bool = False,
        enters: bool = False,
    ) -> None:
        """`names` call the function at argument `position`, or `keyword`, on the caller's thread."""
        for name in names.split():
            self.invokers.append(Invoker(name, position, keyword, repeats, later, enters))

    # -- receivers of unknown type ------------------------------------------------------------------

    def convention(
        self,
        receiver: str,
        methods: str,
        *,
        kind: Kind | None = None,
        severity: Severity | None = None,
        confidence: Confidence = "likely",
        use: str = "",
        batch: str = "",
        blocking: bool = False,
        loop: bool = True,
        write: bool = False,
        when: When = "any",
        args: str = "",
        head: str = "",
    ) -> None:
        """What `methods` mean on a receiver whose name matches the regular expression `receiver`."""
        self.conventions.append(
            Convention(
                receiver,
                frozenset(methods.split()),
                kind or self.kind,
                severity or self.severity,
                confidence,
                use,
                batch or self.batch,
                blocking,
                loop,
                write,
                when,
                args,
                head,
            )
        )


def by_advice(names: str, advice: Mapping[str, str]) -> dict[str, str]:
    """`names` for rows of their own, by what `advice` has for them, "" for those of which it says nothing."""
    rows: dict[str, list[str]] = {}
    for name in names.split():
        rows.setdefault(advice.get(name, ""), []).append(name)
    return {batch: " ".join(each) for batch, each in rows.items()}


def _each(owners: str, names: str) -> list[str]:
    last = names.split()
    return [f"{owner}.{name}" for owner in owners.split() for name in last]
