"""The two ends of a decode step that feeds itself: where its tokens stand, and which ones come next.

    place: position = length, low = max(floor, position - window), gap = max(0, low - head),
           slot = table[entry of position's block] * P + position % P
    pick:  ids = logits.argmax(-1), answers = ids or -1 - ids where the largest logit is not finite,
           length += 1

A row of length -1 is padding: it gets slot -1, and its length stays.
"""

from __future__ import annotations

# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeArgument=false
# pyright: reportMissingTypeStubs=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportGeneralTypeIssues=false
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def, no-untyped-call"
from typing import Any

import torch
import triton
import triton.language as tl

CHUNK = 2048


def place(
    length: Any,
    table: Any,
    n_head_pages: Any,
    tail_first: Any,
    head: Any,
    floor: Any,
    *,
    window: int | None,
    page_tokens: int,
) -> tuple[Any, Any, Any, Any]:
    """(positions, gaps, slots, lengths with the new token), int64 [rows] each."""
    rows = length.shape[0]
    out = torch.empty(4, rows, dtype=torch.int64, device=length.device)
    _place[(rows,)](
        length,
        table,
        n_head_pages,
        tail_first,
        head,
        floor,
        out,
        rows,
        table.shape[1],
        0 if window is None else window,
        WINDOWED=window is not None,
        PAGE=page_tokens,
        num_warps=1,
    )
    return out[0], out[1], out[2], out[3]


def pick(logits: Any, ids: Any, answers: Any, length: Any) -> None:
    """Fill `ids` and `answers`, int64 [rows], from float32 `logits` [rows, vocabulary]."""
    rows, n_words = logits.shape
    n_parts = triton.cdiv(n_words, CHUNK)
    best = torch.empty(rows, n_parts, dtype=torch.float32, device=logits.device)
    where = torch.empty(rows, n_parts, dtype=torch.int64, device=logits.device)
    _best_of_chunk[(rows, n_parts)](logits, best, where, n_words, n_parts, CHUNK=CHUNK)
    _best_of_all[(rows,)](
        best,
        where,
        ids,
        answers,
        length,
        PARTS=n_parts,
        BLOCK=triton.next_power_of_2(n_parts),
        num_warps=1,
    )


@triton.jit
def _place(
    length,
    table,
    n_head_pages,
    tail_first,
    head,
    floor,
    out,
    rows,
    width,
    window,
    WINDOWED: tl.constexpr,
    PAGE: tl.constexpr,
):
    row = tl.program_id(0)
    before = tl.load(length + row)
    position = tl.maximum(before, 0)
    low = tl.load(floor + row)
    if WINDOWED:
        low = tl.maximum(low, position - window)
    gap = tl.maximum(low - tl.load(head + row), 0)
    block = position // PAGE
    n_head = tl.load(n_head_pages + row)
    entry = tl.where(block < n_head, block, block - tl.load(tail_first + row) + n_head)
    page = tl.load(table + row * width + entry, before >= 0, 0).to(tl.int64)
    slot = tl.where(before >= 0, page * PAGE + position % PAGE, -1)
    tl.store(out + row, position)
    tl.store(out + rows + row, gap)
    tl.store(out + 2 * rows + row, slot)
    tl.store(out + 3 * rows + row, before + 1)


@triton.jit
def _best_of_chunk(logits, best, where, n_words, n_parts, CHUNK: tl.constexpr):
    row, part = tl.program_id(0), tl.program_id(1)
    words = part * CHUNK + tl.arange(0, CHUNK)
    values = tl.load(logits + row.to(tl.int64) * n_words + words, words < n_words, -float("inf"))
    # nothing is larger than NaN, so its place would be anywhere, behind the vocabulary too
    top, at = tl.max(tl.where(values != values, float("inf"), values), 0, return_indices=True)
    tl.store(best + row * n_parts + part, top)
    tl.store(where + row * n_parts + part, (part * CHUNK + at).to(tl.int64))


@triton.jit
def _best_of_all(best, where, ids, answers, length, PARTS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    parts = tl.arange(0, BLOCK)
    values = tl.load(best + row * PARTS + parts, parts < PARTS, -float("inf"))
    top, at = tl.max(values, 0, return_indices=True)
    is_broken = tl.abs(top) == float("inf")
    word = tl.load(where + row * PARTS + at)
    tl.store(ids + row, word)
    tl.store(answers + row, tl.where(is_broken, -1 - word, word))
    before = tl.load(length + row)
    tl.store(length + row, tl.where(before >= 0, before + 1, before))
