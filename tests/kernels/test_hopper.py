"""The Hopper prefill kernel, which no interpreter runs: on that GPU alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from contextkit_backends.local.kernels import Scoring  # noqa: E402
from tests.kernels.cases import Case, RowSpec  # noqa: E402
from tests.kernels.test_decode import TRAITS, compare  # noqa: E402

if not torch.cuda.is_available() or torch.cuda.get_device_capability()[0] != 9:
    pytest.skip("no Hopper GPU", allow_module_level=True)

WIDE: dict[str, Any] = {"dim": 128, "v_dim": 128, "page": 64, "dtype": torch.bfloat16}
CASES: dict[str, Callable[[], Case]] = {
    "fresh": lambda: Case([RowSpec(200)], n_queries=200, **WIDE),
    "one block": lambda: Case([RowSpec(64)], n_queries=64, **WIDE),
    "continued": lambda: Case([RowSpec(777)], n_queries=300, **WIDE),
    "one query": lambda: Case([RowSpec(130)], n_queries=1, **WIDE),
    "sinks and window": lambda: Case([RowSpec(700, head=4)], window=200, n_queries=250, **WIDE),
    "sinks and window, from the start": lambda: Case(
        [RowSpec(500, head=4)], window=150, n_queries=500, **WIDE
    ),
    "large head": lambda: Case([RowSpec(700, head=300, floor=420)], n_queries=200, **WIDE),
    "head of 64": lambda: Case(
        [RowSpec(400, head=8)], window=128, n_queries=129, **{**WIDE, "dim": 64, "v_dim": 64}
    ),
    "fp16": lambda: Case([RowSpec(400)], n_queries=129, **{**WIDE, "dtype": torch.float16}),
}


def check(case: Case, *, uses_head: bool, **traits: Any) -> None:
    from contextkit_backends.local.kernels.hopper_prefill import prefill_on_hopper, suits

    n = case.n_queries
    q, q_head = case.queries(n), case.queries(n) if uses_head else None
    if traits.get("sink_logits"):
        traits["sink_logits"] = case.normal(case.heads).to(q.device)
    traits["scale"] = case.dim**-0.5
    first, scoring = case.rows[0].length - n, Scoring(**traits)
    assert suits(q, case.keys, case.values, case.meta, scoring)
    expected = case.expected(q, q_head, 0, first, **traits)
    pools = case.keys, case.values, case.meta.table, case.meta
    compare(prefill_on_hopper(q, q_head, *pools, first, scoring), expected, case.dtype)


@pytest.mark.parametrize("name", CASES)
def test_pages(name: str) -> None:
    case = CASES[name]()
    check(case, uses_head=case.rows[0].head > 0)


@pytest.mark.parametrize("name", ["sink logits", "layer window"])
def test_traits_of_a_layer(name: str) -> None:
    case = Case([RowSpec(500, head=4)], window=200, n_queries=250, **WIDE)
    check(case, uses_head=True, **TRAITS[name])
