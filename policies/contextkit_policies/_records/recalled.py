"""The records of a thread as a turn uses them: what a question finds through them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contextkit.embedding import Embedder, embed, embed_all
from contextkit.memo import Memo
from contextkit_policies._records import gat
from contextkit_policies._records.build import load_records, space_of
from contextkit_policies._records.finding import Finder
from contextkit_policies._records.graph import Direction, Record, RecordGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS_SPACE = "records/weights/1"
SEEDS = 24
"""Passages found for the question at which a walk starts."""


@dataclass(frozen=True, slots=True)
class Way:
    """How records change an order of passages."""

    weight: float
    """What the walk, or the network, adds to the score of the passage that it favours most."""
    damping: float
    direction: Direction
    n_records: int
    """Records that are looked at."""
    records_share: float
    """What of the walk starts at records; the rest at passages."""


class Recalled:
    """Loaded once, and again whenever records were made. Not safe to share without a lock."""

    def __init__(self, memo: Memo, thread: str, embedder: Embedder | None) -> None:
        self._memo, self._thread, self._embedder = memo, thread, embedder
        self._keys: list[str] = []
        self._records: list[Record] = []
        self._finder = Finder(memo, embedder)
        self._graph = RecordGraph([], [])

    def __len__(self) -> int:
        return len(self._records)

    def refresh(self) -> None:
        """Take in records that were made since. Raises `EmbeddingFailed`."""
        keys = self._memo.keys(space_of(self._thread))
        if keys == self._keys:
            return
        self._records = [r for r in load_records(self._memo, self._thread) if r.answer]
        self._finder = Finder(self._memo, self._embedder)
        self._finder.add(self._records)
        self._graph = self.graph()
        self._keys = keys

    def nearest(self, question: str, top: int) -> list[tuple[str, float]]:
        """Keys of the records nearest to a question, with weights that add up to 1."""
        return self._finder.nearest(question, top)

    def graph(self, passages: Sequence[str] = ()) -> RecordGraph:
        """The records with all passages they read, and these ones."""
        read = [handle for record in self._records for handle in record.passages]
        return RecordGraph(dict.fromkeys([*read, *passages]), self._records)

    def walked(self, question: str, scores: Mapping[str, float], way: Way) -> dict[str, float]:
        """What each passage gains by a walk from the question; `scores` are the search's own.

        What the walk brings to it through records counts, not what it starts with.
        """
        best = sorted(scores, key=lambda handle: -scores[handle])[:SEEDS]
        odds = {handle: math.exp(scores[handle] - scores[best[0]]) for handle in best}
        near = self.nearest(question, way.n_records)
        share = way.records_share if near else 0.0
        total = sum(odds.values())
        seeds = {handle: (1 - share) * odd / total for handle, odd in odds.items()}
        seeds.update({key: share * weight for key, weight in near})
        mass = self._graph.walk(seeds, damping=way.damping, direction=way.direction)
        brought = {
            node: math.sqrt(max(0.0, here - (1 - way.damping) * seeds.get(node, 0.0)))
            for node, here in mass.items()
            if node in self._graph.place and node not in self._graph.records
        }
        return _scaled(brought, 0.0, way.weight)

    def learned(
        self, question: str, texts: Mapping[str, str], way: Way, learning: gat.Learning
    ) -> dict[str, float] | None:
        """What each passage (handle to its words) gains by a trained network; None: none was trained.

        Raises `EmbeddingFailed`, `ConfigError` where torch is missing.
        """
        if self._embedder is None:
            return None
        key = weights_key(self._thread, self._embedder, way.direction, learning)
        kept = self._memo.load(WEIGHTS_SPACE, [key]).get(key)
        if kept is None:
            return None
        graph = self.graph(list(texts))
        known = [n for n in graph.nodes if n in texts or n in graph.records]
        graph = RecordGraph([n for n in known if n in texts], self._records)
        features = self._features(graph, texts)
        nodes = gat.encode(gat.load(kept), features, graph.edges(way.direction), learning)
        asked = embed(self._embedder, [question], query=True)[0]
        gains = {
            node: float(nodes[place] @ asked)
            for node, place in graph.place.items()
            if node not in graph.records
        }
        return _scaled(gains, sum(gains.values()) / max(1, len(gains)), way.weight)

    def train(self, texts: Mapping[str, str], way: Way, learning: gat.Learning) -> bool:
        """Train the network on this thread's own records and keep it; False where there are too few.

        `texts`: every passage's words by its handle. Raises `EmbeddingFailed`, `ConfigError`.
        """
        asked = [record for record in self._records if any(h in texts for h in record.drawn_from)]
        if self._embedder is None or len(asked) < 2:
            return False
        graph = RecordGraph(texts, self._records)
        features = self._features(graph, texts)
        sources = [
            "\n".join(texts[handle] for handle in record.drawn_from if handle in texts)
            for record in asked
        ]
        order = _order(self._embed(sources), features)
        questions = self._embed([record.question for record in asked])
        edges = graph.edges(way.direction)
        example = gat.Example(features, edges, questions, order)
        key = weights_key(self._thread, self._embedder, way.direction, learning)
        self._memo.save(WEIGHTS_SPACE, {key: gat.dump(gat.train([example], learning))})
        return True

    def _features(self, graph: RecordGraph, texts: Mapping[str, str]) -> NDArray[np.float32]:
        said = [
            graph.records[node].text if node in graph.records else texts[node]
            for node in graph.nodes
        ]
        return self._embed(said)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert self._embedder is not None
        return embed_all(self._memo.store, self._memo.tenant, self._embedder, texts)


def weights_key(
    thread: str, embedder: Embedder, direction: Direction, learning: gat.Learning
) -> str:
    """Which network: of a thread, on an embedder's vectors, of this shape."""
    shape = f"{learning.layers}x{learning.heads}{'+' if learning.residual else ''}"
    return f"{space_of(thread)}/{embedder.name}/{direction}/{shape}"


def _order(sources: NDArray[np.float32], nodes: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each source the nodes from the most to the least alike, by the embedder; the paper's labels are
    BERTScores of a model of their own."""
    return np.argsort(-(sources @ nodes.T), axis=1, kind="stable").astype(np.int64)


def _scaled(values: Mapping[str, float], base: float, weight: float) -> dict[str, float]:
    """The values from `base` on, so that the highest is `weight`."""
    reach = max(values.values(), default=base) - base
    if reach < 1e-9:
        return {}
    return {node: weight * (value - base) / reach for node, value in values.items()}
