"""200 tenants at once, operations drawn: no hit ever crosses, and each tenant has exactly its own rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit.vectors import VectorRow, VectorStore

N_TENANTS, N_THREADS = 200, 8
VECTORS = [[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]]
OPERATIONS = st.lists(
    st.tuples(
        st.integers(0, N_TENANTS - 1),
        st.sampled_from(["upsert", "upsert", "upsert", "search", "delete", "drop", "get"]),
        st.integers(0, 5),
        st.sampled_from(range(len(VECTORS))),
    ),
    min_size=60,
    max_size=400,
)
Operation = tuple[int, str, int, int]


class Worker(threading.Thread):
    """Works for its share of the tenants and keeps their rows as they should be."""

    def __init__(self, store: VectorStore, operations: Sequence[Operation]) -> None:
        super().__init__()
        self.store, self.operations = store, operations
        self.rows: dict[str, dict[str, int]] = {}
        self.faults: list[str] = []

    def run(self) -> None:
        try:
            for number, what, row, vector in self.operations:
                self.step(f"tenant {number}", what, f"m{row}", vector)
        except BaseException as error:
            self.faults.append(repr(error))
            raise

    def step(self, tenant: str, what: str, row_id: str, vector: int) -> None:
        rows = self.rows.setdefault(tenant, {})
        if what == "upsert":
            self.store.upsert(tenant, [VectorRow(row_id, VECTORS[vector], {"of": tenant})])
            rows[row_id] = vector
        elif what == "delete":
            self.store.delete(tenant, [row_id])
            rows.pop(row_id, None)
        elif what == "drop":
            self.store.drop(tenant)
            rows.clear()
        elif what == "get":
            self.check(
                tenant, {row.id for row in self.store.get(tenant, [row_id])}, {row_id} & rows.keys()
            )
        else:
            for where in (None, {"of": tenant}, {"of": "tenant 0"}):
                hits = self.store.search(tenant, VECTORS[vector], top_k=3, where=where)
                if any(hit.fields != {"of": tenant} for hit in hits):
                    self.faults.append(f"{tenant} was given {hits}")
                fits = where is None or where["of"] == tenant
                self.check(tenant, len(hits), min(3, len(rows)) if fits else 0)

    def check(self, tenant: str, found: object, expected: object) -> None:
        if found != expected:
            self.faults.append(f"{tenant}: {found} instead of {expected}")


def work(store: VectorStore, operations: Sequence[Operation]) -> None:
    store.reset()
    workers = [
        Worker(store, [each for each in operations if each[0] % N_THREADS == share])
        for share in range(N_THREADS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [fault for worker in workers for fault in worker.faults] == []
    for worker in workers:
        for tenant, rows in worker.rows.items():
            assert store.ids(tenant) == sorted(rows)
            assert {row.id: row.fields for row in store.get(tenant, list(rows))} == {
                row_id: {"of": tenant} for row_id in rows
            }
    for number in range(N_TENANTS):
        hits = store.search(f"tenant {number}", VECTORS[0], top_k=9)
        assert all(hit.fields == {"of": f"tenant {number}"} for hit in hits)


@given(operations=OPERATIONS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=3)
def test_no_hit_crosses(vectors: VectorStore, operations: list[Operation]) -> None:
    work(vectors, operations[:60] if vectors.kind == "chroma" else operations)


@pytest.mark.slow
@given(
    operations=OPERATIONS.map(
        lambda drawn: [(i % N_TENANTS, "upsert", 0, 0) for i in range(N_TENANTS)] + drawn
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
def test_no_hit_crosses_with_every_tenant_there(
    vectors: VectorStore, operations: list[Operation]
) -> None:
    work(vectors, operations)
