"""Sinks for models that weigh keys by their place in the cache and call no attention interface.

ALiBi (Press et al. 2022) takes the distance from the cache's order, so dropping entries is all there is to
do: what remains is as near as if nothing had stood between. Where keys carry their position this would be
wrong, and `keys_are_free_of_position` finds that out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class SinkLayer(DynamicLayer):
    """Holds `sinks` first entries and the last `window`; answers with them and the new ones."""

    def __init__(self, sinks: int, window: int) -> None:
        base: Any = super()
        base.__init__()
        self.sinks, self.window = sinks, window

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """All entries with the new ones; what left the window is gone at the next call."""
        base: Any = super()
        keys, values = base.update(key_states, value_states, *args, **kwargs)
        n = keys.shape[-2]
        if n > self.sinks + self.window:
            self.drop(self.sinks, n - self.window)
        return keys, values

    def drop(self, start: int, stop: int) -> None:
        """Entries `start … stop - 1` leave."""
        assert self.keys is not None
        assert self.values is not None
        self.keys, self.values = (
            torch.cat((x[..., :start, :], x[..., stop:, :]), dim=-2)
            for x in (self.keys, self.values)
        )


def sink_cache(n_layers: int, sinks: int, window: int) -> Cache:
    """A cache of sink layers for a model of `n_layers`."""
    return Cache(layers=[SinkLayer(sinks, window) for _ in range(n_layers)])


def keys_are_free_of_position(model: Any) -> bool:
    """Whether a token's key in the first layer is the same wherever the token stands."""
    cache: Any = DynamicCache(config=model.config)
    twice = torch.ones((1, 2), dtype=torch.int64, device=model.device)
    with torch.inference_mode():
        model(input_ids=twice, past_key_values=cache, use_cache=True)
    keys: Tensor = cache.layers[0].keys
    return bool(torch.allclose(keys[..., 0, :].float(), keys[..., 1, :].float(), atol=1e-5))
