"""transformers' cache interface over the engine's pages.

Keys and values go into the pool where attention is computed, so `update` hands back what it was given.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class PoolLayer(CacheLayerMixin):
    """One layer that holds nothing itself; lengths are its cache's."""

    is_sliding = False

    def __init__(self, cache: PagedCache, index: int) -> None:
        base: Any = super()
        base.__init__()
        self.cache, self.index = cache, index

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """There is nothing to prepare."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """The new keys and values, untouched; the attention function, called next, writes them."""
        self.cache.before_attention(self.index)
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Masks are computed from positions; transformers is told the plain causal size."""
        return self.cache.n_seen + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens read so far."""
        self.cache.n_asked += 1
        return self.cache.n_seen

    def get_max_length(self) -> int:
        """No maximum of its own."""
        return -1


class PagedCache(Cache):
    """What the engine passes as `past_key_values` to a model whose attention it answers."""

    def __init__(self, n_layers: int) -> None:
        super().__init__(layers=[PoolLayer(self, index) for index in range(n_layers)])
        self.n_seen = 0
        """Tokens read, padding counted; the position that the model is told."""
        self.n_asked = 0

    def before_attention(self, layer: int) -> None:
        """`layer` will ask for attention next."""
