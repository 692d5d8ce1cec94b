from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from agentperf_lint.analysis import cache as cache_module
from agentperf_lint.analysis.cache import Cache, clean


def digest(number: int) -> bytes:
    return number.to_bytes(16, "big")


def kept(directory: Path, version: str = "1") -> dict[bytes, bytes]:
    cache = Cache.open(directory, version)
    try:
        return cache.facts([digest(number) for number in range(5_000)])
    finally:
        cache.close()


def fill(directory: Path, numbers: range, version: str = "1") -> None:
    cache = Cache.open(directory, version)
    cache.put_facts({digest(number): b"facts %d" % number for number in numbers})
    cache.close()


def test_everything_that_was_put_comes_back(tmp_path):
    index = {
        "/p/a.py": (10, 1_700_000_000_123_456_789, digest(1)),
        "/p/\u4e2d.py": (0, 0, digest(2)),
        os.fsdecode(b"/p/\xff.py"): (3, -1, digest(3)),
    }
    cache = Cache.open(tmp_path, "1")
    cache.put_facts({digest(1): b"one", digest(2): b""})
    cache.put_stat_index("/p", index)
    cache.put(b"key", b"value")
    assert cache.get(b"key") == b"value"
    cache.close()

    again = Cache.open(tmp_path, "1")
    assert again.facts([digest(1), digest(2), digest(9)]) == {digest(1): b"one", digest(2): b""}
    assert again.stat_index("/p") == index
    assert again.stat_index("/other") == {}
    assert (again.get(b"key"), again.get(b"other")) == (b"value", None)
    again.close()


def test_few_of_many_facts(tmp_path):
    fill(tmp_path, range(3_000))
    cache = Cache.open(tmp_path, "1")
    wanted = [digest(number) for number in range(0, 3_000, 3)]
    assert set(cache.facts(wanted)) == set(wanted)
    cache.close()


def test_index_of_no_files_and_files_without_digest(tmp_path):
    cache = Cache.open(tmp_path, "1")
    cache.put_stat_index("/p", {})
    assert cache.stat_index("/p") == {}
    cache.put_stat_index("/p", {"/p/a.py": (1, 2, b""), "/p/b.py": (3, 4, digest(4))})
    assert cache.stat_index("/p") == {"/p/b.py": (3, 4, digest(4))}
    cache.close()


def test_another_version_sees_nothing(tmp_path):
    fill(tmp_path, range(3))
    assert kept(tmp_path, "2") == {}
    assert len(kept(tmp_path, "1")) == 3


def test_directory_keeps_itself_out_of_git_and_backups(tmp_path):
    directory = tmp_path / "made" / "cache"
    fill(directory, range(1))
    assert (directory / ".gitignore").read_text() == "*\n"
    assert (directory / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    status = subprocess.run(["git", "-C", tmp_path, "status", "--porcelain"], check=True, capture_output=True)
    assert status.stdout == b""


def test_without_a_directory_nothing_is_kept():
    cache = Cache.open(None, "1")
    cache.put_facts({digest(1): b"one"})
    cache.put(b"key", b"value")
    cache.put_stat_index("/p", {"/p/a.py": (1, 2, digest(1))})
    assert (cache.facts([digest(1)]), cache.get(b"key"), cache.stat_index("/p")) == ({}, None, {})
    assert not cache.enabled
    cache.close()


def test_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache.open(tmp_path / "file" / "cache", "1")
    assert not cache.enabled


def test_file_that_cannot_be_opened(tmp_path, monkeypatch):
    fill(tmp_path, range(1))

    def refuse(path):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(cache_module, "_connected", refuse)
    cache = Cache.open(tmp_path, "1")
    assert not cache.enabled
    assert cache.facts([digest(0)]) == {}


def database_in(directory: Path) -> Path:
    (path,) = directory.glob("*.sqlite")
    return path


def test_file_that_is_no_database_is_made_anew(tmp_path):
    fill(tmp_path, range(3))
    database_in(tmp_path).write_bytes(b"not a database at all" * 1_000)
    assert kept(tmp_path) == {}
    fill(tmp_path, range(3))
    assert len(kept(tmp_path)) == 3


@pytest.mark.parametrize("at", [100, 16_384, 40_000])
def test_damage_in_the_middle_is_no_crash(tmp_path, at):
    fill(tmp_path, range(5_000))
    path = database_in(tmp_path)
    content = bytearray(path.read_bytes())
    content[at : at + 20_000] = b"\xa5" * 20_000
    path.write_bytes(content)
    for facts in kept(tmp_path).items():
        assert facts[1] == b"facts %d" % int.from_bytes(facts[0], "big")
    fill(tmp_path, range(5))
    assert len(kept(tmp_path)) >= 5


def test_blob_that_changed_on_disk_is_not_returned(tmp_path):
    fill(tmp_path, range(2))
    with sqlite3.connect(database_in(tmp_path)) as connection:
        connection.execute("UPDATE facts SET blob = 'text' WHERE digest = ?", (digest(0),))
        connection.execute("UPDATE facts SET blob = x'00' WHERE digest = ?", (digest(1),))
    connection.close()
    assert kept(tmp_path) == {}


def test_truncated_file(tmp_path):
    fill(tmp_path, range(5_000))
    path = database_in(tmp_path)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    kept(tmp_path)
    fill(tmp_path, range(5))
    assert len(kept(tmp_path)) >= 5


def test_locked_file_is_a_run_without_the_cache(tmp_path, monkeypatch):
    fill(tmp_path, range(2))
    monkeypatch.setattr(cache_module, "BUSY_SECONDS", 0.05)
    cache = Cache.open(tmp_path, "1")
    other = sqlite3.connect(database_in(tmp_path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert cache.facts([digest(0)]) == {}
    cache.put_facts({digest(7): b"seven"})
    cache.put(b"key", b"value")
    cache.close()
    other.execute("COMMIT")
    other.close()
    assert len(kept(tmp_path)) == 2


def _writer(directory: Path, start: int) -> None:
    for number in range(start, start + 200, 20):
        cache = Cache.open(directory, "1")
        cache.put_facts({digest(each): b"facts %d" % each for each in range(number, number + 20)})
        cache.put(digest(start), b"done")
        cache.facts([digest(each) for each in range(5_000)])
        cache.close()


def test_concurrent_runs(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_writer, args=(tmp_path, start)) for start in (0, 100, 1_000, 2_000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    facts = kept(tmp_path)
    assert len(facts) == 300 + 200 + 200


def test_prune_keeps_the_size_and_the_most_recent(tmp_path, monkeypatch):
    cache = Cache.open(tmp_path, "1")
    for number in range(10):
        cache._now += 1
        cache.put_facts({digest(number): bytes(1_000)})
    cache.prune(max_bytes=6_000)
    cache.close()
    assert set(kept(tmp_path)) == {digest(number) for number in range(6, 10)}


def test_prune_removes_what_was_not_used_for_a_month(tmp_path):
    fill(tmp_path, range(2))
    cache = Cache.open(tmp_path, "1")
    cache._now += 20 * 86_400
    assert cache.facts([digest(0)])  # a use on the twentieth day
    cache._now += 20 * 86_400
    cache.prune()
    cache.close()
    assert set(kept(tmp_path)) == {digest(0)}


def test_files_of_old_versions_go_after_a_month(tmp_path):
    fill(tmp_path, range(1), version="old")
    old = database_in(tmp_path)
    os.utime(old, (0, 0))
    cache = Cache.open(tmp_path, "new")
    cache.put(b"key", b"value")
    cache.close()
    assert not old.exists()


def test_clean_deletes_only_what_is_its_own(tmp_path):
    fill(tmp_path / "cache", range(1))
    assert clean(tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    assert not clean(tmp_path / "cache")

    fill(tmp_path / "cache", range(1))
    (tmp_path / "cache" / "notes.txt").write_text("mine")
    assert clean(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["notes.txt"]

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "v1.sqlite").write_text("mine")
    assert not clean(tmp_path / "home")
    assert (tmp_path / "home" / "v1.sqlite").exists()
