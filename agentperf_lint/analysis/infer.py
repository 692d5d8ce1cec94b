"""What references stand for across modules: types, functions, classes and external names.

Every question is answered once per file and reference. A question that comes up again while it is being
answered (an import cycle, a recursive function) is answered with "unknown".
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from collections.abc import Sequence as Seq
from enum import Enum

from agentperf_lint.analysis import facts as f
from agentperf_lint.analysis.extract import BUILTINS
from agentperf_lint.analysis.modules import ModuleIndex
from agentperf_lint.analysis.values import (
    Alias,
    Class,
    External,
    Function,
    Instance,
    Module,
    Namespace,
    Partial,
    Pending,
    Row,
    Sequence,
    Super,
    Value,
    Values,
)
from agentperf_rules.catalogue import Catalogue
from agentperf_rules.catalogue.schema import Returns

SCOPE_BITS = 20  # a key is file << SCOPE_BITS | scope
MAX_VALUES = 4
MAX_DEPTH = 120  # questions that wait for each other

NONE: Values = ()
_NO_NAMES: frozenset[str] = frozenset()

_FIRST_ARGUMENT = frozenset(
    (
        "Annotated ClassVar Final Required NotRequired Mapped Optional ReadOnly ContextManager "
        "AbstractContextManager AsyncContextManager AbstractAsyncContextManager DynamicMapped "
        "WriteOnlyMapped"
    ).split()
)
_SEQUENCES = frozenset(
    (
        "list List set Set frozenset FrozenSet Sequence MutableSequence Iterable Iterator Collection "
        "deque Deque Generator AsyncIterator AsyncIterable AsyncGenerator AbstractSet KeysView"
    ).split()
)
_MAPPINGS = frozenset(
    {"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict", "ValuesView"}
)
_ELEMENT_OF = frozenset("list tuple set frozenset sorted reversed iter filter aiter islice chain cycle".split())
_HOLDS_SAME = frozenset({"copy", "items", "values"})
_GIVES_ELEMENT = frozenset({"pop", "popleft", "get", "setdefault", "__getitem__"})
_SAME_AS_ARGUMENT = frozenset(
    (
        "contextlib.closing contextlib.aclosing contextlib.nullcontext asyncio.wait_for asyncio.shield "
        "asyncio.create_task asyncio.ensure_future copy.copy copy.deepcopy builtins.next builtins.anext "
        "builtins.max builtins.min"
    ).split()
)
_EXIT_STACKS = frozenset({"contextlib.ExitStack", "contextlib.AsyncExitStack"})
_ENTERS = {"enter_context": "__enter__", "enter_async_context": "__aenter__"}
_DEPENDS = frozenset(
    {"fastapi.Depends", "fastapi.Security", "fastapi.params.Depends", "faststream.Depends", "taskiq.TaskiqDepends"}
)
_SENDS_TASK = frozenset({"delay", "apply_async"})
_TASKS = frozenset({"task", "shared_task"})  # decorators that make a function a task of celery
_MANAGERS = frozenset({"objects", "_default_manager", "_base_manager"})
EAGER = ("select_related", "prefetch_related", "options")

# Where web frameworks let an application keep objects of its own, which may be anything.
_KEEPS_OBJECTS = re.compile(
    r"(?:fastapi|starlette|litestar|sanic|quart|flask|aiohttp\.web)\.(?:.*\.)?(?:app|ctx|g|state)$"
)
_KEEP_ITEMS = frozenset({"aiohttp.web.Application", "aiohttp.web.Request"})

_ONE_RELATIONS = frozenset({"ForeignKey", "OneToOneField", "ForeignKeyField"})
_RELATION_FIELDS = _ONE_RELATIONS | {"ManyToManyField"}

_MODEL_FIELD = re.compile(r"django\.db\.models\.(?:\w+\.)*(?:\w+Field|ForeignKey)")

MANAGER, QUERY_SET, MODEL = "django.db.models.Manager", "django.db.models.QuerySet", "django.db.models.Model"
PEEWEE_MODEL = "peewee.Model"


class Kind(Enum):
    """What calling a function does at once."""

    SYNC = "sync"
    ASYNC = "async"
    GENERATOR = "generator"
    ASYNC_GENERATOR = "async generator"
    CONTEXT_MANAGER = "context manager"
    ASYNC_CONTEXT_MANAGER = "async context manager"
    PROPERTY = "property"
    OFFLOADED = "offloaded"


class LoadedFile:
    """The facts of one file with its columns unpacked and the answers found so far."""

    __slots__ = (
        "answers",
        "args",
        "bases",
        "facts",
        "index",
        "keywords",
        "loops",
        "ops",
        "path",
        "strings",
        "texts",
        "uses",
    )

    def __init__(self, index: int, path: str, facts: f.FileFacts) -> None:
        self.index = index
        self.path = path
        self.facts = facts
        self.ops = facts.ops
        self.bases = f.ints(facts.bases)
        self.texts = f.ints(facts.texts)
        self.strings = facts.strings
        self.args = facts.args
        self.keywords = facts.keywords
        self.uses = f.ints(facts.uses)
        self.loops = f.ints(facts.loops)
        self.answers: dict[int, Values] = {}
        facts.bases = facts.texts = facts.uses = facts.loops = b""  # they are in the columns now

    def text(self, ref: int) -> str:
        return self.strings[self.texts[ref]]

    def use(self, index: int) -> f.Use:
        start = index * f.USE_STRIDE
        return f.Use._make(self.uses[start : start + f.USE_STRIDE])

    def loop(self, index: int) -> f.LoopFact:
        start = index * f.LOOP_STRIDE
        return f.LoopFact(*self.loops[start : start + f.LOOP_STRIDE])


class Resolver:
    """Answers what references of `files` stand for. `files[i].index` must be `i`."""

    def __init__(self, files: Seq[LoadedFile], top: str, catalogue: Catalogue) -> None:
        self.files = files
        self.catalogue = catalogue
        self.index = ModuleIndex([file.path for file in files], top)
        self.related_names: set[str] = set()
        self._depth = 0
        self._lines: dict[int, tuple[Value, ...]] = {}
        self._kinds: dict[int, Kind] = {}
        self._decorators: dict[int, frozenset[str]] = {}
        self._wrapped: dict[int, list[int]] = {}
        self._star_names: dict[tuple[int, str], Values] = {}
        self._iterated: dict[Value, Values] = {}
        self._open_aliases: set[Alias] = set()
        self._lookups: dict[tuple[int, str], Values] = {}
        self._external_names: dict[tuple[str, bool, str], str] = {}
        self._methods: dict[tuple[int, str], tuple[int, int] | None] = {}
        self._models: dict[int, bool] = {}

    # -- the question -------------------------------------------------------------------------------

    def values(self, file: LoadedFile, ref: int) -> Values:
        """What `ref` of `file` stands for; empty when nothing is known."""
        answers = file.answers
        known = answers.get(ref)
        if known is not None:
            return known
        step = _STEPS.get(file.ops[ref])
        if step is None or self._depth > MAX_DEPTH:
            return NONE
        answers[ref] = NONE
        self._depth += 1
        try:
            found = step(self, file, ref)
        finally:
            self._depth -= 1
        answers[ref] = found
        return found

    def scope(self, key: int) -> f.Scope:
        return self.files[key >> SCOPE_BITS].facts.scopes[key & (1 << SCOPE_BITS) - 1]

    def file_of(self, key: int) -> LoadedFile:
        return self.files[key >> SCOPE_BITS]

    def key(self, file: LoadedFile, scope: int) -> int:
        return file.index << SCOPE_BITS | scope

    def qualified_name(self, key: int) -> str:
        """`Class.method` or `outer.inner`; `<module>` for module level."""
        names = []
        scopes = self.file_of(key).facts.scopes
        index = key & (1 << SCOPE_BITS) - 1
        while index > 0:
            names.append(scopes[index].name)
            index = scopes[index].parent
        return ".".join(reversed(names)) or "<module>"

    # -- names --------------------------------------------------------------------------------------

    def _name(self, file: LoadedFile, ref: int) -> Values:
        return self.global_name(file, file.text(ref))

    def is_module(self, name: str) -> bool:
        """Whether a top-level module or package of the project has the name."""
        return bool(self.files) and (self.index.absolute(0, name) is not None or self.index.is_package(name, 0))

    def named(self, dotted: str) -> Values:
        """What `dotted`, a module of the project and names in it, stands for; empty when there is none."""
        parts = dotted.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = self.index.absolute(0, ".".join(parts[:length])) if self.files else None
            if module is not None:
                values: Values = (Module(module),)
                for name in parts[length:]:
                    values = self._join(self.attribute(value, name) for value in values)
                return values
        return NONE

    def global_name(self, file: LoadedFile, name: str) -> Values:
        held = file.facts.scopes[0].names.get(name)
        if held is not None:
            return self.values(file, held)
        found = self._starred(file, name) if file.facts.stars else NONE
        if found:
            return found
        return (External(f"builtins.{name}"),) if name in BUILTINS else NONE

    def _starred(self, file: LoadedFile, name: str) -> Values:
        """What a star import of the file binds `name` to."""
        key = (file.index, name)
        if key in self._star_names:
            return self._star_names[key]
        self._star_names[key] = NONE
        for level, dotted in file.facts.stars:
            for value in self._module(file, level, dotted):
                found = self.attribute(value, name)
                if found and (not isinstance(value, External) or self._known(found)):
                    self._star_names[key] = found
                    return found
        return NONE

    def _known(self, values: Values) -> bool:
        return any(isinstance(v, External) and self.catalogue.knows(v.name) for v in values)

    def _module(self, file: LoadedFile, level: int, dotted: str) -> Values:
        found = self.index.relative(file.index, level, dotted) if level else self.index.absolute(file.index, dotted)
        if found is not None:
            return (Module(found),)
        if level:
            return NONE
        if self.index.is_package(dotted, file.index):
            return (Namespace(file.index, dotted),)
        return (self._external(dotted),)

    def _external(self, name: str) -> External:
        return External(self.catalogue.canonical(name))

    def _import(self, file: LoadedFile, ref: int) -> Values:
        return self._module(file, file.bases[ref], file.text(ref))

    def _member(self, file: LoadedFile, ref: int) -> Values:
        dotted, _, name = file.text(ref).partition(":")
        level = file.bases[ref]
        for module in self._module(file, level, dotted):
            return self.attribute(module, name)
        found = self.index.sibling(file.index, level, dotted, name)
        return (Module(found),) if found is not None else NONE

    def _definition(self, file: LoadedFile, ref: int) -> Values:
        key = self.key(file, file.bases[ref])
        return (Class(key),) if self.scope(key).kind == f.CLASS else (Function(key),)

    def _super(self, file: LoadedFile, ref: int) -> Values:
        owner = self.owner(self.key(file, file.bases[ref]))
        return (Super(owner),) if owner >= 0 else NONE

    def owner(self, key: int) -> int:
        """The class whose method (or a function in whose method) `key` is, -1 for none."""
        file = self.file_of(key)
        index = self.scope(key).parent
        while index > 0:
            if file.facts.scopes[index].kind == f.CLASS:
                return self.key(file, index)
            index = file.facts.scopes[index].parent
        return -1

    def _param(self, file: LoadedFile, ref: int) -> Values:
        key = self.key(file, file.bases[ref])
        scope = self.scope(key)
        name = file.text(ref)
        for position, param in enumerate(scope.params):
            if param.name != name:
                continue
            if position == 0 and scope.kind == f.FUNCTION:
                receiver = self._receiver(file, key, scope)
                if receiver:
                    return receiver
            typed = self.instances(file, param.annotation, key) if param.annotation else NONE
            return typed or (self.values(file, param.default) if param.default else NONE)
        return NONE

    def _receiver(self, file: LoadedFile, key: int, scope: f.Scope) -> Values:
        if scope.parent <= 0 or file.facts.scopes[scope.parent].kind != f.CLASS:
            return NONE
        names = self.decorator_names(key)
        if "staticmethod" in names:
            return NONE
        owner = self.key(file, scope.parent)
        if "classmethod" in names or scope.name in ("__new__", "__init_subclass__", "__class_getitem__"):
            return (Class(owner),)
        return (Instance(owner),)

    def _literal(self, file: LoadedFile, ref: int) -> Values:
        name = file.text(ref)
        args = file.args.get(ref)
        if name == "tuple" and args:
            return (Row(tuple(self.values(file, arg) for arg in args)),)
        if args and name in ("list", "set", "dict", "generator"):
            elements = self._first_known(file, args)
            return (Sequence(elements),) if elements else (External(f"builtins.{name}", True),)
        if name == "None":
            return NONE
        return (External(f"builtins.{name}", True),)

    def _first_known(self, file: LoadedFile, refs: Seq[int]) -> Values:
        for ref in refs:
            found = self.values(file, ref)
            if found:
                return found
        return NONE

    def _text(self, file: LoadedFile, ref: int) -> Values:
        return (External("builtins.str", True),)

    def _union(self, file: LoadedFile, ref: int) -> Values:
        return self._join([self.values(file, member) for member in file.args[ref]])

    def _join(self, parts: Iterable[Values]) -> Values:
        found = [values for values in parts if values]
        if not found:
            return NONE
        if len(found) == 1 and len(found[0]) == 1:
            return found[0]
        joined: list[Value] = []
        for values in found:
            for value in values:
                if value not in joined:
                    joined.append(value)
        return tuple(joined[:MAX_VALUES])

    # -- annotations --------------------------------------------------------------------------------

    def _instance(self, file: LoadedFile, ref: int) -> Values:
        return self.instances(file, file.bases[ref])

    def instances(self, file: LoadedFile, ref: int, function: int = -1) -> Values:
        """What an object annotated with `ref` is; `function` is the key of the function it stands in, for `Self`."""
        op = file.ops[ref]
        if op == f.UNION:
            return self._join(self.instances(file, member, function) for member in file.args[ref])
        if op == f.ITEM:
            return self._subscripted(file, ref, function)
        if op == f.TEXT:
            return NONE
        values = self.values(file, ref)
        if len(values) == 1:
            return self._as_instance(values[0], function)
        return self._join([self._as_instance(value, function) for value in values]) if values else NONE

    def _as_instance(self, value: Value, function: int) -> Values:
        if isinstance(value, Class):
            return (Instance(value.key),)
        if isinstance(value, Alias):
            if value in self._open_aliases:
                return NONE
            self._open_aliases.add(value)
            found = self.instances(self.files[value.file], value.ref, function)
            self._open_aliases.discard(value)
            return found
        if isinstance(value, External) and not value.instance:
            last = value.name.rpartition(".")[2]
            if last == "Self" and function >= 0 and self.owner(function) >= 0:
                return (Instance(self.owner(function)),)
            if last in ("Any", "object", "Callable", "Self", "TypeVar"):
                return NONE
            if last in _MAPPINGS:
                return (External("builtins.dict", True),)
            if last in _SEQUENCES:
                return (External("builtins.list", True),)
            return (External(value.name, True),)
        return NONE

    def _subscripted(self, file: LoadedFile, ref: int, function: int) -> Values:
        bases = self.values(file, file.bases[ref])
        args = file.args.get(ref) or []
        for base in bases:
            if not isinstance(base, External):
                break
            last = base.name.rpartition(".")[2]
            if not args:
                break
            if last in _FIRST_ARGUMENT:
                return self.instances(file, args[0], function)
            if last == "Union":
                return self._join(self.instances(file, arg, function) for arg in args)
            if last in _SEQUENCES:
                return self._container(self.instances(file, args[0], function), "list")
            if last in _MAPPINGS:
                return self._container(self.instances(file, args[-1], function), "dict")
            if last in ("tuple", "Tuple"):
                return (Row(tuple(self.instances(file, arg, function) for arg in args)),)
            if last in ("Awaitable", "Coroutine"):
                return self.instances(file, args[-1], function)
            if last in ("type", "Type"):
                return tuple(Class(v.key) for v in self.instances(file, args[0], function) if isinstance(v, Instance))
            elements = self.instances(file, args[0], function)
            return (External(base.name, True, elements),)
        return self._join(self._as_instance(value, function) for value in bases)

    def _container(self, elements: Values, name: str) -> Values:
        return (Sequence(elements),) if elements else (External(f"builtins.{name}", True),)

    # -- attributes ---------------------------------------------------------------------------------

    def _attribute(self, file: LoadedFile, ref: int) -> Values:
        values = self.values(file, file.bases[ref])
        if not values:
            return NONE
        name = file.strings[file.texts[ref]]
        if len(values) == 1:
            found = self.attribute(values[0], name)
            return found if len(found) < 2 else self._join((found,))
        return self._join([self.attribute(value, name) for value in values])

    def attribute(self, value: Value, name: str) -> Values:
        """What `value.name` is."""
        if isinstance(value, External):
            return self._external_attribute(value, name)
        if isinstance(value, Module):
            return self._module_attribute(value.file, name)
        if isinstance(value, Namespace):
            return self._module(self.files[value.file], 0, f"{value.dotted}.{name}")
        if isinstance(value, Instance):
            return self._instance_attribute(value.key, name)
        if isinstance(value, Class):
            return self._class_attribute(value.key, name)
        if isinstance(value, Super):
            return self._bind(self.lookup(value.key, name, skip_first=True), value.key, name)
        if isinstance(value, Sequence):
            return (External(f"builtins.list.{name}", False, value.elements),)
        if isinstance(value, Partial) and name == "func":
            return value.targets
        if isinstance(value, Function) and name in _SENDS_TASK and self.decorator_names(value.key) & _TASKS:
            return (External(f"celery.Task.{name}"),)
        return NONE

    def _external_attribute(self, value: External, name: str) -> Values:
        if _KEEPS_OBJECTS.match(value.name):
            return NONE
        if name in _MANAGERS and not value.instance and self._is_foreign_class(value.name):
            return (External(MANAGER, True, (External(value.name, True),)),)  # a model of another distribution
        key = (value.name, value.instance, name)
        full = self._external_names.get(key)
        if full is None:
            full = self._external_names[key] = self._external_name(value.name, value.instance, name)
        return (External(full, False, value.elements),)

    def _is_foreign_class(self, name: str) -> bool:
        return _is_class_name(name) and not self.catalogue.knows(name)

    def _external_name(self, owner: str, instance: bool, name: str) -> str:
        if not instance and not _is_class_name(owner):
            returned = self.catalogue.returns_of(owner)
            if returned is not None and self.catalogue.sink(owner) is None:
                owner = returned.type
        return self.catalogue.canonical(f"{owner}.{name}")

    def _module_attribute(self, index: int, name: str) -> Values:
        file = self.files[index]
        held = file.facts.scopes[0].names.get(name)
        if held is not None:
            values = self.values(file, held)
            if values or file.ops[held] != f.MEMBER or file.text(held) != f":{name}":
                return values
        found = self.index.submodule(index, name)  # `from . import name` means itself while it is being answered
        if found is not None:
            return (Module(found),)
        return self._starred(file, name) if file.facts.stars else NONE

    def _class_attribute(self, key: int, name: str) -> Values:
        found = tuple(self._of_class(value, key) for value in self.lookup(key, name))
        manager = self._orm_attribute(key, name)
        if not manager:
            return found
        # One of another distribution is as good as the plain one; the project's own has methods besides.
        return (*(value for value in found if not isinstance(value, External)), *manager)

    def _of_class(self, value: Value, key: int) -> Value:
        """A function, or one that a class of a library has, as read from the class `key`: `Book.select`."""
        if isinstance(value, Function):
            return Function(value.key, key)
        if isinstance(value, External) and not value.instance and not value.elements:
            return External(value.name, False, (Instance(key),))
        return value

    def _orm_attribute(self, key: int, name: str) -> Values:
        if name in _MANAGERS and self.derives(key, MODEL):
            return (External(MANAGER, True, (Instance(key),)),)
        return NONE

    def _instance_attribute(self, key: int, name: str) -> Values:
        found = self.lookup(key, name)
        if found:
            return self._bind(found, key, name)
        if (name.endswith("_set") or name in self.related_names) and self.derives(key, MODEL):
            return (External(MANAGER, True),)
        return NONE

    def _bind(self, found: Values, key: int, name: str) -> Values:
        """Attributes as seen through an instance: properties give their value, functions remember the class."""
        bound: list[Value] = []
        for value in found:
            if isinstance(value, External) and value.name.startswith("django.db.models."):
                bound.extend(self._related(value))
            elif not isinstance(value, Function):
                bound.append(value)
            elif self.kind(value.key) is Kind.PROPERTY:
                bound.extend(self.results(value.key))
            else:
                bound.append(Function(value.key, key))
        return tuple(bound[:MAX_VALUES])

    def _related(self, field: External) -> Values:
        """What reading a model field gives: the row of a foreign key, the manager of a many-to-many relation."""
        last = field.name.rpartition(".")[2]
        if last in _ONE_RELATIONS:
            return field.elements
        return (External(MANAGER, True, field.elements),) if last == "ManyToManyField" else (field,)

    def line(self, key: int) -> tuple[Value, ...]:
        """The class and its bases in the order in which attributes are looked up; bases may be external."""
        known = self._lines.get(key)
        if known is not None:
            return known
        self._lines[key] = (Class(key),)
        order: list[Value] = [Class(key)]
        file = self.file_of(key)
        for base in self.scope(key).bases:
            while file.ops[base] == f.ITEM:
                base = file.bases[base]
            for value in self.values(file, base):
                further = (
                    self.line(value.key)
                    if isinstance(value, Class)
                    else (value,)
                    if isinstance(value, External)
                    else ()
                )
                order.extend(v for v in further if v not in order)
        if self._is_model_of_unknown_base(key, order):
            order.append(External(MODEL))
        self._lines[key] = tuple(order)
        return self._lines[key]

    def _is_model_of_unknown_base(self, key: int, line: Seq[Value]) -> bool:
        """Whether the class declares fields of Django, and has a base of a library that may well be a model."""
        bases = [base for base in line if isinstance(base, External)]
        if not bases or any(self.catalogue.is_a(base.name, MODEL) for base in bases):
            return False
        if any(base.name.startswith(("builtins.", "django.", "typing.", "enum.")) for base in bases):
            return False
        file = self.file_of(key)
        for ref in self.scope(key).names.values():
            if file.ops[ref] == f.CALL and file.ops[file.bases[ref]] in (f.ATTR, f.MEMBER):
                fields = self.values(file, file.bases[ref])
                if any(isinstance(v, External) and _MODEL_FIELD.fullmatch(v.name) for v in fields):
                    return True
        return False

    def derives(self, key: int, external: str) -> bool:
        """Whether the class has the external class `external` among its bases."""
        return any(isinstance(base, External) and self.catalogue.is_a(base.name, external) for base in self.line(key))

    def lookup(self, key: int, name: str, skip_first: bool = False) -> Values:
        """What the class attribute `name` holds, or what its methods assign to `self.name`."""
        cache_key = (~key if skip_first else key, name)
        known = self._lookups.get(cache_key)
        if known is not None:
            return known
        self._lookups[cache_key] = NONE
        found: Values = NONE
        for cls in self.line(key)[1 if skip_first else 0 :]:
            found = self._own(cls, name)
            if found:
                break
        self._lookups[cache_key] = found
        return found

    def _own(self, cls: Value, name: str) -> Values:
        if isinstance(cls, External):
            full = self.catalogue.canonical(f"{cls.name}.{name}")
            return (External(full),) if self.catalogue.knows(full) else NONE
        if not isinstance(cls, Class):
            return NONE
        scope, file = self.scope(cls.key), self.file_of(cls.key)
        refs = list(scope.attributes.get(name, ()))
        if name in scope.names:
            refs.append(scope.names[name])
        return self._join([self.values(file, ref) for ref in refs]) if refs else NONE

    # -- calls --------------------------------------------------------------------------------------

    def _call(self, file: LoadedFile, ref: int) -> Values:
        callees = self.values(file, file.bases[ref])
        if len(callees) == 1:
            found = self.called(callees[0], file, ref)
            return found if len(found) < 2 else self._join((found,))
        return self._join([self.called(value, file, ref) for value in callees]) if callees else NONE

    def called(self, value: Value, file: LoadedFile, ref: int) -> Values:
        """What calling `value` gives, with the arguments of the call `ref`."""
        if isinstance(value, External):
            return self._external_call(value, file, ref)
        if isinstance(value, Class):
            return (Instance(value.key),)
        if isinstance(value, Function):
            return self._function_call(value)
        if isinstance(value, Partial):
            return self._join(self.called(target, file, ref) for target in value.targets)
        if isinstance(value, Instance):
            return self._join(
                self._function_call(v)
                for v in self._instance_attribute(value.key, "__call__")
                if isinstance(v, Function)
            )
        return NONE

    def _function_call(self, function: Function) -> Values:
        kind = self.kind(function.key)
        if kind in (Kind.SYNC, Kind.PROPERTY, Kind.OFFLOADED):
            return self.results(function.key, function.receiver)
        return (Pending(function.key, function.receiver),)

    def _external_call(self, value: External, file: LoadedFile, ref: int) -> Values:
        name = value.name
        args = file.args.get(ref) or ()
        owner, _, last = name.rpartition(".")
        if (
            owner in ("functools", "builtins", "itertools", "typing", "asyncio", "contextlib", "copy", "socket")
            or name in _DEPENDS
        ):
            special = self._special_call(name, last, file, args)
            if special is not None:
                return special
        if owner in _EXIT_STACKS and last in _ENTERS and args:
            return self._join(self._entered(v, _ENTERS[last]) for v in self.values(file, args[0]))
        if owner in ("builtins.list", "builtins.dict"):
            if last in _GIVES_ELEMENT:
                return value.elements
            if value.elements:
                return (Sequence(value.elements),) if last in _HOLDS_SAME else NONE
        offloader = self.catalogue.offloaders.get(name)
        if offloader is not None and offloader.awaitable and not offloader.result and offloader.position < len(args):
            return self._join(self.called(v, file, 0) for v in self.values(file, args[offloader.position]))
        sink = self.catalogue.sink(name)
        if sink is not None and sink.kind == "llm":
            return NONE  # an answer: nothing below it asks again
        returned = self.catalogue.returns_of(name)
        if returned is not None:
            return self._returned(returned, value, file, args)
        if value.instance:
            called = self.catalogue.returns_of(f"{name}.__call__")
            return self._returned(called, value, file, args) if called is not None else NONE
        if last in _RELATION_FIELDS and args:
            return (External(name, True, self._held_by(file, args[0])),)
        return (External(name if self._is_class(name) else f"{name}()", True),)

    def _is_class(self, name: str) -> bool:
        """Whether the external name is one of a class: `scoped_session` is, though written like a function."""
        return _is_class_name(name) or name in self.catalogue.bases

    def _special_call(self, name: str, last: str, file: LoadedFile, args: Seq[int]) -> Values | None:
        if not args:
            return None
        if name in ("functools.partial", "functools.partialmethod"):
            targets = self.values(file, args[0])
            return (Partial(targets),) if targets else NONE
        if name == "typing.cast":
            return self.instances(file, args[0])
        if name == "socket.socket" and len(args) > 1:
            kinds = self.values(file, args[1])
            return (External("socket.datagram", True),) if External("socket.SOCK_DGRAM") in kinds else None
        if name in _DEPENDS:
            return self._join(self._provided(value, file) for value in self.values(file, args[0]))
        if name in _SAME_AS_ARGUMENT:
            values = self.values(file, args[0])
            return self.elements(values) if last in ("next", "anext", "max", "min") else values
        if last in _ELEMENT_OF:
            elements = self.elements(self.values(file, args[0]))
            return (Sequence(elements),) if elements else NONE
        if last == "enumerate":
            return (Sequence((Row((NONE, self.elements(self.values(file, args[0])))),)),)
        if last == "zip":
            return (Sequence((Row(tuple(self.elements(self.values(file, arg)) for arg in args)),)),)
        return None

    def _provided(self, value: Value, file: LoadedFile) -> Values:
        """What a dependency function or class gives to a parameter."""
        if isinstance(value, Function):
            if self.scope(value.key).flags & f.GENERATOR:
                return self.yielded(value.key)
            return self.results(value.key)
        return (Instance(value.key),) if isinstance(value, Class) else NONE

    def _returned(self, row: Returns, value: External, file: LoadedFile, args: Seq[int]) -> Values:
        elements: Values = (External(row.of, True),) if row.of else NONE
        if row.elem == "self":
            elements = value.elements
        elif row.elem == "arg0" and args:
            elements = self._held_by(file, args[0])
        if row.type == "elem":
            return value.elements or elements
        if row.type == "self":
            return (External(value.name.rpartition(".")[0], True, value.elements),)
        return (External(row.type, True, elements),)

    def _held_by(self, file: LoadedFile, ref: int) -> Values:
        found: list[Value] = []
        for value in self.values(file, ref):
            if isinstance(value, Class):
                found.append(Instance(value.key))
            elif isinstance(value, External):
                found.extend(value.elements)
        return tuple(found)

    # -- await, with, for, [] -----------------------------------------------------------------------

    def _await(self, file: LoadedFile, ref: int) -> Values:
        return self._join(self.awaited(value) for value in self.values(file, file.bases[ref]))

    def awaited(self, value: Value) -> Values:
        if isinstance(value, Pending):
            return self.results(value.key, value.receiver) if self.kind(value.key) is Kind.ASYNC else NONE
        return (value,)

    def _enter(self, file: LoadedFile, ref: int) -> Values:
        dunder = "__aenter__" if file.ops[ref] == f.AENTER else "__enter__"
        values = self.values(file, file.bases[ref])
        if len(values) > 1:  # of a sync and an async twin, the statement names the one that is meant
            values = tuple(value for value in values if self._can_enter(value, dunder)) or values
        return self._join(self._entered(value, dunder) for value in values)

    def _can_enter(self, value: Value, dunder: str) -> bool:
        return not isinstance(value, Instance) or bool(self._instance_attribute(value.key, dunder))

    def _entered(self, value: Value, dunder: str) -> Values:
        if isinstance(value, Pending):
            return self.yielded(value.key)
        if isinstance(value, Instance):
            method = [v for v in self._instance_attribute(value.key, dunder) if isinstance(v, Function)]
            return self._join(self.results(v.key, value.key) for v in method) or (value,)
        if isinstance(value, External):
            returned = self.catalogue.returns_of(f"{value.name}.{dunder}")
            if returned is not None and returned.type != "self":
                return (External(returned.type, True, value.elements),)
        return (value,)

    def _iter(self, file: LoadedFile, ref: int) -> Values:
        return self.elements(self.values(file, file.bases[ref]))

    def elements(self, values: Values) -> Values:
        """What iterating over any of `values` gives."""
        return self._join(self._elements_of(value) for value in values)

    def _elements_of(self, value: Value) -> Values:
        known = self._iterated.get(value)
        if known is None:
            self._iterated[value] = NONE
            known = self._iterated[value] = self._elements_once(value)
        return known

    def _elements_once(self, value: Value) -> Values:
        if isinstance(value, Sequence):
            return value.elements
        if isinstance(value, Row):
            return self._join(iter(value.items))
        if isinstance(value, External):
            return value.elements
        if isinstance(value, Pending):
            return self.yielded(value.key)
        if isinstance(value, Instance):
            for dunder in ("__iter__", "__aiter__"):
                for method in self._instance_attribute(value.key, dunder):
                    if isinstance(method, Function):
                        return self.yielded(method.key) or self.elements(self.results(method.key))
        return NONE

    def _item(self, file: LoadedFile, ref: int) -> Values:
        bases = self.values(file, file.bases[ref])
        text = file.text(ref)
        return self._join(self._item_of(value, text, file, ref) for value in bases)

    def _item_of(self, value: Value, text: str, file: LoadedFile, ref: int) -> Values:
        if isinstance(value, Row):
            if text.isdecimal() and int(text) < len(value.items):
                return value.items[int(text)]
            return NONE
        if isinstance(value, Sequence):
            return value.elements
        if isinstance(value, External):
            if _KEEPS_OBJECTS.match(value.name) or value.name in _KEEP_ITEMS:
                return NONE
            is_class = self._is_class(value.name) or self.catalogue.returns_of(f"{value.name}.__call__") is not None
            if value.instance or not is_class:
                return value.elements or self._unknown_item(value)
            return (Alias(file.index, ref),)
        if isinstance(value, Class):
            return (value,)
        return NONE

    def _unknown_item(self, value: External) -> Values:
        """What an object of a library holds under a key has the name of that; a list or a dict may hold anything."""
        return NONE if value.name in ("builtins.list", "builtins.dict") else (External(f"{value.name}.[]", False),)

    # -- functions ----------------------------------------------------------------------------------

    def results(self, key: int, receiver: int = -1) -> Values:
        """What a call of the function gives when its body has run."""
        scope, file = self.scope(key), self.file_of(key)
        if scope.annotation:
            declared = self.instances(file, scope.annotation, receiver if False else key)
            if declared:
                return declared
        return self._join(self.values(file, ref) for ref in scope.results)

    def yielded(self, key: int) -> Values:
        """What the generator function yields."""
        scope, file = self.scope(key), self.file_of(key)
        if scope.annotation:
            declared = self.elements(self.instances(file, scope.annotation, key))
            if declared:
                return declared
        return self._join(self.values(file, ref) for ref in scope.yields)

    def decorator_names(self, key: int) -> frozenset[str]:
        """The last names of the decorators, as written."""
        if not self.scope(key).decorators:
            return _NO_NAMES
        known = self._decorators.get(key)
        if known is None:
            known = self._decorators[key] = self._decorator_names(key)
        return known

    def _decorator_names(self, key: int) -> frozenset[str]:
        file = self.file_of(key)
        names = set()
        for ref in self.scope(key).decorators:
            while file.ops[ref] == f.CALL:
                ref = file.bases[ref]
            if file.ops[ref] in (f.ATTR, f.NAME):
                names.add(file.text(ref))
            elif file.ops[ref] == f.MEMBER:
                names.add(file.text(ref).rpartition(":")[2])
            elif file.ops[ref] == f.DEF:
                names.add(file.facts.scopes[file.bases[ref]].name)
        return frozenset(names)

    def kind(self, key: int) -> Kind:
        """What calling the function does at once, decorators included."""
        known = self._kinds.get(key)
        if known is None:
            scope = self.scope(key)
            self._kinds[key] = known = _plain_kind(scope.flags)
            if scope.decorators:
                self._kinds[key] = known = self._decorated_kind(key, scope, known)
        return known

    def _decorated_kind(self, key: int, scope: f.Scope, plain: Kind) -> Kind:
        if scope.flags & f.PROPERTY:
            return Kind.PROPERTY if plain is not Kind.ASYNC else Kind.ASYNC
        names = self.decorator_names(key)
        if plain is Kind.GENERATOR and "contextmanager" in names:
            return Kind.CONTEXT_MANAGER
        if plain is Kind.ASYNC_GENERATOR and "asynccontextmanager" in names:
            return Kind.ASYNC_CONTEXT_MANAGER
        if plain is not Kind.SYNC:
            return plain
        file = self.file_of(key)
        if any(self._offloads(file, ref) for ref in scope.decorators):
            return Kind.OFFLOADED
        return plain

    def _offloads(self, file: LoadedFile, ref: int) -> bool:
        """Whether a decorator turns a sync function into something to await."""
        base = file.bases[ref] if file.ops[ref] == f.CALL else ref
        for value in self.values(file, base):
            if isinstance(value, External) and self.catalogue.offloads(value.name):
                return True
        for value in self.values(file, ref):
            if isinstance(value, External) and self.catalogue.offloads(value.name):
                return True
            if isinstance(value, Function):
                made = [result for result in self._wrappers(value) if isinstance(result, Function)]
                # One that looks whether it is given a coroutine function leaves sync ones sync.
                return bool(made) and all(self.scope(result.key).flags & f.ASYNC for result in made)
        return False

    def wrappers(self, key: int) -> list[int]:
        """The sync functions of the project that decorators put in place of the function `key`."""
        if not self.scope(key).decorators:
            return []
        known = self._wrapped.get(key)
        if known is None:
            file = self.file_of(key)
            decorators = (v for ref in self.scope(key).decorators for v in self.values(file, ref))
            results = (result for v in decorators if isinstance(v, Function) for result in self._wrappers(v))
            found = {result.key for result in results if isinstance(result, Function) and result.key != key}
            known = self._wrapped[key] = sorted(each for each in found if self.kind(each) is Kind.SYNC)
        return known

    def _wrappers(self, decorator: Function) -> Values:
        """The functions that a decorator of the project returns."""
        file = self.file_of(decorator.key)
        return self._join(self.values(file, ref) for ref in self.scope(decorator.key).results)

    def is_abstract(self, key: int) -> bool:
        return bool(self.scope(key).flags & f.TRIVIAL) or "abstractmethod" in self.decorator_names(key)

    def overrides(self, cls: int, method: int) -> bool:
        """Whether a class has a body for the name of `method`, and it is another one."""
        found = [value.key for value in self.lookup(cls, self.scope(method).name) if isinstance(value, Function)]
        return method not in found and any(not self.is_abstract(key) for key in found)

    def is_eager(
        self, file: LoadedFile, ref: int, loaders: tuple[str, ...] = EAGER, seen: frozenset[int] = frozenset()
    ) -> bool:
        """Whether the chain that leads to `ref` loads relations with the rows, by one of `loaders`.

        A chain that starts in a function of the project is followed into it; `seen` are those followed already.
        """
        while ref:
            op = file.ops[ref]
            if op == f.ATTR and file.text(ref) in loaders:
                return True
            if op == f.UNION:
                return any(self.is_eager(file, member, loaders, seen) for member in file.args[ref])
            args = [arg for arg in file.args.get(ref, ()) if file.ops[arg] in (f.CALL, f.ATTR, f.UNION)]
            if any(self.is_eager(file, arg, loaders, seen) for arg in args):
                return True
            if op == f.CALL and self._gives_eager(file, file.bases[ref], loaders, seen):
                return True
            if op == f.ATTR and self._holds_eager(file, ref, loaders, seen):
                return True
            if op in (f.PARAM, f.DEF, f.SUPER, f.IMPORT, f.MEMBER, f.NAME):
                return False
            ref = file.bases[ref]
        return False

    def _gives_eager(self, file: LoadedFile, callee: int, loaders: tuple[str, ...], seen: frozenset[int]) -> bool:
        """Whether the function of the project that is called returns what loads relations."""
        return self._returns_eager(self.values(file, callee), loaders, seen)

    def _holds_eager(self, file: LoadedFile, ref: int, loaders: tuple[str, ...], seen: frozenset[int]) -> bool:
        """Whether the attribute is a property of the project that returns what loads relations."""
        name = file.text(ref)
        held = (self.lookup(value.key, name) for value in self.values(file, file.bases[ref]) if type(value) is Instance)
        return any(self._returns_eager(values, loaders, seen) for values in held)

    def _returns_eager(self, functions: Values, loaders: tuple[str, ...], seen: frozenset[int]) -> bool:
        for value in functions:
            if isinstance(value, Function) and value.key not in seen:
                inside = self.file_of(value.key)
                results = self.scope(value.key).results
                if any(self.is_eager(inside, result, loaders, seen | {value.key}) for result in results):
                    return True
        return False


# Not in the resolver: bound methods there would make it a cycle, which only the collector frees, in a second or so.
_STEPS: dict[int, Callable[[Resolver, LoadedFile, int], Values]] = {
    f.NAME: Resolver._name,
    f.PARAM: Resolver._param,
    f.IMPORT: Resolver._import,
    f.MEMBER: Resolver._member,
    f.DEF: Resolver._definition,
    f.ATTR: Resolver._attribute,
    f.CALL: Resolver._call,
    f.AWAIT: Resolver._await,
    f.ITEM: Resolver._item,
    f.ITER: Resolver._iter,
    f.AITER: Resolver._iter,
    f.ENTER: Resolver._enter,
    f.AENTER: Resolver._enter,
    f.LITERAL: Resolver._literal,
    f.TEXT: Resolver._text,
    f.INSTANCE: Resolver._instance,
    f.UNION: Resolver._union,
    f.SUPER: Resolver._super,
}


def _plain_kind(flags: int) -> Kind:
    if flags & f.ASYNC:
        return Kind.ASYNC_GENERATOR if flags & f.GENERATOR else Kind.ASYNC
    return Kind.GENERATOR if flags & f.GENERATOR else Kind.SYNC


def _is_class_name(name: str) -> bool:
    last = name.rpartition(".")[2].lstrip("_")
    return last[:1].isupper() and not (last.isupper() and len(last) > 4 and "_" in last)


def display_path(path: str, base: str) -> str:
    """`path` relative to `base` where it lies below it, with forward slashes."""
    if path.startswith(base + os.sep):
        path = path[len(base) + 1 :]
    return path.replace(os.sep, "/")
