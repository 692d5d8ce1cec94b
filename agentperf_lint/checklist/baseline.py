"""Known findings that are not to be shown again: the file that lists them, and what it hides.

A finding is known by its rule, file and source line, so it stays known when lines move or what encloses it is renamed.
Of equal ones in a file as many are known as the baseline lists.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from agentperf_lint.analysis.filtering import Selection
from agentperf_lint.checklist.runtime_rules import RUNTIME_RULES
from agentperf_lint.config import Config, ConfigError
from agentperf_rules.model import Confidence, Severity

if TYPE_CHECKING:
    from agentperf_lint.entries import Entry

DEFAULT_FILE = ".agentperf-baseline.json"
VERSION = 1

_Key = tuple[str, str, str]
_RUNTIME_CODES = frozenset(rule.code for rule in RUNTIME_RULES.values())


class Known(msgspec.Struct, frozen=True, order=True):
    """An entry of the baseline. `path` is relative to the directory of the baseline file, with forward slashes.

    `function`, `severity` and `confidence` are those at the time of writing; only the other fields must still fit.
    """

    path: str
    code: str
    source: str
    function: str
    severity: Severity
    confidence: Confidence

    @property
    def key(self) -> _Key:
        """What must be equal for a finding to be this one."""
        return self.code, self.path, self.source

    @property
    def is_observed(self) -> bool:
        """Whether it is an item of a report, which `check` cannot find."""
        return self.code in _RUNTIME_CODES


class _File(msgspec.Struct):
    version: int
    entries: list[Known]


class Comparison(NamedTuple):
    """`is_new` says for each entry of a report that it is not in the baseline; `unmatched` is what no entry fits."""

    is_new: list[bool]
    unmatched: list[Known]


class Baseline:
    """The known findings of the file `file`, which gives the paths their meaning and need not exist yet."""

    def __init__(self, file: Path, known: Sequence[Known]) -> None:
        self.file = file
        self.known = known
        self._directory = os.path.dirname(os.path.abspath(file))

    @classmethod
    def read(cls, file: Path) -> Baseline:
        """The baseline in `file`. Raises `ConfigError` for what cannot be read or understood."""
        try:
            content = msgspec.json.decode(file.read_bytes(), type=_File)
        except FileNotFoundError as error:
            raise ConfigError(f"baseline {file} does not exist; `agentperf-lint baseline` writes it") from error
        except OSError as error:
            raise ConfigError(f"baseline {file} cannot be read: {error.strerror or error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"baseline {file} is not valid: {error}") from error
        if content.version != VERSION:
            raise ConfigError(f"baseline {file} has version {content.version}; this program knows {VERSION}")
        return cls(file, content.entries)

    @classmethod
    def of(cls, entries: Sequence[Entry], file: Path) -> Baseline:
        """The baseline that knows all `entries`, for `file`."""
        empty = cls(file, ())
        return cls(file, [empty._known(entry) for entry in entries])

    def write(self) -> None:
        """Writes the file in UTF-8, sorted and with one entry a line to ease reviews. Raises OSError."""
        lines = [json.dumps(msgspec.to_builtins(each), ensure_ascii=False) for each in sorted(self.known)]
        entries = "[\n" + ",\n".join(f"    {line}" for line in lines) + "\n  ]" if lines else "[]"
        text = f'{{\n  "version": {VERSION},\n  "entries": {entries}\n}}\n'
        self.file.write_text(text, encoding="utf-8", newline="\n")

    def compare(self, entries: Sequence[Entry], known: Sequence[Known] | None = None) -> Comparison:
        """Which of `entries` are new to the baseline, or to the part `known` of it.

        Of equal ones those in the functions that it names are the known.
        """
        left: dict[_Key, list[Known]] = defaultdict(list)
        for each in self.known if known is None else known:
            left[each.key].append(each)
        wanted = [self._known(entry) for entry in entries]
        is_new = [not _take(left[entry.key], entry.function) for entry in wanted]
        is_new = [new and not _take(left[entry.key], None) for entry, new in zip(wanted, is_new)]
        return Comparison(is_new, [each for of_key in left.values() for each in of_key])

    def expired(self, unmatched: Sequence[Known], paths: Sequence[Path], config: Config) -> list[Known]:
        """Those of `unmatched` that `check` over `paths` with `config` would have reported if they still occurred."""
        chosen = Selection(config)
        roots = [os.path.abspath(path) for path in paths]
        found = []
        for known in unmatched:
            path = self.path_of(known)
            looked_at = any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
            is_wanted = chosen.wants(known.code, path, known.severity, known.confidence)
            if looked_at and is_wanted and not known.is_observed:
                found.append(known)
        return found

    def path_of(self, known: Known) -> str:
        """The absolute path of an entry's file."""
        return os.path.normpath(os.path.join(self._directory, known.path))

    def with_observed(self, others: Sequence[Known]) -> Baseline:
        """This one with those of `others` that are items of a report."""
        return Baseline(self.file, [*self.known, *(each for each in others if each.is_observed)])

    def with_findings(self, others: Sequence[Known]) -> Baseline:
        """This one with those of `others` that are findings of `check`."""
        return Baseline(self.file, [*self.known, *(each for each in others if not each.is_observed)])

    def without(self, dropped: Sequence[Known]) -> Baseline:
        """This baseline less `dropped`, each once."""
        left = Counter(self.known) - Counter(dropped)
        return Baseline(self.file, list(left.elements()))

    def _known(self, entry: Entry) -> Known:
        path = os.path.relpath(os.path.abspath(entry.path), self._directory).replace(os.sep, "/")
        return Known(path, entry.code, entry.source, entry.function, entry.severity, entry.confidence)


def _take(candidates: list[Known], function: str | None) -> bool:
    """Removes the first of `candidates` that was in `function`, any for None; whether there was one."""
    for index, known in enumerate(candidates):
        if function in (None, known.function):
            del candidates[index]
            return True
    return False
