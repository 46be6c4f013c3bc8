"""What is asked of any embedder, and the memo that lets no text be embedded twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

from contextkit.embedders.hashing import HashingEmbedder
from contextkit.embedding import BATCH, embed, embed_all, space_of
from contextkit.errors import EmbeddingFailed
from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory


class Told(BaseModel):
    """Answers what it is told to, and counts the texts it was asked for."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)
    kind: ClassVar[str] = "told"
    name: str = "told"
    dimension: int = 3
    answer: Callable[[int], Any]
    _asked: list[str] = PrivateAttr(default_factory=list[str])

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        self._asked.extend(texts)
        return self.answer(len(texts))


def broken(n: int) -> Any:
    rows = np.ones((n, 3))
    rows[-1, 1] = np.nan
    return rows


def late(n: int) -> Any:
    raise TimeoutError("no answer within 30 s")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (broken, r"the vector of text 1 \('other'\) holds a value that is not finite"),
        (lambda n: np.full((n, 3), np.inf), "text 0"),
        (lambda n: np.ones((n, 4)), r"shape \(2, 4\), \(2, 3\) is what"),
        (lambda n: np.ones((n - 1, 3)), r"shape \(1, 3\)"),
        (lambda n: np.ones(3), r"shape \(3,\)"),
        (lambda n: [["a", "b", "c"]] * n, "embedder told: ValueError"),
        (lambda n: None, "shape|TypeError"),
        (late, "TimeoutError: no answer within 30 s; 2 texts were not embedded"),
    ],
)
def test_what_is_no_vector_is_refused(answer: Any, said: str) -> None:
    store = MemoryHistory()
    with pytest.raises(EmbeddingFailed, match=said):
        embed(Told(answer=answer), ["text", "other"])
    with pytest.raises(EmbeddingFailed):
        embed_all(store, "acme", Told(answer=answer), ["text", "other"])
    assert store.list_memo("acme", "embedding/told") == []


def test_rows_come_back_at_unit_length() -> None:
    rows = embed(Told(answer=lambda n: np.full((n, 3), 1e-30)), ["a", "b"])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert not embed(Told(answer=lambda n: np.zeros((n, 3))), ["a"]).any()


@given(st.lists(st.text(max_size=6), max_size=12), st.lists(st.text(max_size=6), max_size=12))
def test_the_memo_gives_what_embedding_gives(first: list[str], second: list[str]) -> None:
    store, embedder = MemoryHistory(), HashingEmbedder(dimension=16)
    for texts in (first, second, first + second):
        expected = embed(embedder, texts)
        assert np.array_equal(embed_all(store, "acme", embedder, texts), expected)


def test_no_text_is_embedded_twice_even_by_another_process(tmp_path: Path) -> None:
    url, texts = f"sqlite:///{tmp_path}/h.db", ["one", "two", "one", "🛫", "\ud800"]
    made: list[Any] = []
    for extra in ([], ["three"]):
        store, embedder = SqlHistory(url=url), Told(answer=lambda n: np.eye(3)[np.arange(n) % 3])
        made.append(embed_all(store, "acme", embedder, texts + extra))
        assert embedder._asked == (["one", "two", "🛫", "\ud800"] if not extra else ["three"])
        assert embed_all(store, "other", embedder, ["one"]).any()
        assert embedder._asked[-1] == "one" if not extra else "three"
        store.close()
    assert np.array_equal(made[0], made[1][:5])
    assert np.array_equal(made[0][0], made[0][2])


def test_names_keep_vectors_apart() -> None:
    store = MemoryHistory()
    for dimension in (16, 32):
        assert (
            embed_all(store, "a", HashingEmbedder(dimension=dimension), ["t"]).shape[1] == dimension
        )
    assert store.list_memo("a", space_of(HashingEmbedder(dimension=16)))
    # A value of another length is no vector of this embedder: it is made again.
    store.save_memo(
        "a", "embedding/told", dict.fromkeys(store.list_memo("a", "embedding/hashing-16-v1"), b"x")
    )
    embedder = Told(answer=lambda n: np.ones((n, 3)))
    assert embed_all(store, "a", embedder, ["t"]).any()
    assert embedder._asked == ["t"]


def test_an_interrupted_run_goes_on_where_it_stopped() -> None:
    store, texts = MemoryHistory(), [f"text {i}" for i in range(2 * BATCH + 5)]

    def fails_at_the_end(n: int) -> Any:
        if n < BATCH:
            raise TimeoutError
        return np.ones((n, 3))

    with pytest.raises(EmbeddingFailed):
        embed_all(store, "a", Told(answer=fails_at_the_end), texts)
    again = Told(answer=lambda n: np.ones((n, 3)))
    embed_all(store, "a", again, texts)
    assert again._asked == texts[2 * BATCH :]
