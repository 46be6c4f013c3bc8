"""OpenAI embeddings as the fake provider answers them: strict about the request, vectors from digests."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from .answers import Refusal, words
from .counting import count_text

FIELDS = words("model input encoding_format dimensions user")
MAX_TEXTS, MAX_TEXT_TOKENS, MAX_TOKENS = 2048, 8192, 300_000


def validate(body: dict[str, Any]) -> None:
    """Raises `Refusal` for what the provider would refuse."""
    if unknown := body.keys() - FIELDS:
        raise Refusal(f"Unrecognized request argument supplied: {sorted(unknown)[0]}")
    texts = body.get("input")
    if not isinstance(texts, list) or not 0 < len(texts) <= MAX_TEXTS:
        raise Refusal("'$.input' is invalid.", param="input")
    if not all(isinstance(text, str) and text for text in texts):
        raise Refusal("'$.input' is invalid: an empty string.", param="input")
    counts = [count_text(text) for text in texts]
    if max(counts) > MAX_TEXT_TOKENS:
        raise Refusal(
            f"This model's maximum context length is {MAX_TEXT_TOKENS} tokens, however you requested "
            f"{max(counts)} tokens.",
            param="input",
        )
    if sum(counts) > MAX_TOKENS:
        raise Refusal(f"Requested {sum(counts)} tokens, max {MAX_TOKENS} tokens per request")
    if body.get("encoding_format", "float") != "float":
        raise Refusal("this server knows the encoding format 'float'", param="encoding_format")


def whole(body: dict[str, Any], dimension: int) -> dict[str, Any]:
    """The answer, its rows in another order than the texts, as the API allows."""
    size = body.get("dimensions", dimension)
    rows = [
        {"object": "embedding", "index": index, "embedding": vector(text, size)}
        for index, text in enumerate(body["input"])
    ]
    used = sum(map(count_text, body["input"]))
    return {
        "object": "list",
        "model": body["model"],
        "data": rows[::-1],
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def vector(text: str, size: int) -> list[float]:
    """A vector of unit length that the text alone decides."""
    raw = hashlib.shake_128(text.encode()).digest(size)
    values = [byte - 127.5 for byte in raw]
    norm = math.hypot(*values)
    return [value / norm for value in values]
