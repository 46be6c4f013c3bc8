"""Many queries of one row over its pages: the head with `q_head` first, then the window, then the diagonal.

Reference for queries at positions `t` `[n]` and keys gathered from the pages at positions `j` `[m]`:

    scores = torch.einsum("nhd,mhd->hnm", q, k.repeat_interleave(group, 1)) * scale
    scores[:, :, j < head] = torch.einsum("nhd,mhd->hnm", q_head, k[j < head] ...) * scale
    low = torch.maximum(floor, t - window)[:, None]
    seen = (j <= t[:, None]) & ((j < head) | (j >= low))
    out = torch.einsum("hnm,mhd->nhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v ...)

Tiles that every query of a program sees whole are not masked. Packed pages are restored once, into scratch.
"""

from __future__ import annotations

# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeArgument=false
# pyright: reportMissingTypeStubs=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportUntypedFunctionDecorator=false, reportReturnType=false
# pyright: reportAssignmentType=false
# mypy: disable-error-code="untyped-decorator, no-untyped-def, import-untyped, no-untyped-call"
from typing import Any

import triton
import triton.language as tl

from .base import PackedPages, PagedMeta, Scoring
from .configs import prefill_config
from .hopper_prefill import prefill_on_hopper, suits
from .restore import restore
from .tiles import LOG2E, architecture, settings, to_log2


@triton.jit
def _visit(
    acc,
    total,
    top,
    query,
    keys,
    values,
    table,
    kv_head,
    n_head,
    first_tail,
    start,
    tile_from,
    tile_to,
    n_entries,
    t0,
    low,
    high,
    scale,
    softcap,
    N_KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_V: tl.constexpr,
    STAGES: tl.constexpr,
    MASKED: tl.constexpr,
    CAPPED: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Tiles `tile_from … tile_to - 1` of `PAGES` entries each, counted from entry `start`.

    `low` and `high` `[n_queries]` bound the visible positions, relative to `t0`.
    """
    offs_n = tl.arange(0, PAGE * PAGES)
    offs_d, offs_v = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_V)
    of_page, in_page = offs_n // PAGE, offs_n % PAGE
    if PAGES == 1:
        of_page = 0
    entries = start + tile_from * PAGES + of_page
    ahead = tl.load(table + entries, mask=entries < n_entries, other=0)  # always one tile ahead
    for index in tl.range(tile_from, tile_to, num_stages=STAGES):
        entry = start + index * PAGES
        slots = (ahead.to(tl.int64) * N_KV_HEADS + kv_head) * PAGE + in_page
        entries = entry + PAGES + of_page
        ahead = tl.load(table + entries, mask=entries < n_entries, other=0)
        block = tl.where(entry < n_head, entry, first_tail + entry - n_head).to(tl.int64)
        position = (block * PAGE - t0).to(tl.int32) + offs_n
        places = keys + slots[:, None] * DIM + offs_d[None, :]
        if DIM == BLOCK_D:  # noqa: SIM108
            k = tl.load(places)
        else:
            k = tl.load(places, mask=offs_d[None, :] < DIM, other=0.0)
        places = values + slots[:, None] * V_DIM + offs_v[None, :]
        has_v = offs_v[None, :] < V_DIM
        if MASKED:
            v = tl.load(places, mask=has_v & (position < tl.max(high, 0))[:, None], other=0.0)
        elif V_DIM == BLOCK_V:
            v = tl.load(places)
        else:
            v = tl.load(places, mask=has_v, other=0.0)
        if UPCAST:
            k, v = k.to(tl.float32), v.to(tl.float32)
        products = tl.dot(query, tl.trans(k), input_precision="ieee")
        if CAPPED:
            products = to_log2(products, scale, softcap, CAPPED)
            factor = 1.0
        else:
            factor = scale * LOG2E
        if MASKED:
            seen = (position[None, :] >= low[:, None]) & (position[None, :] < high[:, None])
            products = tl.where(seen, products, -float("inf"))
        new = tl.maximum(top, tl.max(products, 1) * factor)
        finite = new
        if MASKED:
            finite = tl.where(new == -float("inf"), 0.0, new)
        weights = tl.exp2(products * factor - finite[:, None])
        shrink = tl.exp2(top - finite)
        top = new
        total = total * shrink + tl.sum(weights, 1)
        acc = tl.dot(weights.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
    return acc, total, top


@triton.jit
def _prefill_kernel(
    q,
    q_head,
    out,
    keys,
    values,
    table,
    n_head_pages,
    tail_first,
    head,
    floor,
    sink_logits,
    n_queries,
    first_position,
    scale,
    softcap,
    window,
    layer_window,
    max_pages,
    N_HEADS: tl.constexpr,
    N_KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    PAGES: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_V: tl.constexpr,
    STAGES: tl.constexpr,
    HAS_SINK_LOGITS: tl.constexpr,
    HAS_HEAD: tl.constexpr,
    WINDOWED: tl.constexpr,
    LAYER_WINDOWED: tl.constexpr,
    HEAD_WINDOWED: tl.constexpr,
    CAPPED: tl.constexpr,
    UPCAST: tl.constexpr,
):
    block = tl.num_programs(0) - 1 - tl.program_id(0)  # the longest first
    q_at = tl.program_id(1)
    kv_head = q_at // (N_HEADS // N_KV_HEADS)
    TILE: tl.constexpr = PAGE * PAGES
    offs_q, offs_d = tl.arange(0, BLOCK_Q), tl.arange(0, BLOCK_D)
    offs_v = tl.arange(0, BLOCK_V)
    n_head, first_tail = tl.load(n_head_pages), tl.load(tail_first)
    t0 = tl.cast(first_position, tl.int64) + block * BLOCK_Q
    n_own = tl.minimum(n_queries - block * BLOCK_Q, BLOCK_Q)
    t1 = t0 + n_own - 1
    of_head = tl.load(head).to(tl.int64)
    far = tl.full([], -(1 << 30), tl.int64)

    # bounds of visible positions of every query, relative to t0
    low = tl.zeros([BLOCK_Q], tl.int32) + tl.maximum(tl.load(floor) - t0, far).to(tl.int32)
    if WINDOWED:
        low = tl.maximum(low, offs_q - tl.cast(window, tl.int32))
    head_rel = tl.maximum(of_head - t0, far).to(tl.int32)
    head_low = tl.full([BLOCK_Q], -(1 << 30), tl.int32)
    if HEAD_WINDOWED:
        head_low = offs_q - tl.maximum(low - head_rel, 0) - tl.cast(layer_window, tl.int32) + 1
    if LAYER_WINDOWED:
        low = tl.maximum(low, offs_q - tl.cast(layer_window, tl.int32) + 1)
    low = tl.maximum(low, head_rel)
    high = tl.minimum(offs_q, n_own.to(tl.int32) - 1) + 1

    rows = (block * BLOCK_Q + offs_q[:, None]).to(tl.int64) * N_HEADS + q_at
    is_q = (offs_q[:, None] < n_own) & (offs_d[None, :] < DIM)
    top = tl.full([BLOCK_Q], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_Q], tl.float32)
    acc = tl.zeros([BLOCK_Q, BLOCK_V], tl.float32)
    if HAS_HEAD:
        query = tl.load(q_head + rows * DIM + offs_d[None, :], mask=is_q, other=0.0)
        if UPCAST:
            query = query.to(tl.float32)
        head_high = tl.minimum(high, head_rel)
        n_tiles = (tl.cdiv(tl.minimum(of_head, t1 + 1), TILE)).to(tl.int32)
        n_whole = (tl.minimum(of_head, t0 + 1) // TILE).to(tl.int32)
        if HEAD_WINDOWED:
            n_whole = 0
        acc, total, top = _visit(
            acc, total, top, query, keys, values, table, kv_head, n_head, first_tail,
            0, 0, n_whole, n_head, t0, head_low, head_high, scale, softcap,
            N_KV_HEADS, DIM, V_DIM, PAGE, PAGES, BLOCK_D, BLOCK_V, STAGES, False, CAPPED, UPCAST,
        )  # fmt: skip
        acc, total, top = _visit(
            acc, total, top, query, keys, values, table, kv_head, n_head, first_tail,
            0, n_whole, n_tiles, n_head, t0, head_low, head_high, scale, softcap,
            N_KV_HEADS, DIM, V_DIM, PAGE, PAGES, BLOCK_D, BLOCK_V, 1, True, CAPPED, UPCAST,
        )  # fmt: skip
    query = tl.load(q + rows * DIM + offs_d[None, :], mask=is_q, other=0.0)
    if UPCAST:
        query = query.to(tl.float32)
    low_first = tl.min(low, 0).to(tl.int64) + t0
    low_last = tl.max(tl.where(offs_q < n_own, low, -(1 << 30)), 0).to(tl.int64) + t0
    low_first, low_last = tl.maximum(low_first, 0), tl.maximum(low_last, 0)
    low_block = (low_first // PAGE).to(tl.int32)
    start = tl.where(low_block < n_head, low_block, n_head + tl.maximum(low_block - first_tail, 0))
    from_block = tl.where(start < n_head, start, first_tail + start - n_head)
    base = from_block.to(tl.int64) * PAGE
    n_tiles = (tl.cdiv(tl.maximum(t1 + 1 - base, 0), TILE)).to(tl.int32)
    whole_to = (tl.maximum(t0 + 1 - base, 0) // TILE).to(tl.int32)
    whole_from = tl.cdiv(tl.maximum(low_last - base, 0), TILE).to(tl.int32)
    whole_from = tl.minimum(whole_from, n_tiles)
    whole_to = tl.maximum(whole_to, whole_from)
    acc, total, top = _visit(
        acc, total, top, query, keys, values, table, kv_head, n_head, first_tail,
        start, 0, whole_from, max_pages, t0, low, high, scale, softcap,
        N_KV_HEADS, DIM, V_DIM, PAGE, PAGES, BLOCK_D, BLOCK_V, STAGES, True, CAPPED, UPCAST,
    )  # fmt: skip
    acc, total, top = _visit(
        acc, total, top, query, keys, values, table, kv_head, n_head, first_tail,
        start, whole_from, whole_to, max_pages, t0, low, high, scale, softcap,
        N_KV_HEADS, DIM, V_DIM, PAGE, PAGES, BLOCK_D, BLOCK_V, STAGES, False, CAPPED, UPCAST,
    )  # fmt: skip
    acc, total, top = _visit(
        acc, total, top, query, keys, values, table, kv_head, n_head, first_tail,
        start, whole_to, n_tiles, max_pages, t0, low, high, scale, softcap,
        N_KV_HEADS, DIM, V_DIM, PAGE, PAGES, BLOCK_D, BLOCK_V, STAGES, True, CAPPED, UPCAST,
    )  # fmt: skip
    if HAS_SINK_LOGITS:
        sink = tl.load(sink_logits + q_at).to(tl.float32) * LOG2E
        new = tl.maximum(top, sink)
        acc = acc * tl.exp2(top - new)[:, None]
        total = total * tl.exp2(top - new) + tl.exp2(sink - new)
    result = acc / tl.maximum(total, 1e-37)[:, None]
    tl.store(
        out + rows * V_DIM + offs_v[None, :],
        result.to(out.dtype.element_ty),
        mask=(offs_q[:, None] < n_own) & (offs_v[None, :] < V_DIM),
    )


def prefill_paged(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    packed: PackedPages | None,
    meta: PagedMeta,
    first_position: int,
    scoring: Scoring,
) -> Any:
    """`[n, n_heads, D] -> [n, n_heads, Dv]` over the pages of `meta`'s one row."""
    table = meta.table
    if packed is not None and meta.is_packed is not None:
        keys, values, table = restore(keys, values, packed, meta)
    if suits(q, keys, values, meta, scoring):
        return prefill_on_hopper(q, q_head, keys, values, table, meta, first_position, scoring)
    return prefill_anywhere(q, q_head, keys, values, table, meta, first_position, scoring)


def prefill_anywhere(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    table: Any,
    meta: PagedMeta,
    first_position: int,
    scoring: Scoring,
) -> Any:
    """The same on any GPU, for every shape and trait; pages in full precision."""
    n, n_heads, dim = q.shape
    _, n_kv_heads, page, v_dim = values.shape
    config = prefill_config(architecture(q), triton.next_power_of_2(dim), 8 * keys.element_size())
    has_head = q_head is not None
    arguments, traits = settings(q, meta, scoring, has_head=has_head)
    for name in ("OVERLAPS", "launch_pdl"):
        traits.pop(name, None)
    queries = min(config.queries, max(16, triton.next_power_of_2(n)))
    out = q.new_empty(n, n_heads, v_dim)
    _prefill_kernel[(triton.cdiv(n, queries), n_heads)](
        q.contiguous(),
        q_head.contiguous() if has_head else q,
        out,
        keys,
        values,
        table,
        meta.n_head_pages,
        meta.tail_first,
        meta.head,
        meta.floor,
        q if scoring.sink_logits is None else scoring.sink_logits,
        n,
        first_position,
        *arguments[6:],
        N_HEADS=n_heads,
        N_KV_HEADS=n_kv_heads,
        DIM=dim,
        V_DIM=v_dim,
        PAGE=page,
        PAGES=max(1, config.keys // page),
        BLOCK_Q=queries,
        BLOCK_D=max(16, triton.next_power_of_2(dim)),
        BLOCK_V=max(16, triton.next_power_of_2(v_dim)),
        STAGES=config.stages,
        HAS_SINK_LOGITS=scoring.sink_logits is not None,
        num_warps=config.warps if queries >= 64 else 4,
        **traits,
    )
    return out
