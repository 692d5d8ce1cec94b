"""Fixes: what they make of code, and what they leave alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config
from agentperf_lint.fixer import Fixed, fixed
from agentperf_lint.render.rules import documentation_of
from agentperf_rules import all_rules, builtin_rules
from agentperf_rules.documentation import FIXES, fix_text, offered_fixes
from agentperf_rules.model import Finding

MADE = {
    "a sleep": (
        """
        import time

        async def f():
            time.sleep(1)
        """,
        """
        import asyncio
        import time

        async def f():
            await asyncio.sleep(1)
        """,
    ),
    "a sleep by another name, over lines": (
        '''
        """Documented."""

        from __future__ import annotations

        from time import sleep as nap
        import asyncio

        async def f():
            nap(
                2,  # long
            )
        ''',
        '''
        """Documented."""

        from __future__ import annotations

        from time import sleep as nap
        import asyncio

        async def f():
            await asyncio.sleep(
                2,  # long
            )
        ''',
    ),
    "a part of an expression": (
        """
        import asyncio
        import requests

        async def f(urls):
            a = requests.get(urls[0]).json()
            b = requests.get(urls[1]), 1
            print("ü", requests.get(urls[2]))
            c = not requests.get(urls[4]), f"{requests.get(urls[5])}"
            return {"ä": requests.get(urls[3])}
        """,
        """
        import asyncio
        import requests

        async def f(urls):
            a = (await asyncio.to_thread(requests.get, urls[0])).json()
            b = await asyncio.to_thread(requests.get, urls[1]), 1
            print("ü", await asyncio.to_thread(requests.get, urls[2]))
            c = not await asyncio.to_thread(requests.get, urls[4]), f"{await asyncio.to_thread(requests.get, urls[5])}"
            return {"ä": await asyncio.to_thread(requests.get, urls[3])}
        """,
    ),
    "a helper that blocks": (
        """
        import asyncio
        import requests

        class Client:
            def load(self, url):
                return requests.get(url)

            async def f(self):
                if self.load("a"):
                    return self.load(
                        "b",
                    )
        """,
        """
        import asyncio
        import requests

        class Client:
            def load(self, url):
                return requests.get(url)

            async def f(self):
                if await asyncio.to_thread(self.load, "a"):
                    return await asyncio.to_thread(self.load,
                        "b",
                    )
        """,
    ),
    "no arguments": (
        """
        import asyncio, subprocess

        def run():
            subprocess.run(["ls"], check=True)

        async def f():
            run()
        """,
        """
        import asyncio, subprocess

        def run():
            subprocess.run(["ls"], check=True)

        async def f():
            await asyncio.to_thread(run)
        """,
    ),
    "an offload that nobody awaits": (
        """
        import asyncio

        async def f(report):
            asyncio.to_thread(report.write)
        """,
        """
        import asyncio

        async def f(report):
            await asyncio.to_thread(report.write)
        """,
    ),
    "an offload of a result": (
        """
        import asyncio
        import requests

        async def f(url):
            return await asyncio.to_thread(requests.get(url, timeout=3))
        """,
        """
        import asyncio
        import requests

        async def f(url):
            return await asyncio.to_thread(requests.get, url, timeout=3)
        """,
    ),
}

LEFT_ALONE = {
    "a file that is used bit by bit": """
        async def f():
            with open("x") as stream:
                return 1
        """,
    "a loop over what is loaded": """
        import requests
        def pages():
            yield requests.get("x")
        async def f():
            for page in pages():
                print(page)
        """,
    "a connection belongs to its thread": """
        import sqlite3
        async def f():
            connection = sqlite3.connect("x.db")
            connection.execute("select 1")
        """,
    "another library's tasks": """
        import time
        import trio
        async def f():
            time.sleep(1)
        """,
    "asyncio is something else here": """
        import time
        from compat import asyncio
        async def f():
            time.sleep(1)
        """,
    "a generator without brackets of its own": """
        import subprocess
        async def f(parts):
            subprocess.run(part for part in parts)
        """,
    "a function that no name tells": """
        import requests
        def getter():
            return requests.get
        async def f(url):
            requests.Session().get(url)
        """,
}


def mended(directory: Path, source: str, *, unsafe: bool = True) -> tuple[list[Finding], list[Fixed]]:
    (directory / "app.py").write_text(source, encoding="utf-8")
    config = Config(directory=str(directory))
    findings = analyze([directory], config, root=directory, jobs=1, cache_dir=None).findings
    return findings, fixed(findings, unsafe=unsafe)


@pytest.mark.parametrize("name", MADE)
def test_what_fixes_make_of_code(name: str, tmp_path: Path) -> None:
    before, after = map(dedent, MADE[name])
    findings, (file,) = mended(tmp_path, before.lstrip("\n"))
    assert (file.after, file.problem) == (after.lstrip("\n"), "")
    file.write()
    assert (tmp_path / "app.py").read_text(encoding="utf-8") == after.lstrip("\n")
    assert analyze([tmp_path], Config(directory=str(tmp_path)), root=tmp_path, jobs=1, cache_dir=None).findings == []
    assert len(file.findings) == len(findings)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_left_alone(name: str, tmp_path: Path) -> None:
    findings, files = mended(tmp_path, dedent(LEFT_ALONE[name]).lstrip("\n"))
    assert findings
    assert [file.findings for file in files if file.findings] == []


def test_only_safe_ones_unless_asked_for(tmp_path: Path) -> None:
    source = "import asyncio, requests, time\nasync def f(url):\n    time.sleep(1)\n    requests.get(url)\n"
    _, (file,) = mended(tmp_path, source, unsafe=False)
    assert [finding.code for finding in file.findings] == ["APL101"]
    _, (file,) = mended(tmp_path, source)
    assert [finding.code for finding in file.findings] == ["APL101", "APL102"]


def test_nested_calls_are_mended_one_at_a_time(tmp_path: Path) -> None:
    source = "import asyncio, requests\nasync def f(url):\n    return requests.get(requests.get(url).text)\n"
    findings, (file,) = mended(tmp_path, source)
    assert len(findings) == 2
    file.write()
    findings, (file,) = mended(tmp_path, file.after)
    assert [file.after.splitlines()[-1], len(findings)] == [
        "    return await asyncio.to_thread(requests.get, (await asyncio.to_thread(requests.get, url)).text)", 1
    ]  # fmt: skip


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_marks_and_permissions_stay(line_end: str, mark: str, tmp_path: Path) -> None:
    source = f"{mark}import time{line_end}async def f():{line_end}    time.sleep(1)  # é{line_end}"
    path = tmp_path / "app.py"
    path.write_bytes(source.encode())
    path.chmod(0o750)
    findings = analyze([tmp_path], Config(directory=str(tmp_path)), root=tmp_path, jobs=1, cache_dir=None).findings
    (file,) = fixed(findings, unsafe=False)
    file.write()
    expected = source.replace("import time", f"import asyncio{line_end}import time").replace(
        "time.sleep", "await asyncio.sleep", 1
    )
    assert path.read_bytes() == expected.encode()
    assert path.stat().st_mode & 0o777 == 0o750
    assert [each.name for each in tmp_path.iterdir()] == ["app.py"]


@pytest.mark.parametrize("code", sorted(all_rules()))
def test_examples_of_rules_stay_python(code: str, tmp_path: Path) -> None:
    for example in all_rules()[code].invalid:
        _, files = mended(tmp_path, example)
        for file in files:
            assert file.problem == ""
            compile(file.after, "app.py", "exec")


@pytest.mark.parametrize("code", sorted(builtin_rules()))
def test_the_documentation_names_the_fixes(code: str, tmp_path: Path) -> None:
    rule = builtin_rules()[code]
    offered = {tuple(FIXES[kind]) for kind in offered_fixes(rule)}
    for example in rule.invalid:
        findings, _ = mended(tmp_path, example)
        made = {(each.fix.message, each.fix.safe) for each in findings if each.code == code and each.fix is not None}
        assert made <= offered
    text = fix_text(rule)
    assert all(title in text for title, _ in offered)
    assert ("Safe" in text, "Unsafe" in text) == (
        any(safe for _, safe in offered),
        any(not safe for _, safe in offered),
    )
    assert documentation_of(rule).endswith(text)


def lint(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", "--isolated", "--no-cache", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


SOURCE = "import time\nimport requests\n\nasync def f(url):\n    time.sleep(1)\n    return requests.get(url)\n"


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SOURCE)
    shown = lint(tmp_path, "app.py")
    assert shown.stderr.endswith(" s), 1 can be mended with --fix, 1 more with --fix --unsafe-fixes\n")
    listed = json.loads(lint(tmp_path, "--output-format", "json").stdout)
    assert [(each["fix"]["safe"], len(each["fix"]["edits"])) for each in listed] == [(True, 2), (False, 3)]

    shown = lint(tmp_path, "--diff", "--unsafe-fixes", "app.py")
    assert shown.returncode == 1
    assert "+    return await asyncio.to_thread(requests.get, url)\n" in shown.stdout
    assert (tmp_path / "app.py").read_text() == SOURCE

    shown = lint(tmp_path, "--fix", "--output-format", "concise", "app.py")
    assert (shown.returncode, shown.stdout.count("\n")) == (1, 1)
    assert shown.stdout.startswith("app.py:7:12: APL102 ")
    assert "Mended 1 finding\n" in shown.stderr
    assert lint(tmp_path, "--fix", "--unsafe-fixes", "app.py").returncode == 0
    assert (tmp_path / "app.py").read_text() == (
        "import asyncio\nimport time\nimport requests\n\nasync def f(url):\n    await asyncio.sleep(1)\n"
        "    return await asyncio.to_thread(requests.get, url)\n"
    )


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    for arguments in (["--fix", "--diff"], ["--unsafe-fixes"], ["--fix", "-"]):
        assert lint(tmp_path, *arguments).returncode == 2


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    target = tmp_path / "app.py"
    target.write_text(SOURCE)
    findings = analyze([tmp_path], Config(directory=str(tmp_path)), root=tmp_path, jobs=1, cache_dir=None).findings
    target.unlink()
    (file,) = fixed(findings, unsafe=True)
    assert file.problem.startswith("FileNotFoundError")
    assert file.findings == []


def test_suppressed_findings_stay(tmp_path: Path) -> None:
    source = SOURCE.replace("time.sleep(1)", "time.sleep(1)  # noqa: APL101")
    (tmp_path / "app.py").write_text(source)
    lint(tmp_path, "--fix", "app.py")
    assert (tmp_path / "app.py").read_text() == source
