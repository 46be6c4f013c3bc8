"""Overflow wordings of the servers there are, and what is none."""

from __future__ import annotations

import pytest

from contextkit.overflow import find_overflow


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 "
            "tokens. Please reduce the length of the messages.",
            9001,
        ),
        (
            "This model's maximum context length is 4097 tokens. However, you requested 4203 tokens (3703 "
            "in the messages, 500 in the completion).",
            3703,
        ),
        (
            "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 "
            "in the messages, 500 in the functions, and 500 in the completion).",
            8500,
        ),
        (
            "This model's maximum context length is 131072 tokens. However, you requested 351430 tokens. "
            "Please reduce the length of the messages or completion.",
            351430,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 500 output tokens "
            "and your prompt contains at least 3900 input tokens, for a total of 4400 tokens.",
            3900,
        ),
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context "
            "length is 4096 tokens and your request has 500 input tokens (4000 > 4096 - 500).",
            500,
        ),
        ("The decoder prompt (length 5951) is longer than the maximum model length of 4096.", 5951),
        (
            "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            61709,
        ),
        (
            "Requested token count exceeds the model's maximum context length of 262144 tokens. You "
            "requested a total of 337844 tokens: 206772 tokens from the input messages and 131072 tokens "
            "for the completion.",
            206772,
        ),
        ("Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).", 160062),
        ("prompt is too long: 210000 tokens > 200000 maximum", 210000),
        (
            "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input "
            "length or `max_tokens` and try again",
            178959,
        ),
        (
            "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
            5000,
        ),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            1200000,
        ),
        ("Your input exceeds the context window of this model. Please adjust your input.", None),
        ("Input is too long for requested model.", None),
    ],
)
def test_overflow(message: str, tokens: int | None) -> None:
    found = find_overflow(message)
    assert found is not None
    assert found.actual_tokens == tokens


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "Invalid 'messages[3].content': string too long. Expected a string with maximum length 1048576.",
        "messages: at least one message is required",
        "Unknown parameter: 'messages[1].reasoning_content'.",
    ],
)
def test_other_refusals(message: str) -> None:
    assert find_overflow(message) is None


def test_the_code_is_enough() -> None:
    assert find_overflow("Too much.", "context_length_exceeded") is not None
