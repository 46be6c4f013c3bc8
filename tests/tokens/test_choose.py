"""Which counter a model gets."""

from __future__ import annotations

import pytest

from contextkit.errors import ConfigError
from contextkit.messages import ImagePart, Message
from contextkit.tokens import counter_for
from contextkit.tokens.choose import estimate_note


@pytest.mark.parametrize(
    ("provider", "model", "tokenizer", "name"),
    [
        ("openai", "gpt-4o", None, "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "gpt-4.1-nano-2025-04-14", None, "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::1", None, "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "gpt-5.2", None, "tiktoken/o200k_base/openai-chat/1/tiles70+140"),
        ("openai", "o4-mini", None, "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "chatgpt-4o-latest", None, "tiktoken/o200k_base/openai-chat/1"),
        ("local", "openai/gpt-oss-120b", None, "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "gpt-4", None, "tiktoken/cl100k_base/openai-chat/1"),
        ("openai", "gpt-4-turbo", None, "tiktoken/cl100k_base/openai-chat/1"),
        ("openai", "gpt-3.5-turbo", None, "tiktoken/cl100k_base/openai-chat/1"),
        ("openai", "deepseek-chat", None, "estimate/openai-unknown/openai-chat/1"),
        ("anthropic", "claude-opus-4-6", None, "estimate/anthropic/anthropic/1"),
        ("openrouter", "anthropic/claude-sonnet-4.5", None, "estimate/anthropic/openai-chat/1"),
        ("vllm", "qwen3", None, "estimate/generic/openai-chat/1"),
        ("anthropic", "claude-opus-4-6", "o200k_base", "tiktoken/o200k_base/openai-chat/1"),
        ("openai", "gpt-4o", "cl100k_base", "tiktoken/cl100k_base/openai-chat/1"),
        ("openai", "gpt-4o", "estimate", "estimate/openai-unknown/openai-chat/1"),
    ],
)
def test_counter_of_a_model(provider: str, model: str, tokenizer: str | None, name: str) -> None:
    assert counter_for(provider, model, tokenizer).name == name


def test_images_cost_more_in_gpt_4o_mini() -> None:
    image = Message("user", (ImagePart(url="https://example.org/a.png", detail="low"),))
    assert counter_for("openai", "gpt-4o").measure(image)[0] == 4 + 85
    assert counter_for("openai", "gpt-4o-mini").measure(image)[0] == 4 + 2833


@pytest.mark.parametrize(
    ("provider", "model", "tokenizer", "is_noted"),
    [
        ("openai", "gpt-4.1", None, False),
        ("openai", "gpt-6-sol", None, True),
        ("openai", "gpt-6-sol", "o200k_base", False),
        ("", "qwen3", None, True),
        ("", "", None, False),
        ("anthropic", "claude-opus-5", None, False),
    ],
)
def test_an_unknown_tokenizer_is_noted(
    provider: str, model: str, tokenizer: str | None, is_noted: bool
) -> None:
    note = estimate_note(counter_for(provider, model, tokenizer), model)
    assert (note is not None) == is_noted
    assert note is None or (repr(model) in note and "backend.tokenizer" in note)


def test_unknown_tokenizer_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match="cl100k_base, o200k_base, estimate"):
        counter_for("openai", "gpt-4o", "sentencepiece")
