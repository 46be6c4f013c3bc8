"""The inspector for those who don't see, don't point, or see little: every page, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from contextkit.inspector.web import running
from tests.inspector_web.conftest import NAME, manager_of
from tests.inspector_web.test_browser import READY, SUMMED, visit

FAULTS = Path(__file__).with_name("accessible.js").read_text()
FOCUS = """() => {
  const node = document.activeElement, style = getComputedStyle(node);
  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  return [node.outerHTML.slice(0, 110), ring || style.boxShadow !== 'none', node.matches('body')];
}"""
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


def check(page: Any) -> None:
    assert page.evaluate(FAULTS) == []


@SCHEMES
def test_the_list(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    check(page)


@SCHEMES
def test_a_thread_and_all_that_opens_on_it(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    visit(page, address)
    page.wait_for_selector(SUMMED)
    check(page)
    page.click("#detail .tabs button:nth-child(2)")
    page.wait_for_selector("#detail .tabs button:nth-child(2)[aria-pressed=true]")
    page.locator("#detail .ledger tbody button").first.click()
    page.wait_for_selector("#original[open] .message pre")
    check(page)
    page.keyboard.press("Escape")
    for key, shown in (("d", "#diff[open] table"), ("?", "#keys[open]")):
        page.keyboard.press(key)
        page.wait_for_selector(shown)
        check(page)
        page.keyboard.press("Escape")
    page.fill("#search", "question 17 ")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit mark")
    check(page)


@SCHEMES
def test_what_is_empty_or_hostile(page: Any, address: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}thread?tenant=acme&name=bare")
    page.wait_for_selector("#detail-title:text-is('No turns yet')")
    check(page)
    page.goto(f"{address}thread?{urlencode({'tenant': '<i>acme</i>', 'name': NAME})}")
    page.wait_for_selector(READY)
    check(page)


@SCHEMES
def test_the_door(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    with manager_of("memory") as manager, running(manager, token="secret") as guarded:
        page.goto(f"{guarded.partition('?')[0]}enter")
        check(page)
        page.goto("about:blank")


def test_who_uses_the_keyboard_sees_where_he_is(page: Any, address: str) -> None:
    """Every stop of the Tab key shows a ring, and the first leads past the head of the page."""
    visit(page, address)
    page.wait_for_selector(SUMMED)
    stops: list[str] = []
    for _ in range(30):
        page.keyboard.press("Tab")
        node, is_ringed, is_nowhere = page.evaluate(FOCUS)
        if is_nowhere:
            break
        assert is_ringed, node
        stops.append(node)
    assert len(stops) > 12
    assert "#main" in stops[0]


PLANTED = """<!doctype html><html><head><title>x</title></head><body style="background: #fff">
<header></header><main><h1>Title</h1><h3>Too deep</h3><button></button><img src="data:,">
<p id="a" style="color: #888">pale</p><p id="a" style="color: #000; opacity: .5">faint</p>
<p style="color: #767676">just enough</p><a href="#" tabindex="3">first</a>
<div style="background: #000"><p style="color: #555">dark</p></div>
<table><tr><th>head</th><td aria-describedby="gone">cell</td></tr></table></main></body></html>"""


def test_what_is_wrong_is_found(page: Any) -> None:
    page.set_content(PLANTED)
    told = "\n".join(page.evaluate(FAULTS))
    for fault in (
        "no language",
        "can't be magnified",
        "a heading skips a level: <h3>",
        "has no name: <button>",
        "a picture that says not",
        "the id a stands twice",
        "contrast 3.54",
        "contrast 3.98",
        "contrast 2.82",
        "jumps the order of the keyboard",
        "a table without a caption",
        "without column headers",
        "a header that says not of what",
        "aria-describedby names nothing",
    ):
        assert fault in told, told
    assert "just enough" not in told
