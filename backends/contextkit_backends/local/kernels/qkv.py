"""One row from the residual stream to rotated queries and to keys and values in their page.

RMSNorm, the packed query, key and value projection, the rotation and the write into the pool, in one
kernel. `weight` is [(Hq + 2 Hkv) · D, K] with the heads of queries, keys and values in that order; a
program owns some channels d and d + D/2 of one head, which is what a rotation in halves pairs.

    y = linear(rms_norm(x), weight, bias).view(heads, D)
    q, q_head = rotate(y[:Hq], position), rotate(y[:Hq], position - gap)
    keys[page, :, offset], values[page, :, offset] = rotate(y[Hq:Hq+Hkv], position), y[Hq+Hkv:]

Angles are float64 (position · inverse frequency), reduced before their sine is taken in float32.
"""

from __future__ import annotations

# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeArgument=false
# pyright: reportMissingTypeStubs=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportGeneralTypeIssues=false
# mypy: disable-error-code="import-untyped, untyped-decorator, no-untyped-def, no-untyped-call"
import math
from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

from contextkit_backends.local.kernels.gemv import reference as linear
from contextkit_backends.local.kernels.launch import GemvConfig, gemv_config, overlaps


def rotate(x: Any, positions: Any, frequencies: Any, factor: float) -> Any:
    """`x` [n, H, D] turned by float64 angles, channel d with d + D/2; float32."""
    angles = positions.double()[:, None] * frequencies.double()
    angles = torch.remainder(angles, 2 * math.pi)
    cos, sin = (factor * f(angles).float()[:, None] for f in (torch.cos, torch.sin))
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def reference(
    x: Any,
    weight: Any,
    bias: Any,
    norm: Any,
    eps: float,
    *,
    positions: Any,
    gaps: Any,
    frequencies: Any,
    factor: float,
    keys: Any,
    values: Any,
    slots: Any,
    n_heads: int,
) -> tuple[Any, Any]:
    """(q, q_head), each [1, Hq, D]; writes key and value at `slots` = page · P + offset, if >= 0."""
    n_kv, page_tokens, depth = keys.shape[1:]
    y = linear(x.float(), weight.float(), bias, norm=norm, eps=eps).view(1, -1, depth)
    q, k, v = y.split((n_heads, n_kv, n_kv), dim=1)
    page, offset = slots // page_tokens, slots % page_tokens
    keys[page, :, offset] = rotate(k, positions, frequencies, factor).to(keys.dtype)
    values[page, :, offset] = v.to(values.dtype)
    both = (rotate(q, at, frequencies, factor).to(x.dtype) for at in (positions, positions - gaps))
    return next(both), next(both)


def project(
    x: Any,
    weight: Any,
    bias: Any,
    norm: Any,
    eps: float,
    *,
    positions: Any,
    gaps: Any,
    frequencies: Any,
    factor: float,
    keys: Any,
    values: Any,
    slots: Any,
    n_heads: int,
    config: GemvConfig | None = None,
) -> tuple[Any, Any]:
    """The kernel; arguments and result as `reference` has them."""
    n_kv, page_tokens, depth = keys.shape[1:]
    config = config or gemv_config(weight.shape[0] // 2, weight.shape[1], paired=True)
    rows = math.gcd(config.rows, depth // 2)
    q, q_head = (torch.empty(1, n_heads, depth, dtype=x.dtype, device=x.device) for _ in range(2))
    overlap = overlaps(x)
    _project[(weight.shape[0] // 2 // rows,)](
        x,
        weight,
        weight if bias is None else bias,
        norm,
        frequencies,
        positions,
        gaps,
        slots,
        q,
        q_head,
        keys,
        values,
        eps,
        factor,
        K=weight.shape[1],
        HEADS=n_heads,
        KV_HEADS=n_kv,
        HALF=depth // 2,
        PAGE=page_tokens,
        ROWS=rows,
        BLOCK=config.block,
        BIAS=bias is not None,
        OVERLAP=overlap,
        num_warps=config.warps,
        **({"launch_pdl": True} if overlap else {}),
    )
    return q, q_head


@triton.jit
def cos_sin(angle):
    """Cosine and sine (float32) of float64 angles of any size."""
    turns = tl.floor(angle * 0.15915494309189535)
    small = (angle - turns * 6.283185307179586).to(tl.float32)
    return tl.cos(small), tl.sin(small)


@triton.jit
def _project(
    x,
    weight,
    bias,
    norm,
    frequencies,
    positions,
    gaps,
    slots,
    q,
    q_head,
    keys,
    values,
    eps,
    factor,
    K: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HALF: tl.constexpr,
    PAGE: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
    BIAS: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    program = tl.program_id(0)
    head = program // (HALF // ROWS)
    channel = (program % (HALF // ROWS)) * ROWS + tl.arange(0, ROWS)
    row = head * 2 * HALF + channel
    columns = tl.arange(0, BLOCK)
    place = row.to(tl.int64)[:, None] * K + columns[None, :]
    inside = (columns < K)[None, :] & (channel >= 0)[:, None]
    first = tl.load(weight + place, inside, 0.0, eviction_policy="evict_first")
    second = tl.load(weight + place + HALF * K, inside, 0.0, eviction_policy="evict_first")
    frequency = tl.load(frequencies + channel)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    position = tl.load(positions)
    cos, sin = cos_sin(position.to(tl.float64) * frequency)
    first_sums = tl.zeros((ROWS, BLOCK), tl.float32)
    second_sums = tl.zeros((ROWS, BLOCK), tl.float32)
    squares = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, K, BLOCK):
        at = start + columns
        value = tl.load(x + at, at < K, 0.0).to(tl.float32)
        squares += value * value
        value *= tl.load(norm + at, at < K, 0.0).to(tl.float32)
        first_sums += first.to(tl.float32) * value[None, :]
        second_sums += second.to(tl.float32) * value[None, :]
        ahead = (at + BLOCK < K)[None, :] & (channel >= 0)[:, None]
        following = weight + place + start + BLOCK
        first = tl.load(following, ahead, 0.0, eviction_policy="evict_first")
        second = tl.load(following + HALF * K, ahead, 0.0, eviction_policy="evict_first")
    scale = 1.0 / tl.sqrt(tl.sum(squares, 0) / K + eps)
    a = tl.sum(first_sums, 1) * scale
    b = tl.sum(second_sums, 1) * scale
    if BIAS:
        a += tl.load(bias + row).to(tl.float32)
        b += tl.load(bias + row + HALF).to(tl.float32)
    if head < HEADS:
        own = head * 2 * HALF + channel
        tl.store(q + own, ((a * cos - b * sin) * factor).to(q.dtype.element_ty))
        tl.store(q + own + HALF, ((b * cos + a * sin) * factor).to(q.dtype.element_ty))
        near = position - tl.load(gaps)
        near_cos, near_sin = cos_sin(near.to(tl.float64) * frequency)
        a_near = (a * near_cos - b * near_sin) * factor
        b_near = (b * near_cos + a * near_sin) * factor
        tl.store(q_head + own, a_near.to(q.dtype.element_ty))
        tl.store(q_head + own + HALF, b_near.to(q.dtype.element_ty))
    else:
        slot = tl.load(slots)
        row_in_pool = (slot // PAGE) * KV_HEADS * PAGE + slot % PAGE
        if head < HEADS + KV_HEADS:
            to_key = keys + (row_in_pool + (head - HEADS) * PAGE) * 2 * HALF + channel
            is_real = (channel >= 0) & (slot >= 0)
            turned = (a * cos - b * sin) * factor
            tl.store(to_key, turned.to(keys.dtype.element_ty), is_real)
            turned = (b * cos + a * sin) * factor
            tl.store(to_key + HALF, turned.to(keys.dtype.element_ty), is_real)
        else:
            to_value = (
                values + (row_in_pool + (head - HEADS - KV_HEADS) * PAGE) * 2 * HALF + channel
            )
            is_real = (channel >= 0) & (slot >= 0)
            tl.store(to_value, a.to(values.dtype.element_ty), is_real)
            tl.store(to_value + HALF, b.to(values.dtype.element_ty), is_real)
