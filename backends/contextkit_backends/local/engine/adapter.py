"""From a transformers model to one whose every attention layer asks us, or why that cannot be.

Nothing here knows a model by name. The model is run on one token and watched: which layers call the
attention function, with which shapes, and how their queries turn when the position changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from contextkit.errors import UnsupportedModel
from contextkit_backends.local.engine.cache import PagedCache
from contextkit_backends.local.engine.context import NAME, Call, register, running
from contextkit_backends.local.engine.rope import Rope, find_rope, replace_rotary
from contextkit_backends.local.load import require

SHIFT = 7
"""Positions by which the probe moves its token; the shortest learned table has more."""


@dataclass(frozen=True, eq=False)
class AttentionLayer:
    """One attention layer as it was seen: heads, dimensions of a key and a value, rotation."""

    index: int
    n_heads: int
    n_kv_heads: int
    key_dim: int
    value_dim: int
    rope: Rope | None
    """None: its queries move with the position in a way that is not understood."""
    window: int | None
    """The layer's own sliding window, the token itself counted."""
    key_bias: Tensor | None
    """`[Hkv, D]` where keys are a linear layer's output, only rotated after; the part all keys share."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A model that asks us. `no_sinks` says why its cache cannot lose tokens; empty where it can."""

    model: Any
    layers: tuple[AttentionLayer, ...]
    no_sinks: str
    adds_positions: bool
    """Positions are added to the tokens, from a table that may end."""
    one_row: bool
    """Its layers count positions by the cache, so rows cannot be packed into one batch."""
    undo: Callable[[], None]


class Bypassed(Exception):
    """The model does not ask us; the message says in which way."""


def adapt(model: Any, *, context_tokens: int | None) -> Adapted:
    """Make `model` ask for attention here. Bypassed, and the model left as it was, where it does not.

    Raises UnsupportedModel where it is no decoder-only language model.
    """
    text = model.config.get_text_config()
    if model.config.is_encoder_decoder or not hasattr(model, "get_output_embeddings"):
        raise UnsupportedModel(
            f"model: {model.config.model_type} is no decoder-only language model"
        )
    if model._is_stateful:
        raise Bypassed("it has recurrent layers, whose state cannot be paged or rewound")
    kind: Any = model.__class__
    if "position_ids" not in inspect.signature(kind.forward).parameters:
        raise Bypassed("its forward takes no position_ids")
    own = model.config._attn_implementation
    register(require("transformers"))
    model.set_attn_implementation(NAME)
    undo_rotary = replace_rotary(model, context_tokens)

    def undo() -> None:
        undo_rotary()
        model.set_attn_implementation(own)

    try:
        return _watch(model, text.num_hidden_layers, undo)
    except Bypassed:
        undo()
        raise


def _watch(model: Any, n_layers: int, undo: Callable[[], None]) -> Adapted:
    still = _probe(model, true=0, told=0)
    moved = _probe(model, true=SHIFT, told=0)
    both = _probe(model, true=SHIFT, told=SHIFT)
    if len(still.seen) != n_layers:
        raise Bypassed(
            f"{len(still.seen)} of its {n_layers} attention layers call transformers' attention interface"
        )
    biases = _key_biases(model)
    layers: list[AttentionLayer] = []
    for index, seen in sorted(still.seen.items()):
        rope = find_rope(model, seen.query, moved.seen[index].query, SHIFT)
        bias = biases.get(index)
        shape = (seen.n_kv_heads, seen.query.shape[-1])
        if bias is not None and bias.numel() == shape[0] * shape[1]:
            bias = bias.detach().view(shape)
        else:
            bias = None
        layers.append(
            AttentionLayer(
                index, seen.query.shape[1], *shape, seen.value_dim, rope, seen.call.window, bias
            )
        )
    adds = _adds_positions(moved, both)
    return Adapted(model, tuple(layers), _no_sinks(layers, adds), adds, still.counts, undo)


def _adds_positions(moved: _Probe, both: _Probe) -> bool:
    """Whether a query still moves with the position that the model is told, past its rotation."""
    pairs = ((seen.query.float(), both.seen[n].query.float()) for n, seen in moved.seen.items())
    return not all(torch.allclose(a, b, atol=1e-5, rtol=1e-2) for a, b in pairs)


def _no_sinks(layers: list[AttentionLayer], adds_positions: bool) -> str:
    """Why the distance between a query and the sinks cannot be chosen, or nothing."""
    if adds_positions:
        return "its positions are added to its tokens (learned or sinusoidal), not to its attention"
    lost = [layer.index for layer in layers if layer.rope is None]
    if lost:
        return f"how the queries of its layer {lost[0]} are rotated could not be found out"
    return ""


@dataclass(frozen=True, eq=False)
class _Seen:
    query: Tensor
    n_kv_heads: int
    value_dim: int
    call: Call


@dataclass(eq=False)
class _Probe:
    """Records what each layer asks for one token, which attends to itself alone."""

    positions: Tensor | None
    seen: dict[int, _Seen] = field(default_factory=dict[int, _Seen])
    cache: Any = None
    _n_asked: int = 0

    @property
    def counts(self) -> bool:
        """Whether layers asked the cache how long it is."""
        return bool(self.cache.n_asked > self._n_asked)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, call: Call) -> Tensor:
        if layer in self.seen:
            raise Bypassed(f"layer {layer} attends twice in one forward pass")
        if not self.seen:
            self._n_asked = self.cache.n_asked
        n_kv_heads, value_dim = value.shape[1], value.shape[-1]
        self.seen[layer] = _Seen(query[0].transpose(0, 1).clone(), n_kv_heads, value_dim, call)
        return value.repeat_interleave(query.shape[1] // n_kv_heads, dim=1).transpose(1, 2)


def _probe(model: Any, *, true: int, told: int) -> _Probe:
    def at(position: int) -> Tensor:
        return torch.tensor([[position]], device=model.device)

    probe = _Probe(at(true))
    probe.cache = PagedCache(model.config.get_text_config().num_hidden_layers)
    token = torch.ones((1, 1), dtype=torch.int64, device=model.device)
    with torch.inference_mode(), running(probe):
        model(input_ids=token, position_ids=at(told), past_key_values=probe.cache, use_cache=True)
    return probe


def _key_biases(model: Any) -> dict[int, Tensor]:
    """Biases of the key projections by layer, where nothing but the rotation comes after them."""
    found: dict[int, Tensor] = {}
    for module in model.modules():
        projection = getattr(module, "k_proj", None)
        normed = any(hasattr(module, name) for name in ("k_norm", "k_layernorm", "qk_norm"))
        if hasattr(module, "layer_idx") and not normed:
            bias = getattr(projection, "bias", None)
            if isinstance(bias, Tensor):
                found[module.layer_idx] = bias
    return found
