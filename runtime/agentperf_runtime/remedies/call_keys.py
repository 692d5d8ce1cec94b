"""Calls as keys: what makes two calls of a function the same call."""

from __future__ import annotations

import inspect
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from inspect import Parameter
from typing import Any

from agentperf_runtime.remedies.cache_entries import Entry, Key

KeyOf = Callable[[tuple[Any, ...], dict[str, Any]], Key]

_PLAIN = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
_UNHASHABLE_DEFAULT = object()  # a default is the same at every call


class Origin:
    """What calls belong to: a function, or a method of one instance. Equal to nothing but itself."""

    __slots__ = ("entries", "function", "reference")

    def __init__(self, function: Origin | None = None) -> None:
        self.function = function or self
        self.entries: set[Entry] = set()  # for the origins that are instances
        self.reference: weakref.ref[Any] | None = None


class Instances:
    """The instances whose method is called, held weakly and told apart by identity.

    The origins of those that died are appended to `dead`: whoever is told of a death may be in the midst of anything.
    """

    def __init__(self, function: Origin, dead: deque[Origin]) -> None:
        self._function = function
        self._dead = dead
        self._origins: dict[int, Origin] = {}

    def origin(self, instance: object) -> Origin | None:
        """None for what cannot be referred to weakly."""
        known = self._origins.get(id(instance))
        if known is not None and known.reference is not None and known.reference() is instance:
            return known
        return self._added(instance)

    def _added(self, instance: object) -> Origin | None:
        origin = Origin(self._function)
        identity = id(instance)

        def died(_: weakref.ref[Any]) -> None:
            if self._origins.get(identity) is origin:
                del self._origins[identity]
            self._dead.append(origin)

        try:
            origin.reference = weakref.ref(instance, died)
        except TypeError:
            return None
        self._origins[identity] = origin
        return origin


def keys_of(function: Callable[..., Any], origin: Origin, dead: deque[Origin]) -> KeyOf:
    """What makes a key of the arguments of a call: their values and types in the order of the parameters.

    `f(1)`, `f(x=1)` and `f()` with the default 1 are the same; 1, 1.0 and True are not, inside of tuples neither. The
    first parameter of a method, which is called `self`, counts by identity.
    """
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # some builtins have none
        return lambda args, kwargs: _key(origin, (args, _named(kwargs)))
    values_of = _values_of(function)
    instances = Instances(origin, dead)

    def of_function(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        values = values_of(args, kwargs)
        kinds = tuple(map(type, values))  # as _key does: each call takes time at each hit
        return origin, values, _kinds(values) if tuple in kinds else kinds

    def of_method(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
        values = values_of(args, kwargs)
        bound = instances.origin(values[0])
        return _key(origin, values) if bound is None else _key(bound, values[1:])

    return of_method if _is_method(function, list(parameters)) else of_function


def custom_keys_of(key: Callable[..., Hashable], origin: Origin) -> KeyOf:
    """The same with what `key`, which takes what the function takes, makes of the arguments."""
    return lambda args, kwargs: (origin, key(*args, **kwargs))


def unhashable_argument(function: Callable[..., Any], key: Key) -> TypeError | None:
    """What to raise for the key of a call of `function` that cannot be hashed; None when all of it can."""
    culprit = _unhashable_in(key[1])
    if culprit is None:
        return None
    name = getattr(function, "__qualname__", repr(function))
    return TypeError(
        f"{name}() was called with a {culprit.__name__}, which cannot be hashed: pass what can be, or say what"
        " identifies a call with cached(key=...)"
    )


def _unhashable_in(value: object) -> type | None:
    try:
        hash(value)
    except TypeError:
        parts = value if type(value) is tuple else ()
        return next((kind for kind in map(_unhashable_in, parts) if kind is not None), type(value))
    return None


def _key(origin: Origin, values: tuple[Any, ...]) -> Key:
    return origin, values, _kinds(values)


def _kinds(values: tuple[Any, ...]) -> tuple[Any, ...]:
    kinds = tuple(map(type, values))
    if tuple in kinds:
        return tuple([_kinds(value) if kind is tuple else kind for value, kind in zip(values, kinds)])
    return kinds


def _is_method(function: Callable[..., Any], parameters: list[str]) -> bool:
    outer = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>") and parameters[:1] == ["self"]


def _values_of(function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, ...]]:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    names = [each.name for each in parameters]
    defaults = {each.name: _default(each) for each in parameters if each.default is not Parameter.empty}
    positional = sum(each.kind is not Parameter.KEYWORD_ONLY for each in parameters)

    def bound(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        given = signature.bind(*args, **kwargs).arguments  # raises what the call would
        values = []
        for parameter in parameters:
            value = given.get(parameter.name, defaults.get(parameter.name, ()))
            values.append(_named(value) if parameter.kind is Parameter.VAR_KEYWORD and value else value)
        return tuple(values)

    if any(each.kind not in _PLAIN for each in parameters):
        return bound

    tails = {
        given: tuple([defaults[name] for name in names[given:]])
        for given in range(positional + 1)
        if defaults.keys() >= set(names[given:])
    }

    def quickly(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        given = len(args)
        if not kwargs and given in tails:
            return args + tails[given]
        rest = names[given:]
        if given > positional or not kwargs.keys() <= set(rest):
            return bound(args, kwargs)
        try:
            return (*args, *[kwargs[name] if name in kwargs else defaults[name] for name in rest])
        except KeyError:
            return bound(args, kwargs)

    return quickly


def _default(parameter: Parameter) -> Any:
    try:
        hash(parameter.default)
    except TypeError:
        return _UNHASHABLE_DEFAULT
    return parameter.default


def _named(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items(), key=lambda item: item[0]))
