"""New keys and values into their pages.

Reference:

    page, offset = slots // P, slots % P
    keys_pool[page, :, offset], values_pool[page, :, offset] = k, v      # where slots >= 0
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


@triton.jit
def _write_kernel(
    keys,
    values,
    k,
    v,
    slots,
    n_kv_heads,
    k_row,
    k_head,
    v_row,
    v_head,
    DIM: tl.constexpr,
    V_DIM: tl.constexpr,
    PAGE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    slot = tl.load(slots + token)
    tile = (slot // PAGE) * n_kv_heads + head
    at = tile * PAGE + slot % PAGE
    offs = tl.arange(0, BLOCK)
    for_k = (offs < DIM) & (slot >= 0)
    for_v = (offs < V_DIM) & (slot >= 0)
    key = tl.load(k + token * k_row + head * k_head + offs, mask=for_k)
    value = tl.load(v + token * v_row + head * v_head + offs, mask=for_v)
    tl.store(keys + at * DIM + offs, key.to(keys.dtype.element_ty), mask=for_k)
    tl.store(values + at * V_DIM + offs, value.to(values.dtype.element_ty), mask=for_v)


def write_slots(keys_pool: Any, values_pool: Any, k: Any, v: Any, slots: Any) -> None:
    """Copy `[n, n_kv_heads, D]` to the slots; the last axis must be contiguous, the others need not."""
    n, n_kv_heads, dim = k.shape
    v_dim = v.shape[-1]
    if not n:
        return
    _write_kernel[(n, n_kv_heads)](
        keys_pool,
        values_pool,
        k,
        v,
        slots,
        n_kv_heads,
        *k.stride()[:2],
        *v.stride()[:2],
        DIM=dim,
        V_DIM=v_dim,
        PAGE=keys_pool.shape[2],
        BLOCK=triton.next_power_of_2(max(dim, v_dim)),
        num_warps=1,
    )
