"""What was learned about file contents, kept on disk between runs: one SQLite file per tool version.

The cache never fails a run. A damaged file is deleted and made anew; a directory that cannot be written, or a
lock that is held too long, means a run without (or with less of) the cache. Every blob carries a checksum.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

LOG = logging.getLogger(__name__)

LAYOUT = 1  # changes with the tables below
MAX_BYTES = 768 * 1024 * 1024
DAY = 86_400  # seconds
MAX_AGE = 30 * DAY
BUSY_SECONDS = 5.0
PREFIX = "v"
SUFFIX = ".sqlite"
TAG = "CACHEDIR.TAG"
TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# Made by agentperf-lint; safe to delete.\n"

_TABLES = ("facts", "results", "stats")
_COLUMNS = "digest BLOB PRIMARY KEY, blob BLOB NOT NULL, crc INTEGER NOT NULL, used INTEGER NOT NULL"
_AT_ONCE = 400  # keys in one statement
_STATS: msgspec.msgpack.Decoder[tuple[bytes, list[int], list[int], bytes]] = msgspec.msgpack.Decoder(
    tuple[bytes, list[int], list[int], bytes]
)
_DIGEST_BYTES = 16

T = TypeVar("T")


class Cache:
    """Blobs by key. Use `Cache.open`; what is put with `put` is written by `close`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._pending: dict[bytes, bytes] = {}
        self._now = int(time.time())
        if path is not None:
            self._connect(path)

    @classmethod
    def open(cls, directory: Path | None, version: str) -> Cache:
        """The cache of `version` in `directory`, which is made when missing; without one a cache that holds nothing."""
        if directory is None:
            return cls(None)
        try:
            _prepare(directory)
        except OSError as error:
            LOG.info("%s: no cache: %s", directory, error.strerror or error)
            return cls(None)
        name = hashlib.blake2b(f"{LAYOUT}\0{version}".encode(), digest_size=8).hexdigest()
        return cls(directory / f"{PREFIX}{name}{SUFFIX}")

    @property
    def enabled(self) -> bool:
        """Whether anything is kept."""
        return self._connection is not None

    def close(self) -> None:
        """Writes what is pending, removes what is old, and closes the file."""
        if self._connection is None:
            return
        if self._pending:
            self._put("results", self._pending)
            self._pending = {}
            self.prune()
        self._disconnect()

    def stat_index(self, root: str) -> dict[str, tuple[int, int, bytes]]:
        """Path -> (size in bytes, mtime in nanoseconds, content digest), as last put for `root`."""
        blob = self._get("stats", root.encode("utf-8", "surrogateescape"))
        if blob is None:
            return {}
        try:
            names, sizes, times, digests = _STATS.decode(blob)
        except msgspec.DecodeError:
            return {}
        paths = names.decode("utf-8", "surrogateescape").split("\0") if names else []
        chunks = [digests[at : at + _DIGEST_BYTES] for at in range(0, len(digests), _DIGEST_BYTES)]
        return dict(zip(paths, zip(sizes, times, chunks)))

    def put_stat_index(self, root: str, index: Mapping[str, tuple[int, int, bytes]]) -> None:
        """Replaces the index of `root`. Entries without a digest of 16 bytes are left out."""
        entries = [(path, *entry) for path, entry in index.items() if len(entry[2]) == _DIGEST_BYTES]
        blob = msgspec.msgpack.encode(
            (
                "\0".join(entry[0] for entry in entries).encode("utf-8", "surrogateescape"),
                [entry[1] for entry in entries],
                [entry[2] for entry in entries],
                b"".join(entry[3] for entry in entries),
            )
        )
        self._put("stats", {root.encode("utf-8", "surrogateescape"): blob})

    def facts(self, digests: Collection[bytes]) -> dict[bytes, bytes]:
        """The facts known for `digests`, by digest."""
        wanted = set(digests)
        if not wanted:
            return {}
        return self._attempt(lambda connection: self._read_facts(connection, wanted), {})

    def put_facts(self, facts: Mapping[bytes, bytes]) -> None:
        """Keeps `facts` by digest, at once."""
        if facts:
            self._put("facts", facts)

    def get(self, key: bytes) -> bytes | None:
        """What was put under `key`, or None."""
        pending = self._pending.get(key)
        return pending if pending is not None else self._get("results", key)

    def put(self, key: bytes, blob: bytes) -> None:
        """Keeps `blob` under `key` from `close` on."""
        if self._connection is not None:
            self._pending[key] = blob

    def prune(self, max_bytes: int = MAX_BYTES) -> None:
        """Removes what was not used for a month, then the least recently used until `max_bytes` hold the rest."""
        self._attempt(lambda connection: self._prune(connection, max_bytes), None)

    def _connect(self, path: Path) -> None:
        for _ in range(2):
            try:
                self._connection = _connected(path)
                return
            except sqlite3.OperationalError as error:  # locked, read-only, full
                LOG.info("%s: no cache: %s", path, error)
                return
            except sqlite3.DatabaseError as error:
                LOG.info("%s: damaged, made anew: %s", path, error)
                _delete(path)

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _attempt(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """What `action` gives; `otherwise` when the file is locked too long, full or damaged (and then deleted)."""
        if self._connection is None:
            return otherwise
        try:
            return action(self._connection)
        except sqlite3.OperationalError as error:
            LOG.info("%s: cache not used: %s", self._path, error)
        except sqlite3.DatabaseError as error:
            LOG.info("%s: damaged, deleted: %s", self._path, error)
            self._disconnect()
            if self._path is not None:
                _delete(self._path)
        return otherwise

    def _get(self, table: str, key: bytes) -> bytes | None:
        return self._attempt(lambda connection: self._read_one(connection, table, key), None)

    def _read_one(self, connection: sqlite3.Connection, table: str, key: bytes) -> bytes | None:
        row = connection.execute(f"SELECT blob, crc, used FROM {table} WHERE digest = ?", (key,)).fetchone()
        if row is None or not _is_sound(row[0], row[1]):
            return None
        if row[2] < self._now - DAY:
            self._touch(connection, table, [key])
        blob: bytes = row[0]
        return blob

    def _read_facts(self, connection: sqlite3.Connection, wanted: set[bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        stale: list[bytes] = []
        for digest, blob, crc, used in _rows(connection, wanted):
            if digest in wanted and _is_sound(blob, crc):
                found[digest] = blob
                if used < self._now - DAY:
                    stale.append(digest)
        self._touch(connection, "facts", stale)
        return found

    def _touch(self, connection: sqlite3.Connection, table: str, keys: list[bytes]) -> None:
        """Notes the use, once a day. Another run's lock is no reason to lose what was read."""
        with suppress(sqlite3.OperationalError), _transaction(connection):
            connection.executemany(f"UPDATE {table} SET used = ? WHERE digest = ?", ((self._now, key) for key in keys))

    def _put(self, table: str, blobs: Mapping[bytes, bytes]) -> None:
        self._attempt(lambda connection: self._write(connection, table, blobs), None)

    def _write(self, connection: sqlite3.Connection, table: str, blobs: Mapping[bytes, bytes]) -> None:
        with _transaction(connection):
            connection.executemany(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?, ?)",
                ((key, blob, zlib.crc32(blob), self._now) for key, blob in blobs.items()),
            )

    def _prune(self, connection: sqlite3.Connection, max_bytes: int) -> None:
        with _transaction(connection):
            for table in _TABLES:
                connection.execute(f"DELETE FROM {table} WHERE used < ?", (self._now - MAX_AGE,))
            held = sum(_held_bytes(connection, table) for table in _TABLES)
            for table in ("results", "facts"):
                if held <= max_bytes:
                    break
                held -= _delete_oldest(connection, table, held - max_bytes * 3 // 4)
        connection.execute("PRAGMA incremental_vacuum").fetchall()
        if self._path is not None:
            _delete_old_versions(self._path)


def clean(directory: Path) -> bool:
    """Deletes the cache in `directory`; False when there is none. Files of others in it stay."""
    if not (directory / TAG).is_file():
        return False
    for path in directory.iterdir():
        if path.name in (TAG, ".gitignore") or (path.name.startswith(PREFIX) and SUFFIX in path.name):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        directory.rmdir()
    return True


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in ((".gitignore", "*\n"), (TAG, TAG_TEXT)):
        if not (directory / name).exists():
            (directory / name).write_text(text, encoding="utf-8")


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        if path.stat().st_size == 0:
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A write-ahead log would write every blob twice. Readers wait for the half second of a large write instead.
        connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
        # A lost cache costs one run, so nothing waits for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        for table in _TABLES:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS})")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _rows(connection: sqlite3.Connection, wanted: set[bytes]) -> Iterator[tuple[bytes, bytes, int, int]]:
    """At least the rows of `wanted`: the whole table when most of it is."""
    held = connection.execute("SELECT count(*) FROM facts").fetchone()[0]
    if len(wanted) * 2 > held:
        yield from connection.execute("SELECT digest, blob, crc, used FROM facts")
        return
    keys = list(wanted)
    for at in range(0, len(keys), _AT_ONCE):
        part = keys[at : at + _AT_ONCE]
        marks = ",".join("?" * len(part))
        yield from connection.execute(f"SELECT digest, blob, crc, used FROM facts WHERE digest IN ({marks})", part)


def _is_sound(blob: object, crc: object) -> bool:
    return isinstance(blob, bytes) and zlib.crc32(blob) == crc


def _held_bytes(connection: sqlite3.Connection, table: str) -> int:
    held: int = connection.execute(f"SELECT coalesce(sum(length(blob)), 0) FROM {table}").fetchone()[0]
    return held


def _delete_oldest(connection: sqlite3.Connection, table: str, excess: int) -> int:
    """Deletes the least recently used rows, at least `excess` bytes of them where there are so many."""
    freed = 0
    last = None
    for used, size in connection.execute(f"SELECT used, sum(length(blob)) FROM {table} GROUP BY used ORDER BY used"):
        if freed >= excess:
            break
        freed += size
        last = used
    if last is not None:
        connection.execute(f"DELETE FROM {table} WHERE used <= ?", (last,))
    return freed


def _delete_old_versions(current: Path) -> None:
    limit = time.time() - MAX_AGE
    for path in current.parent.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):
            if path != current and path.stat().st_mtime < limit:
                _delete(path)


def _delete(path: Path) -> None:
    for suffix in ("", "-journal"):
        with suppress(OSError):
            os.unlink(f"{path}{suffix}")
