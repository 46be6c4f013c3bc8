"""The demonstration: its page, its figures, and that strangers' text stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from contextkit.demo import ask_questions, run_replay
from contextkit.demo.dialogue import FACTS, make_dialogue
from contextkit.demo.page import render
from contextkit.demo.terminal import Grid
from contextkit.messages import text_message
from tests.cli.conftest import HOSTILE, Run, plain


class Tags(HTMLParser):
    """Collects the tags that are open and all that were seen."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "rect":
            assert self.open.pop() == tag


def tags(page: str) -> list[str]:
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def test_a_quick_run_writes_the_page(run: Run, tmp_path: Path) -> None:
    done = run("demo", "--quick", "--no-model", "--html", "page.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<li class="turn">') == 12
    assert "script" not in tags(page)
    assert not re.search(r"(src|href)=", page)
    assert "Wrote page.html" in done.stdout
    assert "no bill" in " ".join(done.stdout.split())


def test_json_is_pure(run: Run) -> None:
    value = json.loads(run("demo", "--quick", "--no-model", "--json").stdout)
    assert value["replay"]["ways"][0]["name"] == "contextkit"
    assert value["questions"]["counts"]["contextkit"]["has_evidence"] == 4


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.usefixtures("on_terminal")
def test_no_line_is_longer_than_a_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    done = run("demo", "--quick", "--no-model")
    assert max(len(line) for line in plain(done.stdout).splitlines()) <= width


def test_the_page_cannot_be_written(run: Run) -> None:
    done = run("demo", "--quick", "--no-model", "--html", "missing/page.html")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_the_whole_replay_is_valid_and_cheaper() -> None:
    recorded = run_replay()
    ours, *others = recorded.ways
    assert len(recorded.ledgers) == ours.n_calls == 30
    assert (ours.invalid, ours.over_window) == (0, 0)
    assert ours.cost_usd is not None
    for other in others:
        assert other.cost_usd is not None
        assert ours.cost_usd < other.cost_usd
    assert any(ledger.prefix.moved for ledger in recorded.ledgers)


def test_hostile_messages_are_escaped() -> None:
    said = [text_message("user", HOSTILE), text_message("assistant", HOSTILE)]
    recorded = run_replay(messages=said)
    found = ask_questions(with_model=False, n_facts=1)
    page = render(recorded, found)
    assert "script" not in tags(page)
    assert "\x1b" not in page


def test_the_evidence_is_kept_where_truncation_loses_it() -> None:
    found = ask_questions(with_model=False)
    assert len(found.rows) == len(FACTS) == 12
    assert found.count("contextkit", "has_evidence") == 12
    assert found.count("truncated", "has_evidence") == 2
    for row in found.rows:
        for side in (row.truncated, row.contextkit):
            assert side.input_tokens <= found.window
            assert side.answer is None


def test_the_dialogue_is_the_same_every_time() -> None:
    first, second = make_dialogue(), make_dialogue()
    assert first == second
    assert sum(fact.changed != "" for fact in FACTS) == 3


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    found = ask_questions(with_model=True, n_facts=1)
    assert 'pip install "contextkit[local]"' in found.why_no_model
    assert found.rows[0].contextkit.answer is None


@pytest.mark.slow
def test_the_pocket_model_answers() -> None:
    pytest.importorskip("torch")
    found = ask_questions(with_model=True, n_facts=4)
    assert found.count("contextkit", "is_right") > found.count("truncated", "is_right")


def test_rows_are_not_folded_in_a_pipe() -> None:
    long = "Which gate does my flight leave from, and when? " * 3
    grid = Grid(
        ("question", "true", "truncation"), [(long, "B42", "not in call")], ratios=(3, 2, 3)
    )

    def printed(width: int, *, soft_wrap: bool) -> list[str]:
        console = Console(width=width, soft_wrap=soft_wrap, file=StringIO())
        console.print(grid)
        assert isinstance(console.file, StringIO)
        return console.file.getvalue().splitlines()

    assert [line.split()[0] for line in printed(80, soft_wrap=True)] == ["question", "Which"]
    assert long.strip() in printed(20, soft_wrap=True)[1]
    folded = printed(80, soft_wrap=False)
    assert len(folded) > 2
    assert max(map(len, folded)) <= 80
