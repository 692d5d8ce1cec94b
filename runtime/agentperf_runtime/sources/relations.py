"""Which relation of a model an operation loads, read from the frames of the libraries that map objects to tables.

`selectinload(Order.items)` can be advised only where `Order.items` is known.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_Reader = Callable[[FrameType], str]


def sqlalchemy(module: ModuleType, instrument: Instrument) -> None:
    """Lazy loaders of `sqlalchemy.orm.strategies`."""
    _read(instrument, "strategies.py", {"_load_for_state": _of_strategy})


def django(module: ModuleType, instrument: Instrument) -> None:
    """Descriptors and related managers of Django's models (`django.db.models.fields.related_descriptors`)."""
    _read(instrument, "related_descriptors.py", {"__get__": _of_descriptor})
    _read(instrument, "base.py", {"refresh_from_db": _of_deferred_field})
    _read(instrument, "query.py", dict.fromkeys(("_fetch_all", "count", "exists", "aggregate"), _of_queryset))


def tortoise(module: ModuleType, instrument: Instrument) -> None:
    """Relations that Tortoise loads afterwards (`tortoise.backends.base.executor`)."""
    _read(instrument, "executor.py", {"_do_prefetch": _of_prefetch})


def peewee(module: ModuleType, instrument: Instrument) -> None:
    """Foreign keys of `peewee`."""
    _read(instrument, "peewee.py", {"get_rel_instance": _of_foreign_key})


def _read(instrument: Instrument, file: str, readers: dict[str, _Reader]) -> None:
    relations = instrument.recorder.stacks.relations
    for function, reader in readers.items():
        relations[function] = (file, reader)

    def undo() -> None:
        for function in readers:
            relations.pop(function, None)

    instrument.patches.on_undo(undo)


def _of_strategy(frame: FrameType) -> str:
    attribute = frame.f_locals["self"].parent_property
    return f"{attribute.parent.class_.__name__}.{attribute.key}"


def _of_descriptor(frame: FrameType) -> str:
    descriptor = frame.f_locals["self"]
    field = getattr(descriptor, "field", None)
    if field is not None:
        return f"{field.model.__name__}.{field.name}"
    related = descriptor.related
    return f"{related.model.__name__}.{related.get_accessor_name()}"


def _of_deferred_field(frame: FrameType) -> str:
    fields = list(frame.f_locals["fields"] or ())
    return f"{type(frame.f_locals['self']).__name__}.{fields[0]}" if len(fields) == 1 else ""


def _of_queryset(frame: FrameType) -> str:
    queryset = frame.f_locals["self"]
    for field in queryset._known_related_objects:  # of a foreign key's other side
        relation = field.remote_field
        return f"{relation.model.__name__}.{relation.get_accessor_name()}"
    instance = queryset._hints.get("instance")
    if instance is None or _is_single(frame):
        return ""
    names = [
        getattr(field, "get_accessor_name", lambda name=field.name: name)()
        for field in instance._meta.get_fields()
        if field.many_to_many and field.related_model is queryset.model
    ]
    return f"{type(instance).__name__}.{names[0]}" if len(names) == 1 else ""


def _is_single(frame: FrameType) -> bool:
    """Whether a descriptor asks, which is read itself."""
    outer: FrameType | None = frame
    for _ in range(4):
        outer = outer.f_back if outer is not None else None
        if outer is not None and outer.f_code.co_filename.endswith("related_descriptors.py"):
            return True
    return False


def _of_prefetch(frame: FrameType) -> str:
    return f"{frame.f_locals['self'].model.__name__}.{frame.f_locals['field']}"


def _of_foreign_key(frame: FrameType) -> str:
    accessor: Any = frame.f_locals["self"]
    return f"{accessor.model.__name__}.{accessor.name}"
