"""One query a row over pages of 4-bit keys and 8-bit values, and the few pages that are not packed.

Reference for one packed page of one key head (`q` `[group, D]`, `p0` the page's first position):

    k = scale * (zero + torch.cat([codes & 15, codes >> 4], -1))         # [P, D], without its bias
    scores = q @ k.T + (cos(p0) * q - sin(p0) * turn(q)) @ table.T       # R(-p0) q against R(m) b
    out = (softmax(scores) * value_scale) @ (value_codes - 128)

then as in `paged_decode`, but with queries as columns: keys and values are then the left side of the
products and go into its registers as bytes. Nothing is restored there: a key's scale goes into the query
and its zero is a product of its own, a value's scale goes into the weights and its zero is a product with
a constant. Products are in fp16, which holds a code exactly, a query and a weight to 11 bits.
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

from .base import KeyBias, PackedPages, PagedMeta, Scoring
from .configs import count_splits, packed_config
from .merge import merge, scratch
from .tiles import architecture, inside, log2_sum, settings, soften_columns, span, to_log2
from .unpack import UNIT, key_grid, nibbles, unsigned_bytes

# weights times a value's scale would leave the normal range of fp16
_LIFT = tl.constexpr(64.0)


@triton.jit
def _packed_kernel(
    q,
    q_head,
    q_turn,
    q_head_turn,
    keys,
    values,
    short_keys,
    short_values,
    packed_keys,
    grid,
    packed_values,
    value_scale,
    bias_table,
    bias_cos,
    bias_sin,
    is_packed,
    table,
    n_head_pages,
    tail_first,
    length,
    head,
    floor,
    partial,
    sums,
    scale,
    softcap,
    window,
    layer_window,
    max_pages,
    v_page,
    v_head,
    v_token,
    v_channel,
    N_KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    SHORT: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BLOCK_ENTRIES: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
    BIASED: tl.constexpr,
    HAS_HEAD: tl.constexpr,
    WINDOWED: tl.constexpr,
    LAYER_WINDOWED: tl.constexpr,
    HEAD_WINDOWED: tl.constexpr,
    CAPPED: tl.constexpr,
    UPCAST: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    split, kv_head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if OVERLAPS:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
    half = DIM // 2
    work = tl.float32 if UPCAST else tl.float16
    unit = 1.0 if UPCAST else UNIT
    offs_g, offs_n = tl.arange(0, BLOCK_G), tl.arange(0, PAGE)
    offs_h, offs_v = tl.arange(0, BLOCK_H), tl.arange(0, BLOCK_V)
    has_h, has_v = offs_h < half, offs_v < V_DIM
    start, stop, low, high, n_head, first_tail, is_head = span(
        row,
        split,
        n_head_pages,
        tail_first,
        length,
        head,
        floor,
        window,
        layer_window,
        PAGE,
        SPLITS,
        HAS_HEAD,
        WINDOWED,
        LAYER_WINDOWED,
        HEAD_WINDOWED,
    )
    first_head = (row * N_KV_HEADS + kv_head) * GROUP
    own, own_turn = q, q_turn
    if HAS_HEAD:
        own = tl.where(is_head, q_head, q)
        own_turn = tl.where(is_head, q_head_turn, q_turn)
    at_q = (first_head + offs_g[None, :]) * DIM + offs_h[:, None]
    has_q = (offs_g[None, :] < GROUP) & has_h[:, None]
    q_low = tl.load(own + at_q, mask=has_q, other=0.0).to(work)
    # a high code counts 16 times
    q_high = (tl.load(own + at_q + half, mask=has_q, other=0.0).to(tl.float32) / 16).to(work)
    if BIASED:
        turn_low = tl.load(own_turn + at_q, mask=has_q, other=0.0).to(tl.float32)
        turn_high = tl.load(own_turn + at_q + half, mask=has_q, other=0.0).to(tl.float32)
        at_b = (kv_head * PAGE + offs_n[:, None]) * DIM + offs_h[None, :]
        bias_low = tl.load(bias_table + at_b, mask=has_h[None, :], other=0.0).to(work)
        bias_high = tl.load(bias_table + at_b + half, mask=has_h[None, :], other=0.0).to(work)
    top = tl.full([BLOCK_G], -float("inf"), tl.float32)
    acc = tl.zeros([BLOCK_V, BLOCK_G], tl.float32)
    at_k = offs_n[:, None] * half + offs_h[None, :]
    at_v = offs_v[:, None] * v_channel + offs_n[None, :] * v_token
    # sums over tokens are products with ones: cheaper than reductions across lanes
    ones = tl.full([16, PAGE], 1.0, work)
    totals = tl.zeros([16, BLOCK_G], tl.float32)
    # values are stored as if they were positive
    centre = tl.full([BLOCK_V, PAGE], -128.0 / unit, work)
    flags, entries = is_packed + row * max_pages, table + row * max_pages
    is_next = tl.load(flags + start, mask=start < stop, other=0) == 1
    next_page = tl.load(entries + start, mask=(start < stop) & is_next, other=0)
    for entry in tl.range(start, stop, num_stages=STAGES):
        in_pool, page = is_next, next_page.to(tl.int64)
        ahead = entry + 1 < stop
        is_next = tl.load(flags + entry + 1, mask=ahead, other=0) == 1
        next_page = tl.load(entries + entry + 1, mask=ahead & is_next, other=0)
        tile = page * N_KV_HEADS + kv_head
        of_keys = packed_keys + tile * (PAGE * half)
        of_values = packed_values + page * v_page + kv_head * v_head
        if half == BLOCK_H:
            codes = tl.load(of_keys + at_k)
            words = tl.load(grid + tile * half + offs_h)
        else:
            codes = tl.load(of_keys + at_k, mask=has_h[None, :], other=0)
            words = tl.load(grid + tile * half + offs_h, mask=has_h, other=0)
        if V_DIM == BLOCK_V:
            v_codes = tl.load(of_values + at_v)
        else:
            v_codes = tl.load(of_values + at_v, mask=has_v[:, None], other=0)
        v_scale = tl.load(value_scale + tile * PAGE + offs_n).to(tl.float32)
        # scale * (code + zero): the scale goes into the query, the zero is a key of its own
        scale_low, scale_high, zero_low, zero_high = key_grid(words, UPCAST)
        k_low, k_high = nibbles(codes, UPCAST)
        of_low, of_high = q_low * scale_low[:, None], q_high * scale_high[:, None]
        from_low = tl.broadcast_to(zero_low[None, :], [PAGE, BLOCK_H])
        from_high = tl.broadcast_to(zero_high[None, :], [PAGE, BLOCK_H])
        products = tl.dot(from_low, of_low, input_precision="ieee")
        products = tl.dot(k_low, of_low, products, input_precision="ieee")
        products = tl.dot(from_high, of_high, products, input_precision="ieee")
        products = tl.dot(k_high, of_high, products, input_precision="ieee")
        if BIASED:
            at_r = page * DIM + offs_h
            cos_low = tl.load(bias_cos + at_r, mask=has_h, other=0.0)
            cos_high = tl.load(bias_cos + at_r + half, mask=has_h, other=0.0)
            sin_low = tl.load(bias_sin + at_r, mask=has_h, other=0.0)
            sin_high = tl.load(bias_sin + at_r + half, mask=has_h, other=0.0)
            whole = q_high.to(tl.float32) * 16
            back_low = q_low.to(tl.float32) * cos_low[:, None] - turn_low * sin_low[:, None]
            back_high = whole * cos_high[:, None] - turn_high * sin_high[:, None]
            restored = tl.dot(bias_low, back_low.to(work), input_precision="ieee")
            restored = tl.dot(bias_high, back_high.to(work), restored, input_precision="ieee")
            scores = to_log2(products * unit + restored, scale, softcap, CAPPED)
        else:
            scores = to_log2(products, scale * unit, softcap, CAPPED)
        first, last = inside(entry, n_head, first_tail, low, high, PAGE)
        seen = (offs_n >= first) & (offs_n < last) & in_pool
        weights, top, shrink = soften_columns(tl.where(seen[:, None], scores, -float("inf")), top)
        # a page that nobody wrote has no scale
        scaled = (weights * tl.where(seen, v_scale * _LIFT, 0.0)[:, None]).to(work)
        v = unsigned_bytes(v_codes, UPCAST)
        totals = tl.dot(ones, weights.to(work), totals * shrink[None, :], input_precision="ieee")
        part = tl.dot(centre, scaled, input_precision="ieee")
        acc = acc * shrink[None, :] + tl.dot(v, scaled, part, input_precision="ieee")
    acc *= unit
    total = tl.max(totals, 0)  # all rows are alike

    # the pages that are not packed are few: the head's, and the one in progress
    offs_e = start + tl.arange(0, BLOCK_ENTRIES)
    open_entries = tl.load(flags + offs_e, mask=offs_e < stop, other=1) != 1
    entry = tl.min(tl.where(open_entries, offs_e, stop), 0)
    while entry < stop:
        page = tl.load(entries + entry).to(tl.int64)
        first, last = inside(entry, n_head, first_tail, low, high, PAGE)
        tile = page * N_KV_HEADS + kv_head
        offs_r = offs_n
        of_key, of_value = keys + tile * (PAGE * DIM), values + tile * (PAGE * V_DIM)
        if SHORT:
            is_short = tl.load(flags + entry) == 2
            offs_r = tl.where(is_short, tl.minimum(offs_n, SHORT - 1), offs_n)
            of_key = tl.where(is_short, short_keys + tile * (SHORT * DIM), of_key)
            of_value = tl.where(is_short, short_values + tile * (SHORT * V_DIM), of_value)
        # added one by one, lest the sum of both is held in registers
        of_key = of_key + offs_r[:, None] * DIM + offs_h[None, :]
        of_value = of_value + offs_r[:, None] * V_DIM + offs_v[None, :]
        k_low = tl.load(of_key, mask=has_h[None, :], other=0.0)
        k_high = tl.load(of_key + half, mask=has_h[None, :], other=0.0)
        v = tl.load(of_value, mask=(offs_n[:, None] < last) & has_v[None, :], other=0.0)
        if UPCAST:
            k_low, k_high, v = k_low.to(tl.float32), k_high.to(tl.float32), v.to(tl.float32)
        whole = (q_high.to(tl.float32) * 16).to(k_high.dtype)
        products = tl.dot(k_low, q_low.to(k_low.dtype), input_precision="ieee")
        products = tl.dot(k_high, whole, products, input_precision="ieee")
        scores = to_log2(products, scale, softcap, CAPPED)
        seen = (offs_n >= first) & (offs_n < last)
        weights, top, shrink = soften_columns(tl.where(seen[:, None], scores, -float("inf")), top)
        total = total * shrink + tl.sum(weights, 0)
        scaled = (weights * _LIFT).to(v.dtype)
        acc = tl.dot(tl.trans(v), scaled, acc * shrink[None, :], input_precision="ieee")
        entry = tl.min(tl.where(open_entries & (offs_e > entry), offs_e, stop), 0)

    at = (first_head + offs_g).to(tl.int64) * SPLITS + split
    kept = offs_g < GROUP
    tl.store(
        partial + at[None, :] * V_DIM + offs_v[:, None],
        acc / (tl.maximum(total, 1e-37) * _LIFT)[None, :],
        mask=kept[None, :] & has_v[:, None],
    )
    tl.store(sums + at, log2_sum(top, total), mask=kept)


def decode_packed(
    q: Any,
    q_head: Any,
    keys: Any,
    values: Any,
    packed: PackedPages,
    meta: PagedMeta,
    scoring: Scoring,
) -> Any:
    """`[rows, n_heads, D] -> [rows, n_heads, Dv]`; `meta.is_packed` says which pool an entry is of."""
    rows, n_heads, dim = q.shape
    _, n_kv_heads, page, v_dim = values.shape
    block_g = max(8, triton.next_power_of_2(n_heads // n_kv_heads))
    heavy = packed.bias is not None or block_g > 8
    config = packed_config(architecture(q), triton.next_power_of_2(dim), heavy=heavy)
    has_head = q_head is not None
    short = keys if packed.short_keys is None else packed.short_keys
    max_pages = meta.table.shape[1]
    splits = count_splits(rows * n_kv_heads, max_pages, config.programs, has_head=has_head)
    partial, sums = scratch(q, splits, v_dim)
    arguments, traits = settings(q, meta, scoring, has_head=has_head)
    q = q.contiguous()
    q_head = q_head.contiguous() if has_head else q
    _packed_kernel[(splits, n_kv_heads, rows)](
        q,
        q_head,
        *_turned(q, q_head, packed.bias, has_head=has_head),
        keys,
        values,
        short,
        values if packed.short_values is None else packed.short_values,
        packed.keys,
        packed.key_grid.view(torch.int32),
        packed.values,
        packed.value_scale,
        *_bias_tensors(q, packed.bias),
        _as_bytes(meta.is_packed),
        *arguments[:6],
        partial,
        sums,
        *arguments[6:],
        *packed.values.stride(),
        N_KV_HEADS=n_kv_heads,
        GROUP=n_heads // n_kv_heads,
        DIM=dim,
        V_DIM=v_dim,
        PAGE=page,
        SHORT=0 if packed.short_keys is None else packed.short_keys.shape[2],
        BLOCK_G=block_g,
        BLOCK_H=max(16, triton.next_power_of_2(dim // 2)),
        BLOCK_V=max(16, triton.next_power_of_2(v_dim)),
        BLOCK_ENTRIES=triton.next_power_of_2((1 + has_head) * (max_pages + 1) // splits + 2),
        SPLITS=splits,
        STAGES=config.stages,
        BIASED=packed.bias is not None,
        num_warps=config.warps,
        maxnreg=config.registers,
        **traits,
    )
    return merge(partial, sums, scoring.sink_logits, q.dtype, overlaps=traits["OVERLAPS"])


def _as_bytes(flags: Any) -> Any:
    return flags.view(torch.int8) if flags.dtype == torch.bool else flags


def _turned(q: Any, q_head: Any, bias: KeyBias | None, *, has_head: bool) -> tuple[Any, Any]:
    if bias is None:
        return q, q
    turned = bias.turn(q)
    return turned, bias.turn(q_head) if has_head else turned


def _bias_tensors(q: Any, bias: KeyBias | None) -> tuple[Any, Any, Any]:
    return (q, q, q) if bias is None else (bias.table, bias.cos, bias.sin)
