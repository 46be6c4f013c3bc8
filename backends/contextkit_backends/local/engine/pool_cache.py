"""The engine's cache for transformers' own loop: `model.generate(past_key_values=engine.cache())`.

Sinks, window, pages and quantisation are the engine's; sampling, beams and stopping are transformers'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from contextkit.errors import EngineError
from contextkit_backends.local.engine.attention import PagedForward
from contextkit_backends.local.engine.batch import Row, make_batch, reserve
from contextkit_backends.local.engine.cache import PagedCache
from contextkit_backends.local.engine.context import Call, lend
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.engine.sequence import Sequence


class PoolCache(PagedCache):
    """`batch_size` sequences that grow together; rows may be padded on the left.

    It holds pages until `close` or the end of a `with`. Not for several threads at once.
    """

    def __init__(self, paged: Paged, batch_size: int = 1) -> None:
        super().__init__(paged.n_layers)
        self.paged = paged
        self.sequences = [_unshared(paged) for _ in range(batch_size)]
        self._forward: _Forward | None = None

    def before_attention(self, layer: int) -> None:
        """Answer the attention that follows, unless an engine's own forward is in progress."""
        layers = self.paged.adapted.layers
        if layer == layers[0].index:
            self._abandon()
            self._forward = _Forward(self, layers[-1].index)
        if self._forward is None:
            raise EngineError(f"cache: layer {layer} came before layer {layers[0].index}")
        lend(self._forward)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row n goes on from what row `beam_idx[n]` has; pages are shared until they are written."""
        rows = cast("list[int]", beam_idx.tolist())  # pyright: ignore[reportUnknownMemberType]
        self._replace([self.sequences[n].fork() for n in rows])

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Every row `repeats` times."""
        self._replace([sequence.fork() for sequence in self.sequences for _ in range(repeats)])

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows stay."""
        self.reorder_cache(indices)

    def reset(self) -> None:
        """Forget everything that was read."""
        self._replace([_unshared(self.paged) for _ in self.sequences])
        self.n_seen = 0

    def close(self) -> None:
        """Give the pages back."""
        self._replace([])

    def __enter__(self) -> PoolCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _replace(self, sequences: list[Sequence]) -> None:
        self._abandon()
        for sequence in self.sequences:
            sequence.close()
        self.sequences = sequences

    def _abandon(self) -> None:
        """A forward pass that did not reach its last layer wrote nothing that counts."""
        if self._forward is not None:
            for sequence in self.sequences:
                sequence.abandon()
            self._forward = None

    def commit(self, rows: list[Row], n_new: int) -> None:
        """The last layer was answered."""
        for row in rows:
            row.sequence.commit(row.token_ids)
        self.n_seen += n_new
        self._forward = None


@dataclass(eq=False)
class _Forward:
    """Answers one forward pass of a batch `[B, n]`, padding left out."""

    cache: PoolCache
    last_layer: int
    positions: Tensor | None = None
    _paged: PagedForward | None = None
    _rows: list[Row] | None = None
    _index: tuple[Tensor, Tensor] | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, call: Call) -> Tensor:
        """`[B, H, n, D]` to `[B, n, Hq, Dv]`, zero where there is padding."""
        if self._paged is None:
            self._begin(query, call.mask)
        assert self._paged is not None
        assert self._index is not None
        assert self._rows is not None
        row, place = self._index
        q, k, v = (x.transpose(1, 2)[row, place].transpose(0, 1)[None] for x in (query, key, value))
        found = self._paged.attend(layer, q, k, v, call)[0]
        out = found.new_zeros((query.shape[0], query.shape[2], *found.shape[1:]))
        out[row, place] = found
        if layer == self.last_layer:
            self.cache.commit(self._rows, query.shape[2])
        return out

    def _begin(self, query: Tensor, mask: Tensor | None) -> None:
        n_rows, n = query.shape[0], query.shape[2]
        if n_rows != len(self.cache.sequences):
            raise EngineError(
                f"cache: it was made for {len(self.cache.sequences)} rows and the batch has {n_rows}; "
                f"use engine.cache({n_rows})"
            )
        if mask is not None and mask.ndim != 2:
            raise EngineError(
                f"cache: a mask of {mask.ndim} dimensions; only padding can be masked, as [batch, n_tokens]"
            )
        real = [n] * n_rows if mask is None else [int(row.sum()) for row in mask[:, -n:]]
        # The order in which a batch packs its rows: those with one new token first.
        order = sorted((r for r in range(n_rows) if real[r]), key=lambda r: real[r] > 1)
        self._rows = [Row(self.cache.sequences[r], [0] * real[r]) for r in order]
        pairs = [(r, place) for r in order for place in range(n - real[r], n)]
        row, place = torch.tensor(pairs, device=query.device).unbind(1)
        self._index = (row, place)
        batch = make_batch(self._rows, reserve(self._rows), query.device)
        paged = self.cache.paged
        self._paged = PagedForward(batch, paged.pool, paged.places)


def _unshared(paged: Paged) -> Sequence:
    sequence = paged.open()
    sequence.chain = None  # its token ids are transformers' affair
    return sequence
