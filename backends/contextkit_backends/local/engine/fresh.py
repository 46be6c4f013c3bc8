"""Sequences of a batch that begin in it: their tokens see nothing but each other.

Attention over them needs no pages. Those of like length are padded to the longest and answered together,
so that many short texts cost a few calls a layer and not one each.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass

import torch
from torch import Tensor

from contextkit_backends.local import kernels
from contextkit_backends.local.engine.batch import Prefill
from contextkit_backends.local.kernels.gathered import padded

MOST_PADDING = 2
"""How many times as long as the shortest sequence of a group the longest may be."""


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Sequences answered by one call."""

    at: Tensor
    """int64 `[rows, longest]`: places in the batch; padding, behind the others, is the row's first."""
    places: Tensor
    """int64 `[n]`: where the tokens are in the batch …"""
    cells: Tensor
    """int64 `[n]`: … and in `at`, flattened."""

    @classmethod
    def of(cls, parts: Items[Prefill], device: torch.device) -> Group:
        """The group of these parts of a batch."""
        starts = torch.tensor([[part.start] for part in parts])
        counts = torch.tensor([[part.stop - part.start] for part in parts])
        return cls(*padded(starts, counts, device))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor, scale: float) -> None:
        """Fill the group's rows of `out [n, Hq, Dv]` from those of `q`, `k` and `v`."""
        found: Tensor = kernels.dense_prefill(q[self.at], k[self.at], v[self.at], scale=scale)
        out[self.places] = found.flatten(0, 1)[self.cells]


def grouped(parts: Items[Prefill]) -> list[list[Prefill]]:
    """The parts by length, none much longer than another of its group."""
    groups: list[list[Prefill]] = []
    for part in sorted(parts, key=lambda part: part.stop - part.start):
        n = part.stop - part.start
        shortest = groups[-1][0].stop - groups[-1][0].start if groups else 0
        if n > MOST_PADDING * shortest:
            groups.append([])
        groups[-1].append(part)
    return groups
