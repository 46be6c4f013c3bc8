"""Attention over pages: Triton kernels on a GPU, plain torch elsewhere.

Everything here needs torch alone until a tensor lies on a GPU; then Triton is imported. Positions,
visibility and the shapes of the pool are in `base`.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from typing import Any

from . import plain
from .base import KeyBias, PackedPages, PagedMeta, Scoring

__all__ = [
    "KeyBias",
    "PackedPages",
    "PagedMeta",
    "Scoring",
    "decode",
    "dense_prefill",
    "prefill",
    "slots_of",
    "write",
]

PLANNED_TOKENS = 8192
SHORT_TOKENS = 1024


def decode(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    meta: PagedMeta,
    *,
    scale: float,
    softcap: float | None = None,
    sink_logits: Any = None,
    layer_window: int | None = None,
    packed: PackedPages | None = None,
) -> Any:
    """One query a row: `[rows, n_heads, D] -> [rows, n_heads, Dv]`.

    `q_head` is the query rotated back by `gap(t)`, for keys below `head`; None where no row has a head.
    `keys` `[n_pages, n_kv_heads, P, D]`; with `packed`, entries that `meta.is_packed` marks are its pages.
    Nothing waits for the GPU, and the grid depends on shapes alone: calls can be captured in a graph.
    """
    scoring = Scoring(scale, softcap, sink_logits, layer_window)
    if not q.is_cuda:
        return plain.decode(q, q_head, keys, values, meta, scoring, packed)
    if packed is not None and meta.is_packed is not None:
        from .packed_decode import decode_packed

        return decode_packed(q, q_head, keys, values, packed, meta, scoring)
    from .paged_decode import decode_paged

    return decode_paged(q, q_head, keys, values, meta, scoring)


def prefill(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    meta: PagedMeta,
    first_position: int,
    *,
    scale: float,
    softcap: float | None = None,
    sink_logits: Any = None,
    layer_window: int | None = None,
    packed: PackedPages | None = None,
) -> Any:
    """Queries of one row at `first_position …`, whose own keys are in the pages already.

    `[n, n_heads, D] -> [n, n_heads, Dv]`; `meta` has one row, with `length == first_position + n`.
    """
    scoring = Scoring(scale, softcap, sink_logits, layer_window)
    packed = packed if meta.is_packed is not None else None  # no entry is packed
    if not q.is_cuda:
        return plain.prefill(q, q_head, keys, values, meta, first_position, scoring, packed)
    from .paged_prefill import prefill_paged

    return prefill_paged(q, q_head, keys, values, packed, meta, first_position, scoring)


def dense_prefill(q: Any, k: Any, v: Any, *, scale: float) -> Any:
    """Causal attention of fresh sequences over themselves: `[rows, n, n_heads, D]` to `[…, Dv]`."""
    import torch

    if not q.is_cuda and q.dtype == torch.bfloat16 and q.shape[1] <= SHORT_TOKENS:
        from .dense import causal

        return causal(q, k, v, scale)
    with _planless() if q.is_cuda and q.shape[1] < PLANNED_TOKENS else nullcontext():
        out = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            is_causal=True,
            scale=scale,
            enable_gqa=q.shape[2] != k.shape[2],
        )
    return out.transpose(1, 2)


def _planless() -> Any:
    """Every backend but cuDNN, which spends 30 ms on a plan for each new shape."""
    attention: Any = importlib.import_module("torch.nn.attention")
    kinds = attention.SDPBackend
    return attention.sdpa_kernel([kinds.FLASH_ATTENTION, kinds.EFFICIENT_ATTENTION, kinds.MATH])


def slots_of(slots: Any, page_tokens: int) -> Any:
    """What `write` is told, once for all layers: slots are `page * P + offset`, negative for padding."""
    return slots if slots.is_cuda else plain.slots_of(slots, page_tokens)


def write(keys_pool: Any, values_pool: Any, k: Any, v: Any, slots: Any) -> None:
    """Write `k`, `v` `[n, n_kv_heads, D]` to what `slots_of` made of their slots."""
    if not k.is_cuda:
        plain.write(keys_pool, values_pool, k, v, slots)
        return
    from .slot_write import write_slots

    write_slots(keys_pool, values_pool, k, v, slots)
