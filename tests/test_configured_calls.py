"""What a project says of calls of its own, in `[tool.agentperf-lint.calls]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_resolution import write_project

from agentperf_lint.analysis.run import analyze
from agentperf_lint.config import Config, ConfigError, load_config
from agentperf_rules.catalogue.configured import MEANINGS, configured

CASES = {
    "functions of a library cost": (
        {"acme.sdk.Client.fetch": "http", "acme.select": "database"},
        """
### main.py
from acme import select
from acme.sdk import Client
def load(client: Client, key):
    return client.fetch(key)
async def f(keys):
    client = Client()
    client.fetch(1)  # expect APL102
    load(client, 1)  # expect APL102
    client.close()
    select()  # expect APL106
def g(client: Client, keys):
    return [client.fetch(key) for key in keys]  # expect APL204
""",
    ),
    "every method of a class, whatever it is called": (
        {"acme.Store.*": "cache", "acme.Store.stats": "harmless"},
        """
### main.py
import acme
class Service:
    def __init__(self):
        self.store = acme.Store()
    async def f(self):
        self.store.lookup_by_zone(1)  # expect APL108
        self.store.stats()
""",
    ),
    "who runs functions elsewhere": (
        {"acme.in_thread": "offload", "acme.threaded": "offload"},
        """
### main.py
import time
from acme import in_thread, other, threaded
@threaded
def work():
    time.sleep(1)
@other
def plain():
    time.sleep(1)
async def f():
    await in_thread(time.sleep, 1)
    await in_thread(lambda: time.sleep(1))
    await work()
    plain()  # expect APL101
""",
    ),
    "functions of the project, which the source says nothing of": (
        {"app.legacy.charge": "http", "app.legacy.Gateway.*": "llm", "app.legacy.Printer": "cpu"},
        """
### app/__init__.py
from app.legacy import charge
### app/legacy.py
import ctypes
def charge(order):
    return ctypes.cdll.payments.charge(order)
class Gateway:
    def ask(self, question):
        raise NotImplementedError
    async def answer(self, question):
        return await anything(question)
class Local(Gateway):
    def ask(self, question):
        return ctypes.cdll.model.ask(question)
class Printer:
    def __init__(self):
        self.handle = ctypes.cdll.printer.open()
### main.py
from app import charge
from app.legacy import Gateway, Printer
async def f(gateway: Gateway, questions):
    charge(1)  # expect APL102
    gateway.ask("?")  # expect APL110
    Printer()  # expect APL114
    for question in questions:
        await gateway.answer(question)  # expect APL205
""",
    ),
    "what costs nothing here": (
        dict.fromkeys(["app.settings.load", "app.stores.Store.read", "requests.head", "builtins.open"], "harmless"),
        """
### app/__init__.py
### app/settings.py
import time
def load():
    time.sleep(1)
def load_all():
    time.sleep(1)
### app/stores.py
import time
class Store:
    def read(self):
        time.sleep(1)
class Slow(Store):
    def read(self):
        time.sleep(2)
### main.py
import requests
from app.settings import load, load_all
from app.stores import Slow, Store
def by_way_of():
    load()
async def f(url):
    load()
    by_way_of()
    load_all()  # expect APL101
    Store().read()
    Slow().read()
    open("x")
    requests.head(url)
    requests.get(url)  # expect APL102
""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("jobs", [1, 2])
def test_case(name: str, jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, text = CASES[name]
    expected = write_project(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agentperf_lint.analysis.workers.WORTH_A_PROCESS", 0)
    report = analyze([tmp_path], Config(calls=calls), root=tmp_path, jobs=jobs)
    assert {(finding.path, finding.line, finding.code) for finding in report.findings} == expected


def test_what_was_kept_for_other_calls_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import acme\nasync def f():\n    acme.wait(acme.other())\n")
    cache = tmp_path / "cache"
    for calls, count in (
        ({}, 0),
        ({"acme.wait": "sleep"}, 1),
        ({"acme.wait": "harmless"}, 0),
        ({"acme.wait": "sleep"}, 1),
    ):
        for _ in range(2):
            report = analyze([tmp_path], Config(calls=calls), root=tmp_path, jobs=1, cache_dir=cache)
            assert len(report.findings) == count


def test_a_name_of_the_project_that_is_nothing_is_told(tmp_path: Path) -> None:
    write_project(tmp_path, "### app/__init__.py\n### app/settings.py\ndef load():\n    pass\n")
    lines = [f'"{name}" = "harmless"' for name in ("app.setings.load", "app.settings.load", "acme.x")]
    (tmp_path / "pyproject.toml").write_text("\n".join(["[tool.agentperf-lint.calls]", *lines]))
    done = subprocess.run(
        [sys.executable, "-m", "agentperf_lint", "."], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stderr.count("warning: ") == 1
    assert 'calls: "app.setings.load" is no function of this project' in done.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"acme.x" = "htp"', "calls.\"acme.x\": 'htp' is no kind of call: did you mean 'http'?"),
        ('"acme.x" = "zzzz"', "known are sleep, http"),
        ('"acme" = "http"', 'calls."acme": not a dotted name'),
        ('"acme.*.x" = "http"', "not a dotted name"),
        ('"acme x.y" = "http"', "not a dotted name"),
        ('"acme.x" = 1', "expected `str`, got `int`"),
    ],
)
def test_mistakes_are_explained(entry: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.agentperf-lint.calls]\n{entry}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize("meaning", MEANINGS)
def test_every_meaning_gives_a_row(meaning: str) -> None:
    from agentperf_rules.catalogue import families

    (family,) = configured({"acme.call": meaning}, families())
    rows = [*family.sinks, *family.offloaders] or family.exempt
    assert [row if isinstance(row, str) else row.name for row in rows] == ["acme.call"]
