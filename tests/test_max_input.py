"""Models that take less input than their window holds: the limit, the ledger, `check`, the policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import contextkit
from contextkit.budget import input_limit
from contextkit.cli.commands import app
from contextkit.inspector import account

OWN = {"kind": "openai", "model": "own", "base_url": "http://127.0.0.1:1/v1", "window": 6_000}


def manager(backend: dict[str, Any], **budget: int) -> contextkit.ContextManager:
    policies = ["tool_results", "sliding_window", "cacheable_prefix"]
    return contextkit.load({"backend": backend, "budget": budget, "policies": policies})


@given(st.integers(16, 10**6), st.integers(1, 15), st.none() | st.integers(1, 10**6))
def test_the_limit_is_the_lower_of_both(window: int, reserve: int, most: int | None) -> None:
    limit = input_limit(window, reserve, most)
    assert limit <= window - reserve
    assert limit in (window - reserve, most)
    assert most is None or limit <= most


@pytest.mark.parametrize(
    ("model", "reserve", "limit"),
    [
        ("gpt-5", 4_096, 272_000),
        ("gpt-5-mini-2025-08-07", 4_096, 272_000),
        ("gpt-5.2", 200_000, 200_000),
        ("gpt-5-pro", 4_096, 395_904),
        ("gpt-5-chat-latest", 4_096, 123_904),
        ("gpt-5.4", 4_096, 922_000),
        ("openai/gpt-6.1-sol", 4_096, 922_000),
        ("gpt-4.1", 4_096, 1_043_480),
        ("anthropic/claude-opus-5", 4_096, 995_904),
    ],
)
def test_what_well_known_models_take(model: str, reserve: int, limit: int) -> None:
    with manager({"kind": "openai", "model": model}, reply_reserve=reserve) as cm:
        assert cm.limit_tokens == limit


def test_calls_keep_to_it_and_say_so() -> None:
    with manager({**OWN, "max_input_tokens": 2_000}, reply_reserve=500) as cm:
        thread = cm.thread("t")
        thread.append(
            [{"role": "user", "content": f"message {n} " + "word " * 90} for n in range(40)]
        )
        call = thread.assemble("And now?")
    ledger = call.ledger
    assert (cm.window, cm.limit_tokens, ledger.limit_tokens) == (6_000, 2_000, 2_000)
    assert call.upper_tokens <= 2_000
    assert call.max_output_tokens == 500
    assert any("takes at most 2,000 tokens of input" in note for note in ledger.notes)
    assert contextkit.Ledger.from_dict(json.loads(json.dumps(ledger.to_dict()))) == ledger
    assert sum(part.tokens for part in account.slices(ledger)) == 6_000


def test_a_ledger_of_before_has_no_such_limit() -> None:
    with manager({"kind": "echo"}, window=4_000, reply_reserve=1_000) as cm:
        stored = cm.thread("t").assemble("Hi").ledger.to_dict()
    del stored["max_input_tokens"]
    assert contextkit.Ledger.from_dict(stored).limit_tokens == 3_000


def test_nothing_is_said_where_the_window_is_the_lower_one() -> None:
    backend = {**OWN, "max_input_tokens": 5_500, "tokenizer": "o200k_base"}
    with manager(backend, reply_reserve=500) as cm:
        assert cm.thread("t").assemble("Hi").ledger.notes == ()
        assert cm.limit_tokens == 5_500


def test_what_does_not_fit_is_named() -> None:
    with (
        manager({**OWN, "max_input_tokens": 300}, reply_reserve=500) as cm,
        pytest.raises(contextkit.BudgetExceeded, match=r"300 fit \(the most that the model takes"),
    ):
        cm.thread("t").assemble("word " * 900)


def test_shares_are_of_what_the_model_takes() -> None:
    with manager({**OWN, "max_input_tokens": 2_000}, reply_reserve=500) as cm:
        turn = contextkit.policy.Turn("", -1, -1, 0, 6_000, 500, {"a": 0.5}, max_input_tokens=2_000)
        assert (turn.limit_tokens, turn.share_tokens("a")) == (cm.limit_tokens, 1_000)


def test_check_tells_the_lower_limit(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps({"backend": {"kind": "openai", "model": "gpt-5"}}), "utf-8")
    text = CliRunner().invoke(app, ["check", str(path)], env={"COLUMNS": "200"}).stdout
    assert "400,000 tokens" in text
    assert "a call takes up to 272,000, the most that the model takes of input" in text
    value = json.loads(CliRunner().invoke(app, ["check", str(path), "--json"]).stdout)
    assert (value["window"], value["limit_tokens"], value["max_input_tokens"]) == (
        400_000,
        272_000,
        272_000,
    )
