"""What a project sets in `[tool.agentperf-lint]`, and where that is read from."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from agentperf_rules.model import Confidence, Severity
from agentperf_runtime.budgets import Budget, budget_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EntryFormat = Literal["sarif", "github", "gitlab", "junit", "markdown"]
GroupBy = Literal["file", "rule", "root"]
ReportFormat = Literal["full", "json", "html", "sarif", "github", "gitlab", "junit", "markdown"]
OutputFormat = Literal["full", "concise", "json", "sarif", "github", "gitlab", "junit", "markdown"]

TABLE = "agentperf-lint"
CACHE_DIRECTORY = ".agentperf_cache"

DEFAULT_EXCLUDE = (
    ".bzr",
    ".direnv",
    ".eggs",
    ".git",
    ".git-rewrite",
    ".hg",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pants.d",
    ".pyenv",
    ".pytest_cache",
    ".pytype",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    ".vscode",
    CACHE_DIRECTORY,
    "__pycache__",
    "__pypackages__",
    "_build",
    "buck-out",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
)


class ConfigError(Exception):
    """The configuration or a command-line option cannot be used; the message names the file or option and the key."""


Detector = Literal["default", "gap"]


class TraceSettings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The keys of `[tool.agentperf-lint.trace]`: what of a trace is worth telling.

    `min_operations` of one key in one root make an N+1 cluster, `min_duplicates` identical ones a duplicate.
    `slow_operation` (seconds) makes a bottleneck, so does `slow_execution` (seconds on average) of a profiled
    operation, `stall_limit` (seconds, 0: as it was traced) a stall; operations between which their task sleeps
    `poll_interval` seconds are a timer's. `ignore` are patterns of `path:function` or of statements. `max_regression`
    is by what share of its cost an item may grow from one run to the next (0.2: 20 %).
    """

    min_operations: int = 6
    min_duplicates: int = 6
    slow_operation: float = 0.5
    slow_execution: float = 1.0
    stall_limit: float = 0.0
    poll_interval: float = 0.5
    detector: Detector = "default"
    ignore: tuple[str, ...] = ()
    max_regression: float = 0.2


Limit = str | float | int


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The keys of `[tool.agentperf-lint]`.

    An empty `select` means every rule, `jobs` 0 one process per processor, an empty `baseline` none. `budgets` are
    limits by measure (`p95 = "200ms"`), or tables of these by a pattern of names (`"GET /orders/*"`). `calls` say what
    a call of a dotted name is (`"acme.sdk.Client.fetch" = "http"`), in words of `catalogue.configured.MEANINGS`.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = {}
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    min_severity: Severity = "low"
    min_confidence: Confidence = "likely"
    output_format: OutputFormat = "full"
    baseline: str = ""
    jobs: int = 0
    cache_dir: str = ""
    trace: TraceSettings = TraceSettings()
    budgets: dict[str, Limit | dict[str, Limit]] = {}
    calls: dict[str, str] = {}

    def all_excluded(self) -> tuple[str, ...]:
        """The patterns (gitignore syntax) of files and directories that are not looked for."""
        return (*self.exclude, *self.extend_exclude)


class Config(Settings, frozen=True, kw_only=True):
    """Settings and their origin: `file` is None for defaults, patterns are relative to `directory` (absolute)."""

    directory: str = ""
    file: str | None = None


_KEYS = tuple(field.encode_name for field in msgspec.structs.fields(Settings))
_TRACE_KEYS = tuple(field.encode_name for field in msgspec.structs.fields(TraceSettings))


def load_config(start: Path, *, file: Path | None = None, isolated: bool = False) -> Config:
    """The configuration for a project at or below `start`.

    It comes from `file`, or else from the nearest `pyproject.toml` at or above `start` that has the table.
    Raises `ConfigError` for what cannot be read or understood.
    """
    if isolated:
        return Config(directory=os.path.abspath(start))
    if file is not None:
        return _from_table(_explicit_table(file), file, Path.cwd())
    directory = Path(os.path.abspath(start))
    for candidate in (directory, *directory.parents):
        path = candidate / "pyproject.toml"
        if path.is_file():
            table = _tool_table(_read_toml(path), path)
            if table is not None:
                return _from_table(table, path, candidate)
    return Config(directory=str(directory))


def budgets_of(settings: Settings) -> list[Budget]:
    """The budgets that are set, those of names with the pattern as their scope. Raises `ValueError`."""
    found = []
    for name, limit in settings.budgets.items():
        if isinstance(limit, dict):
            found += [_budget(each, value, name) for each, value in limit.items()]
        else:
            found.append(_budget(name, limit, ""))
    return found


def _budget(name: str, limit: Limit, scope: str) -> Budget:
    try:
        return budget_of(name, limit, scope)
    except ValueError as error:
        key = f'budgets."{scope}".{name}' if scope else f"budgets.{name}"
        raise ValueError(f"{TABLE}.{key}: {error}") from error


def override(config: Config, **options: Any) -> Config:
    """`config` with the options that were given on the command line (those that are not None)."""
    return msgspec.structs.replace(config, **{key: value for key, value in options.items() if value is not None})


def parse_per_file_ignores(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`("tests/*:APL1,APL203", ...)` as a mapping from pattern to codes. Raises `ConfigError`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        pattern, colon, codes = text.rpartition(":")
        names = tuple(code.strip() for code in codes.split(",") if code.strip())
        if not colon or not pattern or not names:
            raise ConfigError(f"--per-file-ignores: {text!r} is not PATTERN:CODE[,CODE...]")
        found[pattern] = (*found.get(pattern, ()), *names)
    return found


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            document: dict[str, Any] = tomllib.load(stream)
            return document
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _tool_table(document: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    tool = document.get("tool")
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.{TABLE} must be a table")
    return table


def _explicit_table(path: Path) -> dict[str, Any]:
    document = _read_toml(path)
    table = _tool_table(document, path)
    if table is not None:
        return table
    if path.name == "pyproject.toml":
        raise ConfigError(f"{path}: has no table [tool.{TABLE}]")
    return document


def _from_table(table: Mapping[str, Any], path: Path, directory: Path) -> Config:
    _check_keys(table, _KEYS, f"{path}: unknown key {{!r}} in [tool.{TABLE}]")
    if isinstance(table.get("trace"), dict):
        _check_keys(table["trace"], _TRACE_KEYS, f"{path}: unknown key {{!r}} in [tool.{TABLE}.trace]")
    try:
        settings = msgspec.convert(dict(table), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_explained(str(error))}") from error
    if settings.jobs < 0:
        raise ConfigError(f"{path}: {TABLE}.jobs: must not be negative")
    _check_trace(settings.trace, f"{path}: {TABLE}.trace.")
    _check_calls(settings.calls, f"{path}: {TABLE}.calls.")
    try:
        budgets_of(settings)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    for name in ("baseline", "cache_dir"):
        values[name] = os.path.join(directory, os.path.expanduser(values[name])) if values[name] else ""
    return Config(**values, directory=os.path.abspath(directory), file=str(path))


def _check_keys(table: Mapping[str, Any], known: Sequence[str], message: str) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key.replace("_", "-").lower(), known, n=1)
            suggestion = f": did you mean {close[0]!r}?" if close else f" (known keys: {', '.join(known)})"
            raise ConfigError(message.format(key) + suggestion)


def _check_trace(settings: TraceSettings, where: str) -> None:
    counts = {"min-operations": settings.min_operations, "min-duplicates": settings.min_duplicates}
    for key, count in counts.items():
        if count < 2:
            raise ConfigError(f"{where}{key}: must be at least 2")
    durations = {
        "slow-operation": settings.slow_operation,
        "slow-execution": settings.slow_execution,
        "poll-interval": settings.poll_interval,
    }
    for key, seconds in durations.items():
        if not seconds > 0:
            raise ConfigError(f"{where}{key}: must be more than 0 seconds")
    if not settings.stall_limit >= 0:
        raise ConfigError(f"{where}stall-limit: must not be negative")
    if not settings.max_regression >= 0:
        raise ConfigError(f"{where}max-regression: must not be negative")


def _check_calls(calls: Mapping[str, str], where: str) -> None:
    if not calls:
        return
    from agentperf_rules.catalogue.configured import MEANINGS  # the catalogue would slow every start down

    for name, meaning in calls.items():
        parts = name.removesuffix(".*").split(".")
        if (len(parts) < 2 and not name.endswith(".*")) or not all(part.isidentifier() for part in parts):
            raise ConfigError(
                f'{where}"{name}": not a dotted name such as "package.function", "package.Class.*" or "builtins.open"'
            )
        if meaning not in MEANINGS:
            close = difflib.get_close_matches(meaning, MEANINGS, n=1)
            suggestion = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(MEANINGS)}"
            raise ConfigError(f'{where}"{name}": {meaning!r} is no kind of call: {suggestion}')


def _explained(message: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.jobs` `` with the key first, as it is written in the file."""
    what, separator, where = message.rpartition(" - at `$")
    if not separator:
        return f"tool.{TABLE}: {message}"
    return f"tool.{TABLE}{where.rstrip('`')}: {what[:1].lower()}{what[1:]}"
