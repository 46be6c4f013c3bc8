"""Which records are near to a question: by their words, and by their meaning where there is an embedder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.embedding import Embedder, embed, embed_all
from contextkit.memo import Memo
from contextkit.recall.lexical import Lexical, count
from contextkit.recall.words import terms
from contextkit_policies._records.graph import Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]

LIKE = 0.3
"""A cosine from which on two texts speak of the same thing."""


class Finder:
    """Records by nearness. Grows; vectors come out of the memo where they were made before."""

    def __init__(self, memo: Memo, embedder: Embedder | None) -> None:
        self._memo, self._embedder = memo, embedder
        self._keys: list[str] = []
        self._lexical = Lexical()
        self._vectors: list[Vectors] = []

    def add(self, records: Sequence[Record]) -> None:
        """Take in records. Raises `EmbeddingFailed`."""
        texts = [record.text for record in records]
        if self._embedder is not None and texts:
            self._vectors.append(
                embed_all(self._memo.store, self._memo.tenant, self._embedder, texts)
            )
        first = len(self._keys)
        self._lexical.add(
            [count(terms(text)) for text in texts], list(range(first, first + len(texts)))
        )
        self._keys += [record.key for record in records]

    def nearest(self, question: str, top: int) -> list[tuple[str, float]]:
        """The nearest records, best first, with weights that add up to 1; none that share nothing.

        Raises `EmbeddingFailed`.
        """
        if not self._keys or not question.strip():
            return []
        scores = np.asarray(
            self._lexical.score(self._lexical.postings(terms(question))), np.float64
        )
        if scores.max() > 0:
            scores = scores / scores.max()
        if self._embedder is not None:
            query = embed(self._embedder, [question], query=True)[0]
            cosines = np.concatenate(self._vectors) @ query
            scores = scores + np.maximum(cosines - LIKE, 0) / (1 - LIKE)
        best = [int(i) for i in np.argsort(-scores, kind="stable")[:top] if scores[i] > 0]
        total = sum(float(scores[i]) for i in best)
        return [(self._keys[i], float(scores[i]) / total) for i in best]
