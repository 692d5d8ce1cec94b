"""What of all that blocks or queries is worth a look by the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.edges import Edge, EdgeResolver, applies, is_batched, is_self
from agentperf_lint.analysis.effects import MAX_LOOP_HOPS, Effect, Effects, by_gravity
from agentperf_lint.analysis.infer import LoadedFile
from agentperf_rules import code_for
from agentperf_rules.base import at_most
from agentperf_rules.model import CONFIDENCES, Loop, LoopKind, Step, Suspect

_LOOP_KINDS: tuple[LoopKind, ...] = ("for", "async for", "while", "comprehension")


class Suspects:
    """Picks what is reported of each use; `display` turns an absolute path into the one that is shown."""

    def __init__(self, effects: Effects, edge_resolver: EdgeResolver, display: Callable[[str], str]) -> None:
        self.effects = effects
        self.edge_resolver = edge_resolver
        self.resolver = effects.resolver
        self.files = effects.files
        self.display = display
        self._found: list[Suspect] = []
        self._awaited: dict[int, set[int]] = {}

    def found(self) -> list[Suspect]:
        """All suspects, in no particular order."""
        blocking, querying = self.effects.of("blocking"), self.effects.of("loop")
        self._report_blocking(blocking)
        self._report_loops(querying)
        return self._found

    def _report_blocking(self, effects: dict[int, Effect]) -> None:
        for caller, edges in self.effects.edges.items():
            scope = self.resolver.scope(caller)
            best: dict[int, tuple[tuple[int, int], Edge, Effect | None]] = {}
            for edge in edges:
                if edge.code in ("APL120", "APL122"):
                    self._suspect(edge, None, edge.code)
                    continue
                if not scope.flags & f.ASYNC or not edge.sync or self._is_the_quick_way(edge):
                    continue
                effect = None
                if edge.callee >= 0:
                    effect = self.effects.effect_at(edge, "blocking", effects)
                    if effect is None:
                        continue
                elif not applies(edge, "blocking"):
                    continue
                sink = effect.sink if effect is not None else edge.sink
                assert sink is not None
                rank = by_gravity(self.effects.weaker(edge, effect, effects, "blocking"), sink.severity)
                if edge.use not in best or rank < best[edge.use][0]:
                    best[edge.use] = (rank, edge, effect)
            nobody_waits = bool(scope.flags & f.GENERATOR) and "lifespan" in scope.name  # before and after it serves
            for (possible, _), edge, effect in best.values():
                self._suspect(edge, effect, "", weak=bool(possible) or nobody_waits)

    def _is_the_quick_way(self, edge: Edge) -> bool:
        """Whether another branch of the function hands the very same call to a thread: this one was left on purpose."""
        file = self.files[edge.file]
        use = file.use(edge.use)
        if use.kind != f.USE_CALL or not use.flags & (f.CONDITIONAL | f.AFTER_EXIT):
            return False
        return (edge.caller, file.bases[use.ref]) in self.edge_resolver.offloaded

    def _report_loops(self, effects: dict[int, Effect]) -> None:
        for edges in self.effects.edges.values():
            best: dict[int, tuple[tuple[bool, int], Edge, Effect | None, f.LoopFact | None]] = {}
            for edge in edges:
                if edge.code in ("APL120", "APL122"):
                    continue
                file = self.files[edge.file]
                use = file.use(edge.use)
                if (use.loop < 0 and not edge.repeats) or use.flags & f.ITERABLE:
                    continue
                effect = self.effects.effect_at(edge, "loop", effects) if edge.callee >= 0 else None
                if edge.callee >= 0 and effect is None:
                    edge = self._running_sql(file, use, edge)
                if edge.callee >= 0 and (effect is None or effect.depth > MAX_LOOP_HOPS):
                    continue
                if (edge.callee < 0 and not applies(edge, "loop")) or is_batched(edge, self.files):
                    continue
                if edge.callee >= 0 and self._is_kept_by_self(file, use, edge.callee):
                    continue
                loop = self._loop_of(file, use)
                if loop is None and not edge.repeats:
                    continue
                weak = self.effects.weaker(edge, effect, effects, "loop") == "possible"
                rank = (weak, effect.depth if effect is not None else 0)
                if edge.use not in best or rank < best[edge.use][0]:
                    best[edge.use] = (rank, edge, effect, loop)
            for (weak, _), edge, effect, loop in best.values():
                self._report_loop(edge, effect, loop, weak)

    def _running_sql(self, file: LoadedFile, use: f.Use, edge: Edge) -> Edge:
        """The call of a project's own `execute()` that cannot be followed to a driver, but is given SQL: a query."""
        args = file.args.get(use.ref, ()) if use.kind == f.USE_CALL else ()
        if not args or file.ops[args[0]] != f.TEXT:
            return edge
        runs = self.edge_resolver.conventional(file, edge.use, use, edge.caller)
        return next((each for each in runs if each.sink is not None and each.sink.kind == "database"), edge)

    def _is_kept_by_self(self, file: LoadedFile, use: f.Use, key: int) -> bool:
        """Whether the use reads a property that `self`, the same in every turn of a loop, computes once."""
        if "cached_property" not in self.resolver.decorator_names(key):
            return False
        name = self.resolver.scope(key).name
        ref = use.ref
        while ref and file.ops[ref] in (f.ATTR, f.CALL, f.ITEM, f.AWAIT):
            if file.ops[ref] == f.ATTR and file.text(ref) == name:
                return is_self(file, file.bases[ref])
            ref = file.bases[ref]
        return False

    def _loop_of(self, file: LoadedFile, use: f.Use) -> f.LoopFact | None:
        """The innermost loop around the use that is not over a handful of written-out elements."""
        index = use.loop
        while index >= 0:
            loop = file.loop(index)
            if not loop.small and not self._is_handful(file, loop.iterable):
                return loop
            index = loop.outer
        return None

    def _is_handful(self, file: LoadedFile, ref: int) -> bool:
        if file.ops[ref] == f.CALL and file.text(file.bases[ref]) in (
            "items",
            "values",
            "keys",
            "enumerate",
            "fromkeys",
            "set",
            "list",
            "tuple",
            "zip",
            "sorted",
            "reversed",
        ):
            inner = file.args.get(ref) or [file.bases[file.bases[ref]]]
            return any(self._is_handful(file, arg) for arg in inner)
        return (
            file.ops[ref] == f.LITERAL
            and 2 <= len(file.args.get(ref, ())) <= f.SMALL_LOOP
            and file.text(ref) != "generator"
        )

    def _report_loop(self, edge: Edge, effect: Effect | None, loop: f.LoopFact | None, weak: bool) -> None:
        file = self.files[edge.file]
        use = file.use(edge.use)
        sink = effect.sink if effect is not None else edge.sink
        assert sink is not None
        if use.flags & f.FANNED_OUT or (edge.callee >= 0 and not edge.sync and not self._is_waited_for(file, use)):
            code = code_for(sink.kind, "fan-out", sink.write)
        else:
            code = edge.code or (effect.code if effect is not None else "") or code_for(sink.kind, "loop", sink.write)
        if code is None:
            return
        place = (
            Loop("comprehension", use.line, use.end_line)
            if loop is None
            else Loop(_LOOP_KINDS[loop.kind], loop.line, loop.end_line)
        )
        self._suspect(edge, effect, code, place, weak=weak)

    def _suspect(
        self, edge: Edge, effect: Effect | None, code: str, loop: Loop | None = None, *, weak: bool = False
    ) -> None:
        file = self.files[edge.file]
        use = file.use(edge.use)
        sink = effect.sink if effect is not None else edge.sink
        assert sink is not None
        confidence = (
            "possible" if weak else edge.confidence if effect is None else at_most(effect.confidence, edge.confidence)
        )
        if CONFIDENCES.index(confidence) < self.effects.least:
            return
        if not code:
            code = code_for(sink.kind, "blocking", sink.write) or ""
            if (file.index, use.ref) in self.edge_resolver.offloaded_results:
                code = "APL121"
        scope = self._function_around(file, use.scope)
        span = file.facts.scopes[scope]
        self._found.append(
            Suspect(
                code=code,
                path=file.path,
                function=self.resolver.qualified_name(self.resolver.key(file, scope)),
                first_line=span.line if scope else 0,
                last_line=span.end_line if scope else 0,
                line=use.line,
                column=use.column,
                end_line=use.end_line,
                end_column=use.end_column,
                call=file.strings[use.written],
                sink=effect.name if effect is not None else edge.name,
                sink_kind=sink.kind,
                severity=sink.severity,
                confidence=confidence,
                use=sink.batch if loop is not None else sink.use,
                chain=tuple(self._chain(edge, effect)),
                loop=loop,
                in_async=bool(span.flags & f.ASYNC),
                awaited=bool(use.flags & f.AWAITED),
            )
        )

    def _is_waited_for(self, file: LoadedFile, use: f.Use) -> bool:
        """Whether what an async function gives is awaited before its next call: here, or by a name for it."""
        if use.flags & (f.AWAITED | f.HANDED_ON):
            return True
        awaited = self._awaited.get(file.index)
        if awaited is None:
            awaited = {base for op, base in zip(file.ops, file.bases) if op == f.AWAIT}
            self._awaited[file.index] = awaited
        return bool(use.flags & f.ASSIGNED) and use.ref in awaited

    def _function_around(self, file: LoadedFile, scope: int) -> int:
        scopes = file.facts.scopes
        while scope > 0 and scopes[scope].kind != f.FUNCTION:
            scope = scopes[scope].parent
        return max(scope, 0)

    def _chain(self, edge: Edge, effect: Effect | None) -> Iterator[Step]:
        """From the reported place down to the sink."""
        yield self._step(edge)
        while effect is not None:
            yield self._step(effect.edge)
            effect = effect.then

    def _step(self, edge: Edge) -> Step:
        file = self.files[edge.file]
        use = file.use(edge.use)
        return Step(
            self.display(file.path), use.line, self.resolver.qualified_name(edge.caller), file.strings[use.written]
        )
