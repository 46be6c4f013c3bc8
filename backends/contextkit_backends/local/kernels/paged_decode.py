"""One query a row over pages in full precision: the hot path of generation.

Reference for one row (`k`, `v` `[n, n_kv_heads, D]` gathered from its pages, `seen` as in `base`):

    scores = torch.einsum("hgd,nhd->hgn", q.view(n_kv_heads, -1, D), k)
    scores[..., of_head] = torch.einsum("hgd,nhd->hgn", q_head.view(n_kv_heads, -1, D), k[of_head])
    scores = cap * torch.tanh(scores * scale / cap)              # where there is a cap
    scores = scores.masked_fill(~seen, -torch.inf)
    weights = torch.cat([scores, sink_logits], -1).softmax(-1)[..., :n]
    out = torch.einsum("hgn,nhd->hgd", weights, v)

The visible pages of a row are cut into splits, one program each; the heads of a group are the rows of one
product, so every key is read once. A page of one key head is contiguous and is one tile.
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

from .base import PagedMeta, Scoring
from .configs import count_splits, decode_config
from .merge import merge, scratch
from .tiles import architecture, inside, log2_sum, settings, soften, span, to_log2


@triton.jit
def _decode_kernel(
    q,
    q_head,
    keys,
    values,
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
    N_KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK_G: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_V: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
    HAS_HEAD: tl.constexpr,
    WINDOWED: tl.constexpr,
    LAYER_WINDOWED: tl.constexpr,
    HEAD_WINDOWED: tl.constexpr,
    CAPPED: tl.constexpr,
    UPCAST: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    split, kv_head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    if OVERLAPS:  # start while the kernel in front ends, let the merge do the same
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
    offs_g, offs_n = tl.arange(0, BLOCK_G), tl.arange(0, PAGE)
    offs_d, offs_v = tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_V)
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
    own = q
    if HAS_HEAD:
        own = tl.where(is_head, q_head, q)
    query = tl.load(
        own + (first_head + offs_g[:, None]) * DIM + offs_d[None, :],
        mask=(offs_g[:, None] < GROUP) & (offs_d[None, :] < DIM),
        other=0.0,
    )
    if UPCAST:
        query = query.to(tl.float32)
    top = tl.full([BLOCK_G], -float("inf"), tl.float32)
    total = tl.zeros([BLOCK_G], tl.float32)
    acc = tl.zeros([BLOCK_G, BLOCK_V], tl.float32)
    at_k = offs_n[:, None] * DIM + offs_d[None, :]
    at_v = offs_n[:, None] * V_DIM + offs_v[None, :]
    entries = table + row * max_pages
    page = tl.load(entries + start, mask=start < stop, other=0)  # always one tile ahead
    for entry in tl.range(start, stop, num_stages=STAGES):
        next_page = tl.load(entries + entry + 1, mask=entry + 1 < stop, other=0)
        first, last = inside(entry, n_head, first_tail, low, high, PAGE)
        tile = page.to(tl.int64) * N_KV_HEADS + kv_head
        page = next_page
        places = keys + tile * (PAGE * DIM) + at_k
        if DIM == BLOCK_D:  # noqa: SIM108
            k = tl.load(places)
        else:
            k = tl.load(places, mask=offs_d[None, :] < DIM, other=0.0)
        # what an unfilled slot holds is unknown: it must not reach the sum as 0 * infinity
        seen = (offs_n >= first) & (offs_n < last)
        places = values + tile * (PAGE * V_DIM) + at_v
        v = tl.load(places, mask=seen[:, None] & (offs_v[None, :] < V_DIM), other=0.0)
        if UPCAST:
            k, v = k.to(tl.float32), v.to(tl.float32)
        products = tl.dot(query, tl.trans(k), input_precision="ieee")
        scores = to_log2(products, scale, softcap, CAPPED)
        weights, top, shrink = soften(tl.where(seen[None, :], scores, -float("inf")), top)
        total = total * shrink + tl.sum(weights, 1)
        acc = tl.dot(weights.to(v.dtype), v, acc * shrink[:, None], input_precision="ieee")
    at = (first_head + offs_g).to(tl.int64) * SPLITS + split
    kept = offs_g < GROUP
    tl.store(
        partial + at[:, None] * V_DIM + offs_v[None, :],
        acc / tl.maximum(total, 1e-37)[:, None],
        mask=kept[:, None] & (offs_v[None, :] < V_DIM),
    )
    tl.store(sums + at, log2_sum(top, total), mask=kept)


def decode_paged(
    q: Any, q_head: Any, keys: Any, values: Any, meta: PagedMeta, scoring: Scoring
) -> Any:
    """`[rows, n_heads, D] -> [rows, n_heads, Dv]` over `keys` `[n_pages, n_kv_heads, P, D]`."""
    rows, n_heads, dim = q.shape
    _, n_kv_heads, page, v_dim = values.shape
    bits, padded = 8 * keys.element_size(), triton.next_power_of_2(dim)
    config = decode_config(architecture(q), padded, bits, rows * n_kv_heads)
    has_head = q_head is not None
    splits = count_splits(
        rows * n_kv_heads, meta.table.shape[1], config.programs, has_head=has_head
    )
    partial, sums = scratch(q, splits, v_dim)
    arguments, traits = settings(q, meta, scoring, has_head=has_head)
    _decode_kernel[(splits, n_kv_heads, rows)](
        q.contiguous(),
        q_head.contiguous() if has_head else q,
        keys,
        values,
        *arguments[:6],
        partial,
        sums,
        *arguments[6:],
        N_KV_HEADS=n_kv_heads,
        GROUP=n_heads // n_kv_heads,
        DIM=dim,
        V_DIM=v_dim,
        PAGE=page,
        BLOCK_G=max(16, triton.next_power_of_2(n_heads // n_kv_heads)),
        BLOCK_D=max(16, triton.next_power_of_2(dim)),
        BLOCK_V=max(16, triton.next_power_of_2(v_dim)),
        SPLITS=splits,
        STAGES=config.stages,
        num_warps=config.warps,
        maxnreg=config.registers,
        **traits,
    )
    return merge(partial, sums, scoring.sink_logits, q.dtype, overlaps=traits["OVERLAPS"])
