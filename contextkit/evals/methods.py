"""Ways to choose what of a pool goes into a budget: contextkit's own beside the plain ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np

from contextkit.documents import Chunk, Document, content_digest
from contextkit.embedding import Embedder, embed, embed_all
from contextkit.evals.values import Asked, Pool
from contextkit.manager import ContextManager
from contextkit.recall.hits import Hit
from contextkit.recall.lexical import Lexical, count
from contextkit.recall.quoting import quote
from contextkit.recall.rendering import render
from contextkit.recall.words import terms
from contextkit.store import HistoryStore
from contextkit.thread import Thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

BM25_K1, BM25_B = 1.5, 0.75
RRF_K = 60
MOST_HITS = 400

Counted = Callable[[str], int]
Chosen = Mapping[int, float]
"""Item to the share of it that is in the budget."""


class Chooser(Protocol):
    """A method, ready for the questions of one pool."""

    def __call__(self, question: Asked, budgets: Sequence[int]) -> list[Chosen]:
        """What the method puts into each budget."""
        ...


class Method(Protocol):
    """A way to choose; `prepare` reads the pool."""

    @property
    def name(self) -> str: ...

    def prepare(self, pool: Pool, tokens_of: Counted) -> Chooser: ...


def pack(order: Sequence[int], sizes: Sequence[int], budget: int) -> Chosen:
    """Items in their order; what does not fit is passed over."""
    chosen: dict[int, float] = {}
    for item in order:
        if sizes[item] <= budget:
            chosen[item] = 1.0
            budget -= sizes[item]
    return chosen


@dataclass(frozen=True)
class Trim:
    """The newest items, as long as they fit: what cutting off the oldest leaves."""

    name: str = "trim"

    def prepare(self, pool: Pool, tokens_of: Counted) -> Chooser:
        sizes = [tokens_of(item.line) for item in pool.items]

        def newest(budget: int) -> Chosen:
            chosen: dict[int, float] = {}
            for item in range(len(sizes) - 1, -1, -1):
                if sizes[item] > budget:
                    break
                chosen[item] = 1.0
                budget -= sizes[item]
            return chosen

        return lambda question, budgets: [newest(budget) for budget in budgets]


@dataclass(frozen=True)
class Ranked:
    """Items by a score, packed by rank; `ranking` makes the scorer of a pool."""

    name: str
    ranking: Callable[[Pool], Callable[[str], NDArray[np.float32]]]

    def prepare(self, pool: Pool, tokens_of: Counted) -> Chooser:
        sizes = [tokens_of(item.line) for item in pool.items]
        score = self.ranking(pool)

        def choose(question: Asked, budgets: Sequence[int]) -> list[Chosen]:
            order = np.argsort(-score(question.text), kind="stable").tolist()
            return [pack(order, sizes, budget) for budget in budgets]

        return choose


def bm25(pool: Pool) -> Callable[[str], NDArray[np.float32]]:
    """BM25 with stemming, k1 1.5 and b 0.75."""
    index = Lexical()
    index.add([count(terms(item.said)) for item in pool.items], [0] * len(pool.items))
    return lambda query: index.score(index.postings(terms(query)), k1=BM25_K1, b=BM25_B)


def dense(
    store: HistoryStore, embedder: Embedder
) -> Callable[[Pool], Callable[[str], NDArray[np.float32]]]:
    """The cosine of each item alone with the question."""

    def ranking(pool: Pool) -> Callable[[str], NDArray[np.float32]]:
        vectors = embed_all(store, "default", embedder, [item.said for item in pool.items])
        return lambda query: vectors @ embed(embedder, [query], query=True)[0]

    return ranking


def fused(
    first: Callable[[Pool], Callable[[str], NDArray[np.float32]]],
    second: Callable[[Pool], Callable[[str], NDArray[np.float32]]],
) -> Callable[[Pool], Callable[[str], NDArray[np.float32]]]:
    """Reciprocal rank fusion of two rankings (Cormack et al. 2009), k = 60."""

    def ranking(pool: Pool) -> Callable[[str], NDArray[np.float32]]:
        scorers = first(pool), second(pool)

        def score(query: str) -> NDArray[np.float32]:
            total = np.zeros(len(pool.items), np.float32)
            for scorer in scorers:
                order = np.argsort(-scorer(query), kind="stable")
                total[order] += 1 / (RRF_K + 1 + np.arange(len(order)))
            return total

        return score

    return ranking


@dataclass(frozen=True)
class Recall:
    """What `retrieve` puts into a call: the thread's memory, searched, packed and rendered."""

    manager: ContextManager
    name: str = "contextkit"

    def prepare(self, pool: Pool, tokens_of: Counted) -> Chooser:
        memory = self._thread(pool).memory
        lengths = [len(item.text) for item in pool.items]
        memory.catch_up()
        sizes: dict[str, int] = {}

        def line_tokens(text: str) -> int:
            if text not in sizes:
                sizes[text] = tokens_of(text)
            return sizes[text]

        def whole_tokens(hits: Sequence[Hit]) -> int:
            message = render([hit.passage for hit in hits])
            return tokens_of(message.text)

        def choose(question: Asked, budgets: Sequence[int]) -> list[Chosen]:
            hits = memory.search(question.text, top=MOST_HITS)
            found: list[Chosen] = []
            for budget in budgets:
                quoted = quote(
                    hits,
                    budget,
                    line_tokens=line_tokens,
                    whole_tokens=whole_tokens,
                    fence_tokens=whole_tokens([]),
                )
                found.append(_shares(quoted, lengths))
            return found

        return choose

    def _thread(self, pool: Pool) -> Thread:
        said = sha256("\0".join(item.line for item in pool.items).encode()).hexdigest()
        thread = self.manager.thread(f"recall/{pool.name}/{said[:16]}")
        if pool.is_conversation:
            if not len(thread):
                thread.append([dict(item.message()) for item in pool.items])
            return thread
        if not thread.documents():
            for item in pool.items:
                chunk = Chunk(item.text)
                digest = content_digest("text/plain", [chunk])
                document = Document(item.speaker, "text/plain", digest)
                self.manager.history.add_document(thread.record_, document, [chunk])
        return thread


def _shares(hits: Sequence[Hit], lengths: Sequence[int]) -> Chosen:
    """How much of each item the hits hold, by characters."""
    chosen: dict[int, float] = {}
    for hit in hits:
        passage = hit.passage
        item = int(passage.handle[1:].partition(".")[0]) - 1 if passage.is_chunk else passage.start
        held = len(passage.text) / max(1, lengths[item])
        chosen[item] = min(1.0, chosen.get(item, 0.0) + held)
    return chosen
