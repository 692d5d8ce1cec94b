"""`agentperf-lint load` as a user starts it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentperf_lint.load_command import rate_of, seconds_of
from agentperf_lint.render.load import LiveDisplay, progress_line
from agentperf_runtime.histograms import Histogram
from agentperf_runtime.load.measurements import Progress

SHOP = """
import asyncio, os, threading

class Basket:
    async def fill(self, user_id, request_id):
        await asyncio.sleep(0.005)

basket = Basket()
price = 3

async def buy(user_id, request_id):
    await asyncio.sleep(0.005)
    if request_id == 3:
        raise ValueError("sold out")

async def waits():
    os.write(1, b"up\\n")
    await asyncio.sleep(60)

def sleeps():
    os.write(1, b"up\\n")
    threading.Event().wait(60)

async def fails():
    raise LookupError("no such product")

async def of_one(user):
    pass
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "unreadable.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "needy.py").write_text("import no_such_library\n", encoding="utf-8")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    return tmp_path


def load(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agentperf_lint", "load", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_figures_and_errors_are_shown(shop: Path) -> None:
    shown = load("shop:buy", "--users", "3", "--requests", "5", "--ramp-up", "10ms", cwd=shop)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("shop:buy: 3 users, closed model, ramp-up 0.01 s\n\nrequests    15 in ")
    assert "failed      3 (20 %)" in shown.stdout
    assert "         3  ValueError  sold out" in shown.stdout
    for name in ("min", "max", "mean", "median", "p95", "p99", "throughput"):
        assert name in shown.stdout


def test_a_method_of_an_object_and_a_budget_that_is_kept(shop: Path) -> None:
    budgets = ("--budget", "p95<60s", "--budget", "error-rate<=0%", "--budget", "throughput>0.1/s")
    shown = load("shop:basket.fill", "--users", "2", "--requests", "2", *budgets, cwd=shop)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.count("budget kept") == 3


def test_an_exceeded_budget_fails_and_says_what_was_measured(shop: Path) -> None:
    budgets = ("--budget", "p95<1us", "--budget", "max<60s")
    shown = load("shop:basket.fill", "--users", "2", "--requests", "2", *budgets, cwd=shop)
    assert shown.returncode == 1
    (exceeded,) = [line for line in shown.stdout.splitlines() if line.startswith("budget exceeded")]
    assert exceeded.startswith("budget exceeded  p95<0.001ms: measured ")


def test_a_test_in_which_nothing_succeeded_fails(shop: Path) -> None:
    shown = load("shop:fails", "--users", "1", "--requests", "2", "--budget", "p95<60s", cwd=shop)
    assert shown.returncode == 1
    assert "LookupError  no such product" in shown.stdout
    assert "successful  " not in shown.stdout


def test_the_document_has_everything(shop: Path) -> None:
    shown = load(
        "shop:buy", "--users", "3", "--requests", "5", "--budget", "p95<60s", "--budget", "mean<1us",
        "--format", "json", "-o", "out.json", cwd=shop,
    )  # fmt: skip
    written = json.loads((shop / "out.json").read_text(encoding="utf-8"))
    assert written == json.loads(shown.stdout)
    assert set(written) == {
        "type", "version", "target", "arrival", "users", "rate", "ramp_up_seconds", "started", "duration_seconds",
        "results", "duration", "errors", "series", "budgets",
    }  # fmt: skip
    assert [written[name] for name in ("type", "version", "target", "arrival", "users", "rate", "ramp_up_seconds")] == [
        "agentperf-load", 1, "shop:buy", "closed", 3, None, 0,
    ]  # fmt: skip
    results: dict[str, Any] = written["results"]
    assert (results["total_requests"], results["failed_requests"], results["error_rate"]) == (15, 3, 0.2)
    assert set(results["response_time"]) == {"min", "max", "mean", "median", "p95", "p99"}
    times = Histogram.from_json(written["duration"])
    assert times.count == 15
    assert times.quantile(0.95) == results["response_time"]["p95"]
    assert written["errors"] == [{"error": "ValueError", "count": 3, "example": "sold out"}]
    assert sum(slot["requests"] for slot in written["series"]) == 15
    assert [(each["budget"], each["kept"]) for each in written["budgets"]] == [
        ("p95<60s", True),
        ("mean<0.001ms", False),
    ]
    assert shown.returncode == 1


def test_the_report_reads_the_document(shop: Path) -> None:
    load("shop:buy", "--users", "3", "--requests", "5", "-o", "out.json", cwd=shop)
    command = [sys.executable, "-m", "agentperf_lint", "report", "--load", "out.json", "--isolated"]
    judged = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False, timeout=60)
    assert (judged.returncode, judged.stderr) == (0, "")
    assert "shop:buy" in judged.stdout


def test_requests_at_a_rate_for_a_time(shop: Path) -> None:
    shown = load(
        "shop:basket.fill", "--rate", "6000/min", "--duration", "200ms", "--poisson", "--seed", "7", "--format", "json",
        cwd=shop,
    )  # fmt: skip
    written = json.loads(shown.stdout)
    assert (written["arrival"], written["rate"]) == ("open", 100)
    assert 5 <= written["results"]["total_requests"] <= 45
    heading = load("shop:basket.fill", "--rate", "100/s", "--requests", "1", cwd=shop).stdout.splitlines()[0]
    assert heading == "shop:basket.fill: 10 users, open model, 100 requests/s, constant"


def test_a_url(http_url: str, tmp_path: Path) -> None:
    shown = load(f"{http_url}/slow/5", "--users", "2", "--requests", "2", "--format", "json", cwd=tmp_path)
    assert json.loads(shown.stdout)["results"]["successful_requests"] == 4


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["shop"], "'shop' is neither module:function nor a URL"),
        (["shop:"], "'shop:' is neither module:function nor a URL"),
        (["nowhere:f"], "there is no module 'nowhere'"),
        (["shop.deeper:f"], "there is no module 'shop.deeper'"),
        (["needy:f"], "module 'needy' cannot be imported: No module named 'no_such_library'"),
        (["broken:f"], "module 'broken' cannot be imported: ZeroDivisionError: division by zero (broken.py, line 1)"),
        (["unreadable:f"], "module 'unreadable' cannot be imported: SyntaxError: "),
        (["leaving:f"], "module 'leaving' cannot be imported: SystemExit: 0"),
        (["shop:sell"], "module 'shop' has no 'sell'"),
        (["shop:basket.empty"], "module 'shop' has no 'basket.empty'"),
        (["shop:price"], "shop:price is no function, but of type int"),
        (["shop:of_one"], "shop:of_one(user) takes neither (user_id, request_id) nor nothing"),
        (["ftp://host/"], "'ftp://host/' is no URL that begins with http:// or https://"),
        (["shop:buy", "--timeout", "0"], "timeout must be above 0"),
        (["shop:buy", "--duration", "soon"], "'soon' is not a time such as 30s, 500ms or 2m"),
        (["shop:buy", "--rate", "9/day"], "'9/day' is not a rate such as 100/s or 90/min"),
        (["shop:buy", "--budget", "p95"], "'p95' is no budget"),
        (["shop:buy", "--budget", "max-stall<1s"], "a load test does not measure max-stall"),
        (["shop:buy", "-o", "nowhere/out.json"], "nowhere/out.json"),
        ([], "Missing argument 'TARGET'"),
    ],
)
def test_what_cannot_be_tested_is_told_in_one_line(shop: Path, arguments: list[str], problem: str) -> None:
    shown = load(*arguments, cwd=shop)
    assert (shown.returncode, shown.stdout) == (2, "")
    told = shown.stderr.strip().splitlines()[-1]
    assert problem in told
    assert told.startswith(("agentperf-lint: error: ", "Error: "))
    assert "Traceback" not in shown.stderr


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("function", ["waits", "sleeps"])
def test_ctrl_c_shows_what_was_measured(shop: Path, function: str) -> None:
    command = [sys.executable, "-m", "agentperf_lint", "load", f"shop:{function}", "--users", "2", "-o", "out.json"]
    with subprocess.Popen(
        command, cwd=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert "interrupted: this is a part of the test" in output
    written = json.loads((shop / "out.json").read_text(encoding="utf-8"))
    assert written["results"]["interrupted"]
    assert written["results"]["unfinished_requests"] >= 1


def test_functions_of_a_load_test_are_traced(shop: Path) -> None:
    (shop / "queries.py").write_text(
        "import asyncio, sqlite3\n"
        "database = sqlite3.connect(':memory:')\n\n"
        "async def prices():\n"
        "    for product in range(8):\n"
        "        database.execute('select ?', (product,)).fetchone()\n"
        "        await asyncio.sleep(0)\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "agentperf_lint"]
    tested = [*command, "load", "queries:prices", "--users", "2", "--requests", "3"]
    traced = subprocess.run(
        [*command, "trace", "-o", "load.trace", "--", *tested], cwd=shop, capture_output=True, text=True, check=False
    )
    assert (traced.returncode, traced.stderr) == (0, "")
    judged = subprocess.run(
        [*command, "report", "--trace", "load.trace", "--isolated"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "queries.py:6 APL501 observed 8 times the same query in one root" in judged.stdout
    assert "in 48 operations, 6 roots" in judged.stdout
    assert "roots request queries:prices" in judged.stdout


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1.5 h", 5400), (".5", 0.5)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "rate"), [("100/s", 100), ("90/min", 1.5), ("7", 7), ("3600/h", 1), ("50rps", 50)])
def test_rates(text: str, rate: float) -> None:
    assert rate_of(text) == pytest.approx(rate)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    before, now = Progress(1.0, 5, 100, 0, 0.02), Progress(3.0, 50, 1_500, 7, 0.0421)
    line = progress_line(now, before)
    assert line == "3 s  50 active  1,500 requests  700.0/s  p95 42.1 ms  7 errors"
    for stream, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        with LiveDisplay(stream) as display:
            display.update(before)
            display.update(now)
        assert display.is_shown == is_shown
        assert (line in stream.getvalue()) == is_shown
        assert bool(stream.getvalue()) == is_shown


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_progress_does_not_disturb_the_result(shop: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "agentperf_lint", "load", "shop:basket.fill", "--duration", "600ms"]
    with subprocess.Popen(command, cwd=shop, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        output, _ = process.communicate(timeout=30)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert process.returncode == 0
    assert "10 active" in shown
    assert output.startswith("shop:basket.fill: 10 users, closed model\n")


def test_budgets_of_the_configuration(shop: Path) -> None:
    (shop / "pyproject.toml").write_text(
        '[tool.agentperf-lint.budgets]\nmax = "60s"\nqueries-per-request = 3\n"shop:*" = { p95 = "1us" }\n'
        '"other:*" = { p95 = "1us" }\n',
        encoding="utf-8",
    )
    arguments = ("shop:buy", "--users", "1", "--requests", "2")
    shown = load(*arguments, cwd=shop)
    assert shown.returncode == 1
    judged = [line.partition(":")[0].split() for line in shown.stdout.splitlines() if line.startswith("budget ")]
    assert judged == [["budget", "kept", "max<=60s"], ["budget", "exceeded", "p95<=0.001ms"]]
    assert load(*arguments, "--isolated", cwd=shop).returncode == 0
    (shop / "pyproject.toml").write_text('[tool.agentperf-lint.budgets]\np95 = "soon"\n', encoding="utf-8")
    shown = load(*arguments, cwd=shop)
    assert (shown.returncode, "'soon' is no budget of p95" in shown.stderr) == (2, True)
