"""Text to token ids and back for plain prompts; no chat template is needed or applied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from contextkit_backends.local.load import require
from contextkit_backends.local.tokenizer import read_tokenizer_json


class PlainTokenizer:
    """The tokenizer of a checkpoint's folder, control tokens in a prompt read as such."""

    def __init__(self, tokenizer_json: str) -> None:
        self.source = tokenizer_json
        self._tokenizer: Any = require("tokenizers").Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @classmethod
    def read(cls, folder: Path) -> PlainTokenizer:
        """Raises ConfigError where the folder has none that is usable."""
        return cls(read_tokenizer_json(folder))

    def encode(self, text: str) -> list[int]:
        """The ids of a prompt, with what the checkpoint puts around every text."""
        return list(self._tokenizer.encode(text).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, control tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
