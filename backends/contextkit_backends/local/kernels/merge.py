"""Partial results of splits into one, by their log-sum-exp.

Reference, over `splits` of one head (`sums` in units of log2, minus infinity where a split saw nothing):

    weights = torch.exp2(sums - sums.max(-1, keepdim=True).values)
    total = weights.sum(-1) + torch.exp2(sink_logit * log2(e) - sums.max(-1).values)
    out = (weights[..., None] * partial).sum(-2) / total[..., None]
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

from .tiles import LOG2E


@triton.jit
def merge_head(
    partial,
    sums,
    sink_logits,
    out,
    at,
    sink_at,
    V_DIM: tl.constexpr,
    BLOCK_V: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_SPLITS: tl.constexpr,
    HAS_SINK_LOGITS: tl.constexpr,
):
    """Merge head `at` of all rows' heads into `out`."""
    splits = tl.arange(0, BLOCK_SPLITS)
    offs_v = tl.arange(0, BLOCK_V)
    logs = tl.load(sums + at * SPLITS + splits, mask=splits < SPLITS, other=-float("inf"))
    top = tl.max(logs, 0)
    sink = -float("inf")
    if HAS_SINK_LOGITS:
        sink = tl.load(sink_logits + sink_at).to(tl.float32) * LOG2E
        top = tl.where(top == -float("inf"), top, tl.maximum(top, sink))
    top = tl.where(top == -float("inf"), 0.0, top)
    weights = tl.exp2(logs - top)
    total = tl.sum(weights, 0)
    if HAS_SINK_LOGITS:
        total += tl.exp2(sink - top)
    found = (splits[:, None] < SPLITS) & (offs_v[None, :] < V_DIM) & (logs[:, None] > -float("inf"))
    places = partial + (at * SPLITS + splits[:, None]) * V_DIM + offs_v[None, :]
    parts = tl.load(places, mask=found, other=0.0)
    merged = tl.sum(parts * weights[:, None], 0) / tl.maximum(total, 1e-37)
    tl.store(out + at * V_DIM + offs_v, merged.to(out.dtype.element_ty), mask=offs_v < V_DIM)


@triton.jit
def merge_kernel(
    partial,
    sums,
    sink_logits,
    out,
    n_heads,
    V_DIM: tl.constexpr,
    BLOCK_V: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_SPLITS: tl.constexpr,
    HAS_SINK_LOGITS: tl.constexpr,
    OVERLAPS: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64)
    if OVERLAPS:
        tl.extra.cuda.gdc_wait()
    merge_head(
        partial,
        sums,
        sink_logits,
        out,
        at,
        at % n_heads,
        V_DIM,
        BLOCK_V,
        SPLITS,
        BLOCK_SPLITS,
        HAS_SINK_LOGITS,
    )


def scratch(q: Any, splits: int, v_dim: int) -> tuple[Any, Any]:
    """Where the splits leave their results: fp32 `[rows, n_heads, splits, Dv]` and `[..., splits]`."""
    shape = (*q.shape[:2], splits)
    partial = torch.empty(*shape, v_dim, dtype=torch.float32, device=q.device)
    return partial, torch.empty(shape, dtype=torch.float32, device=q.device)


def merge(partial: Any, sums: Any, sink_logits: Any, dtype: Any, *, overlaps: bool) -> Any:
    """`[rows, n_heads, splits, Dv] -> [rows, n_heads, Dv]`; nothing seen gives zeros."""
    rows, n_heads, splits, v_dim = partial.shape
    out = torch.empty(rows, n_heads, v_dim, dtype=dtype, device=partial.device)
    merge_kernel[(rows * n_heads,)](
        partial,
        sums,
        sums if sink_logits is None else sink_logits,
        out,
        n_heads,
        V_DIM=v_dim,
        BLOCK_V=triton.next_power_of_2(v_dim),
        SPLITS=splits,
        BLOCK_SPLITS=triton.next_power_of_2(splits),
        HAS_SINK_LOGITS=sink_logits is not None,
        OVERLAPS=overlaps,
        num_warps=4 if splits > 8 else 1,
        **({"launch_pdl": True} if overlaps else {}),
    )
    return out
