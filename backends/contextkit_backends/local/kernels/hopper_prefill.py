"""Prefill on Hopper with a warp that loads and two groups of four warps that compute.

Reference: that of `paged_prefill`, whose semantics are the same; this kernel takes what it can (16-bit
keys, pages of 64 tokens, head sizes 64 and 128, no score cap) and is left out otherwise.

The loading warp walks the block table and copies a page of keys and one of values at a time into a ring
in shared memory. Each computing group owns 64 queries: it issues the next scores and the last weighted sum
together, and does its softmax while the tensor cores work for the other group (FlashAttention-3,
arXiv:2407.08608).
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

import torch
import triton
import triton.language as tl
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from .base import PagedMeta, Scoring

PAGE = 64
QUERIES = 128  # of a program: 64 for each computing group
_LOG2E = gl.constexpr(1.4426950408889634)
_FAR = gl.constexpr(-(1 << 30))
_SCORES = gl.constexpr(gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16]))


@gluon.jit
def _tiles(
    n_head_pages, tail_first, head, floor, t0, t1, window,
    PAGE: gl.constexpr, HAS_HEAD: gl.constexpr, WINDOWED: gl.constexpr,
):  # fmt: skip
    """Head tiles, the tail's first entry and its position, and how many tail tiles there are."""
    n_head, first_tail = gl.load(n_head_pages), gl.load(tail_first)
    of_head = gl.load(head).to(gl.int64)
    low = gl.load(floor)
    if WINDOWED:
        low = gl.maximum(low, t0 - window)
    low = gl.maximum(gl.maximum(low, of_head), 0)
    low_block = (low // PAGE).to(gl.int32)
    start = gl.where(low_block < n_head, low_block, n_head + gl.maximum(low_block - first_tail, 0))
    block = gl.where(start < n_head, start, first_tail + start - n_head)
    base = block.to(gl.int64) * PAGE
    n_tail = ((gl.maximum(t1 + 1 - base, 0) + PAGE - 1) // PAGE).to(gl.int32)
    n_of_head = 0
    if HAS_HEAD:
        n_of_head = ((gl.minimum(of_head, t1 + 1) + PAGE - 1) // PAGE).to(gl.int32)
    return n_of_head, start, base, n_tail


@gluon.jit
def _load(
    k_pool, v_pool, k_ring, v_ring, k_full, v_full, k_empty, v_empty,
    table, kv_head, n_of_head, start, n_tail,
    N_KV_HEADS: gl.constexpr, PAGE: gl.constexpr, STAGES: gl.constexpr, BYTES: gl.constexpr,
):  # fmt: skip
    """Pages into the ring: the head's entries, then the tail's."""
    n_tiles = n_of_head + n_tail
    first = gl.where(n_of_head > 0, 0, start)
    page = gl.load(table + first)
    for index in range(n_tiles):
        ahead = gl.minimum(index + 1, n_tiles - 1)
        entry = gl.where(ahead < n_of_head, ahead, start + ahead - n_of_head)
        next_page = gl.load(table + entry)
        row = (page * N_KV_HEADS + kv_head) * PAGE
        slot = index % STAGES
        lap = (index // STAGES) & 1
        mbarrier.wait(k_empty.index(slot), lap ^ 1)
        mbarrier.expect(k_full.index(slot), BYTES)
        tma.async_copy_global_to_shared(k_pool, [row, 0], k_full.index(slot), k_ring.index(slot))
        mbarrier.wait(v_empty.index(slot), lap ^ 1)
        mbarrier.expect(v_full.index(slot), BYTES)
        tma.async_copy_global_to_shared(v_pool, [row, 0], v_full.index(slot), v_ring.index(slot))
        page = next_page


@gluon.jit
def _soften(products, top, total, factor, position, low, high, is_edge):
    """One step of the online softmax; only tiles at an edge are masked."""
    if is_edge:
        seen = (position[None, :] >= low[:, None]) & (position[None, :] < high[:, None])
        products = gl.where(seen, products, -float("inf"))
    new = gl.maximum(top, gl.max(products, 1) * factor)
    finite = gl.where(new == -float("inf"), 0.0, new)
    weights = gl.exp2(products * factor - finite[:, None])
    shrink = gl.exp2(top - finite)
    return weights, new, total * shrink + gl.sum(weights, 1), shrink


@gluon.jit
def _compute(
    q, q_head, out, sink_logits, k_ring, v_ring, k_full, v_full, k_empty, v_empty,
    head, floor, n_of_head, base, n_tail, first_row, n_own, t0, q_at, scale, window,
    N_HEADS: gl.constexpr, DIM: gl.constexpr, PAGE: gl.constexpr, STAGES: gl.constexpr,
    HAS_HEAD: gl.constexpr, WINDOWED: gl.constexpr, HAS_SINK_LOGITS: gl.constexpr,
):  # fmt: skip
    """64 queries, the first at position `t0`: their output."""
    sums: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, DIM, 16])
    of_query: gl.constexpr = gl.DotOperandLayout(0, _SCORES, 2)
    of_weight: gl.constexpr = gl.DotOperandLayout(0, sums, 2)
    rows: gl.constexpr = gl.SliceLayout(1, _SCORES)
    out_rows: gl.constexpr = gl.SliceLayout(1, sums)
    dtype: gl.constexpr = q.dtype.element_ty
    factor = scale * _LOG2E

    offs_q = gl.arange(0, 64, rows)
    offs_n = gl.arange(0, PAGE, gl.SliceLayout(0, _SCORES))
    far = gl.to_tensor(_FAR).to(gl.int64)
    of_head = gl.load(head).to(gl.int64)
    head_rel = gl.maximum(of_head - t0, far).to(gl.int32)
    low = offs_q * 0 + gl.maximum(gl.load(floor) - t0, far).to(gl.int32)
    if WINDOWED:
        low = gl.maximum(low, offs_q - window)
    low = gl.maximum(low, head_rel)
    high = gl.minimum(offs_q, n_own - 1) + 1
    base_rel = gl.maximum(base - t0, far).to(gl.int32)

    q_row = gl.arange(0, 64, gl.SliceLayout(1, of_query))
    q_col = gl.arange(0, DIM, gl.SliceLayout(0, of_query))
    at_q = ((first_row + q_row).to(gl.int64) * N_HEADS + q_at)[:, None] * DIM + q_col[None, :]
    has_q = (q_row < n_own)[:, None] & (q_col < DIM)[None, :]
    empty = gl.full([64, PAGE], 0.0, gl.float32, _SCORES)
    acc = gl.full([64, DIM], 0.0, gl.float32, sums)
    top = gl.full([64], -float("inf"), gl.float32, rows)
    total = gl.full([64], 0.0, gl.float32, rows)
    if HAS_HEAD:
        query = gl.load(q_head + at_q, mask=has_q, other=0.0)
        head_low = offs_q * 0 + _FAR
        head_high = gl.minimum(high, head_rel)
        for index in range(n_of_head):
            slot = index % STAGES
            lap = (index // STAGES) & 1
            mbarrier.wait(k_full.index(slot), lap)
            products = warpgroup_mma(
                query, k_ring.index(slot).permute((1, 0)), empty, use_acc=False
            )
            gl.thread_barrier()
            mbarrier.arrive(k_empty.index(slot), count=1)
            position = (gl.maximum(index * PAGE - t0, far)).to(gl.int32) + offs_n
            weights, top, total, shrink = _soften(
                products, top, total, factor, position, head_low, head_high, True
            )
            acc = acc * gl.convert_layout(shrink, out_rows)[:, None]
            mbarrier.wait(v_full.index(slot), lap)
            weights = gl.convert_layout(weights.to(dtype), of_weight)
            acc = warpgroup_mma(weights, v_ring.index(slot), acc)
            gl.thread_barrier()
            mbarrier.arrive(v_empty.index(slot), count=1)

    # whole tiles lie behind the last query's lower bound and before the first query
    last_low = gl.max(gl.where(offs_q < n_own, low, _FAR), 0) - base_rel
    whole_from = (gl.maximum(last_low, 0) + PAGE - 1) // PAGE
    whole_to = gl.maximum(1 - base_rel, 0) // PAGE
    query = gl.load(q + at_q, mask=has_q, other=0.0)
    slot = n_of_head % STAGES
    lap = (n_of_head // STAGES) & 1
    mbarrier.wait(k_full.index(slot), lap)
    products = warpgroup_mma(query, k_ring.index(slot).permute((1, 0)), empty, use_acc=False)
    gl.thread_barrier()
    mbarrier.arrive(k_empty.index(slot), count=1)
    weights, top, total, shrink = _soften(
        products,
        top,
        total,
        factor,
        base_rel + offs_n,
        low,
        high,
        (whole_from > 0) | (whole_to < 1),
    )
    acc = acc * gl.convert_layout(shrink, out_rows)[:, None]
    weights = gl.convert_layout(weights.to(dtype), of_weight)
    for tile in range(1, n_tail):
        ahead = n_of_head + tile
        k_slot = ahead % STAGES
        mbarrier.wait(k_full.index(k_slot), (ahead // STAGES) & 1)
        scoring = warpgroup_mma(
            query, k_ring.index(k_slot).permute((1, 0)), empty, use_acc=False, is_async=True
        )
        mbarrier.wait(v_full.index(slot), lap)
        summing = warpgroup_mma(weights, v_ring.index(slot), acc, is_async=True)
        products = warpgroup_mma_wait(1, deps=[scoring])
        gl.thread_barrier()
        mbarrier.arrive(k_empty.index(k_slot), count=1)
        is_edge = (tile < whole_from) | (tile >= whole_to)
        fresh, top, total, shrink = _soften(
            products, top, total, factor, base_rel + tile * PAGE + offs_n, low, high, is_edge
        )
        acc = warpgroup_mma_wait(0, deps=[summing])
        gl.thread_barrier()
        mbarrier.arrive(v_empty.index(slot), count=1)
        acc = acc * gl.convert_layout(shrink, out_rows)[:, None]
        weights = gl.convert_layout(fresh.to(dtype), of_weight)
        slot = k_slot
        lap = (ahead // STAGES) & 1
    mbarrier.wait(v_full.index(slot), lap)
    acc = warpgroup_mma(weights, v_ring.index(slot), acc)

    if HAS_SINK_LOGITS:
        sink = gl.load(sink_logits + q_at).to(gl.float32) * _LOG2E
        new = gl.maximum(top, sink)
        shrink = gl.exp2(top - new)
        acc = acc * gl.convert_layout(shrink, out_rows)[:, None]
        total = total * shrink + gl.exp2(sink - new)
    result = acc / gl.convert_layout(gl.maximum(total, 1e-37), out_rows)[:, None]
    o_row = gl.arange(0, 64, out_rows)
    o_col = gl.arange(0, DIM, gl.SliceLayout(0, sums))
    at_o = ((first_row + o_row).to(gl.int64) * N_HEADS + q_at)[:, None] * DIM + o_col[None, :]
    gl.store(out + at_o, result.to(dtype), mask=(o_row < n_own)[:, None] & (o_col < DIM)[None, :])


@gluon.jit
def _hopper_kernel(
    q, q_head, out, k_pool, v_pool, table, n_head_pages, tail_first, head, floor, sink_logits,
    n_queries, first_position, scale, window,
    N_HEADS: gl.constexpr, N_KV_HEADS: gl.constexpr, DIM: gl.constexpr, PAGE: gl.constexpr,
    STAGES: gl.constexpr, HAS_HEAD: gl.constexpr, WINDOWED: gl.constexpr, HAS_SINK_LOGITS: gl.constexpr,
):  # fmt: skip
    block = gl.num_programs(0) - 1 - gl.program_id(0)  # the longest first
    q_at = gl.program_id(1)
    kv_head = q_at // (N_HEADS // N_KV_HEADS)
    row = block * 128
    n_own = gl.minimum(n_queries - row, 128)
    t0 = gl.to_tensor(first_position).to(gl.int64) + row
    n_of_head, start, base, n_tail = _tiles(
        n_head_pages, tail_first, head, floor, t0, t0 + n_own - 1, window, PAGE, HAS_HEAD, WINDOWED
    )
    dtype: gl.constexpr = q.dtype.element_ty
    k_ring = gl.allocate_shared_memory(dtype, [STAGES, PAGE, DIM], k_pool.layout)
    v_ring = gl.allocate_shared_memory(dtype, [STAGES, PAGE, DIM], v_pool.layout)
    k_full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    v_full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    k_empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    v_empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for slot in gl.static_range(STAGES):
        mbarrier.init(k_full.index(slot), count=1)
        mbarrier.init(v_full.index(slot), count=1)
        mbarrier.init(k_empty.index(slot), count=2)
        mbarrier.init(v_empty.index(slot), count=2)
    bytes_of_tile: gl.constexpr = PAGE * DIM * 2
    gl.warp_specialize(
        [
            (_compute, (
                q, q_head, out, sink_logits, k_ring, v_ring, k_full, v_full, k_empty, v_empty,
                head, floor, n_of_head, base, n_tail, row, n_own, t0, q_at, scale, window,
                N_HEADS, DIM, PAGE, STAGES, HAS_HEAD, WINDOWED, HAS_SINK_LOGITS,
            )),
            (_compute, (
                q, q_head, out, sink_logits, k_ring, v_ring, k_full, v_full, k_empty, v_empty,
                head, floor, n_of_head, base, n_tail, row + 64, n_own - 64, t0 + 64, q_at, scale, window,
                N_HEADS, DIM, PAGE, STAGES, HAS_HEAD, WINDOWED, HAS_SINK_LOGITS,
            )),
            (_load, (
                k_pool, v_pool, k_ring, v_ring, k_full, v_full, k_empty, v_empty,
                table, kv_head, n_of_head, start, n_tail, N_KV_HEADS, PAGE, STAGES, bytes_of_tile,
            )),
        ],
        [4, 1],
        [240, 24],
    )  # fmt: skip


@triton.jit
def _clear_kernel(
    values, table, n_head_pages, tail_first, length,
    DIM: tl.constexpr, PAGE: tl.constexpr,
):  # fmt: skip
    stop = tl.load(length)
    n_head, first_tail = tl.load(n_head_pages), tl.load(tail_first)
    block = (stop // PAGE).to(tl.int32)
    entry = tl.where(block < first_tail, block, n_head + block - first_tail)
    tile = tl.load(table + entry).to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    offs_n, offs_d = tl.arange(0, PAGE), tl.arange(0, DIM)
    places = values + tile * PAGE * DIM + offs_n[:, None] * DIM + offs_d[None, :]
    nothing = tl.zeros([PAGE, DIM], values.dtype.element_ty)
    tl.store(places, nothing, mask=offs_n[:, None] >= stop % PAGE)


def suits(q: Any, keys: Any, values: Any, meta: PagedMeta, scoring: Scoring) -> bool:
    """Whether this kernel can do it."""
    return (
        q.is_cuda
        and torch.cuda.get_device_capability(q.device)[0] == 9
        and q.dtype in (torch.bfloat16, torch.float16)
        and q.dtype == keys.dtype
        and keys.shape == values.shape
        and keys.shape[2] == PAGE
        and keys.shape[3] in (64, 128)
        and scoring.softcap is None
        and not (meta.head_windowed and scoring.layer_window is not None)
    )


def prefill_on_hopper(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    table: Any,
    meta: PagedMeta,
    first_position: int,
    scoring: Scoring,
) -> Any:
    """`[n, n_heads, D] -> [n, n_heads, D]`; `suits` must have said yes."""
    n, n_heads, dim = q.shape
    windows = [meta.window] if meta.window is not None else []
    if scoring.layer_window is not None:
        windows.append(scoring.layer_window - 1)
    if (first_position + n) % PAGE:
        # values behind the last token are multiplied by 0, which must not find an infinity there
        _clear_kernel[(keys.shape[1],)](
            values, table, meta.n_head_pages, meta.tail_first, meta.length, DIM=dim, PAGE=PAGE
        )
    layout = gl.NVMMASharedLayout.get_default_for([PAGE, dim], _name(q.dtype))
    pools = [
        TensorDescriptor.from_tensor(pool.view(-1, dim), [PAGE, dim], layout)
        for pool in (keys, values)
    ]
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    _hopper_kernel[(triton.cdiv(n, QUERIES), n_heads)](
        q.contiguous(),
        q if q_head is None else q_head.contiguous(),
        out,
        *pools,
        table,
        meta.n_head_pages,
        meta.tail_first,
        meta.head,
        meta.floor,
        q if scoring.sink_logits is None else scoring.sink_logits,
        n,
        first_position,
        scoring.scale,
        min(windows, default=0),
        N_HEADS=n_heads,
        N_KV_HEADS=keys.shape[1],
        DIM=dim,
        PAGE=PAGE,
        STAGES=4 if dim == 128 else 6,
        HAS_HEAD=q_head is not None,
        WINDOWED=bool(windows),
        HAS_SINK_LOGITS=scoring.sink_logits is not None,
        num_warps=4,
    )
    return out


def _name(dtype: Any) -> Any:
    return gl.bfloat16 if dtype == torch.bfloat16 else gl.float16
