"""Queries of several rows in one dense call: each row against the definition, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from contextkit_backends.local.kernels import dense_prefill  # noqa: E402
from contextkit_backends.local.kernels.gathered import Gathered  # noqa: E402
from tests.kernels.cases import Case, RowSpec  # noqa: E402
from tests.kernels.test_decode import compare  # noqa: E402

CASES: dict[str, tuple[Callable[[], Case], list[int]]] = {
    "one row": (lambda: Case([RowSpec(75)]), [30]),
    "rows of many lengths": (lambda: Case([RowSpec(75), RowSpec(9), RowSpec(40)]), [30, 9, 17]),
    "one query a row": (lambda: Case([RowSpec(75), RowSpec(64), RowSpec(1)]), [1, 1, 1]),
    "sinks and window": (
        lambda: Case(
            [RowSpec(150, head=4), RowSpec(60, head=4), RowSpec(20, head=4)],
            window=40,
            n_queries=33,
        ),
        [20, 33, 20],
    ),
    "more queries than the window": (
        lambda: Case([RowSpec(90, head=4), RowSpec(70, head=4)], window=16, n_queries=60),
        [60, 5],
    ),
    "evicted": (
        lambda: Case([RowSpec(120, head=20, floor=90), RowSpec(50, head=20, floor=33)]),
        [20, 9],
    ),
    "window without sinks": (
        lambda: Case([RowSpec(90), RowSpec(20)], window=33, n_queries=20),
        [12, 20],
    ),
    "wide values, other heads": (
        lambda: Case([RowSpec(50), RowSpec(40)], v_dim=80, page=32, heads=6),
        [33, 2],
    ),
    "bf16": (
        lambda: Case(
            [RowSpec(50, head=4), RowSpec(90, head=4)],
            window=40,
            dtype=torch.bfloat16,
            n_queries=40,
        ),
        [40, 12],
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_answered_as_each_alone(name: str, turned: bool) -> None:
    made, queries = CASES[name]
    case = made()
    head = case.rows[0].head
    n = sum(queries)
    q, q_head = case.queries(n), case.queries(n) if turned else None
    starts = [sum(queries[:at]) for at in range(len(queries))]
    group = Gathered.of(
        case.meta, [*zip(starts, queries, strict=True)], head, case.page, case.dtype
    )
    out: Any = torch.full((n, case.heads, case.v_dim), torch.nan, dtype=case.dtype, device=q.device)
    scale = case.dim**-0.5
    for _ in range(2):  # what one layer reads, the next one finds as it was
        group.attend(q, q_head, case.keys, case.values, out, scale)
    for at, (start, count) in enumerate(zip(starts, queries, strict=True)):
        own = slice(start, start + count)
        of_head = None if q_head is None else q_head[own]
        first = case.rows[at].length - count
        compare(out[own], case.expected(q[own], of_head, at, first, scale=scale), case.dtype)


@pytest.mark.parametrize("n", [1, 7, 40])
def test_fresh_rows_in_bf16(n: int) -> None:
    case = Case([RowSpec(n), RowSpec(n)], dtype=torch.bfloat16, heads=6, dim=64, v_dim=64)
    q = torch.stack([case.queries(n), case.queries(n)])
    k, v = (torch.stack(x).to(q.dtype) for x in (case.k, case.v))
    out = dense_prefill(q, k, v, scale=0.125)
    for at in (0, 1):
        compare(out[at], case.expected(q[at], None, at, 0, scale=0.125), case.dtype)
