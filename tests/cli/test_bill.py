"""The bill explained: `inspect --cost`, `diff`, and the provider's word joined to the edit behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import Result

import contextkit
from contextkit.backend import Reply
from contextkit.inspector.bill import bill
from contextkit.inspector.difference import difference
from contextkit.ledger import CacheForecast, Ledger, Prefix
from contextkit.messages import text_message
from contextkit.pricing import find_rule
from contextkit.usage import Usage
from contextkit.verdict import Verdict, read_verdict

Run = Callable[..., Result]
TURNS = 9
LOST = 6
"""A turn whose cache was lost outside, with the provider's word on it."""


def _anthropic(reason: str) -> dict[str, Any]:
    return {"diagnostics": {"cache_miss_reason": {"type": reason, "cache_missed_input_tokens": 90}}}


def _openai(reason: str) -> dict[str, Any]:
    missed = {"type": "cache_miss", "reason": reason, "cache_missed_tokens": 90}
    return {"prompt_cache_diagnostics": missed}


def _yaml(folder: Path) -> Path:
    path = folder / "agent.yaml"
    path.write_text(
        "backend: {kind: echo, provider: anthropic, model: claude-sonnet-4-5}\n"
        "budget: {window: 3000, reply_reserve: 64}\n"
        f"history: {{kind: sql, url: 'sqlite:///{folder / 'h.db'}'}}\n"
        "policies: [tool_results, sliding_window, cacheable_prefix]\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def lived(tmp_path: Path) -> list[Ledger]:
    """A thread in a store whose window moves, and once was changed behind contextkit's back."""
    with contextkit.load(_yaml(tmp_path)) as cm:
        thread = cm.thread("support/42")
        thread.append({"role": "system", "content": "You help. " * 200})
        for turn in range(1, TURNS + 1):
            call = thread.assemble(f"question {turn} " + "word " * 220)
            read = 0 if turn == LOST else call.ledger.forecast.read_tokens
            usage = Usage(call.input_tokens, 60, read, call.input_tokens - read)
            raw = {}
            if turn == LOST:
                raw = _anthropic("system_changed")
            elif call.ledger.prefix.moved:
                raw = _anthropic("messages_changed")
            thread.record(call, Reply(text_message("assistant", "fine " * 60), usage, raw=raw))
        return thread.turns()


def test_every_miss_is_explained(lived: list[Ledger]) -> None:
    lines = bill(lived)
    moved = [line for line, ledger in zip(lines, lived, strict=True) if ledger.prefix.moved]
    assert moved
    assert all(line.policy == "sliding_window" for line in moved)
    for line in moved:
        assert "the provider says messages_changed; sliding_window rewrote" in line.cause
        assert line.handle.startswith("m")
    lost = lines[LOST - 1]
    assert lost.missed_tokens == lost.expected_read_tokens > 0
    assert "system_changed" in lost.cause
    assert "after the call was assembled" in lost.cause
    assert not lost.policy
    quiet = [n for n in lines if n not in moved and n.turn != LOST]
    assert quiet
    assert not any(line.cause or line.missed_tokens for line in quiet)
    for line in lines:
        assert line.read_tokens + line.write_tokens + line.fresh_tokens == line.input_tokens


def test_an_edit_and_a_change_outside_are_both_named(lived: list[Ledger]) -> None:
    moved = next(ledger for ledger in lived if ledger.prefix.moved)
    both = replace(moved, verdict=Verdict("system_changed", 90))
    (line,) = bill([both])
    outside, edit = line.cause.split("; ", 1)
    assert outside.startswith("the provider says system_changed: a system text")
    assert edit.startswith("sliding_window rewrote")
    assert line.policy == "sliding_window"


def test_a_verdict_survives_the_store(lived: list[Ledger]) -> None:
    assert lived[LOST - 1].verdict == Verdict("system_changed", 90)
    assert lived[0].verdict is None
    body = lived[0].to_dict()
    del body["verdict"]
    assert Ledger.from_dict(body) == lived[0], "ledgers that were stored before have none"


def _ledger(**fields: Any) -> Ledger:
    base = Ledger("t", 2, 9000, 64, 5000, 5000, 0, True, "c", ())
    prefix = Prefix(4000, 4000)
    return replace(base, prefix=prefix, forecast=CacheForecast(4000, 1000, 0), **fields)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (_openai("input_changed"), "messages that were changed after"),
        (_openai("tools_changed"), "tools that were not given to assemble"),
        (_openai("reasoning_effort_changed"), "a setting of the request"),
        (_anthropic("model_changed"), "a setting of the request"),
        (_anthropic("unavailable"), "evicted, served elsewhere"),
        ({}, "evicted, served elsewhere"),
    ],
)
def test_misses_that_no_edit_caused(raw: dict[str, Any], says: str) -> None:
    (line,) = bill([_ledger(usage=Usage(5000, 10, 0, 5000), verdict=read_verdict(raw))])
    assert line.missed_tokens == 4000
    assert says in line.cause


def test_a_lapsed_entry_is_told_from_an_eviction() -> None:
    rule = find_rule("anthropic", "claude-sonnet-4-5")
    ledger = _ledger(usage=Usage(5000, 10, 0, 5000))
    (late,) = bill([ledger], rule, [900.0])
    assert "900 s after the call before, the cache entry had lapsed" in late.cause
    (soon,) = bill([ledger], rule, [20.0])
    assert "evicted" in soon.cause


def test_a_small_difference_is_no_miss() -> None:
    (line,) = bill([_ledger(usage=Usage(5000, 10, 3950, 1050))])
    assert not line.missed_tokens
    assert not line.cause


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (_anthropic("tools_changed"), Verdict("tools_changed", 90)),
        (_openai("context_compacted"), Verdict("context_compacted", 90)),
        ({"prompt_cache_diagnostics": {"type": "cache_hit"}}, Verdict("cache_hit")),
        ({"diagnostics": {"cache_miss_reason": {"type": "unavailable"}}}, Verdict("unavailable")),
        ({"diagnostics": {"cache_miss_reason": None}}, None),
        ({"diagnostics": None, "prompt_cache_diagnostics": None}, None),
        ({"diagnostics": {"cache_miss_reason": {"type": 7}}}, None),
        ([], None),
        (None, None),
    ],
)
def test_verdicts_are_read_from_both_providers(raw: Any, expected: Verdict | None) -> None:
    assert read_verdict(raw) == expected


def test_the_names_are_those_of_the_clients() -> None:
    """Every reason that the installed clients know has a layer, so none falls through in silence."""
    anthropic = pytest.importorskip("anthropic")
    responses = pytest.importorskip("openai.types.responses.response")

    miss = responses.PromptCacheDiagnosticsCacheMiss.model_fields["reason"].annotation
    named = [Verdict(reason) for reason in get_args(miss)]
    for kind in ("model", "system", "tools", "messages"):
        cls = getattr(anthropic.types, f"CacheMiss{kind.title()}Changed")
        (reason,) = get_args(cls.model_fields["type"].annotation)
        named.append(Verdict(reason))
    assert len(named) == 13
    assert all(verdict.is_miss for verdict in named)


def test_inspect_shows_the_bill(run: Run, lived: list[Ledger]) -> None:
    shown = run("inspect", "support/42", "--cost").output
    assert "system_changed" in shown
    assert "sliding_window: moved the prefix" in shown
    assert shown.splitlines()[0].split() == ["turn", "input", "read", "expected", "missed", "cost"]
    value = json.loads(run("inspect", "support/42", "--cost", "--json").stdout)
    assert len(value["turns"]) == TURNS
    assert value["turns"][LOST - 1]["reason"] == "system_changed"
    assert value["totals"]["missed_tokens"] == value["turns"][LOST - 1]["missed_tokens"]
    moves = value["totals"]["by_policy"]["sliding_window"]["moves"]
    assert moves == sum(ledger.prefix.moved for ledger in lived)
    one = json.loads(run("inspect", "support/42", "--cost", "--turn", "2", "--json").stdout)
    assert [line["turn"] for line in one["turns"]] == [2]


def test_diff_accounts_for_every_token(lived: list[Ledger]) -> None:
    for first, second in [(lived[i], lived[j]) for i in range(TURNS) for j in range(TURNS)]:
        found = difference(first, second)
        grown = sum(after - before for before, after in found.sections.values())
        assert grown == second.input_tokens - first.input_tokens
        changed = {
            seq
            for change in found.changes
            for d in [*first.decisions, *second.decisions]
            for seq in range(d.start, d.stop)
            if _covers(change.handle, seq)
        }
        for seq in range(2 * TURNS + 1):
            was, now = _action(first, seq), _action(second, seq)
            assert (was != now) == (seq in changed), (first.turn, second.turn, seq)
    assert not difference(lived[2], lived[2]).changes


def _covers(handle: str, seq: int) -> bool:
    first, _, last = handle.removeprefix("m").partition("-")
    return int(first) <= seq <= int(last or first)


def _action(ledger: Ledger, seq: int) -> str | None:
    return next((d.action for d in ledger.decisions if d.start <= seq < d.stop), None)


def test_diff_on_the_command_line(run: Run, lived: list[Ledger]) -> None:
    moved = next(ledger.turn for ledger in lived if ledger.prefix.moved)
    shown = run("diff", "support/42", str(moved - 1), str(moved)).output
    assert "kept -> left out" in " ".join(shown.split())
    assert "sliding_window" in shown
    assert run("diff", str(moved - 1), str(moved)).output == shown, (
        "the only thread need not be named"
    )
    value = json.loads(run("diff", "1", "2", "--json").stdout)
    assert value["input_tokens"] == [lived[0].input_tokens, lived[1].input_tokens]
    assert all(change["tokens"] > 0 for change in value["changes"])


@pytest.mark.parametrize(
    ("places", "says"),
    [
        (["1"], "give two turns"),
        (["support/42", "1", "x"], "give two turns"),
        (["support/42", "1", "99"], "has no turn 99"),
        (["support/42", "1", "²"], "give two turns"),
        (["other", "1", "2"], "has no thread 'other'"),
    ],
)
def test_diff_says_what_it_needs(
    run: Run, lived: list[Ledger], places: list[str], says: str
) -> None:
    result = run("diff", *places)
    assert result.exit_code == 2
    assert says in result.stderr


@pytest.mark.parametrize("more", [[], ["--cost"], ["--explain", "m0"]])
def test_a_turn_that_is_not_there_is_named(run: Run, lived: list[Ledger], more: list[str]) -> None:
    result = run("inspect", "support/42", "--turn", "9999", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"has no turn 9999; it has {len(lived)} turns" in result.stderr
