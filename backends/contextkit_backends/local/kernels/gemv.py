"""One row through a linear layer: RMSNorm before it, and a gate or the residual behind it, in one kernel.

Decoding one token is reading the weights once; everything else should cost nothing beside that. With
`x` [1, K] and `weight` [N, K] (gated: [2N, K], the gates first) the kernel computes

    if norm is not None: x = x * rsqrt(mean(x²) + eps) * norm
    y = x @ weight.T + bias
    if gated: y = silu(y[:, :N]) * y[:, N:]
    if residual is not None: y = y + residual

in float32, rounding once. The norm's factor is taken out of the product, so it needs no pass of its own.
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
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from contextkit_backends.local.kernels.launch import GemvConfig, gemv_config, overlaps


def reference(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    norm: Any = None,
    eps: float = 0.0,
    gated: bool = False,
    residual: Any = None,
) -> Any:
    """The same in torch, float32 inside; out [1, N] in the dtype of `x`."""
    y = x.float()
    if norm is not None:
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps) * norm.float()
    y = torch.nn.functional.linear(y, weight.float(), None if bias is None else bias.float())
    if gated:
        gate, up = y.chunk(2, dim=-1)
        y = torch.nn.functional.silu(gate) * up
    if residual is not None:
        y = y + residual.float()
    return y.to(x.dtype)


def gemv(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    norm: Any = None,
    eps: float = 0.0,
    gated: bool = False,
    residual: Any = None,
    out: Any = None,
    config: GemvConfig | None = None,
) -> Any:
    """The kernel; `out` [1, N] may be given to choose its dtype. All tensors contiguous."""
    n_out = weight.shape[0] // 2 if gated else weight.shape[0]
    if out is None:
        out = torch.empty(1, n_out, dtype=x.dtype, device=x.device)
    config = config or gemv_config(n_out, weight.shape[1], paired=gated)
    overlap = overlaps(x)
    _gemv[(triton.cdiv(n_out, config.rows),)](
        x,
        weight,
        weight if bias is None else bias,
        weight if norm is None else norm,
        weight if residual is None else residual,
        out,
        n_out,
        eps,
        K=weight.shape[1],
        ROWS=config.rows,
        BLOCK=config.block,
        BIAS=bias is not None,
        NORM=norm is not None,
        GATED=gated,
        RESIDUAL=residual is not None,
        OVERLAP=overlap,
        num_warps=config.warps,
        **({"launch_pdl": True} if overlap else {}),
    )
    return out


@triton.jit
def _gemv(
    x,
    weight,
    bias,
    norm,
    residual,
    out,
    n_out,
    eps,
    K: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    BIAS: tl.constexpr,
    NORM: tl.constexpr,
    GATED: tl.constexpr,
    RESIDUAL: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    kept = rows < n_out
    columns = tl.arange(0, BLOCK)
    place = rows.to(tl.int64)[:, None] * K + columns[None, :]
    other = place + n_out.to(tl.int64) * K
    # Weights never change, so the first tiles are on their way while the kernel before still runs.
    inside = kept[:, None] & (columns < K)[None, :]
    tile = tl.load(weight + place, inside, 0.0, eviction_policy="evict_first")
    if GATED:
        twin = tl.load(weight + other, inside, 0.0, eviction_policy="evict_first")
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    sums = tl.zeros((ROWS, BLOCK), tl.float32)
    twin_sums = tl.zeros((ROWS, BLOCK), tl.float32)
    squares = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, K, BLOCK):
        at = start + columns
        value = tl.load(x + at, at < K, 0.0).to(tl.float32)
        if NORM:
            squares += value * value
            value *= tl.load(norm + at, at < K, 0.0).to(tl.float32)
        sums += tile.to(tl.float32) * value[None, :]
        ahead = kept[:, None] & (at + BLOCK < K)[None, :]
        tile = tl.load(weight + place + start + BLOCK, ahead, 0.0, eviction_policy="evict_first")
        if GATED:
            twin_sums += twin.to(tl.float32) * value[None, :]
            twin = tl.load(
                weight + other + start + BLOCK, ahead, 0.0, eviction_policy="evict_first"
            )
    y = tl.sum(sums, 1)
    z = tl.sum(twin_sums, 1)
    if NORM:
        factor = 1.0 / tl.sqrt(tl.sum(squares, 0) / K + eps)
        y *= factor
        z *= factor
    if BIAS:
        y += tl.load(bias + rows, kept, 0.0).to(tl.float32)
        if GATED:
            z += tl.load(bias + n_out + rows, kept, 0.0).to(tl.float32)
    if GATED:
        y = y / (1.0 + tl.exp(-y)) * z
    if RESIDUAL:
        y += tl.load(residual + rows, kept, 0.0).to(tl.float32)
    tl.store(out + rows, y.to(out.dtype.element_ty), kept)
