"""What framework adapters share: the same objects back, and a missing framework in one sentence."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest

from contextkit.adapters._forks import Forks
from contextkit.adapters._framework import Bridge, Unit, units_of
from contextkit.backend import Reply
from contextkit.dialects import parse_message
from contextkit.errors import ConfigError, InvalidMessage
from contextkit.manager import ContextManager
from contextkit.messages import Message, text_message


def manager() -> ContextManager:
    return ContextManager(
        budget={"window": 400, "reply_reserve": 50}, policies=["tool_results", "sliding_window"]
    )


def make(message: Message) -> list[Any]:
    return [{"made": message.text}]


def test_units_of_several_objects_and_of_several_messages() -> None:
    kept_apart: Unit[Any] = Unit((), (text_message("system", "Be brief."),))
    two_for_one: Unit[Any] = Unit(("a", "b"), (text_message("user", "Look."),))
    one_for_two: Unit[Any] = Unit(
        ("c",), (text_message("assistant", "A gate."), text_message("user", "Which?"))
    )
    with manager() as cm:
        assembled = Bridge(cm).begin([kept_apart, two_for_one, one_for_two])
        assert assembled.show(make) == ["a", "b", "c"]


def test_what_is_cut_through_is_made_anew() -> None:
    long = text_message("user", "word " * 100)
    ok = text_message("assistant", "ok")
    old: list[Unit[Any]] = [Unit((number,), (long, ok)) for number in range(4)]
    asked: Unit[Any] = Unit(("asked",), (text_message("user", "Which gate?"),))
    with manager() as cm:
        assembled = Bridge(cm).begin([*old, asked])
        shown = assembled.show(make)
        assert shown[-1] == "asked"
        assert {"made": "ok"} in shown
        whole = [item for item in shown if isinstance(item, int)]
        parts = [item for item in shown if isinstance(item, dict)]
        assert 2 * len(whole) + len(parts) + 1 == len(assembled.call.messages)


def test_nothing_is_recorded_before_the_answer() -> None:
    said = units_of([{"role": "user", "content": "Which gate?"}], lambda d: [parse_message(d)])
    with manager() as cm:
        bridge = Bridge(cm, thread="t")
        first, again = bridge.begin(said), bridge.begin(said)
        assert len(cm.thread("t")) == 0
        assert first.call.fingerprint == again.call.fingerprint
        with pytest.raises(KeyError):
            bridge.smaller(first, KeyError("no overflow"))
        bridge.finish(first, lambda: Reply.of("Twelve."))
        bridge.finish(again, lambda: Reply.of("Twelve."))  # a retry that was answered twice
        assert [m.text for m in cm.thread("t").history()] == ["Which gate?", "Twelve."]
        assert cm.verify() == []


def test_errors_name_the_place() -> None:
    with pytest.raises(InvalidMessage, match=r"^messages\.1\.role"):
        units_of([{"role": "user", "content": "a"}, {"role": "none"}], lambda d: [parse_message(d)])


@pytest.mark.parametrize(
    ("adapter", "extra", "modules"),
    [
        ("langchain", "langchain", ["langchain", "langchain.agents.middleware.types"]),
        ("langgraph", "langgraph", ["langchain_core", "langchain_core.messages"]),
        ("pydantic_ai", "pydantic-ai", ["pydantic_ai"]),
        ("llama_index", "llama-index", ["llama_index", "llama_index.core.base.llms.types"]),
        ("smolagents", "smolagents", ["smolagents"]),
    ],
)
def test_a_missing_framework(
    adapter: str, extra: str, modules: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"contextkit.adapters.{adapter}", raising=False)
    with pytest.raises(ConfigError) as caught:
        import_module(f"contextkit.adapters.{adapter}")
    assert str(caught.value).endswith(f'is not installed; pip install "contextkit[{extra}]"')


@pytest.mark.parametrize("given", ["agent.yaml", None, {"backend": "echo"}])
def test_what_is_no_manager_is_told_at_the_door(given: Any) -> None:
    for take in (Bridge, lambda given: Forks(given, "s", "default")):
        with pytest.raises(ConfigError, match=r"takes a ContextManager, such as contextkit.load"):
            take(given)
