"""Models that do not ask us for attention: they run with a cache of transformers' kind, row by row.

Dense, or with sinks where a key does not know its position (ALiBi). Recurrent state cannot lose tokens, so
such models stay dense. `Engine.stats()` says which of these it is, and why.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence as Items
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from contextkit.errors import EngineError, UnsupportedModel
from contextkit_backends.local.engine.alibi import (
    SinkLayer,
    keys_are_free_of_position,
    sink_cache,
)
from contextkit_backends.local.engine.settings import EngineSettings


class UnpagedSequence:
    """One sequence with a cache of its own; the same verbs as a paged one."""

    def __init__(self, cache: Any, window: int | None, sinks: int) -> None:
        self.cache: Any = cache
        self.window, self.sinks = window, sinks
        self.length = 0
        self.kept: list[int] = []
        """Positions of the cache's entries, oldest first; empty where the cache keeps everything."""

    @property
    def n_cached(self) -> int:
        """Tokens that the next one sees without itself."""
        return len(self.kept) if self.window is not None else self.length

    def room(self) -> int | None:
        """New tokens that can be read at once so that each sees what it would see alone."""
        if self.window is None:
            return None
        return max(1, self.sinks + self.window + 1 - len(self.kept))

    def commit(self, n: int) -> None:
        """`n` tokens were read."""
        start, self.length = self.length, self.length + n
        if self.window is None:
            return
        self.kept += range(start, self.length)
        if len(self.kept) > self.sinks + self.window:
            self.kept = self.kept[: self.sinks] + self.kept[-self.window :]

    def evict(self, start: int, stop: int) -> None:
        """Positions `start … stop - 1` leave the cache."""
        if self.window is None:
            raise UnsupportedModel(
                "evict: this model keeps its cache whole; begin a new stream instead"
            )
        if not 0 <= start < stop <= self.length:
            raise EngineError(f"evict: {start} … {stop} is no range of {self.length} tokens")
        gone = [n for n, position in enumerate(self.kept) if start <= position < stop]
        if gone:
            for layer in self.cache.layers:
                layer.drop(gone[0], gone[-1] + 1)
            del self.kept[gone[0] : gone[-1] + 1]

    def fork(self) -> UnpagedSequence:
        """The same past in a cache of its own."""
        twin = UnpagedSequence(copy.deepcopy(self.cache), self.window, self.sinks)
        twin.length, twin.kept = self.length, [*self.kept]
        return twin

    def close(self) -> None:
        """Let the cache go."""
        self.cache, self.kept, self.length = None, [], 0


class Unpaged:
    """A model that runs with transformers' caches; `fallback` names how, `why` the reason."""

    def __init__(self, model: Any, settings: EngineSettings, why: str) -> None:
        self.model, self.settings, self.why = model, settings, why
        self.n_computed = 0
        kind: Any = model.__class__
        self._takes = inspect.signature(kind.forward).parameters
        if settings.kv != "bf16":
            raise UnsupportedModel(f"kv: {settings.kv} needs pages, and {why}; use kv=bf16")
        if settings.window is None:
            self.fallback = "transformers' cache, dense"
            return
        recurrent = bool(model._is_stateful)
        if recurrent or not keys_are_free_of_position(model):
            reason = (
                "its state cannot lose tokens" if recurrent else "its keys carry their position"
            )
            raise UnsupportedModel(
                f"window: {model.config.model_type} cannot stream with sinks: {why}, and {reason}; "
                "load it without a window"
            )
        self.fallback = "sink layer"

    def open(self, salt: str = "") -> UnpagedSequence:
        """An empty sequence; nothing is shared between sequences, so `salt` is without effect."""
        window = self.settings.window
        if window is None:
            return UnpagedSequence(None, None, 0)
        n_layers = self.model.config.get_text_config().num_hidden_layers
        sinks = self.settings.sinks
        return UnpagedSequence(sink_cache(n_layers, sinks, window), window, sinks)

    def read(self, sequence: UnpagedSequence, token_ids: Items[int], *, every: bool) -> Tensor:
        """Logits fp32 `[n, vocab]` of every new token, or `[1, vocab]` of the last one."""
        found: list[Tensor] = []
        place = 0
        while place < len(token_ids):
            room = sequence.room() or self.settings.chunk_tokens
            part = token_ids[place : place + min(room, self.settings.chunk_tokens)]
            place += len(part)
            logits = self._forward(sequence, part)
            if every or place == len(token_ids):
                found.append(logits if every else logits[-1:])
        return torch.cat(found)

    def _forward(self, sequence: UnpagedSequence, token_ids: Items[int]) -> Tensor:
        ids = torch.tensor([[*token_ids]], device=self.model.device)
        name = "cache_params" if "cache_params" in self._takes else "past_key_values"
        if sequence.cache is None and name == "past_key_values":
            sequence.cache = DynamicCache(config=self.model.config)
        with torch.inference_mode():
            output = self.model(input_ids=ids, use_cache=True, **{name: sequence.cache})
        sequence.cache = output.get(name)
        sequence.commit(len(token_ids))
        self.n_computed += len(token_ids)
        logits: Tensor = output.logits[0].float()
        return logits


__all__ = ["SinkLayer", "Unpaged", "UnpagedSequence"]
