"""One query a row: the kernel, and the plain path beside it, against the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from contextkit_backends.local.kernels import Scoring, plain  # noqa: E402
from tests.kernels.cases import DEVICE, Case, RowSpec  # noqa: E402

STREAM = [RowSpec(70, head=4), RowSpec(3, head=4), RowSpec(16, head=4), RowSpec(37, head=20)]
# NumPy 1.25 deprecates what Triton 3.6 does in its interpreter
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")
CASES: dict[str, Callable[[], Case]] = {
    "dense": lambda: Case([RowSpec(1), RowSpec(16), RowSpec(45)]),
    "sinks and window": lambda: Case(STREAM, window=24),
    "head of whole pages": lambda: Case([RowSpec(80, head=32)], window=32),
    "evicted": lambda: Case([RowSpec(90, head=20, floor=55), RowSpec(90, head=32, floor=64)]),
    "large head": lambda: Case([RowSpec(120, head=100, floor=110)]),
    "window without sinks": lambda: Case([RowSpec(90), RowSpec(20)], window=33),
    "padding row": lambda: Case([RowSpec(20), RowSpec(0)]),
    "page of 32, head of 80": lambda: Case([RowSpec(40)], dim=80, v_dim=80, page=32),
    "values narrower, three heads a group": lambda: Case([RowSpec(40)], heads=6, dim=48, v_dim=32),
    "eight heads a group": lambda: Case([RowSpec(40)], heads=8, kv_heads=1),
    "fp16": lambda: Case([RowSpec(40, head=4)], window=20, dtype=torch.float16),
    "bf16": lambda: Case([RowSpec(40, head=4)], window=20, dtype=torch.bfloat16),
}
TRAITS: dict[str, dict[str, Any]] = {
    "softcap": {"softcap": 2.0},
    "sink logits": {"sink_logits": True},
    "layer window": {"layer_window": 10},
}


def tolerance(dtype: Any) -> float:
    """Relative to the largest value: rounding of the inputs is not in it."""
    return {torch.float32: 4e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}[dtype]


def compare(out: Any, expected: Any, dtype: Any) -> None:
    """No element further from the definition than rounding allows; NaN never passes."""
    error = (out.double() - expected).abs().max() / expected.abs().max()
    assert error <= tolerance(dtype), f"relative error {error:.2e}"


def check(case: Case, *, uses_head: bool, is_packed: bool = False, **traits: Any) -> None:
    """Kernel and plain path, each row, against the definition."""
    from contextkit_backends.local.kernels.packed_decode import decode_packed
    from contextkit_backends.local.kernels.paged_decode import decode_paged

    n = len(case.rows)
    q, q_head = case.queries(n), case.queries(n) if uses_head else None
    if traits.get("sink_logits"):
        traits["sink_logits"] = case.normal(case.heads).to(q.device)
    traits["scale"] = case.dim**-0.5
    scoring, pools = Scoring(**traits), (case.keys, case.values)
    if is_packed:
        outs = [
            decode_packed(q, q_head, *pools, case.packed, case.meta, scoring),
            plain.decode(q, q_head, *pools, case.meta, scoring, case.packed),
        ]
    else:
        outs = [
            decode_paged(q, q_head, *pools, case.meta, scoring),
            plain.decode(q, q_head, *pools, case.meta, scoring, None),
        ]
    for at, row in enumerate(case.rows):
        for out in outs:
            if not row.length:
                assert not out[at].any()
                continue
            of_head = None if q_head is None else q_head[at : at + 1]
            expected = case.expected(q[at : at + 1], of_head, at, row.length - 1, **traits)
            dtype = (
                torch.float16
                if is_packed and out.is_cuda and case.dtype == torch.float32
                else case.dtype
            )
            compare(out[at : at + 1], expected, dtype)


@pytest.mark.parametrize("name", CASES)
def test_pages(name: str) -> None:
    case = CASES[name]()
    check(case, uses_head=any(row.head for row in case.rows))


@pytest.mark.parametrize("name", TRAITS)
def test_traits_of_a_layer(name: str) -> None:
    check(Case(STREAM[:2], window=24, seed=1), uses_head=True, **TRAITS[name])


def test_layer_window_bounds_the_head_of_an_engine_without_sinks() -> None:
    rows = [RowSpec(60, head=20, floor=50), RowSpec(90, head=20, floor=50)]
    check(Case(rows, head_windowed=True, seed=2), uses_head=True, layer_window=25)


PACKED: dict[str, Callable[[], Case]] = {
    "dense": lambda: Case([packed_row(16), packed_row(45)]),
    "sinks and window": lambda: Case([packed_row(70, 4), packed_row(120, 4)], window=40),
    "short heads": lambda: Case(
        [packed_row(70, 4, short=True), packed_row(120, 20, short=True), packed_row(9, 4)],
        window=30,
        n_short=4,
    ),
    "packed head": lambda: Case([RowSpec(120, head=60, floor=80, packed=frozenset({1, 2, 5}))]),
    "wide": lambda: Case([packed_row(70, 4)], dim=64, v_dim=32, page=32, heads=8),
    "bias, halves": lambda: Case([packed_row(70, 4)], window=40, biased=True),
    "bias, pairs": lambda: Case([packed_row(70)], biased=True, interleaved=True),
    "fp16": lambda: Case([packed_row(70, 4)], window=40, dtype=torch.float16),
}


def packed_row(length: int, head: int = 0, *, short: bool = False) -> RowSpec:
    """Every full page that holds no head is packed, whatever the page size."""
    return RowSpec(length, head=head, packs=True, short=short)


@pytest.mark.parametrize("name", PACKED)
def test_packed_pages(name: str) -> None:
    case = PACKED[name]()
    check(case, uses_head=any(row.head for row in case.rows), is_packed=True)


@pytest.mark.skipif(DEVICE != "cuda", reason="131,072 keys are too many for an interpreter")
@pytest.mark.parametrize("alike", [False, True], ids=["drawn", "all keys weigh alike"])
def test_packed_pages_of_a_long_context(alike: bool) -> None:
    """Sums of many small numbers: what is added to codes and taken off again must not show."""
    from contextkit_backends.local.kernels.packed_decode import decode_packed

    rows = [packed_row(131_072 + 40), packed_row(100_001)]
    case = Case(rows, heads=2, kv_heads=1, dim=128, v_dim=128, page=64, dtype=torch.bfloat16)
    q = case.queries(2) * (0.0 if alike else 1.0)
    scale = 128**-0.5
    out = decode_packed(q, None, case.keys, case.values, case.packed, case.meta, Scoring(scale))
    for at, row in enumerate(rows):
        k, v = (x[at].double().squeeze(1) for x in (case.k, case.v))
        expected = (q[at].double() @ k.T * scale).softmax(-1) @ v
        assert (out[at].double() - expected).norm() < 6e-3 * expected.norm(), row
