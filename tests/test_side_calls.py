"""Calls beside the turn's own: bounded, answered once, accounted for."""

from __future__ import annotations

from typing import Any

import pytest

import contextkit
from contextkit.backend import Reply
from contextkit.errors import BackendUnavailable, BudgetExceeded
from contextkit.memo import Memo
from contextkit.messages import text_message
from contextkit.side_calls import SPACE, SideReply, ask
from contextkit.usage import Usage


def _upper(call: contextkit.Call) -> Any:
    return call.messages[-1].text.upper()


def _manager(script: Any = _upper, **settings: Any) -> contextkit.ContextManager:
    return contextkit.load({"backend": {"kind": "scripted", "replies": script}, **settings})


def _ask(
    cm: contextkit.ContextManager, *texts: str, tenant: str = "a", limit: int = 100
) -> list[SideReply]:
    prompts = [[text_message("user", text)] for text in texts]
    return ask(
        cm.backend,
        Memo(cm.history, tenant),
        prompts,
        purpose="test",
        limit_tokens=limit,
        reply_tokens=9,
    )


def _n_calls(cm: contextkit.ContextManager) -> int:
    backend: Any = cm.backend
    return len(backend.calls)


def test_replies_come_in_order_and_each_is_asked_for_once() -> None:
    with _manager() as cm:
        first = _ask(cm, "one", "two", "one")
        assert [reply.text for reply in first] == ["ONE", "TWO", "ONE"]
        assert _n_calls(cm) == 2
        assert _ask(cm, "two", "three", "one")[::2] == [first[1], first[0]]
        assert _n_calls(cm) == 3
        assert all(reply.input_tokens > 0 and reply.output_tokens > 0 for reply in first)
        assert _ask(cm) == []


def test_nothing_is_asked_again_after_a_restart(tmp_path: Any) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"}
    with _manager(history=history) as cm:
        said = _ask(cm, "one 😀 \u202e", "two")
    with _manager(["never asked"], history=history) as cm:
        assert _ask(cm, "one 😀 \u202e", "two") == said
        assert _n_calls(cm) == 0


def test_tenants_and_models_are_kept_apart() -> None:
    with _manager() as cm:
        _ask(cm, "one", tenant="a")
        _ask(cm, "one", tenant="b")
        assert _n_calls(cm) == 2
        assert cm.history.list_memo("c", SPACE) == []
        other = contextkit.load(
            {"backend": {"kind": "scripted", "replies": ["x"], "model": "gpt-4o"}}
        )
        prompt = [[text_message("user", "one")]]
        (reply,) = ask(
            other.backend,
            Memo(cm.history, "a"),
            prompt,
            purpose="t",
            limit_tokens=99,
            reply_tokens=9,
        )
        assert reply.text == "x"


def test_a_call_carries_its_own_budget_and_account() -> None:
    with _manager() as cm:
        _ask(cm, "one two three", limit=50)
        backend: Any = cm.backend
        (call,) = backend.calls
        assert call.max_output_tokens == call.ledger.reply_reserve == 9
        assert call.upper_tokens <= call.ledger.limit_tokens == 50
        shown = sum(d.tokens_after for d in call.ledger.decisions)
        assert shown + call.ledger.frame_tokens == call.ledger.input_tokens == call.input_tokens
        assert call.tenant == "a"
        assert call.to_openai()["messages"] == [{"role": "user", "content": "one two three"}]
        with pytest.raises(BudgetExceeded, match=r"test: a prompt of .* 50 are granted"):
            _ask(cm, "word " * 60, limit=50)
        assert _n_calls(cm) == 1


def test_the_providers_own_count_is_told() -> None:
    def script(call: contextkit.Call) -> Reply:
        return Reply.of("ok", Usage(input_tokens=1234, output_tokens=56))

    with _manager(script) as cm:
        assert _ask(cm, "one") == [SideReply("ok", 1234, 56)]


def test_what_failed_is_asked_again() -> None:
    with _manager([{"error": "unavailable"}, "better"]) as cm:
        with pytest.raises(BackendUnavailable):
            _ask(cm, "one")
        assert [reply.text for reply in _ask(cm, "one")] == ["better"]
