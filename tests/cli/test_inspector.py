"""The inspector: sums that balance, any width, no colour and no blocks where they cannot be shown."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

import contextkit
from contextkit.inspector import CallReport, Overview, bar_svg, left_out, slices, to_json
from contextkit.inspector.account import prefix_sentence
from contextkit.inspector.bar import bar, cells
from contextkit.inspector.words import clean, money, one_line
from contextkit.ledger import Ledger
from tests.cli.conftest import HOSTILE


@pytest.fixture(scope="module")
def turns() -> list[Ledger]:
    """Turns of a thread that had to let messages go, one of them hostile, priced."""
    config: dict[str, Any] = {
        "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"},
        "budget": {"window": 300, "reply_reserve": 50},
        "policies": ["sliding_window", "cacheable_prefix"],
    }
    with contextkit.load(config) as manager:
        thread = manager.thread(HOSTILE)
        for number in range(12):
            thread.respond(f"{number}: {HOSTILE}")
        return thread.turns()


def rendered(value: RenderableType, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    console = Console(file=stream, width=width, markup=False)
    console.print(value)
    console.file.flush()
    return raw.getvalue().decode(encoding)


def test_slices_add_up_to_the_window(turns: list[Ledger]) -> None:
    for ledger in turns:
        assert sum(part.tokens for part in slices(ledger)) == ledger.window


def test_what_left_is_listed_with_a_handle_largest_first(turns: list[Ledger]) -> None:
    rows = left_out(turns[-1])
    assert rows
    assert all(row.handle.startswith("m") and row.why for row in rows)
    assert [r.freed_tokens for r in rows] == sorted((r.freed_tokens for r in rows), reverse=True)


@pytest.mark.parametrize("width", [24, 40, 63, 64, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_every_width_and_encoding(turns: list[Ledger], width: int, encoding: str) -> None:
    for value in (CallReport(turns[-1]), Overview(turns)):
        text = rendered(value, width, encoding)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert "\x1b" not in text
        assert ("S" * 2 in text or "H" * 2 in text) == (encoding == "ascii")


def test_colour_only_where_it_is_wanted(
    turns: list[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    def coloured() -> str:
        console = Console(file=io.StringIO(), force_terminal=True, width=80)
        console.print(CallReport(turns[-1]))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[36m" in coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[36m" not in coloured()


def test_a_progress_bar_waits_and_keeps_to_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    from contextkit.cli import progress

    def shown(patience_s: float, *, terminal: bool) -> bool:
        monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
        stream = io.StringIO()
        bar = progress.LateBar(Console(file=stream, force_terminal=terminal, width=60), "x", 3)
        bar.advance()
        bar.close()
        return bool(stream.getvalue())

    monkeypatch.setenv("TERM", "xterm-256color")
    assert shown(0.0, terminal=True)
    assert not shown(60.0, terminal=True)
    assert not shown(0.0, terminal=False)


def test_strangers_do_not_colour_the_terminal(turns: list[Ledger]) -> None:
    text = rendered(CallReport(turns[-1]), 200)
    assert "[bold]loud[/bold]" in text
    assert "<script>" in text


def test_moves_are_named_with_their_price(turns: list[Ledger]) -> None:
    moved = next(ledger for ledger in turns if ledger.prefix.moved)
    sentence = prefix_sentence(moved)
    assert sentence.startswith("moved by sliding_window")
    assert "$" in sentence
    assert "! sliding_window" in rendered(Overview(turns), 100)
    assert prefix_sentence(turns[0]).startswith("first call")


def test_a_price_that_is_not_known_is_said() -> None:
    with contextkit.load({}) as manager:
        call = manager.thread("t").assemble("hi")
    assert "price unknown" in rendered(CallReport(call.ledger), 80)
    assert "not sent yet" in rendered(CallReport(call.ledger), 80)
    assert to_json(call.ledger)["real_read_share"] is None
    assert (money(None), money(0.0), money(0.5), money(1234.5)) == (
        "price unknown",
        "$0.00",
        "$0.5000",
        "$1,234.50",
    )


@pytest.mark.parametrize("width", [1, 3, 7, 40])
def test_a_bar_has_its_width(turns: list[Ledger], width: int) -> None:
    assert len(bar(slices(turns[-1]), width).plain) == width
    assert sum(cells([0, 5, 1, 900], width)) == width


def test_an_svg_bar_is_escaped_and_labelled(turns: list[Ledger]) -> None:
    text = bar_svg(slices(turns[-1]), f'"{HOSTILE}')
    assert "<script>" not in text
    assert 'role="img"' in text
    assert "&quot;" in text


def test_words() -> None:
    assert clean("a\x1b[31m\nb\u202e") == "a\ufffd[31m\nb\ufffd"
    assert one_line("a\n  b" * 30, 10) == "a ba ba..."
