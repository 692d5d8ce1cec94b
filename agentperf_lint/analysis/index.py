"""What is called, read and declared in a project, by name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence as Seq

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.infer import LoadedFile, Resolver
from agentperf_lint.analysis.values import Class

_RELATIONS = frozenset({"ForeignKey", "OneToOneField", "ForeignKeyField", "relationship"})


class Index:
    """What the files of a project name: what is called, classes, properties, relations, and what has other names."""

    def __init__(self, resolver: Resolver) -> None:
        self.resolver = resolver
        self.files: Seq[LoadedFile] = resolver.files
        self.by_name: dict[str, list[tuple[LoadedFile, list[int]]]] = defaultdict(list)
        self.aliases: dict[str, set[str]] = defaultdict(set)
        self.subclasses: dict[str, set[str]] = defaultdict(set)
        self.decorated: dict[str, set[str]] = defaultdict(set)
        self.classes: list[tuple[int, f.Scope]] = []
        self.properties: set[str] = set()
        self.relations: set[str] = set()
        self.higher_order: list[str] = []
        self.readable: set[str] = set()
        self._subclass_keys: dict[int, list[int]] | None = None
        self._methods: dict[str, list[int]] | None = None
        self._build()

    def _build(self) -> None:
        by_name = self.by_name
        for file in self.files:
            scopes = file.facts.scopes
            for name, uses in file.facts.called.items():
                by_name[name].append((file, uses))
            for index in file.facts.classes:
                self._index_class(file, self.resolver.key(file, index), scopes[index])
            for index in file.facts.marked:
                scope = scopes[index]
                if scope.flags & f.PROPERTY:
                    self.properties.add(scope.name)
                elif scope.flags & f.HIGHER_ORDER:
                    self.higher_order.append(scope.name)
                for decorator in scope.decorators:
                    self.decorated[last_name(file, decorator)].add(scope.name)
            for target, name in file.facts.aliases:
                self.aliases[target].add(name)
        self.readable = self.properties | self.relations

    def _index_class(self, file: LoadedFile, key: int, scope: f.Scope) -> None:
        self.classes.append((key, scope))
        for base in scope.bases:
            name = last_name(file, base)
            if name:
                self.subclasses[name].add(scope.name)
        for name, ref in scope.names.items():
            for field in relation_fields(file, ref):
                self.relations.add(name)
                related = file.keywords.get(field, {}).get("related_name", 0)
                if file.ops[related] == f.TEXT:
                    self.resolver.related_names.add(file.text(related))

    def all_subclasses(self, key: int) -> list[int]:
        if self._subclass_keys is None:
            self._subclass_keys = defaultdict(list)
            for subclass, _ in self.classes:
                for base in self.resolver.line(subclass)[1:]:
                    if isinstance(base, Class):
                        self._subclass_keys[base.key].append(subclass)
        return self._subclass_keys.get(key, [])

    def methods_called(self, name: str) -> list[int]:
        """The methods of that name that do something."""
        if self._methods is None:
            self._methods = defaultdict(list)
            for key, scope in self.classes:
                file = self.resolver.file_of(key)
                for attribute, ref in scope.names.items():
                    if file.ops[ref] == f.DEF and f.DISTINCTIVE.fullmatch(attribute):
                        method = self.resolver.key(file, file.bases[ref])
                        if self.resolver.scope(method).kind == f.FUNCTION and not self.resolver.is_abstract(method):
                            self._methods[attribute].append(method)
        return self._methods.get(name, [])


def relation_fields(file: LoadedFile, ref: int) -> list[int]:
    """The calls that declare a relation among what a class attribute holds."""
    refs = file.args[ref] if file.ops[ref] == f.UNION else (ref,)
    return [r for r in refs if file.ops[r] == f.CALL and last_name(file, r) in _RELATIONS]


def last_name(file: LoadedFile, ref: int) -> str:
    while file.ops[ref] in (f.CALL, f.ITEM):
        ref = file.bases[ref]
    op = file.ops[ref]
    if op in (f.ATTR, f.NAME):
        return file.text(ref)
    if op == f.MEMBER:
        return file.text(ref).rpartition(":")[2]
    return file.facts.scopes[file.bases[ref]].name if op == f.DEF else ""
