"""Which files a run reads: a walk that knows `.gitignore`, virtual environments and excluded patterns."""

from __future__ import annotations

import fnmatch
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pathspec import GitIgnoreSpec

LOG = logging.getLogger(__name__)

ROOT_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
_WILDCARDS = frozenset("*?[\\")


class SourceFile(NamedTuple):
    """A file to read: absolute path, size in bytes, and the time of its last change in nanoseconds."""

    path: str
    size: int
    mtime_ns: int


def project_root(paths: Sequence[Path]) -> Path:
    """The directory of the project that `paths` belong to.

    It is the nearest directory with one of `ROOT_MARKERS` at or above all of them, else the directory they share.
    """
    common = shared_directory(paths)
    for directory in (common, *common.parents):
        if any((directory / marker).exists() for marker in ROOT_MARKERS):
            return directory
    return common


def shared_directory(paths: Sequence[Path]) -> Path:
    """The deepest directory that holds all `paths`, the working directory when there are none."""
    directories = []
    for path in paths:
        absolute = os.path.abspath(path)
        directories.append(absolute if os.path.isdir(absolute) else os.path.dirname(absolute))
    if not directories:
        return Path.cwd()
    try:
        return Path(os.path.commonpath(directories))
    except ValueError:  # on different drives
        return Path(directories[0])


def discover(paths: Iterable[Path], *, root: Path, exclude: Sequence[str] = ()) -> list[SourceFile]:
    """The Python files at and below `paths`, sorted by path, each once.

    Below a directory these are the `*.py` files that neither `exclude` (gitignore syntax, relative to `root`)
    nor a `.gitignore` names and that lie in no virtual environment. What `paths` name themselves is taken
    whatever it is called. Symbolic links to directories are not followed. What cannot be read is logged,
    what vanishes is left out.
    """
    found: dict[str, SourceFile] = {}
    for path in paths:
        absolute = os.path.abspath(path)
        status = _status(absolute)
        if status is None or not _is_printable(absolute):
            continue
        if stat.S_ISDIR(status.st_mode):
            found.update((file.path, file) for file in _Walk(absolute, root, exclude).files())
        else:
            found[absolute] = SourceFile(absolute, status.st_size, status.st_mtime_ns)
    return [found[path] for path in sorted(found)]


def is_excluded(path: Path, *, root: Path, exclude: Sequence[str]) -> bool:
    """Whether `exclude` names `path` or a directory above it, as it would while walking from `root`."""
    absolute = os.path.abspath(path)
    base = os.path.abspath(root)
    if not _is_below(absolute, base):
        return False
    ignore = _Ignore(base, exclude)
    parts = absolute[len(base) :].strip(os.sep).split(os.sep)
    for depth in range(1, len(parts) + 1):
        is_directory = depth < len(parts) or os.path.isdir(absolute)
        if ignore.verdict(os.path.join(base, *parts[:depth]), parts[depth - 1], is_directory):
            return True
    return False


class _Ignore:
    """The patterns of one `.gitignore`, or of the configuration, for what lies below `base`.

    A full match costs tens of microseconds per path, so cheap sets of the names and paths that the patterns
    can mean come first: nearly every path is done after these.
    """

    def __init__(self, base: str, lines: Iterable[str]) -> None:
        patterns = [line.rstrip("\r\n") for line in lines]
        patterns = [line for line in patterns if line.strip() and not line.startswith("#")]
        self._prefix = len(base.rstrip(os.sep)) + 1
        self._spec = GitIgnoreSpec.from_lines(patterns)
        self._names: set[str] = set()
        self._paths: set[str] = set()
        globs: list[str] = []
        others: list[str] = []
        for pattern in patterns:
            self._sort(pattern.removeprefix("!").rstrip(), globs, others)
        self._glob = re.compile("|".join(fnmatch.translate(glob) for glob in globs)).match if globs else None
        compiled = (pattern.regex for pattern in GitIgnoreSpec.from_lines(others).patterns)
        self._others = [regex.match for regex in compiled if regex is not None]

    def _sort(self, pattern: str, globs: list[str], others: list[str]) -> None:
        """Puts a pattern where it is cheapest to try: a name, a path, a glob on names, or anything else."""
        body = pattern.rstrip("/")
        if _WILDCARDS.isdisjoint(body):
            (self._paths if "/" in body else self._names).add(body.strip("/"))
        elif "/" in body or "[" in body or "\\" in body:
            others.append(pattern)
        else:
            globs.append(body)

    def verdict(self, path: str, name: str, is_directory: bool) -> bool | None:
        """Whether absolute `path`, which ends in `name`, is ignored; None when no pattern is about it."""
        if not self._is_candidate(path, name, is_directory):
            return None
        return self._spec.check_file(self._relative(path, is_directory)).include

    def _is_candidate(self, path: str, name: str, is_directory: bool) -> bool:
        if name in self._names or (self._glob is not None and self._glob(name) is not None):
            return True
        if not self._paths and not self._others:
            return False
        relative = self._relative(path, is_directory)
        return relative.rstrip("/") in self._paths or any(match(relative) for match in self._others)

    def _relative(self, path: str, is_directory: bool) -> str:
        relative = path[self._prefix :].replace(os.sep, "/")
        return relative + "/" if is_directory else relative


class _Walk:
    """One walk below the directory `start`."""

    def __init__(self, start: str, root: Path, exclude: Sequence[str]) -> None:
        base = os.path.abspath(root)
        self._start = start
        self._exclude = _Ignore(base if _is_below(start, base) else start, exclude)
        self._base = base

    def files(self) -> Iterator[SourceFile]:
        pending = [(self._start, self._ignores_above())]
        while pending:
            directory, ignores = pending.pop()
            entries = self._entries(directory)
            names = {entry.name for entry in entries}
            if "pyvenv.cfg" in names and directory != self._start:
                continue
            if ".gitignore" in names:
                ignores = (_gitignore(directory), *ignores)
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not self._is_ignored(entry, ignores, True):
                        pending.append((entry.path, ignores))
                elif entry.name.endswith(".py") and not self._is_ignored(entry, ignores, False):
                    file = _source_file(entry)
                    if file is not None:
                        yield file

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                return list(entries)
        except FileNotFoundError:
            return []
        except OSError as error:
            LOG.warning("%s: cannot be read, skipped: %s", directory, error.strerror or error)
            return []

    def _is_ignored(self, entry: os.DirEntry[str], ignores: Sequence[_Ignore], is_directory: bool) -> bool:
        if self._exclude.verdict(entry.path, entry.name, is_directory):
            return True
        for ignore in ignores:  # the nearest file that says something decides
            verdict = ignore.verdict(entry.path, entry.name, is_directory)
            if verdict is not None:
                return verdict
        return False

    def _ignores_above(self) -> tuple[_Ignore, ...]:
        """The `.gitignore` files above the start, nearest first; none when they ignore the start itself."""
        above = _parents(self._start)
        top = next((directory for directory in (self._start, *above) if _exists(directory, ".git")), self._base)
        above = [directory for directory in above if directory == top or _is_below(directory, top)]
        ignores = [(directory, _gitignore(directory)) for directory in above if _exists(directory, ".gitignore")]
        for directory in (self._start, *above):
            name = os.path.basename(directory)
            if any(_is_below(directory, base) and ignore.verdict(directory, name, True) for base, ignore in ignores):
                return ()
        return tuple(ignore for _, ignore in ignores)


def _gitignore(directory: str) -> _Ignore:
    path = os.path.join(directory, ".gitignore")
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return _Ignore(directory, stream)
    except OSError as error:
        LOG.warning("%s: cannot be read, ignored: %s", path, error.strerror or error)
    except ValueError as error:
        LOG.warning("%s: has an invalid pattern, ignored: %s", path, error)
    return _Ignore(directory, ())


def _source_file(entry: os.DirEntry[str]) -> SourceFile | None:
    try:
        status = entry.stat()
    except OSError:  # vanished, or a link that leads nowhere
        return None
    if not stat.S_ISREG(status.st_mode) or not _is_printable(entry.path):
        return None
    return SourceFile(entry.path, status.st_size, status.st_mtime_ns)


def _is_printable(path: str) -> bool:
    """File names that are no valid Unicode cannot be shown or stored, so they are left out with a note."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        LOG.warning("%s: the name is not valid Unicode, skipped", os.fsencode(path))
        return False
    return True


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _exists(directory: str, name: str) -> bool:
    return os.path.exists(os.path.join(directory, name))


def _parents(directory: str) -> list[str]:
    return [str(parent) for parent in Path(directory).parents]


def _is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or lies below it; both absolute."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)
