"""Replies that keep to a JSON schema: before every token, the tokens that may not follow are masked.

The grammar is llguidance's (extra `structured`); where a schema asks for something that it cannot
hold to, ConfigError says so before the model is asked.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from contextkit.errors import ConfigError

Schema = Mapping[str, Any]


class Grammars:
    """Makes constraints for the vocabulary of one tokenizer; `tokenizer_json` is its file's text."""

    def __init__(self, tokenizer_json: str, eos: Iterable[int]) -> None:
        self._guidance = _guidance()
        self._eos = sorted(eos)
        if not self._eos:
            raise ConfigError("json_schema: the model names no end token, so a reply cannot end")
        self._tokenizer: Any = self._guidance.LLTokenizer(tokenizer_json, eos_token=self._eos)

    def constraint(self, schema: Schema) -> JsonConstraint:
        """A fresh constraint, for one reply. Raises ConfigError for a schema that cannot be held."""
        kind = self._guidance.LLMatcher
        try:
            matcher = kind(self._tokenizer, kind.grammar_from_json_schema(json.dumps(schema)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"json_schema: no JSON schema: {error}") from error
        if matcher.is_error():
            raise ConfigError(f"json_schema: {' '.join(matcher.get_error().split())}")
        return JsonConstraint(matcher)


class JsonConstraint:
    """What one reply may still say."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def mask(self, logits: Any) -> Any:
        """`logits` [vocabulary] with -inf for every token that may not come next."""
        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (packed.unsqueeze(-1) >> torch.arange(8, dtype=torch.uint8)) & 1
        allowed = torch.zeros(logits.shape[-1], dtype=torch.bool)
        n_known = min(allowed.numel(), bits.numel())
        allowed[:n_known] = bits.flatten()[:n_known].bool()
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))

    def take(self, token: int) -> None:
        """Go on behind a token that the mask allowed."""
        if not self._matcher.consume_token(token):
            raise ConfigError(
                f"json_schema: {self._matcher.get_error() or 'the reply is at its end'}"
            )

    @property
    def complete(self) -> bool:
        """Whether nothing may follow any more."""
        return bool(self._matcher.is_stopped())


def _guidance() -> Any:
    try:
        return importlib.import_module("llguidance")
    except ImportError as error:
        raise ConfigError(
            'json_schema: llguidance is not installed; pip install "contextkit[structured]"'
        ) from error
