"""Attention over pages in plain torch: what runs on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from .base import PackedPages, PagedMeta, Scoring

_SCORES_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the metadata in Python's numbers, with where its visible keys lie."""

    entries: list[int]
    positions: Any  # int64 [n_keys], ascending
    head: int
    floor: int


def decode(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    meta: PagedMeta,
    scoring: Scoring,
    packed: PackedPages | None,
) -> Any:
    """One query a row: `[rows, n_heads, D] -> [rows, n_heads, Dv]`."""
    out = q.new_zeros(*q.shape[:2], values.shape[-1])
    for row, length in enumerate(meta.length.tolist()):
        if length:
            one = slice(row, row + 1)
            of_head = None if q_head is None else q_head[one]
            out[one] = _attend_row(
                q[one], of_head, keys, values, meta, row, length - 1, scoring, packed
            )
    return out


def prefill(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    meta: PagedMeta,
    first_position: int,
    scoring: Scoring,
    packed: PackedPages | None,
) -> Any:
    """Queries of one row from `first_position` on: `[n, n_heads, D] -> [n, n_heads, Dv]`."""
    return _attend_row(q, q_head, keys, values, meta, 0, first_position, scoring, packed)


class Slots(NamedTuple):
    """Which tokens are written, and where."""

    kept: Any
    """int64: those that are no padding; None: all."""
    page: Any
    offset: Any


def slots_of(slots: Any, page_tokens: int) -> Slots:
    """`page * P + offset` taken apart; a negative slot is padding."""
    kept = (slots >= 0).nonzero().squeeze(1)
    whole = len(kept) == len(slots)
    slots = slots if whole else slots[kept]
    return Slots(None if whole else kept, slots // page_tokens, slots % page_tokens)


def write(keys: Any, values: Any, k: Any, v: Any, slots: Slots) -> None:
    """Put `[n, n_kv_heads, D]` where the slots say."""
    kept, page, offset = slots
    if kept is not None:
        k, v = k[kept], v[kept]
    keys[page, :, offset] = k.to(keys.dtype)
    values[page, :, offset] = v.to(values.dtype)


def dequantise(packed: PackedPages, pages: Any) -> tuple[Any, Any]:
    """The keys and values of packed pages in fp32, the key bias restored."""
    codes = packed.keys[pages]
    codes = torch.cat([codes & 15, codes >> 4], dim=-1).float()
    scale, zero = read_grid(packed.key_grid[pages])
    keys = (codes + zero[:, :, None]) * scale[:, :, None]
    if packed.bias is not None:
        table = packed.bias.table.float()
        cos, sin = packed.bias.cos[pages], packed.bias.sin[pages]
        keys += table * cos[:, None, None] + packed.bias.turn(table) * sin[:, None, None]
    values = (packed.values[pages].float() - 128) * packed.value_scale[pages].float()[..., None]
    return keys, values


def read_grid(grid: Any) -> tuple[Any, Any]:
    """Scales and zeros fp32 `[..., D]` of a grid's bytes `[..., D/2, 4]`."""
    scale, zero = scale_of(grid[..., :2]), grid[..., 2:].float() - 128
    return scale.transpose(-1, -2).flatten(-2), zero.transpose(-1, -2).flatten(-2)


def scale_of(bytes_of_scale: Any) -> Any:
    """The fp32 numbers that scales' bytes stand for."""
    return (bytes_of_scale.to(torch.int16) << 7).view(torch.float16).float()


def _attend_row(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    meta: PagedMeta,
    row: int,
    first: int,
    scoring: Scoring,
    packed: PackedPages | None,
) -> Any:
    where = _locate(meta, row, first, first + len(q), keys.shape[2], scoring)
    k, v = _gather(keys, values, meta, row, where.entries, packed)
    _forget_unwritten(v, where, first + len(q))
    k, v = k[:, : len(where.positions)], v[:, : len(where.positions)]
    at_once = max(1, _SCORES_AT_ONCE // (q.shape[1] * len(where.positions)))
    parts = [
        _attend(
            q[start : start + at_once],
            None if q_head is None else q_head[start : start + at_once],
            k,
            v,
            visible(
                meta,
                where,
                range(first + start, min(first + start + at_once, first + len(q))),
                scoring,
            ),
            where.head,
            scoring,
        )
        for start in range(0, len(q), at_once)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _locate(
    meta: PagedMeta, row: int, first: int, stop: int, page_tokens: int, scoring: Scoring
) -> Row:
    """The entries that any query of `first … stop - 1` may see."""
    head, floor = int(meta.head[row]), int(meta.floor[row])
    n_head, tail_first = int(meta.n_head_pages[row]), int(meta.tail_first[row])
    low = floor if meta.window is None else max(floor, first - meta.window)
    if scoring.layer_window is not None:
        low = max(low, first - scoring.layer_window + 1)
    tail = range(max(tail_first, low // page_tokens), -(-stop // page_tokens))
    blocks = [*range(n_head), *tail]
    entries = [*range(n_head), *(n_head + block - tail_first for block in tail)]
    starts = torch.tensor(blocks, dtype=torch.int64) * page_tokens
    positions = (starts[:, None] + torch.arange(page_tokens)).flatten()
    positions = positions[positions < stop].to(meta.table.device)  # beyond, nothing is written
    return Row(entries, positions, head, floor)


def visible(meta: PagedMeta, where: Row, queries: range, scoring: Scoring) -> Any:
    """Which keys each query sees: bool `[n_queries, n_keys]`."""
    j = where.positions[None, :]
    t = torch.arange(queries.start, queries.stop, device=j.device)[:, None]
    low = torch.full_like(t, where.floor)
    if meta.window is not None:
        low = torch.maximum(low, t - meta.window)
    of_head = j < where.head
    after = j >= low
    if scoring.layer_window is not None:
        after = after & (j > t - scoring.layer_window)
        if meta.head_windowed:
            gap = (low - where.head).clamp(min=0)
            of_head = of_head & (j > t - gap - scoring.layer_window)
    return (j <= t) & (of_head | (after & (j >= where.head)))


def _gather(
    keys: Any,
    values: Any,
    meta: PagedMeta,
    row: int,
    entries: list[int],
    packed: PackedPages | None,
) -> tuple[Any, Any]:
    """Keys and values of the entries, `[n_kv_heads, n_keys, D]`."""
    at = torch.tensor(entries, dtype=torch.int64, device=meta.table.device)
    pages = meta.table[row, at].long()
    kinds = pages * 0 if meta.is_packed is None else meta.is_packed[row, at]
    flags, short = kinds == 1, kinds == 2
    full = pages.masked_fill(kinds != 0, 0)
    k = keys.index_select(0, full).transpose(0, 1)
    v = values.index_select(0, full).transpose(0, 1)
    if packed is not None and bool(short.any()):
        for whole, part in ((k, packed.short_keys), (v, packed.short_values)):
            whole[:, short] = 0.0
            whole[:, short, : part.shape[2]] = part[pages[short]].transpose(0, 1)
    if packed is not None and bool(flags.any()):
        of_packed = dequantise(packed, pages[flags])
        k[:, flags] = of_packed[0].transpose(0, 1).to(k.dtype)
        v[:, flags] = of_packed[1].transpose(0, 1).to(v.dtype)
    return k.flatten(1, 2), v.flatten(1, 2)


def _forget_unwritten(v: Any, where: Row, stop: int) -> None:
    """Slots that this sequence has not written may hold anything: it must not reach a sum as 0 * NaN."""
    ends = torch.tensor([where.head, where.floor, stop], device=where.positions.device)
    found: Any = torch.searchsorted(where.positions, ends)
    head, floor, written = (int(index) for index in found)
    v[:, head : max(head, floor)] = 0.0
    v[:, written:] = 0.0


def _attend(q: Any, q_head: Any, k: Any, v: Any, seen: Any, head: int, scoring: Scoring) -> Any:
    n, n_heads, _ = q.shape
    n_kv_heads = k.shape[0]
    dtype = torch.promote_types(q.dtype, torch.float32)
    k, v = k.to(dtype), v.to(dtype)
    scores = _scores(q.to(dtype), k)
    if q_head is not None and head:
        scores[..., :head] = _scores(q_head.to(dtype), k[:, :head])
    scores *= scoring.scale
    if scoring.softcap is not None:
        scores = scoring.softcap * torch.tanh(scores / scoring.softcap)
    scores.masked_fill_(~seen[None], -torch.inf)
    if scoring.sink_logits is not None:
        column = scoring.sink_logits.to(dtype)[:, None, None].expand(-1, n, 1)
        scores = torch.cat([scores, column], dim=-1)
    weights = scores.softmax(dim=-1)[..., : k.shape[1]].nan_to_num_()
    grouped = weights.reshape(n_kv_heads, -1, k.shape[1])
    out = (grouped @ v).reshape(n_heads, n, v.shape[-1])
    return out.transpose(0, 1).to(q.dtype)


def _scores(q: Any, k: Any) -> Any:
    """`[n_heads, n_queries, n_keys]`: heads of one group share a key head."""
    n, n_heads, dim = q.shape
    grouped = q.transpose(0, 1).reshape(k.shape[0], -1, dim)
    return (grouped @ k.transpose(1, 2)).reshape(n_heads, n, k.shape[1])
