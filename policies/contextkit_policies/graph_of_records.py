"""Passages found through questions that were asked before anyone asked them.

Beside the conversation, questions are drawn from its passages, answered from what a search finds for
them, and kept with what they were answered from (Zhang et al., "Graph of Records", 2024,
arXiv:2410.11001). A turn's question then finds passages that are near to it in that graph, by a walk or
by a trained network. What is shown is always the passages; an answer is only the way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event, Lock
from typing import TYPE_CHECKING, ClassVar, Literal
from weakref import WeakKeyDictionary

from pydantic import Field, PrivateAttr

from contextkit.draft import Draft
from contextkit.errors import EmbeddingFailed
from contextkit.memo import Memo
from contextkit.policy import Turn
from contextkit.recall.hits import Hit
from contextkit.recall.memory import Memory
from contextkit.searchable import pages
from contextkit_policies._records.background import Building
from contextkit_policies._records.build import Builder
from contextkit_policies._records.finding import Finder
from contextkit_policies._records.gat import Learning
from contextkit_policies._records.recalled import Recalled, Way
from contextkit_policies._records.simulate import Extracted, Modelled, Rarity, Simulator
from contextkit_policies.retrieve import Retrieve

if TYPE_CHECKING:
    from contextkit.thread import Thread


class GraphOfRecords(Retrieve):
    """`retrieve` whose order also follows a graph of answered questions, once `build` has made some."""

    kind: ClassVar[str] = "graph_of_records"

    asked_by: Literal["extract", "model"] = Field(
        default="extract",
        description="Who makes questions and answers: the words themselves, or the backend's model",
    )
    every: int = Field(default=2, ge=1, description="A question from one in so many stretches")
    weight: float = Field(
        default=0.5,
        ge=0,
        description="What the graph adds to the score of the passage it favours most",
    )
    damping: float = Field(
        default=0.5, gt=0, lt=1, description="How far the walk goes from its seeds"
    )
    direction: Literal["forward", "both"] = Field(
        default="both",
        description="Whether the way also leads back from an answer to what was read",
    )
    n_records: int = Field(default=6, ge=1, description="Records that a question is compared with")
    learned: bool = Field(
        default=False,
        description="Order by the network that `build(train=True)` trained (needs torch)",
    )
    learning: Learning = Field(default=Learning(), description="How the network is trained")

    _known: WeakKeyDictionary[Memory, Recalled] = PrivateAttr(
        default_factory=WeakKeyDictionary[Memory, Recalled]
    )
    """What was read back already, by the memory that asks; nothing that has to last."""
    _lock: Lock = PrivateAttr(default_factory=Lock)

    def ranked(
        self, draft: Draft, turn: Turn, memory: Memory, hits: list[Hit], room: int
    ) -> tuple[Draft, list[Hit]]:
        """The hits with what the records add to their scores."""
        if turn.memo is None or not hits:
            return draft, hits
        try:
            with self._lock:
                if memory not in self._known:
                    self._known[memory] = Recalled(turn.memo, turn.thread, memory.embedder)
                recalled = self._known[memory]
                recalled.refresh()
                gains = self._gains(recalled, turn.query, hits)
        except EmbeddingFailed as error:
            return draft.note(f"{self.kind}: the search alone: {error}"), hits
        if gains is None:
            what = "network was trained" if self.learned and len(recalled) else "records were made"
            return draft.note(f"{self.kind}: no {what} for this thread; see build"), hits
        return draft, regained(hits, gains)

    def _gains(
        self, recalled: Recalled, question: str, hits: Sequence[Hit]
    ) -> dict[str, float] | None:
        if not len(recalled):
            return None
        if self.learned:
            texts = {hit.handle: hit.passage.text for hit in hits}
            return recalled.learned(question, texts, self._way, self.learning)
        scores = {hit.handle: hit.score for hit in reversed(hits)}
        return recalled.walked(question, scores, self._way)

    def build(
        self,
        thread: Thread,
        *,
        advance: Callable[[int], None] | None = None,
        stop: Event | None = None,
        train: bool = False,
    ) -> int:
        """Make the records that a thread lacks, beside its turns; returns how many were made.

        Goes on where an earlier build ended. `advance` is told how many more stretches are done, `stop`
        ends it after the step in work. `train` also trains the network on all records there are then.
        Raises `BackendError` where the model could not be asked, `EmbeddingFailed`, `StoreError`.
        """
        manager, record = thread.manager, thread.record_
        memo = Memo(manager.history, record.tenant)
        passages = [pair for page in pages(manager.history, record) for pair in page]
        memory = thread.memory
        memory.catch_up()

        def search(question: str, top: int) -> list[tuple[str, str]]:
            hits = memory.search(question, top=2 * top)
            found = {hit.handle: hit.passage.text for hit in reversed(hits)}
            return list(reversed(found.items()))[:top]

        builder = Builder(
            memo=memo,
            thread=record.name,
            passages=passages,
            search=search,
            simulator=self._simulator(thread, memo, [text for _, text in passages]),
            finder=Finder(memo, manager.embedder),
            every=self.every,
            stop=stop or Event(),
        )
        n_made = builder.run(advance)
        if train and not builder.stop.is_set():
            recalled = Recalled(memo, record.name, manager.embedder)
            recalled.refresh()
            recalled.train(dict(passages), self._way, self.learning)
        return n_made

    def start(self, thread: Thread, *, train: bool = False) -> Building:
        """`build` in a thread of its own."""
        return Building(lambda stop: self.build(thread, stop=stop, train=train))

    @property
    def _way(self) -> Way:
        return Way(self.weight, self.damping, self.direction, self.n_records, 0.5)

    def _simulator(self, thread: Thread, memo: Memo, texts: list[str]) -> Simulator:
        if self.asked_by == "extract":
            return Extracted(Rarity(texts))
        manager = thread.manager
        return Modelled(manager.backend, memo, manager.limit_tokens)


def regained(hits: Sequence[Hit], gains: Mapping[str, float]) -> list[Hit]:
    """The hits, best first, with what was gained on their scores, and said so."""
    raised = [
        replace(hit, score=hit.score + gain, why=f"{hit.why}, records {gain:+.1f}")
        if (gain := gains.get(hit.handle))
        else hit
        for hit in hits
    ]
    return sorted(raised, key=lambda hit: -hit.score)
