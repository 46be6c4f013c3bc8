"""INT4 keys and INT8 values of full pages; the kernels read them back (`kernels.plain.dequantise`).

Keys: 4 bits, one scale and one zero for each channel of each page (KIVI, arXiv:2402.02750), after the
constant part of the key (its projection's bias, rotated to the token's position) has been taken off, since
rotation smears a large bias over the range of a fast channel. Attention adds that part's score again.
Scale and zero are a byte each: the scale has 3 bits of mantissa, the zero is a whole number of scales.
Values: 8 bits, symmetric, one float16 scale for each token. Codes are chosen against the rounded scales.
A page is quantised once, when it is full. Shapes are in `PackedPages`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from contextkit_backends.local.engine.memory import zeros
from contextkit_backends.local.engine.rope import Rope
from contextkit_backends.local.kernels.base import KeyBias, PackedPages
from contextkit_backends.local.kernels.plain import scale_of


def empty_packed(
    n_pages: int, n_heads: int, page_tokens: int, key_dim: int, value_dim: int, *, device: Any
) -> PackedPages:
    """Room for `n_pages` quantised pages of one layer, zeroed; the tokens of values lie side by side."""

    def room(*shape: int, dtype: Any) -> Any:
        return zeros((n_pages, n_heads, *shape), dtype, torch.device(device))

    return PackedPages(
        keys=room(page_tokens, key_dim // 2, dtype=torch.uint8),
        key_grid=room(key_dim // 2, 4, dtype=torch.uint8),
        values=room(value_dim, page_tokens, dtype=torch.uint8).transpose(2, 3),
        value_scale=room(page_tokens, dtype=torch.float16),
    )


def packed_bytes(packed: PackedPages) -> int:
    """Bytes of quantised pages, scales included."""
    total: int = sum(tensor.nbytes for tensor in _tensors(packed))
    return total


def store(room: PackedPages, pages: Any, packed: PackedPages) -> None:
    """Write quantised pages to the places `pages [n]` of a packed pool."""
    for place, part in zip(_tensors(room), _tensors(packed), strict=True):
        place[pages] = part


def page_angles(rope: Rope, positions: Any, dim: int) -> tuple[Any, Any]:
    """Cosine and sine float32 `[n, dim]` of each channel at `positions [n]`; 1 and 0 where unrotated."""
    cos, sin = rope.cos_sin(positions)
    rest = dim - 2 * len(rope.frequencies)

    def spread(x: Any, fill: float) -> Any:
        x = x.squeeze(1)
        paired = torch.cat((x, x), -1) if rope.pairing == "halves" else x.repeat_interleave(2, -1)
        return torch.cat((paired, paired.new_full((len(x), rest), fill)), -1)

    return spread(cos, 1.0), spread(sin, 0.0)


def key_bias(bias: Any, rope: Rope, page_tokens: int, cos: Any, sin: Any) -> KeyBias:
    """What a layer's kernel restores for `bias [heads, D]`, rotated to each place in a page.

    `cos` and `sin` `[n_packed_pages, D]` are those of each packed page's first position.
    """
    bias = bias.float() * rope.scaling
    n_rotated = 2 * len(rope.frequencies)
    found = KeyBias(bias, cos, sin, n_rotated, interleaved=rope.pairing == "interleaved")
    places = torch.arange(page_tokens, device=bias.device)
    at, by = page_angles(rope, places, bias.shape[-1])
    return replace(found, table=bias.unsqueeze(-2) * at + found.turn(bias).unsqueeze(-2) * by)


def centre(bias: KeyBias, pages: Any) -> Any:
    """What leaves the keys of packed pages `[n]`: the bias at each token's position `[n, heads, P, D]`."""
    cos, sin = bias.cos[pages, None, None], bias.sin[pages, None, None]
    return bias.table * cos + bias.turn(bias.table) * sin


def quantise(keys: Any, values: Any, offset: Any | None = None) -> PackedPages:
    """Full pages `[n, heads, P, D]` and `[n, heads, P, Dv]`; `offset`, shaped as they, leaves the keys."""
    rest = keys.float() if offset is None else keys.float() - offset
    codes, grid = _on_grid(rest)
    half = codes.shape[-1] // 2
    nibbles = codes[..., :half] | codes[..., half:] << 4
    value_scale = (values.float().abs().amax(-1) / 127).half()
    value_codes = _divide(values.float(), value_scale.unsqueeze(-1)).round().clamp(-127, 127) + 128
    return PackedPages(nibbles, grid, value_codes.to(torch.uint8), value_scale)


def _on_grid(keys: Any) -> tuple[Any, Any]:
    """Codes `[..., P, D]` and the grid's bytes `[..., D/2, 4]` of keys `[..., P, D]`.

    The scale is rounded up: a smaller one, which cuts a channel's ends, has less squared error and a
    higher perplexity.
    """
    low, high = keys.amin(-2), keys.amax(-2)
    step = torch.maximum((high - low) / 15, torch.maximum(-low / 128, high / 142))
    bits = step.half().view(torch.int16).to(torch.int32)
    scale_byte = ((bits + 127) >> 7).clamp(0, 247).to(torch.uint8)
    scale = scale_of(scale_byte)
    zero = _divide(low, scale).round().clamp(-128, 127)
    codes = _divide(keys, scale.unsqueeze(-2)).round() - zero.unsqueeze(-2)
    grid = torch.stack((scale_byte, (zero + 128).to(torch.uint8)), -1)
    half = grid.shape[-2] // 2
    grid = torch.stack((grid[..., :half, :], grid[..., half:, :]), -1).flatten(-2)
    return codes.clamp(0, 15).to(torch.uint8), grid


def page_bytes(
    n_heads: int, key_dim: int, value_dim: int, page_tokens: int, *, itemsize: int | None
) -> int:
    """Bytes of one page of one layer: at `itemsize` bytes a number, or packed (None) with its scales."""
    if itemsize is not None:
        return n_heads * page_tokens * (key_dim + value_dim) * itemsize
    keys = page_tokens * key_dim // 2 + 2 * key_dim
    values = page_tokens * (value_dim + 2)
    return n_heads * (keys + values)


def _tensors(packed: PackedPages) -> tuple[Any, ...]:
    return (packed.keys, packed.key_grid, packed.values, packed.value_scale)


def _divide(number: Any, scale: Any) -> Any:
    """`number / scale`, and 0 where a constant channel has no scale."""
    scale = scale.float()
    return torch.where(scale > 0, number / scale.clamp(min=1e-30), 0.0)
