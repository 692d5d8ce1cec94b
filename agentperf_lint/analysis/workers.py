"""What runs in the worker processes: files to facts, suspects to findings.

Results travel as bytes, so that the parent decodes only what it needs.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from typing import NamedTuple, TypeVar

import msgspec

from agentperf_lint.analysis import facts as f
from agentperf_rules.catalogue import Calls
from agentperf_rules.model import Finding, Suspect

WORTH_A_PROCESS = 400_000  # bytes of source; below this a second process costs more than it saves
MAX_CHUNK = 64  # files
CRASHED = "the parser crashed on this file"

T = TypeVar("T")
R = TypeVar("R")


class Read(NamedTuple):
    """One file read by a worker: content digest and encoded facts. `digest` is empty when it could not be read."""

    path: str
    digest: bytes
    facts: bytes


class Judged(NamedTuple):
    """The findings of one file, encoded; `error` is not empty when the file could not be read again."""

    path: str
    findings: bytes
    error: str


class Work(NamedTuple):
    """The suspects of one file; `content` is None for the one on disk, whose digest was `digest`."""

    path: str
    digest: bytes
    content: bytes | None
    suspects: list[Suspect]


def digest_of(source: bytes) -> bytes:
    return hashlib.blake2b(source, digest_size=16).digest()


def read_files(paths: Sequence[str], calls: Calls = ()) -> list[Read]:
    """Facts of `paths`, for a project that says what `calls` are.

    Whatever is wrong with a file becomes its facts; nothing is raised.
    """
    enabled = gc.isenabled()
    gc.disable()  # syntax trees are large and free of cycles
    try:
        return [_read_file(path, calls) for path in paths]
    finally:
        if enabled:
            gc.enable()


def _read_file(path: str, calls: Calls) -> Read:
    try:
        source = _content(path)
    except OSError as error:
        return Read(path, b"", f.ENCODER.encode(f.unreadable(1, error.strerror or str(error))))
    return Read(path, digest_of(source), f.ENCODER.encode(facts_of(source, calls)))


def facts_of(source: bytes, calls: Calls = ()) -> f.FileFacts:
    """The facts of one file's content, for a project that says what `calls` are."""
    from agentperf_lint.analysis.extract import Extractor
    from agentperf_lint.analysis.parsing import UnreadableSource, parse
    from agentperf_rules.catalogue import load_catalogue

    catalogue = load_catalogue(calls)
    try:
        tree = parse(source)
        return Extractor(source, catalogue).run(tree, source)
    except UnreadableSource as error:
        return f.unreadable(error.line, error.reason)
    except RecursionError:
        return f.unreadable(1, "nested too deeply to be analysed")


def judge_files(work: Sequence[Work]) -> list[Judged]:
    """Findings of each file; one whose content is no longer what its suspects came from gets an error."""
    from agentperf_lint.analysis.confirm import confirm
    from agentperf_rules import all_rules

    rules = all_rules()
    judged = []
    for path, digest, content, suspects in work:
        try:
            source = _content(path) if content is None else content
        except OSError as error:
            judged.append(Judged(path, b"", error.strerror or str(error)))
            continue
        if digest_of(source) != digest:
            judged.append(Judged(path, b"", "the file changed during the run"))
            continue
        judged.append(Judged(path, msgspec.msgpack.encode(confirm(path, source, suspects, rules)), ""))
    return judged


def crashed_reading(path: str) -> Read:
    """What stands for a file that ends the process of its reader."""
    return Read(path, b"", f.ENCODER.encode(f.unreadable(1, CRASHED)))


def crashed_judging(work: Work) -> Judged:
    """What stands for a file that ends the process that judges its suspects."""
    return Judged(work.path, b"", CRASHED)


def _content(path: str) -> bytes:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for a writer for ever
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(path, "rb") as stream:
        return stream.read()


FINDINGS: msgspec.msgpack.Decoder[list[Finding]] = msgspec.msgpack.Decoder(list[Finding])


def _end_with_the_parent() -> None:
    """In a worker: end when the parent does, however that ends; the queue that it waits for would never tell."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


class Workers:
    """Runs chunks of work in `jobs` processes, or here when there is one. Use as a context manager."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        if self.jobs > 1:
            self._pool = self._start(self.jobs)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, jobs: int) -> ProcessPoolExecutor:
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() and os.name == "posix" else "spawn"
        context = multiprocessing.get_context(method)
        return ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_the_parent)

    def run(
        self,
        function: Callable[[Sequence[T]], list[R]],
        chunks: Iterable[Sequence[T]],
        crashed: Callable[[T], R],
        advance: Callable[[int], None],
    ) -> Iterator[R]:
        """Results of `function` over all chunks, in any order.

        When a process dies (the C parser can run out of stack), the chunks that it may have had are tried item
        by item in processes of their own; an item that kills its process becomes `crashed(item)`.
        """
        if self._pool is None:
            for chunk in chunks:
                yield from function(chunk)
                advance(len(chunk))
            return
        lost: list[Sequence[T]] = []
        pending: dict[Future[list[R]], Sequence[T]] = {}
        for chunk in chunks:
            try:
                pending[self._pool.submit(function, chunk)] = chunk
            except BrokenProcessPool:
                lost.append(chunk)
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = pending.pop(future)
                try:
                    yield from future.result()
                except BrokenProcessPool:
                    lost.append(chunk)
                    continue
                advance(len(chunk))
        if lost:
            yield from self._rescue(function, lost, crashed, advance)

    def _rescue(
        self,
        function: Callable[[Sequence[T]], list[R]],
        chunks: Sequence[Sequence[T]],
        crashed: Callable[[T], R],
        advance: Callable[[int], None],
    ) -> Iterator[R]:
        for chunk in chunks:
            for item in chunk:
                with self._start(1) as alone:
                    try:
                        yield from alone.submit(function, [item]).result()
                    except BrokenProcessPool:
                        yield crashed(item)
                advance(1)
        self._pool = self._start(self.jobs)


def chunked(items: Sequence[T], weight: Callable[[T], int], jobs: int) -> list[list[T]]:
    """`items` in chunks of similar weight, the heaviest first, so that the processes end together."""
    total = sum(weight(item) for item in items)
    limit = max(total // (jobs * 12), 1)
    chunks: list[list[T]] = []
    current: list[T] = []
    held = 0
    for item in items:
        current.append(item)
        held += weight(item)
        if held >= limit or len(current) >= MAX_CHUNK:
            chunks.append(current)
            current, held = [], 0
    if current:
        chunks.append(current)
    return chunks
