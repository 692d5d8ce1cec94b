"""Which analysed file an import means.

Every file has a source root: the first directory upwards that is no package. An absolute import is looked
for in the importing file's root, then in the directories above it, then in the other roots; the standard
library wins over files of the same name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


class ModuleIndex:
    """Finds modules among `paths` (absolute, in a fixed order); `top` is the directory not to look above."""

    def __init__(self, paths: Sequence[str], top: str) -> None:
        self._files = {path: index for index, path in enumerate(paths)}
        self._paths = paths
        self._top = top
        self._packages = {os.path.dirname(path) for path in paths if path.endswith(("/__init__.py", "\\__init__.py"))}
        self._directories = self._all_directories(paths)
        self._roots: dict[str, str] = {}
        self._root_of_file: dict[int, str] = {}
        self._found: dict[tuple[str, str], int | None] = {}
        self._namespaces: dict[tuple[str, str], bool] = {}
        self._places: dict[str, list[str]] = {}
        self._other_roots: list[str] | None = None

    def _all_directories(self, paths: Sequence[str]) -> set[str]:
        directories: set[str] = set()
        for path in paths:
            directory = os.path.dirname(path)
            while directory not in directories and len(directory) >= len(self._top):
                directories.add(directory)
                directory = os.path.dirname(directory)
        return directories

    def root_of(self, directory: str) -> str:
        """The source root of the files in `directory`."""
        root = self._roots.get(directory)
        if root is None:
            root = directory
            while root in self._packages:
                root = os.path.dirname(root)
            self._roots[directory] = root
        return root

    def _root_above(self, importer: int) -> str:
        root = self._root_of_file.get(importer)
        if root is None:
            root = self._root_of_file[importer] = self.root_of(os.path.dirname(self._paths[importer]))
        return root

    def _at(self, base: str) -> int | None:
        found = self._files.get(base + ".py")
        return self._files.get(f"{base}{os.sep}__init__.py") if found is None else found

    def absolute(self, importer: int, dotted: str) -> int | None:
        """The file of module `dotted` as imported by file number `importer`, None when it is not analysed."""
        root = self._root_above(importer)
        key = (root, dotted)
        if key not in self._found:
            self._found[key] = self._search(root, dotted)
        return self._found[key]

    def _search(self, root: str, dotted: str) -> int | None:
        top, _, _ = dotted.partition(".")
        if top in sys.stdlib_module_names:
            return None
        relative = dotted.replace(".", os.sep)
        for place in self._places_for(root):
            if place + top not in self._directories and self._at(place + top) is None:
                continue
            return self._at(place + relative)
        return None

    def _places_for(self, root: str) -> list[str]:
        """The directories, each with a separator at its end, in which modules are looked for from `root`."""
        places = self._places.get(root)
        if places is None:
            places = [directory.rstrip(os.sep) + os.sep for directory in self._candidates(root)]
            self._places[root] = places
        return places

    def _candidates(self, root: str) -> list[str]:
        candidates = []
        directory = root
        while len(directory) >= len(self._top):
            candidates.append(directory)
            parent = os.path.dirname(directory)
            if parent == directory:
                break
            directory = parent
        if self._other_roots is None:
            self._other_roots = sorted({self.root_of(package) for package in self._packages})
        return candidates + [other for other in self._other_roots if other not in candidates]

    def is_package(self, dotted: str, importer: int) -> bool:
        """Whether `dotted` is a directory of analysed files without an `__init__.py`."""
        root = self._root_above(importer)
        key = (root, dotted)
        known = self._namespaces.get(key)
        if known is None:
            relative = dotted.replace(".", os.sep)
            known = self._namespaces[key] = dotted.partition(".")[0] not in sys.stdlib_module_names and any(
                place + relative in self._directories for place in self._places_for(root)
            )
        return known

    def relative(self, importer: int, level: int, dotted: str) -> int | None:
        """The file that `from <level dots><dotted> import ...` in file number `importer` means."""
        directory = os.path.dirname(self._paths[importer])
        for _ in range(level - 1):
            directory = os.path.dirname(directory)
        if not dotted:
            return self._files.get(os.path.join(directory, "__init__.py"))
        return self._at(os.path.join(directory, *dotted.split(".")))

    def submodule(self, package: int, name: str) -> int | None:
        """The file of module `name` in the package whose `__init__` is file number `package`."""
        path = self._paths[package]
        if not path.endswith("__init__.py"):
            return None
        return self._at(os.path.join(os.path.dirname(path), name))

    def sibling(self, importer: int, level: int, dotted: str, name: str) -> int | None:
        """The file of module `name` in a directory without `__init__.py` (`from . import name`)."""
        if level:
            return self.relative(importer, level, f"{dotted}.{name}" if dotted else name)
        return self.absolute(importer, f"{dotted}.{name}")
