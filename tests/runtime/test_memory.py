"""MemoryOptimizer: what grew, what is large, what could be smaller; nothing is collected or kept alive."""

from __future__ import annotations

import array
import gc
import json
import os
import re
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentperf_lint.checklist.profiles import read_profiles
from agentperf_runtime import MemoryOptimizer
from agentperf_runtime.memory import size_of, slots_suggestions, suggestions_for

MEGABYTE = 1 << 20


class Plain:
    def __init__(self, number: int) -> None:
        self.number = number
        self.square = number * number


class Slotted:
    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture
def recording() -> Iterator[MemoryOptimizer]:
    with MemoryOptimizer() as optimizer:
        yield optimizer


def test_growth_is_that_of_the_line_that_holds_it(recording: MemoryOptimizer, tmp_path: Path) -> None:
    kept = [bytes(10_000) for _ in range(300)]  # grows
    decoded = json.loads(json.dumps([{"n": n} for n in range(5_000)]))  # the library allocates, for this line
    grown = recording.growth()
    lines = Path(__file__).read_text().splitlines()
    by_line = {lines[each.line - 1].rpartition("# ")[2]: each for each in grown if each.path == __file__}
    assert by_line["grows"].size == pytest.approx(3_000_000, rel=0.05)
    assert by_line["grows"].objects >= 300
    assert by_line["the library allocates, for this line"].size > 500_000
    assert grown[0].size == max(each.size for each in grown)

    recording.save(tmp_path / "memory.json")
    (profile,) = read_profiles([str(tmp_path / "memory.json")])
    assert (__file__, by_line["grows"].line) in [each.frame[:2] for each in profile.growth]

    report = recording.get_memory_report()
    assert report["growth"][0]["location"].startswith(__file__)
    assert report["growth"][0]["size_mb"] == pytest.approx(3_000_000 / MEGABYTE, rel=0.1)
    assert report["top_consumers"]
    del kept, decoded


def test_what_is_given_back_did_not_grow(recording: MemoryOptimizer) -> None:
    for _ in range(10):
        bytearray(5_000_000)
    assert sum(each.size for each in recording.growth()) < 1_000_000


def test_recording_ends_with_whoever_began_it() -> None:
    tracing = "import tracemalloc; from agentperf_runtime import MemoryOptimizer as M; m = M()"
    own = f"{tracing}; m.start(); assert tracemalloc.is_tracing(); m.stop(); assert not tracemalloc.is_tracing()"
    another = f"{tracing}; tracemalloc.start(); m.start(); m.stop(); assert tracemalloc.is_tracing()"
    for code in (own, another):
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2] / "runtime")


def test_a_report_without_recording() -> None:
    report = MemoryOptimizer().get_memory_report()
    assert 1 < report["current_memory_mb"] <= report["peak_memory_mb"]
    assert (report["top_consumers"], report["growth"], report["gc_stats"]) == ([], [], [])
    assert len(report["gc"]["generations"]) == 3


def test_nothing_is_collected_unless_asked_to() -> None:
    gc.collect()
    gc.disable()
    try:
        ring = Plain(1)
        ring.square = ring  # type: ignore[assignment]
        alive = weakref.ref(ring)
        del ring
        optimizer = MemoryOptimizer()
        stats = optimizer.optimize_memory()
        optimizer.get_memory_report()
        assert stats["objects_collected"] == 0
        assert alive() is not None
        stats = optimizer.optimize_memory(collect=True)
        assert stats["objects_collected"] >= 1
        assert alive() is None
        assert optimizer.get_memory_report()["gc_stats"][-1]["collected"] == stats["objects_collected"]
    finally:
        gc.enable()
    assert set(stats) == {
        "memory_before_mb", "memory_after_mb", "memory_freed_mb", "objects_collected", "weak_refs_cleared"
    }  # fmt: skip


def test_collections_are_seen_while_recording(recording: MemoryOptimizer) -> None:
    gc.collect(1)
    seen = recording.get_memory_report()["gc_stats"]
    assert 1 in [each["generation"] for each in seen]
    assert all(each["seconds"] >= 0 for each in seen)


def test_tracked_objects_are_not_kept_alive() -> None:
    optimizer = MemoryOptimizer()
    plain = Plain(3)
    optimizer.track_large_object("plain", plain)
    optimizer.track_large_object("rows", list(range(2_000)))
    report = optimizer.get_memory_report()
    assert report["large_objects_tracked"] == 2
    rows, tracked = report["large_objects"]
    assert (rows["id"], rows["type"], rows["alive"]) == ("rows", "list", None)
    assert rows["suggestions"][0].startswith("2,000 numbers fit into array.array('q', ...)")
    assert (tracked["id"], tracked["alive"]) == ("plain", True)
    del plain
    assert optimizer.optimize_memory()["weak_refs_cleared"] == 1
    assert [each["id"] for each in optimizer.get_memory_report()["large_objects"]] == ["rows"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([1, 2, -3], "q"),
        ([1.5, 2.0], "d"),
        ([1, 2.5], ""),  # 1 would become 1.0
        ([True, False], ""),
        ([2**63], ""),
        ([], ""),
        (["a"], ""),
        ((1, 2), ""),
        ({"a": 1}, ""),
    ],
)
def test_lists_of_numbers_become_arrays(data: Any, code: str) -> None:
    made = MemoryOptimizer.optimize_data_structure(data)
    if not code:
        assert made is data
        return
    assert isinstance(made, array.array)
    assert made.typecode == code
    assert made.tolist() == data


def test_suggestions_for_lists() -> None:
    assert suggestions_for([1] * 10) == []
    assert suggestions_for(["a"] * 5_000) == []
    (text,) = suggestions_for([{"id": n, "name": "x"} for n in range(2_000)])
    assert text.startswith("2,000 dictionaries with the same keys (id, name): objects with __slots__ need ")
    (text,) = suggestions_for([Plain(n) for n in range(2_000)])
    assert "2,000 instances of" in text
    assert "have no __slots__" in text
    assert suggestions_for([Slotted(n) for n in range(2_000)]) == []


def test_what_is_there_once_only_takes_memory_once() -> None:
    same = {"id": 1}, Plain(1), 1.5, 10**20
    for each in same:
        assert suggestions_for([each] * 5_000) == []
    assert suggestions_for([n % 200 for n in range(5_000)]) == []  # one object each, whoever uses them


@pytest.mark.parametrize(
    "make", [lambda: [n * 1.5 for n in range(50_000)], lambda: [{"a": n, "b": 1.5} for n in range(50_000)]]
)
def test_what_would_be_saved_is_what_is_saved(make: Callable[[], list[Any]]) -> None:
    def held(build: Callable[[], Any]) -> tuple[Any, float]:
        gc.collect()
        tracemalloc.start(1)
        try:
            built = build()
            return built, tracemalloc.get_traced_memory()[0] / 2**20
        finally:
            tracemalloc.stop()

    @dataclass(slots=True)
    class Row:
        a: int
        b: float

    values, before = held(make)
    better = array.array("d") if isinstance(values[0], float) else []
    _, after = held(lambda: better.extend(each if isinstance(each, float) else Row(**each) for each in make()))
    (text,) = suggestions_for(values)
    (saved,) = re.findall(r"([\d.]+) MB less", text)
    assert float(saved) == pytest.approx(before - after, rel=0.1, abs=0.1)


FORK = """
import os
from agentperf_runtime import MemoryOptimizer
memory = MemoryOptimizer()
before = memory.get_memory_report()["current_memory_mb"]
if os.fork() == 0:
    more = bytearray(b"x" * 50_000_000)
    grown = memory.get_memory_report()["current_memory_mb"] - before
    os._exit(0 if grown > 25 else 1)
raise SystemExit(os.waitpid(-1, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reports_itself() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "runtime")}
    done = subprocess.run([sys.executable, "-c", FORK], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_classes_that_could_have_slots() -> None:
    many = [Plain(n) for n in range(3_000)]
    slotted = [Slotted(n) for n in range(3_000)]
    found = slots_suggestions()
    assert any(f"{Plain.__module__}.Plain" in each for each in found)
    assert not any("Slotted" in each for each in found)
    assert slots_suggestions([*many[:10], *slotted]) == []


def test_sizes_count_what_is_referred_to_once() -> None:
    inner = bytes(1_000)
    assert size_of([inner, inner]) == pytest.approx(sys.getsizeof(inner) + sys.getsizeof([0, 0]))
    assert size_of(Plain) == 0
    ring: list[Any] = []
    ring.append(ring)
    assert size_of(ring) == sys.getsizeof(ring)


def test_sizes_of_large_containers_are_estimated() -> None:
    def rows() -> list[dict[str, Any]]:
        return [{"id": n + 1000, "name": f"row {n}"} for n in range(60_000)]

    gc.collect()
    tracemalloc.start(1)
    try:
        built = {"rows": rows()}
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert size_of(built) == pytest.approx(held, rel=0.25)
    names = {f"name {n}": None for n in range(1_000)}
    assert size_of(names) >= sum(map(sys.getsizeof, names))
    large = bytes(1_000_000)
    assert size_of([large] * 20_000) == pytest.approx(1_000_000 + 20_000 * 8, rel=0.01)


class Odd:
    """As proxies do that have nothing behind them."""

    def __sizeof__(self) -> int:
        raise RuntimeError

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise RuntimeError


def test_odd_objects_are_tracked() -> None:
    optimizer = MemoryOptimizer()
    optimizer.track_large_object("odd", [Odd() for _ in range(2_000)])
    (tracked,) = optimizer.get_memory_report()["large_objects"]
    assert tracked["suggestions"] == []


def test_one_may_record_while_others_do() -> None:
    kept: list[bytes] = []
    with MemoryOptimizer() as outer:
        with MemoryOptimizer():
            pass
        kept.extend(bytes(1_000) for _ in range(100))
        assert outer.growth()[0].size >= 100_000
    assert not tracemalloc.is_tracing()


def test_another_one_stops_the_recording() -> None:
    with MemoryOptimizer() as optimizer:
        tracemalloc.stop()
        assert optimizer.growth() == []
        assert optimizer.get_memory_report()["growth"] == []
    tracemalloc.start()
    with MemoryOptimizer():
        pass
    assert tracemalloc.is_tracing()
    tracemalloc.stop()
