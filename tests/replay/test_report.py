"""The report is one page that needs nothing from anywhere, and shows text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from contextkit import replay
from contextkit.replay import charts
from contextkit.replay.report import render

from .making import conversation, recording, recordings

HOSTILE = '<script>alert("1")</script> & "quotes"'
TIGHT = {
    "budget": {"window": 2500, "reply_reserve": 100},
    "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "rect", "polyline", "line"):
            self.open.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "action", "style")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page(provider: replay.Provider) -> str:
    runs = [recording({"id": HOSTILE, "messages": conversation(9, n_calls=14)}), *recordings(2)]
    setups = [replay.everything(), replay.Setup(HOSTILE, TIGHT)]
    return render(replay.compare(runs, setups, provider, keep_ledgers=True))


def test_it_asks_for_nothing(page: str) -> None:
    parsed = _Page()
    parsed.feed(page)
    assert not parsed.addresses
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(parsed.tags)
    assert "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page
    assert parsed.open == [], "every element is closed"


def test_text_is_shown_as_text(page: str) -> None:
    assert "<script>" not in page
    parsed = _Page()
    parsed.feed(page)
    assert any(HOSTILE in text for text in parsed.text)


def test_it_draws_every_call_and_marks_the_moves(page: str) -> None:
    assert page.count("<polyline") == 6, "two configurations over three recordings"
    charts = re.findall(r'<svg class="columns".*?</svg>', page)
    assert len(charts) == 6
    moved = [chart.count('class="mark"') for chart in charts]
    assert moved[0] == 0
    assert moved[1] > 0
    heights = re.findall(r'y="(-?[\d.]+)" width="[\d.]+" height="([\d.]+)"', charts[0])
    assert heights
    assert all(float(y) >= -0.01 and float(h) >= 0 for y, h in heights)


def test_it_is_readable_on_a_phone_and_in_the_dark(page: str) -> None:
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media (max-width: 40rem)" in page
    assert "data-label=" in page


@pytest.mark.parametrize("n_values", [1, 2, 400, 401, 799, 1_000])
def test_a_line_has_few_points_and_ends_where_its_values_do(n_values: int) -> None:
    drawn = charts.lines([[float(n) for n in range(n_values)]], "so far")
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in points.split()]
    assert len(places) <= charts.MAX_COLUMNS + 1
    assert places[0][0] == 0.0
    assert places[-1][0] == (charts.WIDTH if n_values > 1 else 0.0)
    assert places == sorted(places, key=lambda place: place[0])
