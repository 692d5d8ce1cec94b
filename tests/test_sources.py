from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from agentperf_lint.analysis import sources
from agentperf_lint.analysis.sources import discover, is_excluded, project_root, shared_directory
from agentperf_lint.config import DEFAULT_EXCLUDE


@pytest.fixture
def tree(tmp_path):
    def make(*paths: str) -> Path:
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")
        return tmp_path

    return make


def names(root: Path, *paths: str, exclude: tuple[str, ...] = DEFAULT_EXCLUDE) -> list[str]:
    found = discover([root / path for path in paths or (".",)], root=root, exclude=exclude)
    return [os.path.relpath(file.path, root) for file in found]


def test_python_files_in_order_with_size_and_time(tree):
    root = tree("b.py", "a/c.py", "a/notes.txt", "a/stub.pyi")
    (root / "b.py").write_text("x = 1\n")
    os.utime(root / "b.py", ns=(5, 7_000_000_001))
    found = discover([root], root=root)
    assert [os.path.relpath(file.path, root) for file in found] == ["a/c.py", "b.py"]
    assert found[1][1:] == (6, 7_000_000_001)


def test_named_files_are_taken_whatever_they_are_called(tree):
    root = tree("script", "build/made.py", ".gitignore")
    (root / ".gitignore").write_text("build\n")
    assert names(root, "script", "build/made.py", "build/made.py") == ["build/made.py", "script"]


def test_missing_paths_are_left_out(tree):
    assert names(tree("a.py"), "a.py", "gone.py", "nowhere") == ["a.py"]


@pytest.mark.parametrize("name", [".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist", ".tox"])
def test_default_excludes(tree, name):
    assert names(tree("a.py", f"{name}/b.py", f"deep/{name}/c.py")) == ["a.py"]


def test_virtual_environments_by_any_name(tree):
    root = tree("a.py", "env312/pyvenv.cfg", "env312/lib/b.py")
    assert names(root) == ["a.py"]
    assert names(root, "env312") == ["env312/lib/b.py"]


def test_excludes_are_gitignore_patterns_relative_to_the_root(tree):
    root = tree("a.py", "app/migrations/b.py", "lib/migrations/c.py", "app/gen_x.py", "app/keep.py")
    assert names(root, exclude=("/app/migrations", "gen_*.py")) == ["a.py", "app/keep.py", "lib/migrations/c.py"]
    assert names(root, "app", exclude=("/app/migrations", "gen_*.py")) == ["app/keep.py"]


def test_a_named_directory_below_an_excluded_one_is_walked(tree):
    assert names(tree("build/pkg/a.py", "build/pkg/build/b.py"), "build/pkg") == ["build/pkg/a.py"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("b.py", ["a.py", "app/a.py", "app/sub/a.py"]),
        ("/b.py", ["a.py", "app/a.py", "app/b.py", "app/sub/a.py", "app/sub/b.py"]),
        ("app/", ["a.py", "b.py"]),
        ("b.py/", ["a.py", "app/a.py", "app/b.py", "app/sub/a.py", "app/sub/b.py", "b.py"]),
        ("app/*.py", ["a.py", "app/sub/a.py", "app/sub/b.py", "b.py"]),
        ("app/**/b.py", ["a.py", "app/a.py", "app/sub/a.py", "b.py"]),
        ("[!a].py", ["a.py", "app/a.py", "app/sub/a.py"]),
        ("*.py\n!a.py", ["a.py", "app/a.py", "app/sub/a.py"]),
        ("app/*\n!app/sub", ["a.py", "app/sub/a.py", "app/sub/b.py", "b.py"]),
        ("# b.py\n\n   \n", ["a.py", "app/a.py", "app/b.py", "app/sub/a.py", "app/sub/b.py", "b.py"]),
        ("\\b.py", ["a.py", "app/a.py", "app/sub/a.py"]),
    ],
)
def test_gitignore(tree, patterns, expected):
    root = tree("a.py", "b.py", "app/a.py", "app/b.py", "app/sub/a.py", "app/sub/b.py")
    (root / ".gitignore").write_text(patterns + "\n")
    assert names(root) == expected


def test_nearer_gitignore_wins(tree):
    root = tree("app/keep.py", "app/drop.py", "lib/keep.py")
    (root / ".gitignore").write_text("keep.py\n")
    (root / "app/.gitignore").write_text("!keep.py\ndrop.py\n")
    assert names(root) == ["app/keep.py"]


def test_gitignore_above_the_start_counts_up_to_the_repository(tree):
    root = tree("outer/.gitignore", "outer/repo/.git/HEAD", "outer/repo/app/a.py", "outer/repo/app/b.py")
    (root / "outer/.gitignore").write_text("a.py\n")
    (root / "outer/repo/.gitignore").write_text("b.py\n")
    found = discover([root / "outer/repo/app"], root=root / "outer/repo")
    assert [Path(file.path).name for file in found] == ["a.py"]


def test_a_named_directory_that_is_ignored_is_walked(tree):
    root = tree("corpus/pkg/a.py", "corpus/pkg/b.py", "corpus/pkg/.gitignore")
    (root / ".gitignore").write_text("corpus/\n*.py\n")
    (root / "corpus/pkg/.gitignore").write_text("b.py\n")
    assert names(root, "corpus/pkg") == ["corpus/pkg/a.py"]


def test_links_to_directories_are_not_followed_and_dead_links_are_left_out(tree):
    root = tree("app/a.py")
    (root / "app/again").symlink_to(root / "app", target_is_directory=True)
    (root / "app/dead.py").symlink_to(root / "nowhere.py")
    (root / "app/loop.py").symlink_to(root / "app/loop.py")
    (root / "app/alias.py").symlink_to(root / "app/a.py")
    (root / "app/directory.py").mkdir()
    assert names(root) == ["app/a.py", "app/alias.py"]


def test_what_cannot_be_read_is_noted(tree, monkeypatch, caplog):
    root = tree("a.py", "locked/b.py")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(sources.os, "scandir", guarded)
    with caplog.at_level(logging.WARNING):
        assert names(root) == ["a.py"]
    assert "locked: cannot be read, skipped: Permission denied" in caplog.text


def test_what_vanishes_is_left_out(tree, monkeypatch, caplog):
    root = tree("a.py", "gone/b.py")
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(sources.os, "scandir", guarded)
    assert names(root) == ["a.py"]
    assert caplog.text == ""


def test_names_that_are_no_unicode_are_noted(tree, caplog):
    root = tree("a.py")
    (root / os.fsdecode(b"\xff.py")).write_text("")
    (root / "größe.py").write_text("")
    with caplog.at_level(logging.WARNING):
        assert names(root) == ["a.py", "größe.py"]
    assert "not valid Unicode" in caplog.text


def test_empty_tree(tmp_path):
    assert discover([tmp_path], root=tmp_path) == []


def test_is_excluded(tree):
    root = tree("app/migrations/a.py", "app/b.py")
    assert is_excluded(root / "app/migrations/a.py", root=root, exclude=("migrations",))
    assert is_excluded(root / "app/migrations/a.py", root=root, exclude=("app/migrations/",))
    assert not is_excluded(root / "app/b.py", root=root, exclude=("migrations",))
    assert not is_excluded(root.parent / "b.py", root=root, exclude=("b.py",))


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.py", "setup.cfg", ".git"])
def test_project_root_is_the_nearest_marker(tree, marker):
    root = tree("outer/setup.py", f"outer/inner/{marker}", "outer/inner/src/a.py")
    assert project_root([root / "outer/inner/src/a.py"]) == root / "outer/inner"
    assert project_root([root / "outer/inner/src", root / "outer"]) == root / "outer"


def test_shared_directory(tree, monkeypatch):
    root = tree("app/x/a.py", "app/y/b.py")
    assert shared_directory([root / "app/x/a.py", root / "app/y"]) == root / "app"
    assert shared_directory([root / "app/x/new.py"]) == root / "app/x"
    monkeypatch.chdir(root)
    assert shared_directory([]) == root
