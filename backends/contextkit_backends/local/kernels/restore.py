"""Packed pages into scratch pages of full precision, once for a whole prefill.

Reference: `plain.dequantise`; pages that are not packed are copied beside them.
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

from .base import PackedPages, PagedMeta


@triton.jit
def _restore_kernel(
    keys,
    values,
    short_keys,
    short_values,
    packed_keys,
    key_grid,
    packed_values,
    value_scale,
    table_bias,
    turned_bias,
    cos,
    sin,
    is_packed,
    table,
    to_keys,
    to_values,
    v_page,
    v_head,
    v_token,
    v_channel,
    N_KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    SHORT: tl.constexpr,
    BLOCK_D: tl.constexpr,
    BLOCK_V: tl.constexpr,
    BIASED: tl.constexpr,
):
    entry, kv_head = tl.program_id(0), tl.program_id(1)
    offs_n, offs_d, offs_v = tl.arange(0, PAGE), tl.arange(0, BLOCK_D), tl.arange(0, BLOCK_V)
    page = tl.load(table + entry).to(tl.int64)
    tile = page * N_KV_HEADS + kv_head
    to_tile = (entry * N_KV_HEADS + kv_head).to(tl.int64)
    has_d, has_v = offs_d[None, :] < DIM, offs_v[None, :] < V_DIM
    at_d = offs_n[:, None] * DIM + offs_d[None, :]
    at_v = offs_n[:, None] * V_DIM + offs_v[None, :]
    to_k = to_keys + to_tile * PAGE * DIM + at_d
    to_v = to_values + to_tile * PAGE * V_DIM + at_v
    kind = tl.load(is_packed + entry)
    if kind == 1:
        half = DIM // 2
        in_byte = offs_d % half
        at = tile * PAGE * half + offs_n[:, None] * half + in_byte[None, :]
        codes = tl.load(packed_keys + at, mask=has_d, other=0)
        codes = tl.where(offs_d[None, :] < half, codes & 15, codes >> 4).to(tl.float32)
        of_channel = offs_d < DIM
        of_grid = key_grid + (tile * half + in_byte) * 4 + offs_d // half
        scale = tl.load(of_grid, mask=of_channel, other=0).to(tl.int16) << 7
        scale = scale.to(tl.float16, bitcast=True).to(tl.float32)
        zero = tl.load(of_grid + 2, mask=of_channel, other=0).to(tl.float32) - 128.0
        k = (codes + zero[None, :]) * scale[None, :]
        if BIASED:
            at_b = kv_head * PAGE * DIM + at_d
            plain = tl.load(table_bias + at_b, mask=has_d, other=0.0).to(tl.float32)
            turned = tl.load(turned_bias + at_b, mask=has_d, other=0.0).to(tl.float32)
            page_cos = tl.load(cos + page * DIM + offs_d, mask=of_channel)
            page_sin = tl.load(sin + page * DIM + offs_d, mask=of_channel)
            k += plain * page_cos[None, :] + turned * page_sin[None, :]
        at = page * v_page + kv_head * v_head
        at += offs_n[:, None] * v_token + offs_v[None, :] * v_channel
        v = tl.load(packed_values + at, mask=has_v, other=0).to(tl.float32) - 128.0
        v *= tl.load(value_scale + tile * PAGE + offs_n).to(tl.float32)[:, None]
        tl.store(to_k, k.to(to_keys.dtype.element_ty), mask=has_d)
        tl.store(to_v, v.to(to_values.dtype.element_ty), mask=has_v)
    else:
        of_keys, of_values = keys + tile * PAGE * DIM, values + tile * PAGE * V_DIM
        n = PAGE
        if SHORT:
            n = tl.where(kind == 2, SHORT, PAGE)
            of_keys = tl.where(kind == 2, short_keys + tile * (SHORT * DIM), of_keys)
            of_values = tl.where(kind == 2, short_values + tile * (SHORT * V_DIM), of_values)
        has_n = offs_n[:, None] < n
        whole_k = tl.load(of_keys + at_d, mask=has_d & has_n, other=0.0)
        whole_v = tl.load(of_values + at_v, mask=has_v & has_n, other=0.0)
        tl.store(to_k, whole_k, mask=has_d)
        tl.store(to_v, whole_v, mask=has_v)


def restore(keys: Any, values: Any, packed: PackedPages, meta: PagedMeta) -> tuple[Any, Any, Any]:
    """Scratch keys and values of all entries of `meta`'s one row, and the table that names them."""
    n_entries = meta.table.shape[1]
    to_keys = keys.new_empty(n_entries, *keys.shape[1:])
    to_values = values.new_empty(n_entries, *values.shape[1:])
    bias, flags = packed.bias, meta.is_packed
    of_bias = (keys, keys, keys, keys)
    if bias is not None:
        of_bias = (bias.table, bias.turn(bias.table), bias.cos, bias.sin)
    short = packed.short_keys is not None
    _restore_kernel[(n_entries, keys.shape[1])](
        keys,
        values,
        packed.short_keys if short else keys,
        packed.short_values if short else values,
        packed.keys,
        packed.key_grid,
        packed.values,
        packed.value_scale,
        *of_bias,
        flags.view(torch.int8) if flags.dtype == torch.bool else flags,
        meta.table,
        to_keys,
        to_values,
        *packed.values.stride(),
        N_KV_HEADS=keys.shape[1],
        DIM=keys.shape[3],
        V_DIM=values.shape[3],
        PAGE=keys.shape[2],
        SHORT=packed.short_keys.shape[2] if short else 0,
        BLOCK_D=triton.next_power_of_2(keys.shape[3]),
        BLOCK_V=triton.next_power_of_2(values.shape[3]),
        BIASED=bias is not None,
    )
    return to_keys, to_values, torch.arange(n_entries, dtype=torch.int32, device=keys.device)[None]
