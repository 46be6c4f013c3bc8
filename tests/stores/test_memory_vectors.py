"""The vector store in memory: exact, by tenant, strict about what it takes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit.errors import StoreError
from contextkit.stores.memory_vectors import MemoryVectors
from contextkit.vectors import VectorRow

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-3)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=20), st.integers(1, 9))
def test_the_nearest_come_first(points: list[tuple[float, float, float]], top_k: int) -> None:
    store = MemoryVectors()
    store.upsert("acme", [VectorRow(f"m{i}", point) for i, point in enumerate(points)])
    hits = store.search("acme", points[0], top_k=top_k)
    assert len(hits) == min(top_k, store.count("acme"))
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    if any(points[0]):
        assert math.isclose(hits[0].score, 1.0, abs_tol=1e-6)


def test_tenants_and_fields_are_kept_apart() -> None:
    store = MemoryVectors()
    store.upsert("a", [VectorRow("m1", [1, 0], {"thread": "x"}), VectorRow("m2", [1, 0.1])])
    store.upsert("b", [VectorRow("m1", [0, 1])])
    assert [h.id for h in store.search("a", [1, 0], top_k=5)] == ["m1", "m2"]
    assert [h.id for h in store.search("a", [1, 0], top_k=5, where={"thread": "x"})] == ["m1"]
    assert store.search("c", [1, 0], top_k=5) == []
    store.upsert("a", [VectorRow("m1", [0, 1])])
    store.delete("a", ["m2", "never there"])
    assert store.count("a") == 1
    assert store.count("b") == 1


@pytest.mark.parametrize("vector", [[], [1.0, math.nan], [math.inf, 0.0], [1.0, 2.0, 3.0]])
def test_odd_vectors_are_refused(vector: list[float]) -> None:
    store = MemoryVectors()
    store.upsert("a", [VectorRow("m1", [1, 0])])
    with pytest.raises(StoreError):
        store.upsert("a", [VectorRow("m2", vector)])
    with pytest.raises(StoreError):
        store.search("a", vector, top_k=1)
    assert store.count("a") == 1


def test_a_configuration_may_name_it() -> None:
    with contextkit.load({"vectors": "memory"}) as cm:
        assert isinstance(cm.vectors, MemoryVectors)
