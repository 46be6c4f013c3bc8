"""The keys and values of all pages: one tensor each for every attention layer.

`keys[layer] [n_pages, heads, P, D]` and `values[layer] [n_pages, heads, P, Dv]` hold the model's dtype,
keys rotated to their absolute position. `packed[layer]` holds quantised pages (`quant.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from contextkit.errors import ConfigError
from contextkit_backends.local.engine.memory import free_bytes, zeros
from contextkit_backends.local.engine.pages import PagePool
from contextkit_backends.local.engine.quant import (
    centre,
    empty_packed,
    key_bias,
    packed_bytes,
    page_angles,
    page_bytes,
    quantise,
    store,
)
from contextkit_backends.local.engine.rope import Rope
from contextkit_backends.local.engine.storage import Filled
from contextkit_backends.local.kernels.base import PackedPages

WORKING_TOKENS = 4096
_PAGES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class LayerShape:
    """What one attention layer stores for a token."""

    n_kv_heads: int
    key_dim: int
    value_dim: int

    def page_bytes(self, page_tokens: int, itemsize: int | None) -> int:
        """Bytes of one page; itemsize None is packed."""
        return page_bytes(
            self.n_kv_heads, self.key_dim, self.value_dim, page_tokens, itemsize=itemsize
        )


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many pages of each class a pool has."""

    n_pages: int
    n_packed: int = 0
    n_short: int = 0
    """Places of a packed pool for the sinks of a sequence's last page of them."""
    short_tokens: int = 0
    """Sinks that such a place holds."""


def choose_size(
    shapes: list[LayerShape],
    *,
    page_tokens: int,
    dtype: Any,
    device: Any,
    packed: bool = False,
    pool_tokens: int | None = None,
    most_pool_tokens: int | None = None,
    working_tokens: int = WORKING_TOKENS,
) -> PoolSize:
    """Pages for `pool_tokens`, or, where that is None, for as many tokens as free memory holds.

    Of that no more than `most_pool_tokens`, so that a small task leaves a GPU to others.
    A packed pool has full-precision pages for `working_tokens` besides: sinks, pages in progress, the
    chunk that is being prefilled. Free memory is 80 % of what the GPU has left, 1 GiB on a CPU.
    """
    if pool_tokens is not None and pool_tokens < page_tokens:
        raise ConfigError(f"pool_tokens: {pool_tokens} is less than one page ({page_tokens})")
    full = sum(shape.page_bytes(page_tokens, dtype.itemsize) for shape in shapes)
    each = sum(shape.page_bytes(page_tokens, None) for shape in shapes) if packed else full
    n_working = -(-working_tokens // page_tokens) if packed else 0
    if pool_tokens is not None:
        n = -(-pool_tokens // page_tokens)
    else:
        n = (free_bytes(device) - n_working * full) // each
        if most_pool_tokens is not None:
            n = min(n, -(-most_pool_tokens // page_tokens))
    if n < 1:
        raise ConfigError(
            "pool_tokens: there is no free memory for a single page; use a smaller model"
        )
    return PoolSize(n_working, n) if packed else PoolSize(n)


class KVPool:
    """The tensors of `size` pages for every layer; also what a `Sequence` copies and packs pages with.

    `biases[layer]` is what all keys of a layer share before rotation, `[heads, D]`, and how they are
    rotated (None: nothing). Packed keys lack it, and `packed[layer].bias` restores its score.
    """

    def __init__(
        self,
        shapes: list[LayerShape],
        size: PoolSize,
        *,
        page_tokens: int = 64,
        dtype: Any = torch.float32,
        device: Any = "cpu",
        biases: list[tuple[Any, Rope] | None] | None = None,
    ) -> None:
        self.shapes, self.size, self.page_tokens = shapes, size, page_tokens
        self.dtype, self.device = dtype, torch.device(device)
        self.keys = [self._empty(shape.n_kv_heads, shape.key_dim) for shape in shapes]
        self.values = [self._empty(shape.n_kv_heads, shape.value_dim) for shape in shapes]
        self.short_keys = [self._empty_short(shape.n_kv_heads, shape.key_dim) for shape in shapes]
        self.short_values = [
            self._empty_short(shape.n_kv_heads, shape.value_dim) for shape in shapes
        ]
        self.packed: list[PackedPages] = []
        self._angles: list[tuple[Rope, Any, Any]] = []
        if size.n_packed:
            self.packed = [
                replace(self._empty_packed(shape), short_keys=keys, short_values=values)
                for shape, keys, values in zip(
                    shapes, self.short_keys, self.short_values, strict=True
                )
            ]
            for layer, bias in enumerate(biases or []):
                if bias is not None and not bias[1].start:
                    self._add_bias(layer, *bias)

    def page_pool(self) -> PagePool:
        """The bookkeeping for this pool's pages, all free."""
        return PagePool(
            self.size.n_pages,
            page_tokens=self.page_tokens,
            n_packed=self.size.n_packed,
            n_short=self.size.n_short,
        )

    def bytes(self) -> int:
        """Everything that is allocated, scales included."""
        full: int = sum(tensor.nbytes for tensor in (*self.keys, *self.values))
        short: int = sum(tensor.nbytes for tensor in (*self.short_keys, *self.short_values))
        return full + short + sum(packed_bytes(layer) for layer in self.packed)

    def used_bytes(self, pages: PagePool) -> int:
        """The share of pages in use."""
        full = sum(s.page_bytes(self.page_tokens, self.dtype.itemsize) for s in self.shapes)
        packed = sum(s.page_bytes(self.page_tokens, None) for s in self.shapes)
        n_bytes = full * pages.counts().used + packed * pages.counts(packed=True).used
        if pages.short is None:
            return n_bytes
        return (
            n_bytes + full * self.size.short_tokens // self.page_tokens * pages.short.counts().used
        )

    def copy_page(self, source: int, target: int) -> None:
        """Copy a full-precision page in every layer."""
        for tensor in (*self.keys, *self.values):
            tensor[target].copy_(tensor[source])

    def shorten(self, source: int, target: int) -> None:
        """Copy the sinks of a full-precision page to a place of the short pool, in every layer."""
        for whole, short in (
            *zip(self.keys, self.short_keys, strict=True),
            *zip(self.values, self.short_values, strict=True),
        ):
            short[target].copy_(whole[source, :, : self.size.short_tokens])

    def pack(self, filled: list[Filled]) -> None:
        """Quantise full pages into their packed targets, in every layer."""
        for start in range(0, len(filled), _PAGES_AT_ONCE):
            self._pack(filled[start : start + _PAGES_AT_ONCE])

    def _pack(self, filled: list[Filled]) -> None:
        def index(numbers: list[int]) -> Any:
            return torch.tensor(numbers, dtype=torch.int64, device=self.device)

        source = index([page.source for page in filled])
        target = index([page.target - self.size.n_pages for page in filled])
        positions = index([page.first_position for page in filled])
        for rope, cos, sin in self._angles:
            cos[target], sin[target] = page_angles(rope, positions, cos.shape[-1])
        for keys, values, packed in zip(self.keys, self.values, self.packed, strict=True):
            offset = centre(packed.bias, target) if packed.bias is not None else None
            store(packed, target, quantise(keys[source], values[source], offset))

    def _add_bias(self, layer: int, bias: Any, rope: Rope) -> None:
        dim = self.shapes[layer].key_dim
        known = [
            (cos, sin)
            for other, cos, sin in self._angles
            if other.frequencies is rope.frequencies and cos.shape[-1] == dim
        ]
        if not known:
            cos = torch.ones((self.size.n_packed, dim), device=self.device)
            known = [(cos, torch.zeros_like(cos))]
            self._angles.append((rope, *known[0]))
        restored = key_bias(bias, rope, self.page_tokens, *known[0])
        self.packed[layer] = replace(self.packed[layer], bias=restored)

    def _empty(self, n_heads: int, dim: int) -> Any:
        return zeros((self.size.n_pages, n_heads, self.page_tokens, dim), self.dtype, self.device)

    def _empty_short(self, n_heads: int, dim: int) -> Any:
        shape = (self.size.n_short, n_heads, self.size.short_tokens, dim)
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def _empty_packed(self, shape: LayerShape) -> PackedPages:
        return empty_packed(
            self.size.n_packed,
            shape.n_kv_heads,
            self.page_tokens,
            shape.key_dim,
            shape.value_dim,
            device=self.device,
        )
