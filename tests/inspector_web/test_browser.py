"""The inspector in Chromium: no word on the console, live, by keyboard, narrow, safe, named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

import contextkit
from contextkit.inspector.web import running
from tests.inspector_web.conftest import NAME, TURNS, manager_of, talk

READY = "main:has(#window-chart canvas):has(#turns tbody tr) #detail .ledger tbody tr"
SUMMED = "#figures:not(:has(.progress)) > div"
UNNAMED = """() => [...document.querySelectorAll(
    'button, a[href], input, select, canvas, [role=img], [role=region], dialog[open], table')]
  .filter((node) => node.getClientRects().length && node.tagName !== 'CANVAS')
  .filter((node) => !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
    || node.textContent.trim() || node.labels?.length || node.querySelector('caption')))
  .map((node) => node.outerHTML.slice(0, 120))"""
TOO_WIDE = """() => [document.documentElement.scrollWidth,
  ...[...document.querySelectorAll('body *')]
    .filter((node) => !node.closest('.scroll, .hits, .chart, .hidden, .skip, .u-over'))
    .filter((node) => node.getBoundingClientRect().right > innerWidth + 0.5)
    .map((node) => node.outerHTML.slice(0, 100))]"""


def visit(page: Any, address: str, name: str = "support/42", **more: Any) -> None:
    page.goto(f"{address}thread?{urlencode({'tenant': 'default', 'name': name, **more})}")
    page.wait_for_selector(READY)


def selected(page: Any) -> int:
    return int(page.locator("#turns tr.picked th").inner_text())


def wait_for_turn(page: Any, turn: int) -> None:
    page.wait_for_selector(f"#detail-title:text-is('Turn {turn}')")


def test_from_the_list_to_a_turn(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    assert page.locator("#count").inner_text() == "4 threads"
    page.fill("#search", "support")
    page.wait_for_selector("#count:text-is('1 of 4 threads')")
    page.click("#threads tbody a")
    page.wait_for_selector(READY)
    page.wait_for_selector(SUMMED)
    assert selected(page) == TURNS
    assert page.locator("#turns tbody tr").count() == TURNS
    assert f"{TURNS}" in page.locator("#figures").inner_text()
    page.click("#turns tbody tr:nth-child(4) button")
    wait_for_turn(page, TURNS - 3)
    assert page.url.endswith(f"turn={TURNS - 3}")
    page.reload()
    wait_for_turn(page, TURNS - 3)


def test_an_empty_store_and_an_empty_thread(page: Any, address: str) -> None:
    with manager_of("memory") as manager, running(manager) as empty:
        page.goto(empty)
        page.wait_for_selector("#empty h2:text-is('No threads yet')")
        manager.thread("first").respond("hello")
        page.wait_for_selector("#threads bdi:text-is('first')")
        page.goto("about:blank")
    page.goto(f"{address}thread?tenant=acme&name=quiet")
    page.wait_for_selector("#detail-title:text-is('No turns yet')")
    page.click("#detail button")
    page.wait_for_selector("#original[open] pre:text-is('nobody has asked yet')")
    page.goto(f"{address}thread?tenant=acme&name=bare")
    page.wait_for_selector("#detail-title:text-is('No turns yet')")
    assert page.locator("#detail button").count() == 0


def test_a_new_turn_arrives_by_itself(page: Any) -> None:
    with manager_of("memory") as manager:
        thread = manager.thread("t")
        for turn in range(1, 4):
            talk(thread, turn)
        with running(manager) as address:
            visit(page, address, "t")
            page.wait_for_selector("#live[data-state=on]")
            talk(thread, 4)
            wait_for_turn(page, 4)
            assert page.locator("#turns tbody tr").count() == 4
            page.wait_for_selector("#figures b:text-is('4')")
            page.keyboard.press("k")
            wait_for_turn(page, 3)
            talk(thread, 5)
            page.wait_for_selector("#turns tbody tr:nth-child(5)")
            assert selected(page) == 3, "who looks at an older turn is left there"
            page.goto("about:blank")


def test_the_keyboard_is_enough(page: Any, address: str) -> None:
    visit(page, address)
    press = page.keyboard.press
    for key, turn in (
        ("k", TURNS - 1),
        ("k", TURNS - 2),
        ("j", TURNS - 1),
        ("g", 1),
        ("k", 1),
        ("G", TURNS),
    ):
        press(key)
        wait_for_turn(page, turn)
    press("d")
    page.wait_for_selector(f"#diff[open] h2:text-is('Turn {TURNS - 1} → turn {TURNS}')")
    press("j")
    press("Escape")
    page.wait_for_selector("#diff", state="hidden")
    wait_for_turn(page, TURNS)
    press("?")
    page.wait_for_selector("#keys[open]")
    press("Escape")
    press("/")
    page.keyboard.type("question 17 ")
    press("Enter")
    page.wait_for_selector(".hit mark:text-is('question 17')")
    assert "1 message with" in page.locator("#found-count").inner_text()
    press("Tab")
    page.locator(".hit").first.focus()
    press("Enter")
    page.wait_for_selector("#original[open] .message")
    press("Escape")
    page.wait_for_selector("#original", state="hidden")
    press("Escape")
    page.wait_for_selector("#found", state="hidden")
    press("t")
    page.wait_for_selector("html[data-theme=dark]")
    page.reload()
    page.wait_for_selector("html[data-theme=dark]")


def test_a_click_on_a_bar_picks_the_turn(page: Any, address: str) -> None:
    visit(page, address)
    over = page.locator("#window-chart .u-over")
    box = over.bounding_box()
    over.hover(position={"x": box["width"] * 0.25, "y": 40})
    page.wait_for_selector("#tip:not([hidden]) strong")
    hovered = page.locator("#tip strong").inner_text()
    over.click(position={"x": box["width"] * 0.25, "y": 40})
    page.wait_for_selector(f"#detail-title:text-is('{hovered}')")


def test_what_left_leads_to_its_original(page: Any, address: str) -> None:
    visit(page, address)
    page.click("#detail .tabs button:nth-child(2)")
    page.wait_for_selector("#detail .tabs button:nth-child(2)[aria-pressed=true]")
    assert set(page.locator("#detail .ledger tbody .chip").all_inner_texts()) <= {
        "left out",
        "replaced",
    }
    page.locator("#detail .ledger tbody button").first.click()
    page.wait_for_selector("#original[open] .message pre")
    assert "word word" in page.locator("#original pre").first.inner_text()
    href = page.locator("#original a").first.get_attribute("href")
    response = page.goto(address.rstrip("/") + href)
    assert response.headers["content-type"].startswith("text/plain")
    assert "word word" in page.locator("body").inner_text()


def test_hostile_strings_are_text(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    assert NAME in page.locator("#threads tbody").inner_text()
    assert "<i>acme</i>" in page.locator("#threads tbody").inner_text()
    visit(page, address, NAME, tenant="<i>acme</i>")
    assert page.locator("h1").inner_text() == NAME
    page.fill("#search", "<img src=x")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit mark:text-is('<img src=x')")
    page.locator(".hit").last.click()
    page.wait_for_selector("#original[open] pre")
    shown = page.locator("#original pre").first.inner_text()
    assert "<script>window.hacked = 1</script>" in shown
    assert "␀␛[31m ⟨U+202E⟩gnp.exe" in shown
    page.keyboard.press("Escape")
    page.fill("#search", "xEND")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit mark:text-is('xEND')")
    page.locator(".hit").first.click()
    page.wait_for_selector("#original[open] p:text('of 1,000,003 characters')")
    assert page.evaluate("window.hacked ?? null") is None
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_pages_do_not_scroll_sideways(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    assert page.evaluate(TOO_WIDE) == [320]
    for tenant, name in (("default", "support/42"), ("<i>acme</i>", NAME)):
        visit(page, address, name, tenant=tenant)
        page.wait_for_selector(SUMMED)
        assert page.evaluate(TOO_WIDE) == [320]
    page.locator("#detail .ledger button").first.click()
    page.wait_for_selector("#original[open] .message")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(247, 247, 245)", "dark": "rgb(15, 18, 22)"}[scheme]


def test_everything_has_a_name_and_a_table_beside_it(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    assert page.evaluate(UNNAMED) == []
    visit(page, address)
    page.wait_for_selector(SUMMED)
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate("document.querySelectorAll('main, h1').length") == 2
    charts = page.locator(".chart[role=img]").all()
    assert len(charts) == 3
    assert all("turns 1 to 40" in chart.get_attribute("aria-label") for chart in charts)
    assert page.locator("#turns caption, #detail table caption").count() == 2
    assert page.locator("#turns tr.picked button[aria-current=true]").count() == 1
    page.keyboard.press("d")
    page.wait_for_selector("#diff[open] table")
    assert page.evaluate(UNNAMED) == []


@pytest.fixture(scope="module")
def long() -> Iterator[contextkit.ContextManager]:
    with manager_of("memory") as manager:
        thread = manager.thread("long")
        for turn in range(1, 421):
            talk(thread, turn, f"step {turn}")
        yield manager


@pytest.mark.slow
def test_a_long_thread_is_shown_in_windows(page: Any, long: contextkit.ContextManager) -> None:
    with running(long) as address:
        visit(page, address, "long")
        page.wait_for_selector("#strip:not([hidden]) canvas")
        shown = page.locator("#turns tbody tr").count()
        assert shown <= 200
        assert page.evaluate("document.querySelectorAll('*').length") < 3500
        page.keyboard.press("g")
        wait_for_turn(page, 1)
        assert page.locator("#range").inner_text() == f"1–{shown}"
        page.fill("#goto", "250")
        page.keyboard.press("Enter")
        wait_for_turn(page, 250)
        box = page.locator("#strip .u-over").bounding_box()
        page.click("#strip .u-over", position={"x": box["width"] * 0.999, "y": 10})
        page.wait_for_selector("#turns tr.picked")
        page.wait_for_selector("#newer:disabled")
        assert selected(page) > 400
        page.click("#older")
        page.wait_for_selector("#newer:enabled")
        page.click("#newest")
        wait_for_turn(page, 420)
        page.goto("about:blank")


@pytest.mark.slow
def test_a_server_that_went_away_is_shown(browser: Any) -> None:
    page = browser.new_page()
    with manager_of("memory") as manager:
        talk(manager.thread("t"), 1)
        with running(manager) as address:
            visit(page, address, "t")
            page.wait_for_selector("#live[data-state=on]")
        page.wait_for_selector("#live:text-is('Not connected')")
    page.close()
