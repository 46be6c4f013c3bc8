"""The tensors of one forward pass: new tokens of several sequences, packed one behind the other.

Rows with a single new token come first, so that one decode kernel answers them together; rows with more
follow, each with a prefill of its own.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from contextkit.errors import EngineError
from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.kernels.base import PagedMeta


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens to read next in a sequence."""

    sequence: Sequence
    token_ids: Items[int]


@dataclass(frozen=True, eq=False)
class Prefill:
    """Tokens `start … stop - 1` of the batch are one sequence's, from `first_position` on."""

    start: int
    stop: int
    first_position: int
    sequence: Sequence
    device: torch.device

    @cached_property
    def meta(self) -> PagedMeta:
        """Where the sequence's keys lie; a sequence that begins here may never be asked for it."""
        n = self.first_position + self.stop - self.start
        return paged_meta([self.sequence], [n], self.device)


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """What a forward pass reads; every tensor lies on the model's device."""

    input_ids: Tensor
    """int64 `[1, n]`."""
    positions: Tensor
    """int64 `[n]`, by which keys are rotated."""
    gaps: Tensor
    """int64 `[n]`, by which a query is turned back for the head's keys."""
    slots: Tensor
    """int64 `[n]`, `page * P + offset`."""
    last: Tensor
    """int64 `[rows]`, the place of each row's last token; of its last few, or none, where so wished."""
    turned: bool
    """Whether any gap can be over 0."""
    n_decode: int
    decode: PagedMeta | None
    """Rows of the first `n_decode` tokens."""
    prefills: tuple[Prefill, ...] = ()
    decodes: tuple[Prefill, ...] = ()
    """The rows of `decode`, one by one."""


def reserve(rows: Items[Row]) -> list[list[int]]:
    """Slots for every row's tokens; where one does not fit, none is taken and the error goes on."""
    slots: list[list[int]] = []
    try:
        for row in rows:
            if not row.token_ids:
                raise EngineError("a row of a batch has no tokens to read")
            slots.append(row.sequence.reserve(len(row.token_ids)))
    except Exception:
        for row, _ in zip(rows, slots, strict=False):
            row.sequence.abandon()
        raise
    return slots


def make_batch(
    rows: Items[Row],
    slots: Items[Items[int]],
    device: torch.device,
    n_last: Items[int] | None = None,
) -> Batch:
    """The batch of rows whose slots are reserved; `last` keeps the order of `rows`.

    `n_last`: of how many of its last tokens each row's places are in `last`; None: of one.
    """
    order = sorted(range(len(rows)), key=lambda n: len(rows[n].token_ids) > 1)
    token_ids: list[int] = []
    flat_slots: list[int] = []
    positions: list[int] = []
    gaps: list[int] = []
    stops = [0] * len(rows)
    prefills: list[Prefill] = []
    decodes: list[Prefill] = []
    for n in order:
        row, start = rows[n], len(token_ids)
        sequence, n_new = row.sequence, len(row.token_ids)
        first = sequence.length
        token_ids += row.token_ids
        flat_slots += slots[n]
        positions += range(first, first + n_new)
        gaps += sequence.gaps(first, first + n_new)
        stops[n] = len(token_ids)
        part = Prefill(start, len(token_ids), first, sequence, device)
        (decodes if n_new == 1 else prefills).append(part)
    decoding = [part.sequence for part in decodes]
    lengths = [part.first_position + 1 for part in decodes]
    wanted = [1] * len(rows) if n_last is None else n_last
    last = [place for stop, n in zip(stops, wanted, strict=True) for place in range(stop - n, stop)]
    numbers = whole_numbers([token_ids, positions, gaps, flat_slots], device)
    return Batch(
        input_ids=numbers[:1],
        positions=numbers[1],
        gaps=numbers[2],
        slots=numbers[3],
        last=whole_numbers(last, device),
        turned=any(gaps) or any(row.sequence.head for row in rows),
        n_decode=len(decoding),
        decode=paged_meta(decoding, lengths, device) if decoding else None,
        prefills=tuple(prefills),
        decodes=tuple(decodes),
    )


def whole_numbers(values: list[int] | list[list[int]], device: torch.device) -> Tensor:
    """int64; by way of numpy, which takes a third of the time for long lists."""
    return torch.as_tensor(np.array(values, dtype=np.int64), device=device)


def paged_meta(sequences: Items[Sequence], lengths: Items[int], device: torch.device) -> PagedMeta:
    """Where the keys of each sequence lie; `lengths` count the tokens of the batch being read."""
    window = sequences[0].window
    found = [sequence.row() for sequence in sequences]
    width = max(len(row.table) for row in found)

    def padded(entries: tuple[int, ...]) -> list[int]:
        return [*entries, *[0] * (width - len(entries))]

    def tensor(values: list[int] | list[list[int]], dtype: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    packs = any(any(row.is_packed) for row in found)
    return PagedMeta(
        table=tensor([padded(row.table) for row in found], torch.int32),
        n_head_pages=tensor([row.n_head_pages for row in found], torch.int32),
        tail_first=tensor([row.tail_first for row in found], torch.int32),
        length=tensor([*lengths], torch.int64),
        head=tensor([sequence.head for sequence in sequences], torch.int32),
        floor=tensor([sequence.floor for sequence in sequences], torch.int64),
        window=window,
        head_windowed=window is None,
        is_packed=tensor([padded(row.is_packed) for row in found], torch.int8) if packs else None,
    )
