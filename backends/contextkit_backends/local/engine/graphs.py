"""Decoding by CUDA graphs: one captured step for each batch size, which feeds its tokens to itself.

Tokens, lengths and block tables lie in buffers of fixed place; a step reads them, writes keys and values,
chooses the likeliest tokens and moves the lengths on, without the host. The host only writes a row's
block table when its pages change. Rows beyond the batch are padding of length -1.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contextkit_backends.local.engine.batch import Batch
from contextkit_backends.local.engine.fuse import FusedModel, Step, Unlike
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.kernels.base import PagedMeta
from contextkit_backends.local.kernels.greedy import pick, place

SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, eq=False)
class _Buffers:
    """What the steps of one batch size read and write."""

    ids: Tensor
    answers: Tensor
    length: Tensor
    table: Tensor
    is_packed: Tensor | None
    numbers: Tensor
    """int32 `[3, rows]`: pages of the head, first block of the tail, tokens of the head."""
    floor: Tensor

    @classmethod
    def empty(cls, rows: int, width: int, packs: bool, device: torch.device) -> _Buffers:
        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            ids=zeros(rows),
            answers=zeros(rows),
            length=zeros(rows) - 1,
            table=zeros(rows, width, dtype=torch.int32),
            is_packed=zeros(rows, width, dtype=torch.int8) if packs else None,
            numbers=zeros(3, rows, dtype=torch.int32),
            floor=zeros(rows),
        )


@dataclass(frozen=True, eq=False)
class _Captured:
    graph: Any
    buffers: _Buffers
    logits: Tensor


class DecodeGraphs:
    """The graphs of one model; `why_unfused` says why its steps run in the model's own modules."""

    def __init__(self, paged: Paged, *, most_rows: int) -> None:
        self.paged = paged
        self._turned = paged.settings.window is not None
        self.fused: FusedModel | None = None
        self.why_unfused = ""
        try:
            self.fused = FusedModel.of(paged)
        except Unlike as error:
            self.why_unfused = str(error)
        self._width = _table_width(paged)
        self._packs = bool(paged.pool.packed)
        self._by_rows = self._capture_all([n for n in SIZES if n < 2 * most_rows])
        self._current: _Captured | None = None
        self._versions: list[int] = []

    def __len__(self) -> int:
        return len(self._by_rows)

    def fits(self, n_rows: int) -> bool:
        """Whether that many rows can be decoded together."""
        return n_rows <= max(self._by_rows)

    def holds(self, sequence: Sequence) -> bool:
        """Whether the captured steps can read this sequence: those of a dense engine turn no query."""
        return self._turned or not sequence.gap(sequence.length)

    def start(self, sequences: Items[Sequence], token_ids: Items[int]) -> None:
        """The next steps are of these sequences, whose next tokens to read are `token_ids`."""
        rows = min(n for n in self._by_rows if n >= len(sequences))
        self._current = self._by_rows[rows]
        buffers = self._current.buffers
        padding = [-1] * (rows - len(sequences))
        lengths = [sequence.length for sequence in sequences]
        buffers.length.copy_(_host([*lengths, *padding], torch.int64), non_blocking=True)
        ids = [*token_ids, *([0] * len(padding))]
        buffers.ids.copy_(_host(ids, torch.int64), non_blocking=True)
        self._versions = [-1] * len(sequences)

    def launch(self, sequences: Items[Sequence]) -> Tensor:
        """One step, with a slot reserved in each sequence; logits fp32 `[rows, vocabulary]`.

        Does not wait. The logits are overwritten by the next step.
        """
        assert self._current is not None
        for n, sequence in enumerate(sequences):
            if sequence.version != self._versions[n]:
                self._write_row(self._current.buffers, n, sequence)
                self._versions[n] = sequence.version
        self._current.graph.replay()
        return self._current.logits[: len(sequences)]

    def answers(self) -> Answers:
        """The tokens that the step launched last will have chosen."""
        assert self._current is not None
        return Answers(self._current.buffers.answers)

    def _write_row(self, buffers: _Buffers, n: int, sequence: Sequence) -> None:
        row = sequence.row()
        table = _host([*row.table], torch.int32)
        buffers.table[n, : len(row.table)].copy_(table, non_blocking=True)
        if buffers.is_packed is not None:
            packed = _host([*row.is_packed], torch.int8)
            buffers.is_packed[n, : len(row.table)].copy_(packed, non_blocking=True)
        numbers = _host([row.n_head_pages, row.tail_first, sequence.head], torch.int32)
        buffers.numbers[:, n].copy_(numbers, non_blocking=True)
        buffers.floor[n : n + 1].copy_(_host([sequence.floor], torch.int64), non_blocking=True)

    def _capture_all(self, sizes: Items[int]) -> dict[int, _Captured]:
        """The largest first: the smaller ones then find room in its memory."""
        found: dict[int, _Captured] = {}
        pool: Any = None
        for rows in sorted(sizes, reverse=True):
            found[rows] = self._capture(rows, pool)
            pool = found[rows].graph.pool()
        return found

    def _capture(self, rows: int, pool: Any) -> _Captured:
        buffers = _Buffers.empty(rows, self._width, self._packs, self.paged.model.device)
        cuda: Any = torch.cuda
        side = cuda.Stream(self.paged.model.device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(2):  # compiles kernels and makes libraries' workspaces
                self._step(buffers)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph, pool=pool):
            logits = self._step(buffers)
        return _Captured(graph, buffers, logits)

    def _step(self, buffers: _Buffers) -> Tensor:
        n_head_pages, tail_first, head = buffers.numbers
        positions, gaps, slots, lengths = place(
            buffers.length,
            buffers.table,
            n_head_pages,
            tail_first,
            head,
            buffers.floor,
            window=self.paged.settings.window,
            page_tokens=self.paged.settings.page_tokens,
        )
        meta = PagedMeta(
            buffers.table,
            n_head_pages,
            tail_first,
            lengths,
            head,
            buffers.floor,
            self.paged.settings.window,
            buffers.is_packed,
        )
        if self.fused is not None:
            step = Step(buffers.ids, positions, gaps, slots, meta, self._turned)
            logits = self.fused.forward(step)
        else:
            logits = self._unfused(buffers.ids, positions, gaps, slots, meta)
        pick(logits, buffers.ids, buffers.answers, buffers.length)
        return logits

    def _unfused(
        self, ids: Tensor, positions: Tensor, gaps: Tensor, slots: Tensor, meta: PagedMeta
    ) -> Tensor:
        n = len(ids)
        batch = Batch(
            input_ids=ids[None],
            positions=positions,
            gaps=gaps,
            slots=slots,
            last=torch.arange(n, device=ids.device),
            turned=self._turned,
            n_decode=n,
            decode=meta,
        )
        return self.paged.forward(batch).float()


class Answers:
    """Chosen tokens on their way to the host."""

    def __init__(self, answers: Tensor) -> None:
        cuda: Any = torch.cuda
        self._host: Any = torch.empty(answers.shape, dtype=torch.int64, pin_memory=True)
        self._host.copy_(answers, non_blocking=True)
        self._there = cuda.Event()
        self._there.record()

    def wait(self) -> list[int]:
        """One a row; a token -1 - n where the largest logit, of token n, is not finite."""
        self._there.synchronize()
        tokens: list[int] = self._host.tolist()
        return tokens


def _table_width(paged: Paged) -> int:
    """Entries that the longest row can have: every page of the pool, or what a window shows."""
    settings = paged.settings
    n_pages = paged.pages.n_pages + paged.pages.n_packed
    if settings.context_tokens is None:
        return n_pages
    return min(n_pages, -(-settings.context_tokens // settings.page_tokens) + 4)


def _host(values: list[Any], dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype).pin_memory()
