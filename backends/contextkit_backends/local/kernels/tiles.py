"""Pieces that the decode kernels share: which entries a program visits, one step of the online softmax."""

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

from .base import PagedMeta, Scoring

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def span(
    row,
    split,
    n_head_pages,
    tail_first,
    length,
    head,
    floor,
    window,
    layer_window,
    PAGE: tl.constexpr,
    SPLITS: tl.constexpr,
    HAS_HEAD: tl.constexpr,
    WINDOWED: tl.constexpr,
    LAYER_WINDOWED: tl.constexpr,
    HEAD_WINDOWED: tl.constexpr,
):
    """Entries `start … stop - 1` of this split, and the positions `low … high - 1` it may use of them.

    A split serves either the head, with the query rotated back, or the tail: both kinds share the
    splits in proportion to their pages.
    """
    t = tl.load(length + row) - 1
    n_head = tl.load(n_head_pages + row)
    first_tail = tl.load(tail_first + row)
    low = tl.load(floor + row)
    if WINDOWED:
        low = tl.maximum(low, t - window)
    of_head = tl.load(head + row).to(tl.int64)
    head_low = of_head * 0
    if HEAD_WINDOWED:
        head_low = tl.maximum(t - tl.maximum(low - of_head, 0) - layer_window + 1, 0)
    if LAYER_WINDOWED:
        low = tl.maximum(low, t - layer_window + 1)
    low = tl.maximum(low, of_head)
    last_block = (t // PAGE).to(tl.int32)
    low_block = (low // PAGE).to(tl.int32)
    start = tl.where(low_block < n_head, low_block, n_head + tl.maximum(low_block - first_tail, 0))
    stop = tl.where(
        last_block >= first_tail,
        n_head + last_block - first_tail + 1,
        tl.minimum(n_head, last_block + 1),
    )
    n_tail = tl.where(t < 0, 0, tl.maximum(stop - start, 0))
    high = t + 1
    n, index, n_splits = n_tail, split, SPLITS
    is_head = False
    if HAS_HEAD:
        head_start = (head_low // PAGE).to(tl.int32)
        head_stop = tl.minimum(n_head, last_block + 1)
        n_of_head = tl.where(t < 0, 0, tl.maximum(head_stop - head_start, 0))
        share = SPLITS * n_of_head // tl.maximum(n_of_head + n_tail, 1)
        share = tl.minimum(tl.maximum(share, 1), SPLITS - 1)
        share = tl.where(n_of_head > 0, share, 0)
        is_head = split < share
        n = tl.where(is_head, n_of_head, n_tail)
        index = tl.where(is_head, split, split - share)
        n_splits = tl.where(is_head, share, SPLITS - share)
        start = tl.where(is_head, head_start, start)
        low = tl.where(is_head, head_low, low)
        high = tl.where(is_head, tl.minimum(of_head, high), high)
    stop = start + n * (index + 1) // n_splits
    start = start + n * index // n_splits
    return start, stop, low, high, n_head, first_tail, is_head


@triton.jit
def inside(entry, n_head, first_tail, low, high, PAGE: tl.constexpr):
    """The offsets `first … last - 1` of an entry's page whose positions lie in `low … high - 1`."""
    block = tl.where(entry < n_head, entry, first_tail + entry - n_head).to(tl.int64)
    first = tl.minimum(tl.maximum(low - block * PAGE, 0), PAGE).to(tl.int32)
    last = tl.minimum(tl.maximum(high - block * PAGE, 0), PAGE).to(tl.int32)
    return first, last


@triton.jit
def to_log2(products, scale, softcap, CAPPED: tl.constexpr):
    """Scores in units of log2, capped by `cap * tanh(score / cap)` where a cap is set."""
    if CAPPED:
        turned = tl.exp2(products * (scale * 2 * LOG2E / softcap))
        return (softcap * LOG2E) * (1.0 - 2.0 / (1.0 + turned))
    return products * (scale * LOG2E)


@triton.jit
def soften(scores, top):
    """Weights against the new running maximum, that maximum, and what older sums are multiplied by."""
    new = tl.maximum(top, tl.max(scores, 1))
    finite = tl.where(new == -float("inf"), 0.0, new)
    return tl.exp2(scores - finite[:, None]), new, tl.exp2(top - finite)


@triton.jit
def soften_columns(scores, top):
    """The same where a query is a column."""
    new = tl.maximum(top, tl.max(scores, 0))
    finite = tl.where(new == -float("inf"), 0.0, new)
    return tl.exp2(scores - finite[None, :]), new, tl.exp2(top - finite)


@triton.jit
def log2_sum(top, total):
    """log2 of the sum of weights; minus infinity where nothing was seen."""
    return tl.where(total > 0, top + tl.log2(tl.where(total > 0, total, 1.0)), -float("inf"))


def upcast() -> bool:
    """Whether kernels compute in fp32 throughout: bf16 arithmetic is wrong in Triton's interpreter."""
    knobs: Any = triton.knobs
    return bool(knobs.runtime.interpret)


def architecture(tensor: Any) -> int:
    """The major compute capability; 0 off the GPU."""
    return torch.cuda.get_device_capability(tensor.device)[0] if tensor.is_cuda else 0


def settings(
    q: Any, meta: PagedMeta, scoring: Scoring, *, has_head: bool
) -> tuple[list[Any], dict[str, Any]]:
    """What every decode kernel takes after its tensors, and its traits by name."""
    arguments: list[Any] = [
        meta.table,
        meta.n_head_pages,
        meta.tail_first,
        meta.length,
        meta.head,
        meta.floor,
        scoring.scale,
        scoring.softcap or 1.0,
        meta.window or 0,
        scoring.layer_window or 0,
        meta.table.shape[1],
    ]
    layer_windowed = scoring.layer_window is not None
    traits: dict[str, Any] = {
        "HAS_HEAD": has_head,
        "WINDOWED": meta.window is not None,
        "LAYER_WINDOWED": layer_windowed,
        "HEAD_WINDOWED": layer_windowed and meta.head_windowed,
        "CAPPED": scoring.softcap is not None,
        "UPCAST": upcast(),
        "OVERLAPS": architecture(q) >= 9 and not upcast(),
    }
    if traits["OVERLAPS"]:
        traits["launch_pdl"] = True
    return arguments, traits
