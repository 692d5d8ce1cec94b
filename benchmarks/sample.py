"""A random sample of findings on the large packages, to be read by a person, and what the reading showed.

`draw` runs the linter, draws findings with a fixed seed, so many of each code as it deserves, and writes them with
their source to a file for reading (below `benchmarks/corpus`, since other projects' sources are not ours to publish).
The reader writes one line per finding into the verdict file: its id, `true`, `false` or `unsure`, and a reason,
separated by blanks. `report` turns sample and verdicts into a table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from benchmarks import tools
from benchmarks.corpus import CORPUS, HERE, LARGE, fetch, tree_of

SEED = 20261123
SIZE = 220
AT_LEAST_PER_CODE = 6
CONTEXT_LINES = 12

REVIEW = CORPUS / "review.md"
SAMPLE = HERE / "data" / "sample.json"
VERDICTS = HERE / "data" / "verdicts.txt"
RESULTS = HERE / "results" / "sample.md"

Verdict = Literal["true", "false", "unsure"]
Finding = dict[str, Any]


class Drawn(NamedTuple):
    """A finding of the sample, as it is kept beside the verdicts."""

    id: str
    code: str
    name: str
    package: str
    path: str
    line: int
    message: str


# --- drawing --------------------------------------------------------------------------------------------


def findings_by_code() -> dict[str, list[tuple[Drawn, Finding]]]:
    by_code: dict[str, list[tuple[Drawn, Finding]]] = defaultdict(list)
    for package in LARGE:
        tree = tree_of(package).resolve()
        for finding in tools.findings_of(tree):
            drawn = _drawn(package, tree, finding)
            by_code[drawn.code].append((drawn, finding))
    return {code: sorted(by_code[code], key=lambda pair: pair[0]) for code in sorted(by_code)}


def _drawn(package: str, tree: Path, finding: Finding) -> Drawn:
    path = Path(finding["path"]).resolve().relative_to(tree).as_posix()
    place = f"{package} {path}:{finding['line']}:{finding['column']} {finding['code']}"
    identity = hashlib.sha256(place.encode()).hexdigest()[:10]
    message = finding["message"].replace(f"{tree.as_posix()}/", "")
    return Drawn(identity, finding["code"], finding["name"], package, path, finding["line"], message)


def shares(counts: dict[str, int], size: int, at_least: int) -> dict[str, int]:
    """How many of each code to draw: `at_least` of each where there are so many, the rest by how common it is."""
    drawn = {code: min(count, at_least) for code, count in counts.items()}
    while sum(drawn.values()) < min(size, sum(counts.values())):
        open_codes = [code for code in counts if drawn[code] < counts[code]]
        drawn[max(open_codes, key=lambda code: counts[code] / (drawn[code] + 1))] += 1
    return drawn


def draw(size: int, seed: int) -> None:
    by_code = findings_by_code()
    counts = {code: len(pairs) for code, pairs in by_code.items()}
    chosen: list[tuple[Drawn, Finding]] = []
    for code, share in shares(counts, size, AT_LEAST_PER_CODE).items():
        # One generator per code: a change of one rule does not move the samples of all others.
        chosen += random.Random(f"{seed} {code}").sample(by_code[code], share)  # noqa: S311
    SAMPLE.parent.mkdir(parents=True, exist_ok=True)
    rows = [drawn._asdict() for drawn, _ in chosen]
    content = {"seed": seed, "findings_per_code": counts, "sample": rows}
    SAMPLE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    known = read_verdicts() if VERDICTS.exists() else {}
    REVIEW.parent.mkdir(parents=True, exist_ok=True)
    REVIEW.write_text("\n".join(_review(chosen, known)), encoding="utf-8")
    unread = sum(drawn.id not in known for drawn, _ in chosen)
    print(f"{len(chosen)} of {sum(counts.values())} findings are in {REVIEW}, {unread} of them not read yet")


def _review(chosen: Iterable[tuple[Drawn, Finding]], known: dict[str, tuple[Verdict, str]]) -> Iterator[str]:
    for drawn, finding in chosen:
        verdict = " ".join(known.get(drawn.id, ("unread",)))
        yield f"## {drawn.id} {drawn.code} {drawn.package} [{verdict}]\n"
        yield f"{drawn.path}:{drawn.line} in `{finding['function']}`: {drawn.message}\n"
        yield from _excerpt(tree_of(drawn.package) / drawn.path, finding["line"], finding["end_line"])
        for step in finding["chain"][1:]:
            yield f"- {step['path']}:{step['line']} `{step['function']}` runs `{step['call']}`"
        yield ""


def _excerpt(path: Path, line: int, end_line: int) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    first = max(1, line - CONTEXT_LINES)
    last = min(len(lines), max(line, end_line) + CONTEXT_LINES)
    yield "```python"
    for number in range(first, last + 1):
        yield f"{'>' if line <= number <= end_line else ' '}{number:5} {lines[number - 1]}"
    yield "```"


# --- reporting ------------------------------------------------------------------------------------------


def read_verdicts(path: Path = VERDICTS) -> dict[str, tuple[Verdict, str]]:
    """Finding id to verdict and reason. Raises ValueError for a line that is neither."""
    verdicts: dict[str, tuple[Verdict, str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        identity, _, rest = line.partition(" ")
        verdict, _, reason = rest.strip().partition(" ")
        if not line.strip() or line.startswith("#"):
            continue
        if verdict not in get_args(Verdict):
            raise ValueError(f"{path}:{number}: expected an id and true, false or unsure, not {line!r}")
        verdicts[identity] = (verdict, reason.strip())  # type: ignore[assignment]
    return verdicts


def report(verdict_file: Path) -> str:
    content = json.loads(SAMPLE.read_text(encoding="utf-8"))
    sample = [Drawn(**row) for row in content["sample"]]
    verdicts = read_verdicts(verdict_file)
    counts: dict[str, int] = content["findings_per_code"]
    rows, weighted = [], 0.0
    for code in sorted(counts):
        own = [drawn for drawn in sample if drawn.code == code]
        tally = Counter(verdicts[drawn.id][0] for drawn in own if drawn.id in verdicts)
        judged = tally["true"] + tally["false"]
        share = tally["false"] / judged if judged else 0.0
        weighted += share * counts[code]
        name = own[0].name if own else ""
        cells = [f"{code} {name}", counts[code], sum(tally.values()), tally["true"], tally["false"], tally["unsure"]]
        rows.append("| " + " | ".join(map(str, cells)) + f" | {share:.0%} |")
    tally = Counter(verdicts[drawn.id][0] for drawn in sample if drawn.id in verdicts)
    unread = sum(drawn.id not in verdicts for drawn in sample)
    judged = tally["true"] + tally["false"]
    head = [
        "# A random sample of findings, read by hand\n",
        "Written by `python -m benchmarks.sample report`: do not edit.\n",
        f"{len(sample)} findings drawn with seed {content['seed']} from {sum(counts.values())} on"
        f" {', '.join(f'{package} {version}' for package, version in LARGE.items())}: at least {AT_LEAST_PER_CODE} of"
        " each code where there are so many, the rest in proportion.\n",
        f"Of {judged} judged, {tally['true']} are true ({tally['true'] / max(judged, 1):.1%});"
        f" {tally['unsure']} are open, {unread} are not read. Weighted by how often each code fires,"
        f" {1 - weighted / max(sum(counts.values()), 1):.1%} are true.\n",
        "| rule | findings | read | true | false | unsure | false alarms |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    return "\n".join([*head, *rows, "", *_false_alarms(sample, verdicts)]) + "\n"


def _false_alarms(sample: list[Drawn], verdicts: dict[str, tuple[Verdict, str]]) -> Iterator[str]:
    yield "## False alarms\n"
    for drawn in sample:
        verdict, reason = verdicts.get(drawn.id, ("unsure", ""))
        if verdict == "false":
            yield f"- {drawn.code} {drawn.package} {drawn.path}:{drawn.line}: {reason}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["draw", "report"])
    parser.add_argument("--wheels", type=Path, help="take wheels from here instead of downloading them")
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--verdicts", type=Path, default=VERDICTS)
    options = parser.parse_args(arguments)
    fetch(LARGE, options.wheels)
    if options.action == "draw":
        draw(options.size, options.seed)
    else:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(report(options.verdicts), encoding="utf-8")


if __name__ == "__main__":
    main()
