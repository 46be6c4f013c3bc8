"""What resembles the messages found first comes before what only shares as many words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contextkit.documents import Chunk, Document
from contextkit.recall.feedback import resemble
from contextkit.recall.passages import Passage, passage_of_chunk
from contextkit.recall.rows import row_of
from contextkit.recall.table import Table


def table_of(n_chunks: int, n_messages: int) -> Table:
    document = Document("d", "text/plain", "0", number=1)
    chunks = [Chunk(f"chunk {n}", document=1, number=n) for n in range(n_chunks)]
    table = Table()
    table.add([row_of(passage_of_chunk(chunk, document)) for chunk in chunks])
    table.add(
        [row_of(Passage(f"m{n}", f"word {n}", "user", "", n, n + 1)) for n in range(n_messages)]
    )
    return table


def unit(*rows: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    made = np.asarray(rows, np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


VECTORS = unit([1, 0, 0], [1, 0.2, 0], [1, -0.3, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1])


def test_messages_gain_by_their_likeness_and_chunks_nothing() -> None:
    table, every = table_of(2, 4), np.arange(6)
    vectors = VECTORS[[0, 3, 0, 1, 4, 5]]
    gained = resemble(table, vectors, np.zeros(6, np.float32), [2, 0], every, every)
    assert gained[:2].tolist() == [0, 0]
    assert gained[2] > gained[3] > 0 > gained[4]


def test_the_likelier_of_those_found_first_tells_more() -> None:
    table, every = table_of(0, 6), np.arange(6)
    scores = np.asarray([9, 0, 0, 6, 0, 0], np.float32)
    gained = resemble(table, VECTORS, scores, [0, 3], every, every)
    assert gained[1] > gained[5]


def test_rows_not_looked_at_gain_as_little_as_the_least() -> None:
    table, rows = table_of(0, 6), np.asarray([0, 1, 4])
    gained = resemble(table, VECTORS, np.zeros(6, np.float32), [0], rows, rows)
    assert gained[2] == gained[3] == gained[5] == gained.min()


@pytest.mark.parametrize("likeliest", [[], [0, 1]])
def test_without_messages_found_nothing_is_gained(likeliest: list[int]) -> None:
    table, every = table_of(2, 1), np.arange(3)
    gained = resemble(table, VECTORS[:3], np.ones(3, np.float32), likeliest, every, every)
    assert not gained.any()
