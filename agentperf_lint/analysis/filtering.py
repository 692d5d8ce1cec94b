"""Which findings the configuration asks for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from agentperf_lint.config import Config, ConfigError
from agentperf_rules.model import CONFIDENCES, SEVERITIES, Confidence, Finding, Severity

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

EVERYTHING = "APL"
RUN_FAMILY = "APL9"  # about the run itself: shown unless ignored, so that nothing unread looks clean


def select(findings: Iterable[Finding], config: Config) -> list[Finding]:
    """The findings that `config` asks for, in their order.

    Raises `ConfigError` when the configuration names a code that no rule starts with.
    """
    check_codes(config)
    chosen = Selection(config)
    return [each for each in findings if chosen.wants(each.code, each.path, each.severity, each.confidence)]


class Selection:
    """Answers by code and file. Of a selected and an ignored prefix of a code the longer one counts."""

    def __init__(self, config: Config) -> None:
        selected = config.select or (EVERYTHING,)
        self._selected = _normal((*selected, *config.extend_select, RUN_FAMILY))
        self._ignored = _normal(config.ignore)
        self._severity = SEVERITIES.index(config.min_severity)
        self._confidence = CONFIDENCES.index(config.min_confidence)
        self._directory = config.directory
        self._per_file = [(pattern, _normal(codes)) for pattern, codes in config.per_file_ignores.items()]
        self._specs: list[tuple[GitIgnoreSpec, tuple[str, ...]]] | None = None
        self._by_path: dict[str, tuple[str, ...]] = {}

    def wants(self, code: str, path: str, severity: Severity, confidence: Confidence) -> bool:
        """Whether a finding with these properties is asked for; `path` is relative to the working directory."""
        if not code.startswith(RUN_FAMILY) and (
            SEVERITIES.index(severity) < self._severity or CONFIDENCES.index(confidence) < self._confidence
        ):
            return False
        return self.has(code) and not self.is_ignored_in(path, code)

    def has(self, code: str) -> bool:
        """Whether `code` is asked for, in any file."""
        return _longest(code, self._selected) > _longest(code, self._ignored)

    def is_ignored_in(self, path: str, code: str) -> bool:
        """Whether per-file-ignores leave `code` out in the file `path`, relative to the working directory."""
        if not self._per_file:
            return False
        ignored = self._by_path.get(path)
        if ignored is None:
            ignored = self._by_path[path] = tuple(self._ignored_in(path))
        return code.startswith(ignored) if ignored else False

    def _ignored_in(self, path: str) -> Iterable[str]:
        if self._specs is None:
            from pathspec import GitIgnoreSpec

            self._specs = [(GitIgnoreSpec.from_lines([pattern]), codes) for pattern, codes in self._per_file]
        relative = os.path.relpath(os.path.abspath(path), self._directory or os.getcwd()).replace(os.sep, "/")
        for spec, codes in self._specs:
            if spec.match_file(relative):
                yield from codes


def check_codes(config: Config) -> None:
    """Raises `ConfigError` for a code in `config` that is neither a rule's nor the beginning of one."""
    given = [
        ("select", config.select),
        ("ignore", config.ignore),
        ("extend-select", config.extend_select),
        *((f"per-file-ignores.{pattern}", codes) for pattern, codes in config.per_file_ignores.items()),
    ]
    if not any(codes for _, codes in given):
        return
    from agentperf_rules import all_rules

    known = tuple(all_rules())
    for key, codes in given:
        for code in _normal(codes):
            if not any(rule.startswith(code) for rule in known):
                raise ConfigError(f"{key}: unknown code {code!r}{_suggestion(code, known)}")


def _suggestion(code: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(code, known, n=1)
    return f": did you mean {close[0]}?" if close else ""


def _normal(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(code.strip().upper() for code in codes)


def _longest(code: str, prefixes: tuple[str, ...]) -> int:
    return max((len(prefix) for prefix in prefixes if prefix and code.startswith(prefix)), default=0)
