"""Many queries of one row: the kernel, and the plain path beside it, against the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from contextkit_backends.local.kernels import Scoring, plain  # noqa: E402
from tests.kernels.cases import Case, RowSpec  # noqa: E402
from tests.kernels.test_decode import TRAITS, compare, packed_row  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")
CASES: dict[str, Callable[[], Case]] = {
    "fresh": lambda: Case([RowSpec(40)], n_queries=40),
    "continued": lambda: Case([RowSpec(75)], n_queries=30),
    "sinks and window, from the start": lambda: Case(
        [RowSpec(60, head=4)], window=70, n_queries=60
    ),
    "sinks and window, later": lambda: Case([RowSpec(150, head=4)], window=40, n_queries=20),
    "head of 20": lambda: Case([RowSpec(100, head=20)], window=40, n_queries=18),
    "evicted, large head": lambda: Case([RowSpec(120, head=70, floor=90)], n_queries=20),
    "wide values": lambda: Case([RowSpec(50)], v_dim=80, page=32, heads=2, n_queries=33),
    "bf16": lambda: Case([RowSpec(50)], dtype=torch.bfloat16, n_queries=40),
}


def check(case: Case, *, uses_head: bool, is_packed: bool = False, **traits: Any) -> None:
    """Kernel and plain path against the definition."""
    from contextkit_backends.local.kernels.paged_prefill import prefill_paged

    n = case.n_queries
    q, q_head = case.queries(n), case.queries(n) if uses_head else None
    if traits.get("sink_logits"):
        traits["sink_logits"] = case.normal(case.heads).to(q.device)
    traits["scale"] = case.dim**-0.5
    first = case.rows[0].length - n
    expected = case.expected(q, q_head, 0, first, **traits)
    packed = case.packed if is_packed else None
    pools, scoring = (case.keys, case.values), Scoring(**traits)
    compare(
        prefill_paged(q, q_head, *pools, packed, case.meta, first, scoring), expected, case.dtype
    )
    compare(
        plain.prefill(q, q_head, *pools, case.meta, first, scoring, packed), expected, case.dtype
    )


@pytest.mark.parametrize("name", CASES)
def test_pages(name: str) -> None:
    case = CASES[name]()
    check(case, uses_head=case.rows[0].head > 0)


@pytest.mark.parametrize("name", TRAITS)
def test_traits_of_a_layer(name: str) -> None:
    case = Case([RowSpec(90, head=4)], window=40, seed=1, n_queries=20)
    check(case, uses_head=True, **TRAITS[name])


def test_layer_window_bounds_the_head_of_an_engine_without_sinks() -> None:
    case = Case([RowSpec(60, head=20, floor=35)], head_windowed=True, seed=2, n_queries=20)
    check(case, uses_head=True, layer_window=18)


def test_short_heads_are_restored() -> None:
    case = Case([packed_row(120, 4, short=True)], window=60, n_queries=20, n_short=4)
    check(case, uses_head=True, is_packed=True)


@pytest.mark.parametrize("biased", [False, True])
def test_packed_pages_are_restored(biased: bool) -> None:
    case = Case([packed_row(90, 4)], window=60, biased=biased, n_queries=20)
    check(case, uses_head=True, is_packed=True)


def test_whole_prompts_of_fresh_sequences() -> None:
    from contextkit_backends.local.kernels import dense_prefill

    case = Case([RowSpec(40), RowSpec(40)])
    q = torch.stack([case.queries(40), case.queries(40)])
    k, v = (torch.stack(x).to(q.dtype) for x in (case.k, case.v))
    out = dense_prefill(q, k, v, scale=0.25)
    for at in (0, 1):
        compare(out[at], case.expected(q[at], None, at, 0, scale=0.25), case.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_write(dtype: Any) -> None:
    """Every slot gets its token, padding writes nothing, no other slot changes."""
    from contextkit_backends.local.kernels.slot_write import write_slots

    case = Case([RowSpec(1)], dim=24, v_dim=16)
    keys, values = torch.zeros(5, 2, 16, 24, dtype=dtype), torch.zeros(5, 2, 16, 16, dtype=dtype)
    keys, values = keys.to(case.keys.device), values.to(case.keys.device)
    slots = torch.tensor([3, 79, -1, 16], device=keys.device)
    fused = torch.randn(4, 2, 40, generator=case.random).to(dtype).to(keys.device)
    k, v = fused[..., :24], fused[..., 24:]
    expected = [keys.clone(), values.clone()]
    for token, slot in enumerate(slots.tolist()):
        if slot >= 0:
            expected[0][slot // 16, :, slot % 16] = k[token]
            expected[1][slot // 16, :, slot % 16] = v[token]
    for function, where in (write_slots, slots), (plain.write, plain.slots_of(slots, 16)):
        pools = keys.clone(), values.clone()
        function(*pools, k, v, where)
        assert torch.equal(pools[0], expected[0])
        assert torch.equal(pools[1], expected[1])
