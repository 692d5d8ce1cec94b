"""The HTML report as a person meets it: in a browser, with mouse, keyboard and screen reader."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest
from browser import Browser, browser_in
from pages import large_page, measured_page, small_page
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

_READY = 15_000  # milliseconds; about 300 on a quiet machine
_FILTERED = 1_000  # milliseconds; about 20
_ROWS = 100

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def window(tmp_path_factory) -> Iterator[Browser]:
    with browser_in(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(window, tmp_path, monkeypatch) -> Browser:
    """The small page, opened for the first time."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "report.html"
    page.write_text(small_page(tmp_path), encoding="utf-8")
    window.colours("light")
    window.open(page)
    window.run("localStorage.clear()")
    window.console()
    window.open(page)
    return window


def shown(browser: Browser) -> list[str]:
    return browser.texts("#items h3 b")


def test_the_page_opens_without_a_complaint(browser):
    assert browser.console() == []
    assert not browser.one("#problem").is_displayed()
    assert browser.driver.title == "agentperf-lint report"
    assert shown(browser) == ["APL504", "APL503", "APL501", "APL101"]
    summary = dict(zip(browser.texts("#summary dt"), browser.texts("#summary dd")))
    assert (summary["Operations"], summary["Observed"], summary["Suspected"]) == ("31", "3", "1")
    assert (summary["Response time, median"], summary["Throughput"]) == ("42 ms", "2.8/s")
    assert browser.texts("#charts h3") == [
        "Event-loop lag",
        "Event loop busy",
        "Roots open at once",
        "Resident memory",
        "Cost by root",
    ]
    assert "peak 300 ms" in browser.one("#charts figure p").text
    assert browser.texts("#charts td.name") == ["request GET /count", "request GET /report/{id}"]


def test_charts_tell_the_value_below_the_mouse(browser):
    chart = browser.one("#charts svg.chart")
    width = chart.size["width"]
    ActionChains(browser.driver).move_to_element_with_offset(chart, int(width * 0.45), 5).perform()
    assert browser.one("#charts figure p").text.startswith("300 ms at ")


def test_search_filters(browser):
    browser.one("#search").send_keys("Select NAME")
    assert shown(browser) == ["APL501"]
    assert browser.one("#count").text == "1 of 4 items, 0 done"
    browser.one("#search").send_keys(" nothing like it")
    assert shown(browser) == []


def test_filters_and_order(browser):
    browser.one("#statuses input[value=observed]").click()
    assert shown(browser) == ["APL101"]
    browser.one("#reset").click()
    browser.wait("return document.querySelectorAll('#items > li').length === 4")
    browser.one("#severities input[value=high]").click()
    assert shown(browser) == ["APL504", "APL503", "APL501"]
    Select(browser.one("#rule")).select_by_value("APL501 n-plus-one-cluster")
    assert shown(browser) == ["APL501"]
    browser.one("#reset").click()
    browser.wait("return document.querySelectorAll('#items > li').length === 4")
    Select(browser.one("#order")).select_by_value("file")
    assert shown(browser) == ["APL501", "APL503", "APL504", "APL101"]
    Select(browser.one("#order")).select_by_value("severity")
    assert shown(browser)[0] == "APL101"


def test_an_item_opens(browser):
    (item,) = [each for each in browser.all("#items > li") if "APL501" in each.text]
    assert not browser.all("#items .body")
    item.find_element("css selector", "summary").click()
    browser.wait("return document.querySelector('#items .body')")
    assert browser.texts("#items pre.excerpt mark") == [
        "    for id in ids:  # loop",
        '        await conn.execute("select name from users where id = ?", (id,))  # call',
    ]
    assert "/* <!-- ' \" & </script> */" in browser.one("#items pre.wrapped").text
    lanes = browser.texts("#items .lanes > span")
    assert lanes == [
        "request GET /report/{id}: 20 in 40 ms",
        "request GET /report/{id}: 10 in 20 ms",
    ]
    assert len(browser.all("#items .lanes rect")) == 30
    assert browser.texts("#items .histogram b") == ["30"]
    assert browser.one("#items .remedy").text.startswith("Remedy: fetch all of them")


def test_text_of_a_trace_stays_text(browser):
    for summary in browser.all("#items summary"):
        summary.click()
    browser.wait("return document.querySelectorAll('#items .body').length === 4")
    assert any("</script><script>alert(1)</script>" in text for text in browser.texts("#items pre.excerpt"))
    assert browser.texts("#items .calls li")[-1] == "helper at app.py:11 runs time.sleep(1)"
    assert browser.run("return document.scripts.length") == 2
    browser.run(
        "const script = document.createElement('script'); script.textContent = 'window.broken = 1';"
        "document.body.append(script)"
    )
    assert browser.run("return window.broken") is None
    assert "Content Security Policy" in " ".join(browser.console())


def test_what_is_done_stays_done(browser):
    browser.one("#items > li .tick input").click()
    assert browser.one("#count").text == "4 of 4 items, 1 done"
    browser.driver.refresh()
    browser.wait("return document.documentElement.dataset.ready")
    assert [box.is_selected() for box in browser.all("#items .tick input")] == [True, False, False, False]
    browser.one("#hide-done").click()
    assert shown(browser) == ["APL503", "APL501", "APL101"]
    browser.one("#hide-done").click()
    browser.one("#items > li .tick input").click()
    browser.driver.refresh()
    browser.wait("return document.documentElement.dataset.ready")
    assert browser.one("#count").text == "4 of 4 items, 0 done"


def test_a_browser_that_keeps_nothing_is_no_error(browser):
    refuse = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": refuse})
    try:
        browser.driver.refresh()
        browser.wait("return document.documentElement.dataset.ready")
        browser.one("#items > li .tick input").click()
        assert browser.one("#count").text == "4 of 4 items, 1 done"
        assert browser.console() == []
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_keyboard_alone_is_enough(browser):
    reached = []
    for _ in range(16):
        ActionChains(browser.driver).send_keys(Keys.TAB).perform()
        focused = browser.driver.switch_to.active_element
        reached.append(focused.get_attribute("id") or focused.get_attribute("value") or focused.tag_name)
        assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == [
        *("a", "search", "confirmed", "observed", "suspected", "high", "medium", "low"),
        *("rule", "file", "order", "hide-done", "reset", "on", "summary", "on"),
    ]
    ActionChains(browser.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    ActionChains(browser.driver).send_keys(Keys.ENTER).perform()
    browser.wait("return document.querySelector('#items > li:first-child .body')")
    assert browser.driver.switch_to.active_element.tag_name == "summary"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_accessibility(browser, scheme, width):
    browser.colours(scheme)
    browser.driver.set_window_size(width, 900)
    try:
        for summary in browser.all("#items summary"):
            summary.click()
        browser.wait("return document.querySelectorAll('#items .body').length === 4")
        assert browser.violations() == []
        ground = browser.run("return getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        browser.driver.set_window_size(1280, 900)


def test_profiles_load_tests_and_budgets_without_a_trace(window, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "measured.html"
    page.write_text(measured_page(tmp_path), encoding="utf-8")
    window.open(page)
    assert window.console() == []
    summary = dict(zip(window.texts("#summary dt"), window.texts("#summary dd")))
    assert "Traced" not in summary
    assert summary["Load on app:count"] == "8 requests, 2.0/s"
    assert summary["Failed under load"] == "1"
    assert shown(window) == ["APL504", "APL505", "APL504", "APL505", "APL506"]
    for each in window.all("#items summary"):
        each.click()
    window.wait("return document.querySelectorAll('#items .body').length === 5")
    facts = window.texts("#items .facts dd")
    assert {"reporter:count", "p95<1s", "error-rate<1%", "12.5%", "load test of app:count"} <= set(facts)
    assert window.texts("#items .calls li") == [
        "75.0% waiting in count at app.py:11",
        "25.0% running in digest at app.py:7",
    ]
    assert window.violations() == []


def test_large_pages_do_not_stutter(window, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "large.html"
    page.write_text(large_page(tmp_path), encoding="utf-8")
    window.console()
    window.open(page)
    assert window.run("return performance.now()") < _READY
    assert window.one("#count").text == "5,000 of 5,000 items, 0 done"
    assert len(window.all("#items > li")) == _ROWS
    took = window.run(
        """
        const search = document.getElementById("search");
        return ["m", "method", "method_12", "no such thing", ""].map((text) => {
          const before = performance.now();
          search.value = text;
          search.dispatchEvent(new Event("input", { bubbles: true }));
          document.body.getBoundingClientRect();  // as the browser would, to draw it
          return performance.now() - before;
        });
        """
    )
    assert statistics.median(took) < _FILTERED
    window.run("window.scrollTo(0, document.body.scrollHeight)")
    window.wait(f"return document.querySelectorAll('#items > li').length >= {2 * _ROWS}")
    assert window.console() == []


def test_a_broken_page_says_so(window, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "broken.html"
    page.write_text(small_page(tmp_path).replace('{"tool"', '{"tool'), encoding="utf-8")
    window.open(page)
    assert window.one("#problem").text.startswith("The report cannot be shown here: ")
    window.console()
