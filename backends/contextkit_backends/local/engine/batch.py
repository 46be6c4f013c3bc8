"""The tensors of one forward pass: new tokens of several sequences, packed one behind the other.

Rows with a single new token come first, so that one decode kernel answers them together; rows with more
follow, each with a prefill of its own.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from contextkit.errors import EngineError
from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.kernels.base import PagedMeta
from contextkit_backends.local.kernels.transfer import bring

Numbers: TypeAlias = npt.NDArray[np.int64]


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
    shifted: bool = True
    """Whether any gap here may be over 0: where none is, a query turned back is the query itself."""


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
    stops = [0] * len(rows)
    parts: list[Prefill] = []
    stop = 0
    for n in order:
        start, stop = stop, stop + len(rows[n].token_ids)
        stops[n] = stop
        parts.append(Prefill(start, stop, rows[n].sequence.length, rows[n].sequence, device))
    n_decode = sum(part.stop - part.start == 1 for part in parts)
    decodes, prefills = parts[:n_decode], parts[n_decode:]
    decoding = [part.sequence for part in decodes]
    lengths = [part.first_position + 1 for part in decodes]
    wanted = [1] * len(rows) if n_last is None else n_last
    last = one_by_one([stop - n for stop, n in zip(stops, wanted, strict=True)], wanted)
    positions, gaps = _positions(parts)
    columns = (joined([rows[n].token_ids for n in order]), positions, gaps)
    numbers = on_device(np.stack([*columns, joined([slots[n] for n in order])]), device)
    shifted = bool(gaps.any())
    return Batch(
        input_ids=numbers[:1],
        positions=numbers[1],
        gaps=numbers[2],
        slots=numbers[3],
        last=on_device(last, device),
        turned=shifted or any(row.sequence.head for row in rows),
        n_decode=len(decoding),
        decode=paged_meta(decoding, lengths, device) if decoding else None,
        prefills=tuple(prefills),
        decodes=tuple(decodes),
        shifted=shifted,
    )


def _positions(parts: Items[Prefill]) -> tuple[Numbers, Numbers]:
    """Of each token of a batch its position, and the gap of `Sequence.gap`."""
    counts = [part.stop - part.start for part in parts]
    positions = one_by_one([part.first_position for part in parts], counts)
    least = [max(0, part.sequence.floor - part.sequence.head) for part in parts]
    gaps = np.repeat(np.array(least, dtype=np.int64), counts)
    window = parts[0].sequence.window
    if window is not None:
        seen = np.array([part.sequence.head + window for part in parts], dtype=np.int64)
        gaps = np.maximum(gaps, positions - np.repeat(seen, counts))
    return positions, gaps


def one_by_one(starts: Items[int], counts: Items[int]) -> Numbers:
    """For each start the whole numbers from it on, so many."""
    n = np.array(counts, dtype=np.int64)
    ends = np.cumsum(n)
    shift = np.array(starts, dtype=np.int64) - ends + n
    return np.arange(ends[-1], dtype=np.int64) + np.repeat(shift, n)


def joined(rows: Items[Items[int]]) -> Numbers:
    """The rows one behind the other."""
    return np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=sum(map(len, rows)))


def on_device(values: Numbers, device: torch.device) -> Tensor:
    """The numbers as a tensor of the device."""
    untyped: Any = torch
    found: Tensor = bring(untyped.from_numpy(values), device)
    return found


def paged_meta(sequences: Items[Sequence], lengths: Items[int], device: torch.device) -> PagedMeta:
    """Where the keys of each sequence lie; `lengths` count the tokens of the batch being read."""
    window = sequences[0].window
    found = [sequence.row() for sequence in sequences]
    width = max(len(row.table) for row in found)

    def padded(entries: tuple[int, ...]) -> list[int]:
        return [*entries, *[0] * (width - len(entries))]

    def tensor(values: list[int] | list[list[int]], dtype: torch.dtype) -> Tensor:
        found: Tensor = bring(torch.tensor(values, dtype=dtype), device)
        return found

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
