"""Attention over pages: what our attention function does during a forward pass of the engine.

Reference, for a query at position t of a sequence (engine positions, absolute and unbounded):

    keys j with  j <= t  and  (j < head or j >= low(t)),   low(t) = max(floor, t - R)
    score(j) = scale * <q_t, k_j>             for j >= low(t)
    score(j) = scale * <R(-gap) q_t, k_j>     for j < head,  gap = max(0, low(t) - head)

Stored keys are rotated once, by their absolute position; turning the query back by `gap` gives the
sinks the distance they would have if what was evicted had never been read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contextkit_backends.local import kernels
from contextkit_backends.local.engine.adapter import AttentionLayer
from contextkit_backends.local.engine.batch import Batch, Prefill
from contextkit_backends.local.engine.behind import can_gather, gathered, is_turned, together
from contextkit_backends.local.engine.context import Call
from contextkit_backends.local.engine.fresh import Group, grouped
from contextkit_backends.local.engine.pool import KVPool
from contextkit_backends.local.kernels.gathered import Gathered


class PagedForward:
    """Answers every attention layer of one batch from the pool, after writing the new keys there."""

    def __init__(
        self, batch: Batch, pool: KVPool, layers: Mapping[int, tuple[int, AttentionLayer]]
    ):
        self.batch, self.pool, self.layers = batch, pool, layers
        self.positions: Tensor | None = batch.positions[None]
        self._slots = kernels.slots_of(batch.slots, pool.page_tokens)
        self._turns: dict[int, tuple[Tensor, Tensor]] = {}
        self._groups: dict[tuple[int, ...], list[Group | Prefill]] = {}
        self._behind: list[tuple[Gathered, bool, list[Prefill]]] | None = None

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, call: Call) -> Tensor:
        """`query [1, Hq, n, D]` and new `key`, `value` to `[1, n, Hq, Dv]`."""
        batch = self.batch
        place, seen = self.layers[layer]
        keys, values = self.pool.keys[place], self.pool.values[place]
        packed = self.pool.packed[place] if self.pool.packed else None
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        kernels.write(keys, values, k, v, self._slots)
        q_head = None if not batch.turned else self._turned(seen, q) if batch.shifted else q
        said: dict[str, Any] = {
            "scale": call.scale,
            "softcap": call.softcap,
            "sink_logits": call.sink_logits,
            "layer_window": call.window,
            "packed": packed,
        }
        out = torch.empty(
            (q.shape[0], q.shape[1], values.shape[-1]), dtype=q.dtype, device=q.device
        )
        answered = self._gather(q, q_head, keys, values, out, call)
        n = batch.n_decode
        told = bool(batch.decodes) and answered.issuperset(range(n))
        if batch.decode is not None and not told:
            turned = None if q_head is None else q_head[:n]
            out[:n] = kernels.decode(q[:n], turned, keys, values, batch.decode, **said)
        fresh = [part for part in batch.prefills if _attends_to_itself_alone(part, call)]
        for group in self._together(fresh):
            if isinstance(group, Group):
                group.attend(q, k, v, out, call.scale)
                continue
            new = slice(group.start, group.stop)
            out[new] = kernels.dense_prefill(
                q[None, new], k[None, new], v[None, new], scale=call.scale
            )[0]
        answered |= {part.start for part in fresh}
        for part in batch.prefills:
            if part.start in answered:
                continue
            new = slice(part.start, part.stop)
            turned = None if q_head is None else q_head[new]
            out[new] = kernels.prefill(
                q[new], turned, keys, values, part.meta, part.first_position, **said
            )
        return out[None]

    def _gather(
        self,
        q: Tensor,
        q_head: Tensor | None,
        keys: Tensor,
        values: Tensor,
        out: Tensor,
        call: Call,
    ) -> set[int]:
        """Answers what goes on behind its past and may be told together; returns where it begins."""
        if self.pool.packed or not can_gather(call, q.dtype, q.device):
            return set()
        if self._behind is None:
            size, n_heads = self.pool.page_tokens, q.shape[1]
            going_on = [p for p in self.batch.prefills if not _attends_to_itself_alone(p, call)]
            if q.device.type == "cpu":
                going_on += self.batch.decodes
            self._behind = [
                (gathered(parts, size, q.dtype, q.device), is_turned(parts), parts)
                for parts in together(going_on, n_heads, size, q.device)
            ]
        for group, turned, _ in self._behind:
            group.attend(q, q_head if turned else None, keys, values, out, call.scale)
        return {part.start for _, _, parts in self._behind for part in parts}

    def _together(self, fresh: list[Prefill]) -> list[Group | Prefill]:
        """Worked out once for all layers of a kind."""
        key = tuple(part.start for part in fresh)
        if key not in self._groups:
            self._groups[key] = [
                Group.of(parts, self.batch.input_ids.device) if len(parts) > 1 else parts[0]
                for parts in grouped(fresh)
            ]
        return self._groups[key]

    def _turned(self, seen: AttentionLayer, q: Tensor) -> Tensor:
        assert seen.rope is not None
        found = self._turns.get(id(seen.rope.frequencies))
        if found is None:
            found = seen.rope.cos_sin(-self.batch.gaps)
            self._turns[id(seen.rope.frequencies)] = found
        return seen.rope.turn(q, *found)


def _attends_to_itself_alone(part: Prefill, call: Call) -> bool:
    """Whether plain causal attention over the new tokens is all there is."""
    windows = [part.sequence.window, None if call.window is None else call.window - 1]
    whole = all(window is None or part.stop - part.start <= window + 1 for window in windows)
    return part.first_position == 0 and whole and call.softcap is None and call.sink_logits is None
