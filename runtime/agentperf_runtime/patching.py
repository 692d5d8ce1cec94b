"""Replaces functions of other libraries, and puts everything back."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

_MISSING = object()


class Patches:
    """Replacements that can be undone, the last one first."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put `make(original)` in the place of `owner.name`, a function or method.

        What `make` returns gets the original's name and documentation. Raises AttributeError where there is none.
        """
        own = vars(owner).get(name, _MISSING)
        original = getattr(owner, name)
        replacement = make(original)
        if callable(replacement) and not isinstance(replacement, type):
            functools.update_wrapper(replacement, original)
            if isinstance(owner, ModuleType):
                replacement.__module__ = owner.__name__  # `os.system` is posix's: what is pickled is looked up there
        kind = own.__class__
        setattr(owner, name, kind(replacement) if kind in (staticmethod, classmethod) else replacement)
        self._undo.append(functools.partial(_restore, owner, name, own))

    def on_undo(self, action: Callable[[], None]) -> None:
        """Run `action` when the patches are undone."""
        self._undo.append(action)

    def undo(self, down_to: int = 0) -> None:
        """Put the originals back, but for the first `down_to` changes."""
        while len(self._undo) > down_to:
            self._undo.pop()()

    def __len__(self) -> int:
        return len(self._undo)


def _restore(owner: Any, name: str, own: Any) -> None:
    if own is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


class ImportHooks(importlib.abc.MetaPathFinder):
    """Calls `hooks[name](module)` once, right after a module of that name was imported. Nothing is imported for it."""

    def __init__(self, hooks: Mapping[str, Callable[[ModuleType], None]]) -> None:
        self._hooks = dict(hooks)

    def install(self) -> None:
        """Begin, with the modules that are there already."""
        sys.meta_path.insert(0, self)
        self.catch_up()

    def stay_first(self) -> None:
        """See modules again that somebody else's finder, put before this one since, would have found."""
        if self in sys.meta_path[1:]:
            sys.meta_path.remove(self)
            sys.meta_path.insert(0, self)

    def catch_up(self) -> None:
        """Call the hooks of modules that were imported unseen: the application has finders of its own before ours."""
        for name in tuple(self._hooks):
            module = sys.modules.get(name)
            if module is None or _is_initializing(module):
                continue
            hook = self._hooks.pop(name, None)
            if hook is not None:
                hook(module)

    def uninstall(self) -> None:
        """Stop waiting."""
        self._hooks.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._hooks:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: importlib.machinery.ModuleSpec | None = None
            if finder is not self and find is not None:
                spec = find(fullname, path, target)
            if spec is not None:
                self._watch(spec)
                return spec
        return None

    def _watch(self, spec: importlib.machinery.ModuleSpec) -> None:
        """Replace `exec_module` on this one loader object, so that the loader stays what it is for everybody else."""
        loader = spec.loader
        original = getattr(loader, "exec_module", None)
        if original is None:
            return

        def exec_module(module: ModuleType) -> None:
            try:
                del loader.exec_module  # type: ignore[union-attr]
            except AttributeError:
                pass
            original(module)
            # A loader of many modules may have been asked for this one, and then be given another.
            hook = self._hooks.pop(spec.name, None) if module.__name__ == spec.name else None
            if hook is not None:
                hook(module)

        try:
            loader.exec_module = exec_module  # type: ignore[union-attr, method-assign]
        except AttributeError:
            pass  # a loader that takes no attributes: this library is not traced


def _is_initializing(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
