"""Exact counts for OpenAI's chat models, from the rank files that ship with the package.

A text message is 3 tokens, its role, its content, and its name with 1 more; a call ends with 3
tokens that prime the reply (OpenAI cookbook, "How to count tokens with tiktoken"). What OpenAI does
not document is counted by the likeliest reading, and the upper end leaves room for others.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from contextkit.messages import Message
from contextkit.tokens.base import Measure
from contextkit.tokens.images import OpenAITiles
from contextkit.tokens.material import Material, message_material
from contextkit.tokens.rank_files import load_encoding
from contextkit.tokens.split import CHUNK_CHARACTERS, HARD_CUT_TOKENS, chunks, n_hard_cuts
from contextkit.tokens.tool_schemas import cookbook_material, json_material
from contextkit.tools import Tool

MESSAGE_TOKENS = 4
"""3 for the message and 1 for its role: every role is one token in both encodings."""
REPLY_TOKENS = 3
_MEMO_ENTRIES = 16_384


class TiktokenCounter:
    """Counts with `o200k_base` (gpt-4o and later) or `cl100k_base` (gpt-4, gpt-3.5).

    A measure is (tokens, upper). Special-token text such as `<|endoftext|>` counts as the ordinary
    text it is. Measures are remembered by message digest, the newest 16,384 of them.
    """

    def __init__(self, encoding: str = "o200k_base", tiles: OpenAITiles | None = None) -> None:
        self._encoding = load_encoding(encoding)
        self._tiles = tiles or OpenAITiles()
        self._function_tokens = 7 if encoding == "o200k_base" else 10
        suffix = f"/tiles{self._tiles.base}+{self._tiles.tile}" if tiles else ""
        self._name = f"tiktoken/{encoding}/openai-chat/1{suffix}"
        self._memo: OrderedDict[bytes, Measure] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """Encoding, wire form and version of the counting rule."""
        return self._name

    @property
    def exact(self) -> bool:
        return True

    @property
    def zero(self) -> Measure:
        return (0, 0)

    def count(self, text: str) -> int:
        """The tokens of a bare text; a very long line is off by at most 2 per 32,768 characters."""
        encode = self._encoding.encode_ordinary
        if len(text) <= CHUNK_CHARACTERS:
            return len(encode(text))
        return sum(len(encode(chunk)) for chunk in chunks(text))

    def measure(self, message: Message) -> Measure:
        """(tokens, upper) of a message; zero where it is empty and so is not sent."""
        digest = message.digest
        with self._lock:
            known = self._memo.get(digest)
            if known is not None:
                self._memo.move_to_end(digest)
                return known
        measure = self._price(message_material(message, "openai-chat", self._tiles.cost))
        with self._lock:
            self._memo[digest] = measure
            if len(self._memo) > _MEMO_ENTRIES:
                self._memo.popitem(last=False)
        return measure

    def measure_frame(self, tools: Sequence[Tool]) -> Measure:
        """Reply priming and tool schemas; the upper end is also no less than their compact JSON."""
        if not tools:
            return (REPLY_TOKENS, REPLY_TOKENS)
        tokens, upper = self._price(cookbook_material(tools, self._function_tokens))
        _, as_json = self._price(json_material(tools))
        return (REPLY_TOKENS + tokens, REPLY_TOKENS + max(upper, as_json))

    def tokens(self, measure: Measure) -> int:
        """The count itself."""
        return measure[0]

    def upper(self, measure: Measure) -> int:
        """The count and the slack for what OpenAI does not document."""
        return measure[1]

    def observe(self, measure: Measure, actual_tokens: int) -> None:
        """Nothing is learned: the count is the tokenizer's own."""

    def state(self) -> str:
        return ""

    def restore(self, state: str) -> None:
        """Nothing was learned, so nothing is restored."""

    def _price(self, material: Material) -> Measure:
        tokens = MESSAGE_TOKENS * material.messages + material.known
        tokens += sum(map(self.count, material.texts))
        long = [text for text in material.texts if len(text) > CHUNK_CHARACTERS]
        slack = material.slack + HARD_CUT_TOKENS * sum(map(n_hard_cuts, long))
        return (tokens, tokens + slack)
