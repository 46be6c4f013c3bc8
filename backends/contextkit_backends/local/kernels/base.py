"""What the attention kernels are given: block tables, packed pages, the key bias.

Key `j` of a row is visible to its query at position `t` where `j <= t` and (`j < head` or `j >= low(t)`)
with `low(t) = max(floor, t - window)`. Keys of the head are answered by the query rotated back by
`gap(t) = max(0, low(t) - head)`, which the caller passes as `q_head`: distances are then as if what left
had never been there (StreamingLLM, arXiv:2309.17453).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PagedMeta:
    """Where the keys of each batch row lie. Tensors of the pool's device, for `rows` sequences.

    Entry `i` of a row of `table` holds the block of positions that starts at `i * P` (`i < n_head_pages`)
    or at `(tail_first + i - n_head_pages) * P`. A row of `length` 0 is padding: it sees nothing and its
    output is zero.
    """

    table: Any  # int32 [rows, max_pages]: page identifiers, the head's first; padded with 0
    n_head_pages: Any  # int32 [rows]
    tail_first: Any  # int32 [rows]: block of the first tail entry, never below n_head_pages
    length: Any  # int64 [rows]: keys written; the newest query stands at length - 1
    head: Any  # int32 [rows]: positions below are always visible
    floor: Any  # int64 [rows]: positions from the head to here have been evicted
    window: int | None = None  # how many tokens before the query are visible
    is_packed: Any = (
        None  # bool or int8 [rows, max_pages]: 1 a page of the packed pool, 2 of the short
    )
    head_windowed: bool = (
        False  # a layer's own window bounds the head too (an engine without sinks)
    )


@dataclass(frozen=True, slots=True)
class KeyBias:
    """The bias of a key projection, which packed keys lack: its score is restored in the kernel.

    A key at `p0 + m` of a page that begins at `p0` lost `R(p0 + m) b = R(p0) table[m]`, with
    `R(p0) x = cos * x + sin * turn(x)` and `turn` the quarter turn of every rotated pair.
    """

    table: Any  # [n_kv_heads, P, D]: R(m) b, zero angle where a channel is not rotated
    cos: Any  # fp32 [n_packed_pages, D]: of each packed page's first position; 1 where not rotated
    sin: Any  # fp32 [n_packed_pages, D]; 0 where not rotated
    rotary_dim: int
    interleaved: bool = False  # pairs are (0, 1), (2, 3) … and not (0, r/2), (1, r/2 + 1) …

    def turn(self, x: Any) -> Any:
        """The quarter turn of every rotated pair of the last axis; other channels give 0."""
        import torch

        rotated = x[..., : self.rotary_dim]
        out = torch.zeros_like(x)
        if self.interleaved:
            out[..., 0 : self.rotary_dim : 2] = -rotated[..., 1::2]
            out[..., 1 : self.rotary_dim : 2] = rotated[..., 0::2]
            return out
        half = self.rotary_dim // 2
        out[..., :half] = -rotated[..., half:]
        out[..., half : self.rotary_dim] = rotated[..., :half]
        return out


@dataclass(frozen=True, slots=True)
class PackedPages:
    """The packed pool of one layer: 4-bit keys on a grid for each channel and page, 8-bit values.

    A key is `scale * (zero + code)` with codes 0 … 15: the low nibble of byte `d` is channel `d`, the high
    one channel `d + D/2`. The four bytes of `key_grid[..., d, :]` are the scales of these two channels and
    their zeros. A scale's byte is the exponent and the first three bits of the mantissa of an fp16 number
    (bits 7 to 14); a zero's byte is 128 more than it. A value is `scale * (code - 128)` with codes
    1 … 255. The kernels are fastest where `values` has its tokens contiguous:
    `torch.empty(n, Hkv, Dv, P).transpose(2, 3)`.
    """

    keys: Any  # uint8 [n_packed_pages, n_kv_heads, P, D/2]
    key_grid: Any  # uint8 [n_packed_pages, n_kv_heads, D/2, 4]
    values: Any  # uint8 [n_packed_pages, n_kv_heads, P, Dv], any strides
    value_scale: Any  # fp16 or fp32 [n_packed_pages, n_kv_heads, P]
    bias: KeyBias | None = None
    # in full precision, the sinks of sequences whose last page of sinks has nothing else to show
    short_keys: Any = None  # [n_short, n_kv_heads, n_sinks, D]
    short_values: Any = None  # [n_short, n_kv_heads, n_sinks, Dv]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a layer turns products into weights."""

    scale: float
    softcap: float | None = None  # cap * tanh(score / cap)
    sink_logits: Any = None  # [n_heads]: one more column of the softmax's denominator
    layer_window: int | None = None  # the layer's own window, itself counted
