"""Precision and recall on hand-labelled lines and on small probes, beside ruff and flake8-async on the same lines."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks import tools
from benchmarks.corpus import CORPUS, HERE, PACKAGES, fetch, tree_of

DATA = HERE / "data"
LABELS = DATA / "labels.jsonl"
PROBES = DATA / "probes"
RESULTS = HERE / "results" / "accuracy.md"
KEPT = CORPUS / "reports"

FAMILIES = {"B": "blocking", "N": "loop"}
AIMS = {"B": 0.85, "N": 0.75}
NEGATIVES_AIM = 0.03

Run = Callable[[Path, list[Path]], "list[Report]"]


class Report(NamedTuple):
    """One report of a linter: absolute path, 1-based line, and the kind of finding."""

    path: Path
    line: int
    kind: str
    code: str


class Label(NamedTuple):
    """One line of `labels.jsonl`; `path` is absolute, `line` to `end_line` its statement."""

    package: str
    path: Path
    line: int
    end_line: int
    family: str
    label: Literal["pos", "neg"]
    transitive: bool
    reason: str

    def distance(self, report: Report) -> int | None:
        """0 on the label's line, 1 in its statement, 2 one line away (positives only), None elsewhere."""
        if report.kind != FAMILIES[self.family]:
            return None
        if report.line == self.line:
            return 0
        if self.line <= report.line <= self.end_line:
            return 1
        if self.label == "pos" and abs(report.line - self.line) <= 1:
            return 2
        return None


class Probe(NamedTuple):
    """One small example; `expected` are (path, line, kind), of which one is enough."""

    name: str
    positive: bool
    expected: list[tuple[Path, int, str]]
    tolerated: frozenset[str]

    @property
    def root(self) -> Path:
        return PROBES / self.name


# --- what is known --------------------------------------------------------------------------------------


def read_labels() -> list[Label]:
    distributions = {package.replace("-", "_"): package for package in PACKAGES}
    labels = []
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["family"] not in FAMILIES or row["label"] == "unsure":
            continue
        package = distributions[row["package"]]
        path = tree_of(package) / row["file"]
        where = (package, path, row["line"], row["end_line"])
        labels.append(Label(*where, row["family"], row["label"], row["transitive"], row["reason"]))
    return labels


def read_probes() -> list[Probe]:
    """The probes about kinds that are in `FAMILIES`."""
    probes = []
    for name, row in json.loads((PROBES / "expected.json").read_text(encoding="utf-8")).items():
        expected = [(PROBES / place["file"], place["line"], place["kind"]) for place in row["expect"]]
        if all(kind in FAMILIES.values() for _, _, kind in expected):
            probes.append(Probe(name, row["polarity"] == "pos", expected, frozenset(row["tolerated_kinds"])))
    return probes


# --- what the linters report ----------------------------------------------------------------------------


def run_agentperf_lint(root: Path, files: list[Path]) -> list[Report]:
    """The whole of `root` is analysed; what helpers do is known only then."""
    findings = tools.findings_of(root)
    return [Report(Path(each["path"]).resolve(), each["line"], each["kind"], each["code"]) for each in findings]


def run_ruff(root: Path, files: list[Path]) -> list[Report]:
    command = tools.ruff("", "--preview", "--select", "ASYNC,PERF", "--output-format", "json")[:-1]
    shown = subprocess.run([*command, *map(str, files)], check=True, capture_output=True, text=True)
    return [
        Report(Path(row["filename"]).resolve(), row["location"]["row"], _kind_of_peer(row["code"]), row["code"])
        for row in json.loads(shown.stdout)
    ]


_FLAKE8_LINE = re.compile(r"(?P<path>.+?):(?P<line>\d+):\d+: (?P<code>ASYNC\d+)")


def run_flake8_async(root: Path, files: list[Path]) -> list[Report]:
    """Ten minutes in all, so what this version said about these very files is kept below `benchmarks/corpus`."""
    state = hashlib.sha256(tools.version_of(tools.peer("flake8")).encode())
    for file in files:
        state.update(str(file).encode() + b"\0" + file.read_bytes())
    kept = KEPT / f"{state.hexdigest()}.txt"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(_flake8_output(files), encoding="utf-8")
    return [
        Report(Path(match["path"]).resolve(), int(match["line"]), _kind_of_peer(match["code"]), match["code"])
        for match in _FLAKE8_LINE.finditer(kept.read_text(encoding="utf-8"))
    ]


def _flake8_output(files: list[Path]) -> str:
    """File by file where it ends at the first file that is too new for the interpreter."""
    shown = subprocess.run(tools.flake8_async(*files), check=False, capture_output=True, text=True)
    if shown.returncode and len(files) > 1:
        return "".join(_flake8_output([file]) for file in files)
    return shown.stdout


def _kind_of_peer(code: str | None) -> str:
    """Of both peers the ASYNC2xx rules are about blocking calls; neither has rules about queries in loops."""
    return "blocking" if code and code.startswith("ASYNC2") else "other"


LINTERS: dict[str, Run] = {
    "agentperf-lint": run_agentperf_lint,
    "ruff": run_ruff,
    "flake8-async": run_flake8_async,
}


# --- scores ---------------------------------------------------------------------------------------------


def hits(labels: Iterable[Label], reports: Iterable[Report]) -> set[Label]:
    """The labels that a report matches; one report counts for one label, the nearest first."""
    by_path: dict[Path, list[Report]] = defaultdict(list)
    for report in reports:
        by_path[report.path].append(report)
    candidates = [
        (distance, label, number)
        for label in labels
        for number, report in enumerate(by_path[label.path])
        if (distance := label.distance(report)) is not None
    ]
    hit: set[Label] = set()
    used: set[tuple[Path, int]] = set()
    for _, label, number in sorted(candidates, key=lambda candidate: (candidate[0], candidate[1].line, candidate[2])):
        if label not in hit and (label.path, number) not in used:
            hit.add(label)
            used.add((label.path, number))
    return hit


class Score(NamedTuple):
    """Labels of one family under one linter: how many there are, and how many of them it hit."""

    positives: int
    found: int
    transitive: int
    transitive_found: int
    negatives: int
    false: int

    @property
    def recall(self) -> float:
        return self.found / self.positives if self.positives else 1.0

    @property
    def precision(self) -> float | None:
        reported = self.found + self.false
        return self.found / reported if reported else None


def score(labels: list[Label], hit: set[Label]) -> Score:
    positives = [label for label in labels if label.label == "pos"]
    negatives = [label for label in labels if label.label == "neg"]
    through = [label for label in positives if label.transitive]
    return Score(
        positives=len(positives),
        found=len(hit & set(positives)),
        transitive=len(through),
        transitive_found=len(hit & set(through)),
        negatives=len(negatives),
        false=len(hit & set(negatives)),
    )


def labelled_hits(labels: list[Label], run: Run) -> set[Label]:
    hit: set[Label] = set()
    for package in sorted({label.package for label in labels}):
        own = [label for label in labels if label.package == package]
        hit |= hits(own, run(tree_of(package), sorted({label.path for label in own})))
    return hit


def probe_passes(probe: Probe, reports: list[Report]) -> bool:
    """A positive passes with a report at a wanted place, a negative without any report of the kinds scored."""
    places = {(report.path, report.line, report.kind) for report in reports}
    if probe.positive:
        return not places.isdisjoint(probe.expected)
    return all(kind in probe.tolerated or kind not in FAMILIES.values() for _, _, kind in places)


def passed_probes(probes: list[Probe], run: Run) -> set[str]:
    return {probe.name for probe in probes if probe_passes(probe, run(probe.root, sorted(probe.root.rglob("*.py"))))}


# --- what is shown --------------------------------------------------------------------------------------


def tables(labels: list[Label], probes: list[Probe], names: list[str]) -> tuple[str, list[str]]:
    """The results as Markdown, and the misses of this linter as lines of text."""
    label_rows, probe_rows, misses = [], [], []
    for name in names:
        hit = labelled_hits(labels, LINTERS[name])
        passed = passed_probes(probes, LINTERS[name])
        for family in FAMILIES:
            own = [label for label in labels if label.family == family]
            label_rows.append(_label_row(family, name, score(own, hit)))
        probe_rows.append(_probe_row(name, probes, passed))
        if name == "agentperf-lint":
            misses = [*_missed_labels(labels, hit), *_missed_probes(probes, passed)]
    head = [
        "# Accuracy\n",
        "Written by `python -m benchmarks.accuracy`: do not edit. What is scored, and how, is in `benchmarks/data`.\n",
        f"Aims: recall B at least {AIMS['B']}, N at least {AIMS['N']}, at most {NEGATIVES_AIM:.0%} of the negatives"
        " reported; probes 90 % caught and 95 % clean.\n",
        "## Labelled lines of real packages\n",
        "| family | linter | found | recall | of these through helpers | negatives reported | precision |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    middle = ["\n## Probes\n", "| linter | kind | caught | clean |", "|---|---|--:|--:|"]
    return "\n".join([*head, *sorted(label_rows), *middle, *probe_rows]) + "\n", misses


def _label_row(family: str, name: str, each: Score) -> str:
    precision = "-" if each.precision is None else f"{each.precision:.3f}"
    return (
        f"| {family} ({FAMILIES[family]}) | {name} | {each.found}/{each.positives} | {each.recall:.3f}"
        f" | {each.transitive_found}/{each.transitive} | {each.false}/{each.negatives} | {precision} |"
    )


def _probe_row(name: str, probes: list[Probe], passed: set[str]) -> str:
    rows = []
    clean = [probe for probe in probes if not probe.positive]
    cleaned = f"{sum(probe.name in passed for probe in clean)}/{len(clean)}"
    for kind in FAMILIES.values():
        caught = [
            probe for probe in probes if probe.positive and any(wanted == kind for _, _, wanted in probe.expected)
        ]
        rows.append(f"| {name} | {kind} | {sum(probe.name in passed for probe in caught)}/{len(caught)} | {cleaned} |")
    return "\n".join(rows)


def _missed_labels(labels: list[Label], hit: set[Label]) -> Iterator[str]:
    for label in labels:
        if (label in hit) != (label.label == "pos"):
            what = "missed" if label.label == "pos" else "reported wrongly"
            file = label.path.relative_to(tree_of(label.package))
            yield f"{label.family} {what}: {label.package} {file}:{label.line} ({label.reason})"


def _missed_probes(probes: list[Probe], passed: set[str]) -> Iterator[str]:
    for probe in probes:
        if probe.name not in passed:
            yield f"probe {'missed' if probe.positive else 'reported wrongly'}: {probe.name}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="take wheels from here instead of downloading them")
    parser.add_argument("--misses", action="store_true", help="list what was missed or reported wrongly")
    parser.add_argument("--only-ours", action="store_true", help="leave the other linters out and write no results")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    fetch(wheels=options.wheels)
    names = ["agentperf-lint"] if options.only_ours else list(LINTERS)
    text, misses = tables(read_labels(), read_probes(), names)
    print(text)
    if options.misses:
        print("\n".join(misses))
    if not options.only_ours:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
