"""Which project some paths belong to, and what it has configured: the same for the command line and flake8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agentperf_lint.analysis.sources import ROOT_MARKERS, project_root
from agentperf_lint.config import CACHE_DIRECTORY, Config, load_config


class Project(NamedTuple):
    """The directory that is known as a whole, its configuration, and where its cache is."""

    root: Path
    config: Config
    cache_directory: Path


def find_project(paths: Sequence[Path], *, config_file: Path | None = None, isolated: bool = False) -> Project:
    """The project of `paths`. Raises `ConfigError`.

    A `pyproject.toml` with `[tool.agentperf-lint]` above the nearest marker of a project makes its directory the root:
    it says that what lies below belongs together.
    """
    nearest = project_root(paths)
    config = load_config(nearest, file=config_file, isolated=isolated)
    root = nearest if config_file is not None else Path(config.directory)
    return Project(root, config, _cache_directory(root, config))


def _cache_directory(root: Path, config: Config) -> Path:
    """The configured directory, else one in the project, or in the working directory when `root` is no project."""
    if config.cache_dir:
        return Path(config.cache_dir)
    is_project = any((root / marker).exists() for marker in ROOT_MARKERS)
    return (root if is_project else Path.cwd()) / CACHE_DIRECTORY
