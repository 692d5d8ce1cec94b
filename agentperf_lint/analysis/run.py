"""One run from paths to findings: sources, facts, project, suspects, rules."""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agentperf_lint import __version__
from agentperf_lint.analysis.cache import Cache
from agentperf_lint.analysis.filtering import select
from agentperf_lint.analysis.sources import SourceFile, discover, project_root
from agentperf_rules.model import CONFIDENCES, Finding, Suspect

if TYPE_CHECKING:
    from agentperf_lint.analysis.facts import FileFacts
    from agentperf_lint.analysis.progress import Progress
    from agentperf_lint.analysis.workers import Workers
    from agentperf_lint.config import Config
    from agentperf_rules.catalogue import Calls

UNREADABLE = "APL901"
MAX_JOBS = 8
RECURSION_LIMIT = 5_000  # questions about names wait for each other up to a fixed depth, some ten frames each


class Report(msgspec.Struct):
    """What a run found: `findings` in the order in which they are shown, `files` reported on, `files_known`
    used to resolve names, and the `seconds` that each stage took."""

    findings: list[Finding]
    files: int
    files_known: int
    seconds: dict[str, float]


class _Outcome(msgspec.Struct):
    """The cached result of a run before selection: findings, and which of them a comment suppresses."""

    findings: list[Finding]
    suppressed: list[bool]


def analyze(
    paths: Sequence[Path],
    config: Config,
    *,
    root: Path | None = None,
    jobs: int = 0,
    cache_dir: Path | None = None,
    stdin: tuple[str, bytes] | None = None,
    progress: Progress | None = None,
    noqa: bool = True,
    keep: Callable[[object], None] | None = None,
) -> Report:
    """Findings in the files below `paths`, with the whole project below `root` known.

    `jobs` processes, 0 for one per processor; no cache without `cache_dir`; `stdin` is (file name, content)
    of a file whose content is not the one on disk. Raises ConfigError for codes that no rule has.
    `keep` is for a process that ends soon: it is given what the analysis knows of the project, which would take
    a fifth of a second to free when the project is large, and the garbage collector stays off.
    """
    return _Run(paths, config, root, jobs, cache_dir, stdin, progress, keep).report(noqa)


class _Run:
    def __init__(
        self,
        paths: Sequence[Path],
        config: Config,
        root: Path | None,
        jobs: int,
        cache_dir: Path | None,
        stdin: tuple[str, bytes] | None,
        progress: Progress | None,
        keep: Callable[[object], None] | None,
    ) -> None:
        self.config = config
        self.root = root if root is not None else project_root(paths)
        self.paths = paths
        self.jobs = jobs or min(os.cpu_count() or 1, MAX_JOBS)
        self.cache_dir = cache_dir
        self.stdin = None if stdin is None else (os.path.abspath(stdin[0]), stdin[1])
        self.progress = progress
        self.keep = keep
        self.calls = tuple(sorted(config.calls.items()))
        self.seconds: dict[str, float] = {}
        self.cwd = os.getcwd()

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started

    def report(self, noqa: bool) -> Report:
        cache = Cache.open(self.cache_dir, cache_version(self.calls))
        try:
            with self._timed("sources"):
                wanted, known = self._sources()
            outcome = self._outcome(cache, wanted, known)
        finally:
            cache.close()
        findings = [
            finding for finding, suppressed in zip(outcome.findings, outcome.suppressed) if not (noqa and suppressed)
        ]
        return Report(select(findings, self.config), len(wanted), len(known), self.seconds)

    def _sources(self) -> tuple[list[str], list[SourceFile]]:
        exclude = self.config.all_excluded()
        wanted = discover(self.paths, root=self.root, exclude=exclude)
        known = {file.path: file for file in wanted}
        if [os.path.abspath(path) for path in self.paths] != [str(self.root)]:
            for file in discover([self.root], root=self.root, exclude=exclude):
                known.setdefault(file.path, file)
        names = [file.path for file in wanted]
        if self.stdin is not None:
            path, content = self.stdin
            known[path] = SourceFile(path, len(content), -1)
            names = [path]
        return names, sorted(known.values())

    def _outcome(self, cache: Cache, wanted: Sequence[str], known: Sequence[SourceFile]) -> _Outcome:
        stats = cache.stat_index(str(self.root))
        digests = {
            file.path: held[2]
            for file in known
            if (held := stats.get(file.path)) is not None
            and held[:2] == (file.size, file.mtime_ns)
            and file.mtime_ns >= 0
        }
        if len(digests) == len(known):
            key = self._key(wanted, digests)
            blob = cache.get(key)
            if blob is not None:
                return msgspec.msgpack.decode(blob, type=_Outcome)
        enabled = gc.isenabled()
        gc.disable()  # facts live until the end, and the collector would walk them again and again
        try:
            return self._analysed(cache, wanted, known, digests)
        finally:
            if enabled and self.keep is None:
                gc.enable()

    def _key(self, wanted: Sequence[str], digests: dict[str, bytes]) -> bytes:
        state = hashlib.blake2b(digest_size=16)
        what = f"result\0{self.config.min_confidence}\0{self.cwd}\0{self.root}\0"
        state.update(what.encode("utf-8", "surrogateescape"))
        for path in sorted(digests):
            state.update(path.encode("utf-8", "surrogateescape") + b"\0" + digests[path])
        state.update(b"\1" + "\0".join(sorted(wanted)).encode("utf-8", "surrogateescape"))
        return state.digest()

    def _analysed(
        self, cache: Cache, wanted: Sequence[str], known: Sequence[SourceFile], digests: dict[str, bytes]
    ) -> _Outcome:
        from agentperf_lint.analysis.workers import WORTH_A_PROCESS, Workers

        unread = [file for file in known if file.path not in digests]
        jobs = self.jobs if sum(file.size for file in unread) > WORTH_A_PROCESS else 1
        with Workers(jobs) as workers:
            with self._timed("facts"):
                blobs = self._facts(cache, workers, known, unread, digests)
            with self._timed("project"):
                files, suspects = self._suspects(blobs, known)
            with self._timed("rules"):
                findings = self._findings(cache, workers, set(wanted), suspects, digests)
        for path in wanted:
            error = files[path].error
            if error is not None:
                findings.append(self._unreadable(path, *error))
        findings.sort(key=lambda x: (x.path, x.line, x.column, x.code))
        by_display = {self.display(path): files[path].noqa for path in wanted}
        outcome = _Outcome(
            findings, [_is_suppressed(finding, by_display.get(finding.path, {})) for finding in findings]
        )
        if len(digests) == len(known) and self.stdin is None:
            cache.put(self._key(wanted, digests), msgspec.msgpack.encode(outcome))
        return outcome

    def _facts(
        self,
        cache: Cache,
        workers: Workers,
        known: Sequence[SourceFile],
        unread: Sequence[SourceFile],
        digests: dict[str, bytes],
    ) -> dict[str, bytes]:
        """Encoded facts of every known file; adds the digests of those that had to be read."""
        from agentperf_lint.analysis.facts import ENCODER
        from agentperf_lint.analysis.workers import chunked, crashed_reading, digest_of, facts_of, read_files

        cached = cache.facts(set(digests.values()))
        blobs: dict[str, bytes] = {}
        missing = []
        for file in known:
            digest = digests.get(file.path)
            if digest is not None and digest in cached:
                blobs[file.path] = cached[digest]
            elif self.stdin is not None and file.path == self.stdin[0]:
                blobs[file.path] = ENCODER.encode(facts_of(self.stdin[1], self.calls))
                digests[file.path] = digest_of(self.stdin[1])
            else:
                missing.append(file)
        del cached
        new: dict[bytes, bytes] = {}
        with self._progress("Reading", len(missing)) as advance:
            chunks = chunked([file.path for file in missing], _weights(missing), workers.jobs)
            for read in workers.run(partial(read_files, calls=self.calls), chunks, crashed_reading, advance):
                blobs[read.path] = read.facts
                if read.digest:
                    digests[read.path] = read.digest
                    new[read.digest] = read.facts
        if new or unread:
            cache.put_facts(new)
            sizes = {file.path: file for file in known if file.mtime_ns >= 0}
            cache.put_stat_index(
                str(self.root),
                {
                    path: (sizes[path].size, sizes[path].mtime_ns, digest)
                    for path, digest in digests.items()
                    if path in sizes
                },
            )
        return blobs

    def _suspects(
        self, blobs: dict[str, bytes], known: Sequence[SourceFile]
    ) -> tuple[dict[str, FileFacts], list[Suspect]]:
        from agentperf_lint.analysis.facts import DECODER
        from agentperf_lint.analysis.infer import LoadedFile, Resolver
        from agentperf_lint.analysis.reach import Reach
        from agentperf_rules.catalogue import load_catalogue

        loaded: list[LoadedFile] = []
        for file in known:
            facts = DECODER.decode(blobs.pop(file.path))
            loaded.append(LoadedFile(len(loaded), file.path, facts))
        catalogue = load_catalogue(self.calls)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
        try:
            resolver = Resolver(loaded, str(self.root), catalogue)
            reach = Reach(resolver, catalogue, self.display, self.config.min_confidence)
            suspects = reach.run()
        finally:
            sys.setrecursionlimit(limit)
        if self.keep is not None:
            self.keep(reach)
        return {file.path: file.facts for file in loaded}, suspects

    def _findings(
        self, cache: Cache, workers: Workers, wanted: set[str], suspects: Sequence[Suspect], digests: dict[str, bytes]
    ) -> list[Finding]:
        from agentperf_lint.analysis.workers import FINDINGS, Work, chunked, crashed_judging, judge_files

        by_path: dict[str, list[Suspect]] = defaultdict(list)
        least = CONFIDENCES.index(self.config.min_confidence)  # a rule never makes a suspect surer
        for suspect in suspects:
            if suspect.path in wanted and CONFIDENCES.index(suspect.confidence) >= least:
                by_path[suspect.path].append(suspect)
        keys = {path: _judged_key(digests.get(path, b""), by_path[path], self.cwd) for path in by_path}
        found: list[Finding] = []
        work = []
        for path, of_path in by_path.items():
            blob = cache.get(keys[path])
            if blob is not None:
                found.extend(FINDINGS.decode(blob))
            else:
                content = self.stdin[1] if self.stdin is not None and path == self.stdin[0] else None
                work.append(Work(path, digests.get(path, b""), content, of_path))
        with self._progress("Checking", len(work)) as advance:
            for judged in workers.run(
                judge_files, chunked(work, lambda item: len(item.suspects), workers.jobs), crashed_judging, advance
            ):
                if judged.error:
                    found.append(self._unreadable(judged.path, 1, judged.error))
                    continue
                findings = [
                    msgspec.structs.replace(finding, path=self.display(judged.path))
                    for finding in FINDINGS.decode(judged.findings)
                ]
                cache.put(keys[judged.path], msgspec.msgpack.encode(findings))
                found.extend(findings)
        return found

    @contextmanager
    def _progress(self, stage: str, total: int) -> Iterator[Callable[[int], None]]:
        if self.progress is None:
            yield lambda _: None
            return
        self.progress.start(stage, total)
        try:
            yield self.progress.advance
        finally:
            self.progress.stop()

    def display(self, path: str) -> str:
        """`path` relative to the working directory where it lies below it, with forward slashes."""
        if path.startswith(self.cwd + os.sep):
            path = path[len(self.cwd) + 1 :]
        return path.replace(os.sep, "/")

    def _unreadable(self, path: str, line: int, reason: str) -> Finding:
        return Finding(
            code=UNREADABLE,
            name="unreadable-file",
            kind="run",
            path=self.display(path),
            line=line,
            column=1,
            end_line=line,
            end_column=1,
            function="<module>",
            severity="high",
            confidence="definite",
            message=f"file cannot be analysed: {reason}",
            remedy="fix the file or exclude it",
            statement_line=line,
            statement_end_line=line,
        )


def cache_version(calls: Calls = ()) -> str:
    """Changes whenever cached facts or findings could come out differently.

    That is with this program, the interpreter, and what the project says of `calls`.
    """
    import agentperf_rules

    state = hashlib.blake2b(f"{__version__} {sys.version_info[:2]} {calls}".encode(), digest_size=8)
    for package in (os.path.dirname(__file__), *agentperf_rules.__path__):
        for directory, _, names in os.walk(package):
            for name in sorted(names):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(directory, name))
                    state.update(f"{name} {status.st_size} {status.st_mtime_ns}".encode())
    return state.hexdigest()


def _weights(files: Sequence[SourceFile]) -> Callable[[str], int]:
    sizes = {file.path: file.size for file in files}
    return lambda path: sizes[path] + 2_000


def _judged_key(digest: bytes, suspects: Sequence[Suspect], cwd: str) -> bytes:
    state = hashlib.blake2b(b"judged\0" + digest, digest_size=16)
    state.update(cwd.encode("utf-8", "surrogateescape"))
    state.update(msgspec.msgpack.encode(suspects))
    return state.digest()


def _is_suppressed(finding: Finding, noqa: dict[int, list[str]]) -> bool:
    if not noqa:
        return False
    first = min(finding.line, finding.statement_line or finding.line)
    last = max(finding.end_line, finding.statement_end_line)
    for line in range(first, last + 1):
        codes = noqa.get(line)
        if codes is not None and (not codes or any(finding.code.startswith(code) for code in codes)):
            return True
    return False
