"""What a reference can stand for, as far as the source tells."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class External(msgspec.Struct, frozen=True):
    """A name outside the analysed files, or (`instance`) an object of the class of that name.

    `elements` are what it holds when iterated: the model of a query set, the row type of a result.
    """

    name: str
    instance: bool = False
    elements: tuple[Value, ...] = ()


class Module(msgspec.Struct, frozen=True):
    """An analysed module."""

    file: int


class Namespace(msgspec.Struct, frozen=True):
    """A directory of analysed modules without an `__init__`, as imported by `file`."""

    file: int
    dotted: str


class Class(msgspec.Struct, frozen=True):
    """A class of the project; `key` identifies its scope."""

    key: int


class Instance(msgspec.Struct, frozen=True):
    """An object of a project class."""

    key: int


class Super(msgspec.Struct, frozen=True):
    """What `super()` gives in a method of the class."""

    key: int


class Function(msgspec.Struct, frozen=True):
    """A function of the project; `receiver` is the class it was looked up on, -1 for plain functions."""

    key: int
    receiver: int = -1


class Pending(msgspec.Struct, frozen=True):
    """What calling a coroutine, generator or context manager function gives: nothing has run yet."""

    key: int
    receiver: int = -1


class Sequence(msgspec.Struct, frozen=True):
    """A builtin container whose elements are known."""

    elements: tuple[Value, ...]


class Row(msgspec.Struct, frozen=True):
    """A tuple with known positions."""

    items: tuple[tuple[Value, ...], ...]


class Partial(msgspec.Struct, frozen=True):
    """`functools.partial` of the targets."""

    targets: tuple[Value, ...]


class Alias(msgspec.Struct, frozen=True):
    """A subscripted type that stands for itself until it is used as an annotation."""

    file: int
    ref: int


Value: TypeAlias = (
    External | Module | Namespace | Class | Instance | Super | Function | Pending | Sequence | Row | Partial | Alias
)
Values: TypeAlias = tuple[Value, ...]
