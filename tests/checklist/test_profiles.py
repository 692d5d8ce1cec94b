"""Profiles as evidence: read, added up by place, and joined with what a trace and the source say."""

from __future__ import annotations

import json
import marshal
import subprocess
import sys
from pathlib import Path

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.checklist.build import build_checklist
from agentperf_lint.checklist.items import Checklist, ProfileEvidence
from agentperf_lint.checklist.profiles import Profile, ProfileError, read_profiles
from agentperf_lint.checklist.trace import Trace
from agentperf_lint.config import Config, TraceSettings
from agentperf_runtime.histograms import Histogram

APPLICATION = """\
import asyncio
import hashlib
import json
import time


def digest(seconds):
    data, until = b"x" * 1000, time.perf_counter() + seconds
    while time.perf_counter() < until:
        data = hashlib.sha256(data * 2000).digest()
    return data


class Service:
    async def handle(self):
        digest(0.03)
        json.dumps([{"a": i} for i in range(100)])
        await asyncio.sleep(0.01)


async def main():
    service = Service()
    for _ in range(10):
        await service.handle()


def entry():
    asyncio.run(main())


if __name__ == "__main__":
    entry()
"""
HASHED = 1 + APPLICATION.splitlines().index("        data = hashlib.sha256(data * 2000).digest()")


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "app.py"
    file.write_text(APPLICATION)
    return file


def profiled(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments, "app.py"], check=True, capture_output=True)


def checklist(*files: str | Path, profiles: tuple[Profile, ...] = (), **settings: float) -> Checklist:
    read = (*profiles, *read_profiles([str(file) for file in files]))
    return build_checklist(Trace(), TraceSettings(**settings), profiles=read)  # type: ignore[arg-type]


def places(found: Checklist) -> list[tuple[str, str, int, str]]:
    return [(item.code, item.path, item.line, item.function) for item in found.items]


@pytest.mark.parametrize(
    ("renderer", "line", "function"),
    [("pyisession", HASHED, "digest"), ("json", 7, "digest")],
)
def test_pyinstrument(application: Path, renderer: str, line: int, function: str) -> None:
    profiled("pyinstrument", "-i", "0.001", "-r", renderer, "-o", "profile")
    found = checklist("profile")
    assert places(found) == [("APL504", "app.py", line, function)]  # not the loop that idles below entry()
    (item,) = found.items
    assert item.share > 0.3
    assert item.total_seconds == pytest.approx(item.share * found.summary.profiles[0].seconds)
    assert found.summary.profiles[0].profiler == "pyinstrument"
    assert not found.notes


def test_cprofile_blames_who_calls_the_library(application: Path) -> None:
    profiled("cProfile", "-o", "profile")
    found = checklist("profile")
    assert places(found) == [("APL504", "app.py", 7, "digest")]
    (evidence,) = found.items[0].evidence
    assert isinstance(evidence, ProfileEvidence)
    assert evidence.profiler == "cProfile"


def own_profile(path: Path, **changes: object) -> Path:
    duration = Histogram()
    for _ in range(4):
        duration.record(2.0)
    document: dict[str, object] = {
        "type": "agentperf-profile",
        "version": 1,
        "pid": 1,
        "wall_start": 1_000.0,
        "seconds": 10.0,
        "interval_seconds": 0.01,
        "operations": [
            {
                "agent_name": "writer",
                "operation": "draft",
                "executions": 4,
                "failed": 1,
                "cancelled": 0,
                "total_seconds": 8.0,
                "running_seconds": 2.0,
                "waiting_seconds": 6.0,
                "duration": duration.to_json(),
                "memory_delta_mb_total": 40.0,
                "tokens_used": 4_000,
            }
        ],
        "frames": [
            ["/usr/lib/python3.12/json/encoder.py", 10, "encode"],
            [str(path.parent / "app.py"), 16, "handle"],
            [str(path.parent / "app.py"), 18, "handle"],
        ],
        "stacks": [
            {"operation": 0, "state": "running", "frames": [0, 1], "samples": 200},
            {"operation": 0, "state": "waiting", "frames": [2], "samples": 600},
        ],
        "process": {"cpu_seconds": 5.0, "rss_bytes": 100 * 2**20, "peak_rss_bytes": 120 * 2**20},
        **changes,
    }
    path.write_text(json.dumps(document))
    return path


def test_an_operation_that_is_slow_on_average(application: Path, tmp_path: Path) -> None:
    found = checklist(own_profile(tmp_path / "profile"))
    slow, hot = found.items
    assert (slow.path, slow.line, slow.function) == ("app.py", 18, "Service.handle")
    assert slow.message.startswith("writer:draft takes 2.00 s on average and mostly waits, 75% of it here: ")
    assert (slow.operations, slow.total_seconds, slow.worst_seconds, slow.share) == (4, 8.0, 2.0, 0.8)
    (evidence,) = slow.evidence
    assert isinstance(evidence, ProfileEvidence)
    assert (evidence.failed, evidence.tokens, evidence.p95_seconds) == (1, 4_000, 2.0)
    assert [(each.line, each.share, each.waiting) for each in evidence.places] == [(18, 0.75, True), (16, 0.25, False)]
    assert (hot.line, hot.total_seconds, hot.share) == (16, 2.0, 0.2)


def test_figures_of_the_operations(application: Path, tmp_path: Path) -> None:
    kpis = checklist(own_profile(tmp_path / "profile")).summary.kpis
    assert (kpis.of, kpis.count, kpis.failed, kpis.response_p95_seconds) == ("operation", 4, 1, 2.0)
    assert (kpis.throughput, kpis.concurrency, kpis.tokens_each) == (0.4, 0.8, 1_000)
    assert (kpis.cpu_utilization, kpis.peak_rss_bytes) == (0.5, 120 * 2**20)


def test_what_is_slow_is_configured(application: Path, tmp_path: Path) -> None:
    found = checklist(own_profile(tmp_path / "profile"), slow_execution=3.0)
    assert [item.line for item in found.items] == [16]


def test_an_operation_that_was_never_sampled_is_told_of(application: Path, tmp_path: Path) -> None:
    (item,) = checklist(own_profile(tmp_path / "profile", stacks=[])).items
    assert item.path == ""
    assert "it was not sampled" in item.message


def test_operations_that_were_never_sampled_have_no_place_in_common(application: Path, tmp_path: Path) -> None:
    once, again = own_profile(tmp_path / "once", stacks=[]), own_profile(tmp_path / "again", stacks=[])
    assert [len(item.evidence) for item in checklist(once, again).items] == [1, 1]


def test_a_finding_where_the_profile_saw_time_is_confirmed(application: Path, tmp_path: Path) -> None:
    application.write_text(APPLICATION.replace("digest(0.03)", "time.sleep(0.03)").replace("json.dumps", "str"))
    findings = analyze([application], Config(directory=str(tmp_path)), root=tmp_path, jobs=1, cache_dir=None).findings
    assert [(finding.code, finding.line) for finding in findings] == [("APL101", 16)]
    profiled("pyinstrument", "-r", "pyisession", "-o", "profile")
    found = build_checklist(Trace(), TraceSettings(), findings=findings, profiles=read_profiles(["profile"]))
    assert [(item.code, item.status, item.line) for item in found.items] == [("APL504", "confirmed", 16)]


def test_a_place_that_is_left_out(application: Path, tmp_path: Path) -> None:
    application.write_text(APPLICATION.replace("digest(0.03)", "digest(0.03)  # agentperf: ignore"))
    assert [item.line for item in checklist(own_profile(tmp_path / "profile")).items] == [18]


def test_memory_that_is_still_held(application: Path, tmp_path: Path) -> None:
    growth = [[str(application), 10, 5 << 20, 1_000], [str(application), 17, 1_000, 2]]
    (tmp_path / "memory").write_text(
        json.dumps({"type": "agentperf-memory", "version": 1, "seconds": 60.0, "wall_start": 0.0, "growth": growth})
    )
    found = checklist("memory")
    assert places(found) == [("APL506", "app.py", 10, "digest")]
    assert found.items[0].message.startswith("5.0 MB in 1,000 objects that were allocated here are still held: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "neither JSON nor statistics of cProfile"),
        (b"# a script\n", "neither JSON nor statistics of cProfile"),
        (b"{'a': 1}", "neither JSON nor statistics of cProfile"),
        (b"{", "neither JSON nor statistics of cProfile"),
        (b"\x80\x04\x95", "neither JSON nor statistics of cProfile"),
        (marshal.dumps([1, 2]), "neither JSON nor statistics of cProfile"),
        (marshal.dumps({"a": 1}), "neither JSON nor statistics of cProfile"),
        (marshal.dumps({("a.py", 1, "f"): 3}), "is damaged"),
        (b'{"type": "agentperf-load"}', "is neither ours, nor pyinstrument's, nor cProfile's"),
        (b'{"type": "agentperf-profile", "version": 1}', "is damaged"),
        (b'{"root_frame": {"function": "f"}}', "is damaged"),
        (b'{"frame_records": [[["no place"], 1]], "duration": 1, "start_time": 1}', "is damaged"),
    ],
)
def test_what_is_no_profile_is_told(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "profile").write_bytes(content)
    with pytest.raises(ProfileError, match=problem):
        read_profiles([str(tmp_path / "profile")])


def test_a_missing_profile_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot be read: No such file"):
        read_profiles([str(tmp_path / "none")])


def test_a_newer_version_is_read_and_told(application: Path, tmp_path: Path) -> None:
    found = checklist(own_profile(tmp_path / "profile", version=9))
    assert len(found.items) == 2
    assert [note for note in found.notes if "version 9 is newer than 1" in note]


def test_an_empty_session(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text('{"frame_records": [], "duration": 0.0, "start_time": 1.0}')
    assert checklist(tmp_path / "profile").items == ()
    (tmp_path / "profile").write_text('{"root_frame": null, "duration": 0.0, "start_time": 1.0}')
    assert checklist(tmp_path / "profile").items == ()


def test_a_deep_tree_is_no_problem(tmp_path: Path) -> None:
    depth = 400
    frame = '{"function": "f", "file_path": "/a.py", "line_no": 1, "time": 1.0, "children": ['
    (tmp_path / "profile").write_text(
        '{"duration": 1.0, "start_time": 1.0, "root_frame": ' + frame * depth + "]}" * depth + "}"
    )
    (profile,) = read_profiles([str(tmp_path / "profile")])
    assert [len(spent.frames) for spent in profile.spent] == [depth]
