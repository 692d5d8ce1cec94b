"""Writes docs/report.png: traces the service in examples/, and takes a picture of the report in Chromium.

Usage: python docs/screenshot.py, with what the tests need installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = "6"
WIDTH, HEIGHT = 1200, 1750  # pixels

sys.path.insert(0, str(REPOSITORY / "tests"))

from browser import browser_in  # noqa: E402


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        trace, page = f"{directory}/run.trace", f"{directory}/report.html"
        run("trace", "-o", trace, "--", sys.executable, "examples/load.py", SECONDS)
        run("report", "examples/", "--trace", trace, "--format", "html", "-o", page, "--exit-zero", "--no-cache")
        with browser_in(Path(directory, "profile"), width=WIDTH, height=HEIGHT) as browser:
            browser.open(Path(page))
            next(summary for summary in browser.all("#items summary") if "APL501" in summary.text).click()
            browser.wait("return document.querySelector('#items .body')")
            browser.run("window.scrollTo(0, 0)")
            browser.driver.save_screenshot(str(REPOSITORY / "docs" / "report.png"))


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "agentperf_lint", *arguments], cwd=REPOSITORY, check=True)


if __name__ == "__main__":
    main()
