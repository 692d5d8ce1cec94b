"""How the benchmarks score; a benchmark that counts wrongly is worse than none."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy import Label, Probe, Report, hits, probe_passes, read_labels, read_probes, score
from benchmarks.sample import read_verdicts, shares

FILE = Path("/tree/mod.py")


def label(line: int, *, end_line: int | None = None, polarity: str = "pos", family: str = "B") -> Label:
    return Label("package", FILE, line, end_line or line, family, polarity, False, "")  # type: ignore[arg-type]


def reported(line: int, kind: str = "blocking", path: Path = FILE) -> Report:
    return Report(path, line, kind, "APL101")


@pytest.mark.parametrize(
    ("where", "report", "hit"),
    [
        (label(5), reported(5), True),
        (label(5, end_line=8), reported(8), True),
        (label(5), reported(6), True),
        (label(5), reported(7), False),
        (label(5), reported(5, kind="loop"), False),
        (label(5, family="N"), reported(5, kind="loop"), True),
        (label(5), reported(5, path=Path("/tree/other.py")), False),
        (label(5, polarity="neg"), reported(5), True),
        (label(5, polarity="neg"), reported(6), False),
        (label(5, polarity="neg", end_line=6), reported(6), True),
    ],
)
def test_what_a_report_matches(where: Label, report: Report, hit: bool) -> None:
    assert hits([where], [report]) == ({where} if hit else set())


def test_a_report_counts_for_the_nearest_label_only() -> None:
    near, far, negative = label(5), label(6), label(7, polarity="neg")
    assert hits([far, near, negative], [reported(5)]) == {near}
    assert hits([near, far, negative], [reported(7)]) == {negative}
    assert hits([near, far, negative], [reported(5), reported(5), reported(7)]) == {near, far, negative}


def test_scores_count_what_was_hit() -> None:
    labels = [label(1), label(10), label(20, polarity="neg"), label(30, polarity="neg")]
    counted = score(labels, hits(labels, [reported(1), reported(20)]))
    assert (counted.recall, counted.precision, counted.false, counted.negatives) == (0.5, 0.5, 1, 2)


@pytest.mark.parametrize(
    ("probe", "kinds", "passes"),
    [
        (Probe("p", True, [(FILE, 1, "blocking"), (FILE, 2, "blocking")], frozenset()), ["blocking"], True),
        (Probe("p", True, [(FILE, 2, "blocking")], frozenset()), ["blocking"], False),
        (Probe("p", True, [(FILE, 1, "loop")], frozenset()), ["blocking"], False),
        (Probe("n", False, [], frozenset()), [], True),
        (Probe("n", False, [], frozenset()), ["loop"], False),
        (Probe("n", False, [], frozenset()), ["hygiene"], True),
        (Probe("n", False, [], frozenset({"loop"})), ["loop"], True),
    ],
)
def test_when_a_probe_passes(probe: Probe, kinds: list[str], passes: bool) -> None:
    assert probe_passes(probe, [reported(1, kind) for kind in kinds]) == passes


def test_the_data_can_be_read() -> None:
    labels, probes = read_labels(), read_probes()
    assert {each.family for each in labels} == {"B", "N"}
    assert all(each.line <= each.end_line for each in labels)
    assert all(probe.root.is_dir() for probe in probes)
    assert {probe.positive for probe in probes} == {True, False}


def test_samples_have_some_of_each_code_and_more_of_the_common_ones() -> None:
    drawn = shares({"APL101": 2, "APL102": 100, "APL103": 1000}, 50, 5)
    assert sum(drawn.values()) == 50
    assert drawn["APL101"] == 2
    assert 5 <= drawn["APL102"] < drawn["APL103"]
    assert shares({"APL101": 3}, 50, 5) == {"APL101": 3}


def test_verdicts_are_lines_of_id_verdict_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.txt"
    file.write_text("# id verdict reason\n\nab12 true\ncd34 false  runs in a thread\n")
    assert read_verdicts(file) == {"ab12": ("true", ""), "cd34": ("false", "runs in a thread")}
    file.write_text("ab12 maybe\n")
    with pytest.raises(ValueError, match=r"verdicts\.txt:1"):
        read_verdicts(file)
