"""`scope`: chunks of one meaning, each at a rate of its own, the least relevant told shortest.

SCOPE-style after Zhang, Wang and Wang 2025 (arXiv:2508.15813), whose formulas are not public: chunks are
cut where neighbouring sentences are least alike, chunks too short join the nearer neighbour, and what has
to leave is shared out by (1 - relevance) times length. A rewriting model may be given; its text is taken
only where every protected span is still in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from contextkit.compression.base import Compressed, Count
from contextkit.compression.in_step import Asking, Task, in_step
from contextkit.compression.iterating import segments
from contextkit.compression.llmlingua import score_parts
from contextkit.compression.scoring import Scorer, SurprisalScorer
from contextkit.compression.source import begin
from contextkit.compression.spans import Word, protected
from contextkit.compression.telling import (
    OnProtected,
    Part,
    Teller,
    documents_of,
    levelled,
    parts,
    sentence_bounds,
    within_mass,
)
from contextkit.embedding import Embedder

Rewrite: TypeAlias = Callable[[str, int], str]
"""A text told anew in at most so many tokens."""
MOST_SENTENCES = 4000
"""Longer texts are cut into chunks by length."""
LEAST_RATE = 0.05


def _hashing() -> Embedder:
    from contextkit.embedders.hashing import HashingEmbedder

    return HashingEmbedder()


@dataclass(frozen=True, slots=True)
class Scope:
    """`cut` is how many deviations below the mean a likeness ends a chunk."""

    kind: ClassVar[str] = "scope"

    embedder: Embedder = field(default_factory=_hashing)
    scorer: Scorer = field(default_factory=SurprisalScorer)
    on_protected: OnProtected = "error"
    cut: float = 0.5
    least_chunk_tokens: int = 40
    rewrite: Rewrite | None = None

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens. Raises `ProtectedMass`, `EmbeddingFailed`."""
        task = Task(text, target_tokens, count, question, handle)
        return in_step(self.scorer, [self.plan(task)])[0]

    def plan(self, task: Task) -> Asking[Compressed]:
        """Asks about every chunk at once."""
        text, target, count = task.text, task.target_tokens, task.count
        source = begin(self.kind, text, target, count)
        if isinstance(source, Compressed):
            return source
        tokens, units, costs = source.tokens, source.units, source.costs
        chunks, vectors = self._chunks(text, units, costs)
        relevance = self._relevance(vectors, task.question)
        rates = _rates([chunk.tokens for chunk in chunks], relevance, target)
        if self.rewrite is not None:
            made = self._rewritten(text, units, chunks, rates, target, count)
            if made is not None:
                return Compressed(made, tokens, target, count(made), self.kind, "rewritten")
        bits = yield from score_parts(text, units, chunks, self.scorer)
        of = documents_of(chunks, len(units))
        scores = levelled(bits, of, dict(enumerate(rates)))
        sentences = source.sentences()
        worths = [relevance[of[part.first]] for part in sentences]
        inside = within_mass(sentences, worths, target, len(units))
        return Teller(self.kind, self.on_protected, task.handle).tell(
            text, units, scores, inside, target, count, f"{len(chunks)} chunks", tokens
        )

    def _chunks(
        self, text: str, units: Sequence[Word], costs: Sequence[float]
    ) -> tuple[list[Part], npt.NDArray[np.float32]]:
        """The chunks, and a vector for each."""
        from contextkit.embedding import embed

        found = parts(sentence_bounds(text), units, costs)
        if len(found) > MOST_SENTENCES:
            runs = segments(range(len(units)), costs, 4 * self.least_chunk_tokens)
            found = parts([units[run[0]].start for run in runs], units, costs)
        spoken = [text[units[p.first].start : units[p.stop - 1].stop] for p in found]
        vectors = embed(self.embedder, spoken)
        alike = [float(a @ b) for a, b in pairwise(vectors)]
        edge = float(np.mean(alike) - self.cut * np.std(alike)) if alike else 0.0
        groups: list[list[int]] = [[0]]
        for index, likeness in enumerate(alike, 1):
            short = sum(found[i].tokens for i in groups[-1]) < self.least_chunk_tokens
            if likeness < edge and not short:
                groups.append([])
            groups[-1].append(index)
        chunks = parts([units[found[group[0]].first].start for group in groups], units, costs)
        means = np.stack([vectors[group].mean(axis=0) for group in groups])
        return chunks, np.asarray(means, dtype=np.float32)

    def _relevance(self, vectors: npt.NDArray[np.float32], question: str) -> list[float]:
        """0 to 1 for each chunk: likeness to the question, or to the text as a whole without one."""
        from contextkit.embedding import embed

        wanted = (
            embed(self.embedder, [question], query=True)[0] if question else vectors.mean(axis=0)
        )
        likeness = vectors @ wanted
        low, high = float(likeness.min()), float(likeness.max())
        return [float(v - low) / ((high - low) or 1.0) for v in likeness]

    def _rewritten(
        self,
        text: str,
        units: Sequence[Word],
        chunks: Sequence[Part],
        rates: Sequence[float],
        target: int,
        count: Count,
    ) -> str | None:
        """Every chunk told anew; None where one lost a protected span, or all are over the target."""
        assert self.rewrite is not None
        told: list[str] = []
        for chunk, rate in zip(chunks, rates, strict=True):
            source = text[units[chunk.first].start : units[chunk.stop - 1].stop]
            made = self.rewrite(source, max(1, int(rate * chunk.tokens)))
            if any(source[span.start : span.stop] not in made for span in protected(source)):
                return None
            told.append(made.strip())
        whole = "\n".join(told)
        return whole if count(whole) <= target else None


def _rates(lengths: Sequence[float], relevance: Sequence[float], target: int) -> list[float]:
    """The share that each chunk keeps: what leaves is shared out by (1 - relevance) · length."""
    excess = max(0.0, sum(lengths) - target)
    kept = list(lengths)
    open_chunks = set(range(len(lengths)))
    while excess > 0.5 and open_chunks:
        weights = {i: (1.1 - relevance[i]) * lengths[i] for i in open_chunks}
        total = sum(weights.values())
        taken = 0.0
        for index, weight in weights.items():
            floor = LEAST_RATE * lengths[index]
            take = min(excess * weight / total, kept[index] - floor)
            kept[index] -= take
            taken += take
            if kept[index] - floor < 1e-6:
                open_chunks.discard(index)
        excess -= taken
        if taken < 1e-6:
            break
    return [k / max(length, 1e-6) for k, length in zip(kept, lengths, strict=True)]
