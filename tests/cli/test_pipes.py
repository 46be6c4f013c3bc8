"""What goes into a pipe: originals byte for byte, one line a sentence without blanks at its end."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import contextkit
from contextkit.backend import Reply
from contextkit.inspector import Overview
from contextkit.inspector.account import totals
from contextkit.inspector.overview import totals_sentence
from contextkit.inspector.words import money
from contextkit.ledger import CacheForecast, Ledger
from contextkit.messages import text_message
from contextkit.usage import Usage
from tests.cli.conftest import Run, plain

ORIGINAL = "a\tlong line " + "of words " * 30 + "\r\n  \x1b[31mred\x1b[0m, ends in blanks   \n\n"


@pytest.fixture
def lived(stored: Path) -> None:
    with contextkit.load(stored) as cm:
        thread = cm.thread("talk")
        thread.append({"role": "user", "content": ORIGINAL})
        for number in range(8):
            thread.respond(f"question {number} " + "word " * 40)


def test_an_original_comes_byte_for_byte(run: Run, lived: None) -> None:
    assert run("inspect", "talk", "--expand", "m0").stdout_bytes == ORIGINAL.encode()


def test_on_a_terminal_an_original_moves_no_cursor(
    run: Run, lived: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True)
    assert "\x1b[31m" not in run("inspect", "talk", "--expand", "m0").stdout


def test_prose_is_neither_wrapped_nor_padded(run: Run, lived: None) -> None:
    shown = run("inspect", "talk", "--turn", "8").stdout
    assert not re.search(r" $", shown, re.MULTILINE)
    prose = [line for line in shown.splitlines() if line.startswith(("prefix: ", "cache: "))]
    assert len(prose) == 2
    assert max(map(len, prose)) > 80
    table = [line for line in shown.splitlines() if "sliding_window" in line]
    assert all(re.search(r"m\d+(-\d+)? +[\d,]+ +\S+ +sliding_window +\S", x) for x in table[:1])
    listed = run("plugins").stdout.splitlines()
    assert all(line.split()[0] in _GROUPS for line in listed[1:]), "no row goes on in the next line"


_GROUPS = ("policies", "backends", "stores", "vectors", "embedders", "scorers")


@pytest.mark.usefixtures("on_terminal")
def test_a_terminal_still_wraps(run: Run, lived: None) -> None:
    shown = plain(run("inspect", "talk", "--turn", "8").stdout)
    assert max(map(len, shown.splitlines())) <= 80


def test_stdin_is_read_for_a_dash(run: Run, conversation: Path) -> None:
    text = conversation.read_text(encoding="utf-8")
    value = json.loads(run("run", "-", "--json", stdin=text).stdout)
    assert value["ledger"]["thread"] == "stdin"
    assert run("run", str(conversation), "--json").stdout.count('"Thanks. When?"') == 1
    both = run("run", "-", "--input", "-", stdin=text)
    assert (both.exit_code, "stdin holds the conversation" in both.stderr) == (2, True)
    replayed = run("replay", "-", "--tokenizer", "estimate", stdin=text)
    assert "1 recording, 3 calls" in replayed.stdout
    refused = run("replay", "-", stdin="{}")
    assert refused.stderr.startswith("contextkit: stdin: ")


def _ledger(usage: Usage | None, turn: int) -> Ledger:
    forecast = CacheForecast(0, 0, 1000, cost_usd=0.002, uncached_usd=0.003)
    base = Ledger("t", turn, 9000, 64, 1000, 1000, 0, True, "c", ())
    return replace(base, forecast=forecast, usage=usage, notes=(f"note of {turn // 2}",))


def test_totals_tell_what_was_really_read() -> None:
    real = [_ledger(Usage(1000, 10, 420, 0), 1), _ledger(Usage(1000, 10, 980, 0), 2)]
    assert "70% read from the cache (0% expected)" in totals_sentence(real)
    assert totals(real)["real_read_share"] == 0.7
    some = [*real, _ledger(None, 3)]
    assert "70% of 2 calls with usage read from the cache (0% expected)" in totals_sentence(some)
    none = [_ledger(None, 1)]
    assert "0% expected from the cache" in totals_sentence(none)
    assert totals(none)["real_read_share"] is None


def test_the_table_and_its_totals_agree(run: Run, stored: Path) -> None:
    with contextkit.load(stored) as cm:
        thread = cm.thread("talk")
        for read in (50, 100):
            call = thread.assemble("question")
            thread.record(call, Reply(text_message("assistant", "ok"), Usage(200, 3, read, 0)))
    shown = run("inspect", "talk").stdout
    assert [line.split()[-2] for line in shown.splitlines()[1:3]] == ["25%", "50%"]
    assert "38% read from the cache" in shown


def test_notes_stand_below_the_turns() -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(Overview([_ledger(None, turn) for turn in range(1, 14)]))
    notes = [line for line in stream.getvalue().splitlines() if line.startswith("note, ")]
    assert [" ".join(line.split()) for line in notes] == [
        "note, turn 7: note of 3",
        "note, turn 9: note of 4",
        "note, turn 11: note of 5",
        "note, turn 13: note of 6",
    ]


def test_small_sums_say_something() -> None:
    assert [money(usd) for usd in (0.00002134, 0.00096, 0.0123, -0.00012, 2e-9)] == [
        "$0.000021",
        "$0.00096",
        "$0.0123",
        "$-0.00012",
        "<$0.000001",
    ]


def test_diff_names_its_thread(run: Run, lived: None) -> None:
    assert run("diff", "1", "2").stdout.startswith("talk - turn 1 -> turn 2: ")
