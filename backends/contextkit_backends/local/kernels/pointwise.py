"""What stands between the matrix products of a decode step of several rows, each in one kernel.

add_norm:     x += delta;  x * rsqrt(mean(x²) + eps) * weight
silu_product: silu(gate) * up, from [n, 2N] with the gates first
rotate_write: [n, (Hq + 2 Hkv) · D] to rotated queries, and keys and values into their pages;
              a negative slot is padding and writes nothing
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

from contextkit_backends.local.kernels.launch import overlaps
from contextkit_backends.local.kernels.qkv import cos_sin, rotate


def norm_reference(x: Any, weight: Any, eps: float) -> Any:
    y = x.float()
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps) * weight.float()
    return y.to(x.dtype)


def add_norm(x: Any, delta: Any | None, weight: Any, eps: float) -> Any:
    """`x` [n, K] grows by `delta` where one is given; returns the norm of the sum."""
    out = torch.empty_like(x)
    overlap = overlaps(x)
    _add_norm[(x.shape[0],)](
        x,
        x if delta is None else delta,
        weight,
        out,
        eps,
        K=x.shape[1],
        BLOCK=triton.next_power_of_2(x.shape[1]),
        ADD=delta is not None,
        OVERLAP=overlap,
        num_warps=8,
        **({"launch_pdl": True} if overlap else {}),
    )
    return out


def silu_product(pair: Any) -> Any:
    """`pair` [n, 2N] → [n, N]."""
    n, width = pair.shape[0], pair.shape[1] // 2
    out = torch.empty(n, width, dtype=pair.dtype, device=pair.device)
    overlap = overlaps(pair)
    _silu_product[(n, triton.cdiv(width, 1024))](
        pair,
        out,
        width,
        BLOCK=1024,
        OVERLAP=overlap,
        **({"launch_pdl": True} if overlap else {}),
    )
    return out


def rotate_write_reference(
    qkv: Any,
    *,
    positions: Any,
    gaps: Any,
    frequencies: Any,
    factor: float,
    keys: Any,
    values: Any,
    slots: Any,
    n_heads: int,
    q_norm: Any = None,
    k_norm: Any = None,
    eps: float = 0.0,
) -> tuple[Any, Any]:
    """(q, q_head), each [n, Hq, D]; writes every row's key and value at its slot."""
    n_kv, page_tokens, depth = keys.shape[1:]
    q, k, v = qkv.float().view(qkv.shape[0], -1, depth).split((n_heads, n_kv, n_kv), dim=1)
    q = q if q_norm is None else norm_reference(q, q_norm, eps)
    k = k if k_norm is None else norm_reference(k, k_norm, eps)
    page, offset = slots // page_tokens, slots % page_tokens
    keys[page, :, offset] = rotate(k, positions, frequencies, factor).to(keys.dtype)
    values[page, :, offset] = v.to(values.dtype)
    both = (
        rotate(q, at, frequencies, factor).to(qkv.dtype) for at in (positions, positions - gaps)
    )
    return next(both), next(both)


def rotate_write(
    qkv: Any,
    *,
    positions: Any,
    gaps: Any,
    frequencies: Any,
    factor: float,
    keys: Any,
    values: Any,
    slots: Any,
    n_heads: int,
    q_norm: Any = None,
    k_norm: Any = None,
    eps: float = 0.0,
) -> tuple[Any, Any]:
    """The kernel; arguments and result as `rotate_write_reference` has them."""
    n_kv, page_tokens, depth = keys.shape[1:]
    n = qkv.shape[0]
    q, q_head = (
        torch.empty(n, n_heads, depth, dtype=qkv.dtype, device=qkv.device) for _ in range(2)
    )
    overlap = overlaps(qkv)
    _rotate_write[(n, n_heads + 2 * n_kv)](
        qkv,
        qkv if q_norm is None else q_norm,
        qkv if k_norm is None else k_norm,
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
        HEADS=n_heads,
        KV_HEADS=n_kv,
        HALF=depth // 2,
        PAGE=page_tokens,
        BLOCK=triton.next_power_of_2(depth // 2),
        Q_NORM=q_norm is not None,
        K_NORM=k_norm is not None,
        OVERLAP=overlap,
        num_warps=1,
        **({"launch_pdl": True} if overlap else {}),
    )
    return q, q_head


@triton.jit
def _add_norm(
    x,
    delta,
    weight,
    out,
    eps,
    K: tl.constexpr,
    BLOCK: tl.constexpr,
    ADD: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    columns = tl.arange(0, BLOCK)
    inside = columns < K
    scale = tl.load(weight + columns, inside, 0.0).to(tl.float32)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    place = tl.program_id(0).to(tl.int64) * K + columns
    value = tl.load(x + place, inside, 0.0).to(tl.float32)
    if ADD:
        value += tl.load(delta + place, inside, 0.0).to(tl.float32)
        rounded = value.to(x.dtype.element_ty)
        tl.store(x + place, rounded, inside)
        value = rounded.to(tl.float32)
    value *= 1.0 / tl.sqrt(tl.sum(value * value, 0) / K + eps)
    tl.store(out + place, (value * scale).to(out.dtype.element_ty), inside)


@triton.jit
def _silu_product(pair, out, width, BLOCK: tl.constexpr, OVERLAP: tl.constexpr):
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    gate = tl.load(pair + row * 2 * width + columns, inside, 0.0).to(tl.float32)
    up = tl.load(pair + row * 2 * width + width + columns, inside, 0.0).to(tl.float32)
    product = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out + row * width + columns, product.to(out.dtype.element_ty), inside)


@triton.jit
def _rotate_write(
    qkv,
    q_norm,
    k_norm,
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
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    HALF: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
    Q_NORM: tl.constexpr,
    K_NORM: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    row, head = tl.program_id(0), tl.program_id(1)
    channel = tl.arange(0, BLOCK)
    inside = channel < HALF
    frequency = tl.load(frequencies + channel, inside, 0.0)
    if OVERLAP:
        gdc_wait()
        gdc_launch_dependents()
    source = qkv + (row.to(tl.int64) * (HEADS + 2 * KV_HEADS) + head) * 2 * HALF + channel
    a = tl.load(source, inside, 0.0).to(tl.float32)
    b = tl.load(source + HALF, inside, 0.0).to(tl.float32)
    position = tl.load(positions + row)
    cos, sin = cos_sin(position.to(tl.float64) * frequency)
    if head < HEADS:
        if Q_NORM:
            scale = 1.0 / tl.sqrt(tl.sum(a * a + b * b, 0) / (2 * HALF) + eps)
            a *= scale * tl.load(q_norm + channel, inside, 0.0).to(tl.float32)
            b *= scale * tl.load(q_norm + HALF + channel, inside, 0.0).to(tl.float32)
        own = (row.to(tl.int64) * HEADS + head) * 2 * HALF + channel
        kind = q.dtype.element_ty
        tl.store(q + own, ((a * cos - b * sin) * factor).to(kind), inside)
        tl.store(q + own + HALF, ((b * cos + a * sin) * factor).to(kind), inside)
        near = position - tl.load(gaps + row)
        near_cos, near_sin = cos_sin(near.to(tl.float64) * frequency)
        tl.store(q_head + own, ((a * near_cos - b * near_sin) * factor).to(kind), inside)
        tl.store(q_head + own + HALF, ((b * near_cos + a * near_sin) * factor).to(kind), inside)
    else:
        slot = tl.load(slots + row)
        inside = inside & (slot >= 0)
        row_in_pool = (slot // PAGE) * KV_HEADS * PAGE + slot % PAGE
        if head < HEADS + KV_HEADS:
            if K_NORM:
                scale = 1.0 / tl.sqrt(tl.sum(a * a + b * b, 0) / (2 * HALF) + eps)
                a *= scale * tl.load(k_norm + channel, inside, 0.0).to(tl.float32)
                b *= scale * tl.load(k_norm + HALF + channel, inside, 0.0).to(tl.float32)
            to_key = keys + (row_in_pool + (head - HEADS) * PAGE) * 2 * HALF + channel
            turned = (a * cos - b * sin) * factor
            tl.store(to_key, turned.to(keys.dtype.element_ty), inside)
            turned = (b * cos + a * sin) * factor
            tl.store(to_key + HALF, turned.to(keys.dtype.element_ty), inside)
        else:
            to_value = (
                values + (row_in_pool + (head - HEADS - KV_HEADS) * PAGE) * 2 * HALF + channel
            )
            tl.store(to_value, a.to(values.dtype.element_ty), inside)
            tl.store(to_value + HALF, b.to(values.dtype.element_ty), inside)
