"""Whole runs over what no linter likes to read: no traceback, no endless run, and every other file analysed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentperf_lint.analysis import run
from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config

BLOCKING = "import time\n\n\nasync def wait():\n    time.sleep(1)\n"
SECONDS = 60
IMPATIENT_SECONDS = 15

UNREADABLE = {
    "prose.py": (b"Dear reader,\nthis is not Python.\n", 1),
    "syntax.py": (b"def f():\n    return 1 +\n", 2),
    "python2.py": (b"x = 1\nprint 'x'\n", 2),
    "encoding.py": ("x = 1\ny = 'ü'\n".encode("latin-1"), None),
    "cookie.py": (b"# coding: nonsense\nx = 1\n", 1),
    "null.py": (b"x = 1\ny = '\0'\n", 2),
    "utf16.py": (BLOCKING.encode("utf-16"), 1),
    "binary.py": (bytes(range(256)) * 64, 1),
    "parentheses.py": (b"x = " + b"(" * 5000 + b")" * 5000 + b"\n", 1),
    "brackets.py": (b"[" * 100_000, 1),
    "minus.py": (b"x = " + b"-" * 100_000 + b"1\n", 1),
}

_ALTERNATIVE = "    elif a: b()\n"
_FORMATTED = "f'{y}' "
_NESTED = "".join(f"{'    ' * depth}async def f{depth}():\n" for depth in range(1, 19))
_LONG_LINE = "x = [" + "f('a', \"b\"), " * 60_000 + "]"
READABLE = {
    "bom.py": b"\xef\xbb\xbf" + BLOCKING.encode(),
    "crlf.py": BLOCKING.replace("\n", "\r\n").encode(),
    "cr.py": BLOCKING.replace("\n", "\r").encode(),
    "latin1.py": f"# coding: latin-1\n{BLOCKING}x = 'ü'\n".encode("latin-1"),
    "no_line_end.py": BLOCKING.rstrip().encode(),
    "form_feed.py": BLOCKING.replace("\n\n\n", "\n\x0c\n").encode(),
    "long_line.py": f"{_LONG_LINE}\n{BLOCKING}".encode(),
    "newer.py": f"type X[T] = int\ntry: x = f'{{y['z']}}'\nexcept A, B: ...\n{BLOCKING}".encode(),
    "nested.py": f"{BLOCKING}{_NESTED}{'    ' * 19}pass\n".encode(),
    "names.py": f"größe = 1\n{BLOCKING}".encode(),
    "chain.py": f"{BLOCKING}    x = a{'.b(1)' * 300}\n".encode(),
    "sum.py": f"{BLOCKING}    x = {'1 + ' * 500}1\n".encode(),
    "alternatives.py": f"{BLOCKING}    if a: b\n{_ALTERNATIVE * 300}".encode(),
}
EITHER = {
    "long_sum.py": f"{BLOCKING}    x = {'1+' * 20_000}1\n".encode(),
    "long_attribute.py": f"{BLOCKING}    x = a{'.b' * 20_000}\n".encode(),
    "long_chain.py": f"{BLOCKING}    x = a{'.b()' * 20_000}\n".encode(),
    "long_subscript.py": f"{BLOCKING}    x = a{'[0]' * 20_000}\n".encode(),
    "long_strings.py": f"{BLOCKING}    x = ({_FORMATTED * 5_000})\n".encode(),
    "long_alternatives.py": f"{BLOCKING}    if a: b\n{_ALTERNATIVE * 5_000}".encode(),
}


def lint(directory: Path, *arguments: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", "check", "--isolated", "--no-cache", "--output-format", "json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [*command, *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=seconds
    )


def findings_of(done: subprocess.CompletedProcess[str]) -> dict[str, list[dict[str, Any]]]:
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, done.stderr
    by_path: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        by_path.setdefault(finding["path"], []).append(finding)
    return by_path


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The findings of one run over all the files at once."""
    directory = tmp_path_factory.mktemp("bad")
    for name, (content, _) in UNREADABLE.items():
        (directory / name).write_bytes(content)
    for name, content in {**READABLE, **EITHER}.items():
        (directory / name).write_bytes(content)
    return findings_of(lint(directory, "."))


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, (_, line) in UNREADABLE.items()])
def test_unreadable_files_are_findings(reported: dict[str, list[dict[str, Any]]], name: str, line: int | None) -> None:
    (finding,) = reported[name]
    assert finding["code"] == "APL901"
    assert line is None or finding["line"] == line
    assert "cannot be analysed" in finding["message"]


@pytest.mark.parametrize("name", READABLE)
def test_odd_files_are_analysed(reported: dict[str, list[dict[str, Any]]], name: str) -> None:
    (finding,) = reported[name]
    text = READABLE[name].decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    line = text[: text.index("time.sleep")].count("\n") + 1
    assert (finding["code"], finding["line"], finding["column"]) == ("APL101", line, 5)


@pytest.mark.parametrize("name", EITHER)
def test_deep_files_are_analysed_or_reported(reported: dict[str, list[dict[str, Any]]], name: str) -> None:
    assert [finding["code"] for finding in reported[name]] in (["APL101"], ["APL901"])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "good.py").write_text(BLOCKING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_special_files_are_left_alone(project: Path) -> None:
    (project / "directory.py").mkdir()
    (project / "directory.py" / "inside.py").write_text(BLOCKING)
    os.mkfifo(project / "fifo.py")
    (project / "device.py").symlink_to("/dev/null")
    (project / "nowhere.py").symlink_to(project / "missing")
    (project / "itself.py").symlink_to(project / "itself.py")
    (project / "loop").symlink_to(project, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
        assert set(findings_of(lint(project, "."))) == {"good.py", "directory.py/inside.py"}


@pytest.mark.parametrize("name", ["fifo.py", "device.py", "socket.py"])
def test_special_files_that_are_named_do_not_hang(project: Path, name: str) -> None:
    os.mkfifo(project / "fifo.py")
    (project / "device.py").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
        reported = findings_of(lint(project, "good.py", name, seconds=IMPATIENT_SECONDS))
    assert [finding["code"] for finding in reported.pop("good.py")] == ["APL101"]
    assert {finding["code"] for findings in reported.values() for finding in findings} <= {"APL901"}


def test_no_permission(project: Path) -> None:
    if os.geteuid() == 0:  # root may read everything, but not the start of its own memory
        (project / "secret.py").symlink_to("/proc/self/mem")
    else:
        (project / "secret.py").write_text(BLOCKING)
        (project / "secret.py").chmod(0)
    reported = findings_of(lint(project, "."))
    assert {path: findings[0]["code"] for path, findings in reported.items()} == {
        "good.py": "APL101",
        "secret.py": "APL901",
    }


@pytest.mark.parametrize("stage", ["_facts", "_suspects", "_findings"])
def test_a_file_that_vanishes_during_the_run(project: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    gone = project / "gone.py"
    gone.write_text(BLOCKING)
    original = getattr(run._Run, stage)

    def vanish_first(self: Any, *arguments: Any) -> Any:
        gone.unlink()
        return original(self, *arguments)

    monkeypatch.setattr(run._Run, stage, vanish_first)
    report = analyze([project], Config(), root=project, jobs=1)
    codes = {finding.path: finding.code for finding in report.findings}
    assert codes["good.py"] == "APL101"
    assert codes.get("gone.py", "APL901") in {"APL101", "APL901"}


def test_a_file_that_becomes_something_else_during_the_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = project / "other.py"
    other.write_text(BLOCKING)
    original = run._Run._findings

    def change_first(self: Any, *arguments: Any) -> Any:
        other.write_text("x = (\n")
        return original(self, *arguments)

    monkeypatch.setattr(run._Run, "_findings", change_first)
    report = analyze([project], Config(), root=project, jobs=1)
    assert {finding.path: finding.code for finding in report.findings} == {"good.py": "APL101", "other.py": "APL901"}


def test_an_empty_tree_is_clean(tmp_path: Path) -> None:
    done = lint(tmp_path, ".")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "Traceback" not in done.stderr


CYCLES = {
    "modules that import each other": {
        "a.py": "from b import *\nfrom b import g\n\n\ndef f():\n    g()\n",
        "b.py": "from a import *\nfrom a import f\nimport time\n\n\ndef g():\n    f()\n    time.sleep(1)\n",
        "app.py": "import a\n\n\nasync def main():\n    a.f()\n",
    },
    "a package that imports itself": {
        "p/__init__.py": "from p import p\nfrom . import *\nfrom .m import f as f\nimport p\n",
        "p/m.py": "from p import *\nfrom . import f as f, m as m\nimport time\n\n\ndef f():\n    time.sleep(1)\n",
        "app.py": "import p.p.p\nfrom p import f\n\n\nasync def main():\n    f()\n",
    },
    "names that lead to each other": {
        "a.py": "from b import x\n",
        "b.py": "from c import x\n",
        "c.py": "from a import x\n",
        "app.py": "import time\nfrom a import x\n\n\nasync def main():\n    x.y.z(x())\n    time.sleep(1)\n",
    },
    "recursive functions": {
        "app.py": (
            "import time\n\n\ndef even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    time.sleep(1)\n"
            "    return n != 0 and even(n - 1)\n\n\ndef self(n):\n    return self(self(n))\n\n\n"
            "async def main():\n    even(self(3))\n"
        )
    },
    "classes below themselves": {
        "a.py": "from b import B\n\n\nclass A(B):\n    def f(self):\n        return self.g()\n",
        "b.py": (
            "from a import A\n\n\nclass B(A):\n    def g(self):\n        return super().f()\n\n\n"
            "class C(C):\n    pass\n"
        ),
        "app.py": (
            "import time\nfrom a import A\nfrom b import C\n\n\n"
            "async def main():\n    A().f().g()\n    C().h()\n    time.sleep(1)\n"
        ),
    },
    "types that depend on themselves": {
        "app.py": (
            "import time\n\nx = y\ny = x.z\n\n\ndef f():\n    return g()[0]\n\n\ndef g():\n    return [f(), *g()]\n\n\n"
            "class Node:\n    def __init__(self):\n        self.next = self.next.next or Node().next\n\n"
            "    @property\n    def last(self):\n        return self.last.last\n\n"
            "    def __enter__(self):\n        return self.__enter__()\n\n    def __getattr__(self, name):\n"
            "        return getattr(self, name)\n\n\n@decorated\ndef decorated(f):\n    return decorated(f)\n\n\n"
            "z = lambda: z()\n\n\nasync def main(a: 'a', b: main, c: 'list[c]'):\n"
            "    for x in x:\n        x = x(x)\n"
            "    with Node() as n, n as n:\n        n = n.next.last\n        n.last()\n"
            "    f().f\n    a()\n    z()\n    time.sleep(1)\n"
        )
    },
    "aliases and partials of themselves": {
        "app.py": (
            "import time\nfrom functools import partial\n\nf = partial(f, f)\ng = f\nf = g\nT = list['T']\n\n\n"
            "async def main(t: T):\n    f()\n    g(g)\n    for x in t:\n        x(f)\n    time.sleep(1)\n"
        )
    },
}


@pytest.mark.parametrize("files", CYCLES.values(), ids=CYCLES.keys())
def test_cycles_end(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    reported = findings_of(lint(tmp_path, "."))
    assert "APL101" in {finding["code"] for finding in reported["app.py"]}


def test_long_chains_of_calls_are_followed(tmp_path: Path) -> None:
    functions = "".join(f"def f{number}():\n    f{number + 1}()\n\n\n" for number in range(2000))
    (tmp_path / "app.py").write_text(
        f"import time\n\n\nasync def main():\n    f0()\n\n\n{functions}def f2000():\n    time.sleep(1)\n"
    )
    (finding,) = findings_of(lint(tmp_path, "--min-confidence", "possible", "."))["app.py"]
    assert (finding["code"], finding["line"], len(finding["chain"])) == ("APL101", 5, 2002)
