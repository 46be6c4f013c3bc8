"""What every vector store must do: one suite over memory, embedded Chroma and a Chroma server."""

from __future__ import annotations

import math

import numpy as np
import pytest

from contextkit.errors import StoreError, VectorsMismatch
from contextkit.vectors import Fields, VectorRow, VectorSpace, VectorStore


def near(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_nearest_come_first_as_an_exact_search_finds_them(vectors: VectorStore) -> None:
    chance = np.random.default_rng()
    points = chance.normal(size=(300, 12))
    rows = [VectorRow(f"m{i}", list(p), {"thread": i % 3}) for i, p in enumerate(points)]
    vectors.upsert("acme", rows)
    for query in chance.normal(size=(8, 12)):
        for where in (None, {"thread": 1}):
            fit = [i for i in range(300) if where is None or i % 3 == 1]
            expected = sorted(fit, key=lambda i: -near(points[i], query))[:7]
            hits = vectors.search("acme", list(query), top_k=7, where=where)
            assert [hit.id for hit in hits] == [f"m{i}" for i in expected]
            for hit, i in zip(hits, expected, strict=True):
                assert hit.score == pytest.approx(near(points[i], query), abs=1e-5)
                assert hit.fields == {"thread": i % 3}


def test_rows_are_replaced_whole_and_taken_out(vectors: VectorStore) -> None:
    vectors.upsert("a", [VectorRow("m1", [1, 0], {"x": 1, "y": "z"}), VectorRow("m2", [0, 3])])
    vectors.upsert("a", [VectorRow("m1", [9, 9], {}), VectorRow("m1", [0, 2], {"y": True})])
    (row,) = vectors.get("a", ["m1", "never"])
    assert list(row.vector) == [0, 1]
    assert row.fields == {"y": True}
    assert vectors.search("a", [1, 0], top_k=5, where={"x": 1}) == []
    assert [h.id for h in vectors.search("a", [0, 1], top_k=5)] == ["m1", "m2"]
    vectors.delete("a", ["m1", "never"])
    assert vectors.ids("a") == ["m2"]
    assert vectors.count("a") == 1
    vectors.delete("a", ["m2"])
    assert vectors.search("a", [0, 1], top_k=5) == []


def test_fields_of_every_kind_can_be_asked_for(vectors: VectorStore) -> None:
    fields: Fields = {
        "thread": 7,
        "speaker": "Ana é🛫",
        "weight": 0.5,
        "old": False,
        "fields": "own",
        "$a.b": "x",
    }
    vectors.upsert("a", [VectorRow("m1", [1, 0], fields), VectorRow("m2", [1, 0], {"thread": 8})])
    for name, value in fields.items():
        (hit,) = vectors.search("a", [0, 1], top_k=1, where={name: value})
        assert hit.id == "m1"
        assert hit.fields == fields
        assert vectors.ids("a", where={name: value}) == ["m1"]
    assert vectors.ids("a", where={"thread": 7, "old": True}) == []
    assert vectors.search("a", [0, 1], top_k=1, where={"thread": 7, "old": False})[0].id == "m1"


def test_a_rare_field_is_found_among_many_nearer_rows(vectors: VectorStore) -> None:
    rows = [VectorRow(f"m{i:03}", [1, i / 1e4], {"thread": 1}) for i in range(400)]
    rows += [VectorRow(f"x{i}", [-1, i], {"thread": 2}) for i in range(3)]
    vectors.upsert("a", rows)
    hits = vectors.search("a", [1, 0], top_k=5, where={"thread": 2})
    assert [hit.id for hit in hits] == ["x2", "x1", "x0"]


def test_tenants_are_kept_apart(vectors: VectorStore) -> None:
    for tenant in ("a", "b", "", "é🛫/ \0", "A"):
        vectors.upsert(
            tenant, [VectorRow("m1", [1, 0], {"of": tenant}), VectorRow(tenant + "x", [0, 1])]
        )
    for tenant in ("a", "b", "", "é🛫/ \0", "A"):
        assert vectors.count(tenant) == 2
        assert vectors.search(tenant, [1, 0], top_k=9)[0].fields == {"of": tenant}
        assert vectors.ids(tenant) == sorted(["m1", tenant + "x"])
    vectors.drop("a")
    vectors.drop("never there")
    assert vectors.count("a") == 0
    assert vectors.space("a") is None
    assert vectors.search("a", [1, 0], top_k=3) == []
    assert vectors.get("a", ["m1"]) == []
    assert vectors.count("A") == 2
    vectors.upsert("a", [VectorRow("m1", [1, 0, 0])])
    vectors.reset()
    assert [vectors.count(tenant) for tenant in ("a", "b", "")] == [0, 0, 0]
    vectors.upsert("b", [VectorRow("m1", [1, 0, 0])])
    assert vectors.count("b") == 1


def test_a_space_is_kept_and_another_refused(vectors: VectorStore) -> None:
    space = VectorSpace("hashing-16-v1", 3)
    assert vectors.space("a") is None
    vectors.open("a", space)
    vectors.open("a", space)
    assert vectors.space("a") == space
    for other in (VectorSpace("hashing-16-v1", 4), VectorSpace("static", 3)):
        with pytest.raises(VectorsMismatch, match="contextkit reindex"):
            vectors.open("a", other)
    vectors.drop("a")
    vectors.open("a", VectorSpace("static", 4))
    assert vectors.search("a", [1, 0, 0, 0], top_k=1) == []


@pytest.mark.parametrize("vector", [[], [1.0, math.nan], [math.inf, 0.0], [1.0, 2.0, 3.0]])
def test_odd_vectors_are_refused_with_all_of_their_batch(
    vectors: VectorStore, vector: list[float]
) -> None:
    vectors.upsert("a", [VectorRow("m1", [1, 0])])
    with pytest.raises(StoreError):
        vectors.upsert("a", [VectorRow("m0", [0, 1]), VectorRow("m2", vector)])
    with pytest.raises(StoreError):
        vectors.search("a", vector, top_k=1)
    assert vectors.ids("a") == ["m1"]


def test_a_vector_of_zeros_is_like_nothing(vectors: VectorStore) -> None:
    vectors.upsert(
        "a", [VectorRow("m0", [0, 0]), VectorRow("m1", [1, 0]), VectorRow("m2", [-1, 0])]
    )
    hits = vectors.search("a", [1, 0], top_k=3)
    assert [(hit.id, round(hit.score, 5)) for hit in hits] == [("m1", 1), ("m0", 0), ("m2", -1)]


def test_more_rows_than_one_call_takes(vectors: VectorStore) -> None:
    rows = [VectorRow(f"m{i}", [math.sin(i), math.cos(i)]) for i in range(5600)]
    vectors.upsert("a", rows)
    assert vectors.count("a") == 5600
    assert len(vectors.get("a", [row.id for row in rows])) == 5600
    assert vectors.search("a", rows[5500].vector, top_k=1)[0].score == pytest.approx(1, abs=1e-5)
    vectors.delete("a", [row.id for row in rows[1:]])
    assert vectors.ids("a") == ["m0"]
