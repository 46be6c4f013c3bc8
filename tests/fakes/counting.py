"""How the fake providers count and cache: their own count, independent of contextkit's."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import tiktoken

_RANKS = Path(__file__).parents[2] / "contextkit" / "data" / "tiktoken"


@cache
def encoding() -> tiktoken.Encoding:
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(_RANKS)
    try:
        return tiktoken.get_encoding("o200k_base")
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


@cache
def count_text(text: str) -> int:
    return len(encoding().encode(text, disallowed_special=()))


def count_openai(body: dict[str, Any]) -> int:
    """OpenAI's published formula for chat messages and functions (cookbook, o200k models)."""
    return (
        3 + count_openai_tools(body.get("tools") or []) + sum(map(openai_message, body["messages"]))
    )


def openai_message(message: dict[str, Any]) -> int:
    total = 3
    for key, value in message.items():
        if key == "tool_calls":
            for call in value:
                total += 3 + count_text(call["function"]["name"])
                total += count_text(call["function"]["arguments"])
        elif isinstance(value, list):
            total += sum(count_text(part.get("text", "")) for part in value)
        elif value and key != "tool_call_id":
            total += count_text(value) + (key == "name")
    return total


def count_openai_tools(tools: list[dict[str, Any]]) -> int:
    total = 12 if tools else 0
    for tool in tools:
        function = tool["function"]
        described = f"{function['name']}:{function.get('description', '').rstrip('.')}"
        total += 7 + count_text(described)
        properties = function.get("parameters", {}).get("properties", {})
        total += 3 if properties else 0
        for name, schema in properties.items():
            described = f"{name}:{schema.get('type')}:{schema.get('description', '').rstrip('.')}"
            total += 3 + count_text(described)
            total += sum(3 + count_text(str(item)) for item in schema.get("enum", ())) - (
                3 if "enum" in schema else 0
            )
    return total


def count_json(value: Any) -> int:
    """For wire forms without a published formula: the text of all values and a little for each block."""
    if isinstance(value, str):
        return count_text(value)
    if isinstance(value, dict):
        return 3 + sum(
            count_json(v)
            for k, v in value.items()
            if k not in ("cache_control", "signature", "type")
        )
    if isinstance(value, list):
        return sum(map(count_json, value))
    return 1 if value is not None else 0


FIVE_MINUTES = 300.0


class PrefixCache:
    """Remembers exact prefixes for a while, as provider caches do. `now` is moved on by the test."""

    def __init__(self) -> None:
        self.now = 0.0
        self._known: dict[str, tuple[float, float]] = {}

    def is_live(self, key: str) -> bool:
        last_used, lifetime = self._known.get(key, (float("-inf"), 0.0))
        return self.now - last_used <= lifetime

    def renew(self, key: str) -> None:
        """A read keeps an entry for as long again as it was written for."""
        self._known[key] = (self.now, self._known[key][1])

    def write(self, key: str, lifetime: float = FIVE_MINUTES) -> None:
        """An entry, where there is none that still holds."""
        if self.is_live(key):
            self.renew(key)
        else:
            self._known[key] = (self.now, lifetime)


def cached_prefix(cache: PrefixCache, keys: list[str], totals: list[int]) -> int:
    """Tokens of the longest prefix that an earlier request had; all prefixes of this one are kept."""
    hits = [i for i, key in enumerate(keys) if cache.is_live(key)]
    for key in keys:
        cache.write(key)
    return totals[hits[-1]] if hits else 0


def prefix_keys(model: str, pieces: list[Any]) -> list[str]:
    """A key for every prefix of the pieces."""
    state = hashlib.sha256(model.encode())
    keys: list[str] = []
    for piece in pieces:
        state.update(json.dumps(piece, sort_keys=True).encode())
        keys.append(state.hexdigest())
    return keys
