"""How likely each passage is to hold what a question asks for: a weighted sum of a few signals.

Each signal is taken relative to the other passages (its mean taken off, divided by its spread), so that
weights hold for any question. They were set by hand on a few public conversations and are few and round
on purpose; docs/benchmarks.md says which, and what each signal adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.arrays import after, before

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """What each signal counts."""

    matches: float = 0.0
    """Late interaction: the best match of every word of the question, rare words more."""
    words: float = 0.0
    """BM25 of the passage."""
    meaning: float = 0.0
    """Cosine of the passage with its neighbours."""
    speaker: float = 0.0
    """Said by the one whom the question names, or by another."""
    asks: float = 0.0
    """Ends with a question itself."""
    session: float = 0.0
    """BM25 of the whole exchange."""
    best_of_session: float = 0.0
    """BM25 of the best passage of the exchange."""
    nearby: float = 0.0
    """BM25 of the passages two before and two behind."""
    follows_question: float = 0.0
    """Comes right behind a question."""
    answers_match: float = 0.0
    """Comes right behind a question that itself matches."""
    said_then: float = 4.0
    """Said on a date that the question names, or soon after."""


WITH_STATES = Weights(0.9, 0.13, 0.2, 0.75, -0.8, 0.15, 0.16, 0.06, 0.35, 0.2)
WITH_VECTORS = Weights(0.0, 0.35, 0.55, 0.6, -0.8, 0.2, 0.1, 0.1, 0.35, 0.25)
WORDS_ALONE = Weights(0.0, 0.6, 0.0, 0.6, -0.8, 0.25, 0.15, 0.15, 0.35, 0.35)


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of all passages with regard to one question, `[n_rows]` each; None: not known."""

    words: Scores
    sessions: Scores
    """BM25 of each row's exchange."""
    stretches: NDArray[np.int32]
    """The exchange each row belongs to."""
    joins: Scores
    """1 where a row goes on from the one before it, else 0."""
    asks: Scores
    speaker: Scores
    """1 said by the one the question names, -1 by another, 0 where it names none or several."""
    meaning: Scores | None = None
    said_then: Scores | None = None
    """1 said on a date that the question names, less soon after; None where no row was."""


def standard(scores: Scores, sample: NDArray[np.intp] | None = None) -> Scores:
    """The scores without their mean, in units of their spread (of a sample's, where one is given)."""
    of = scores if sample is None else scores[sample]
    spread = float(of.std()) if len(of) else 0.0
    mean = float(of.mean()) if len(of) else 0.0
    return np.asarray((scores - mean) / (spread if spread > 1e-9 else 1.0), np.float32)


def first_look(signals: Signals) -> Scores:
    """A cheap score, by which candidates for the dear signals are chosen."""
    words = standard(signals.words)
    own = words if signals.meaning is None else words + standard(signals.meaning)
    beside = before(own, signals.joins) + after(own, signals.joins)
    dated = 0.0 if signals.said_then is None else 2 * signals.said_then
    return np.asarray(own + 0.4 * beside + dated, np.float32)


def score(signals: Signals, weights: Weights, matches: Scores | None = None) -> Scores:
    """The weighted sum, `[n_rows]`; `matches` is already standard, zero where it was not looked at."""
    joins = signals.joins
    words = standard(signals.words)
    best = np.full(int(signals.stretches.max()) + 1, -np.inf, np.float32)
    np.maximum.at(best, signals.stretches, signals.words)
    two_off = before(before(words, joins), joins) + after(after(words, joins), joins)
    asked = before(signals.asks, joins)
    own = words if matches is None else words + matches
    total = (
        weights.words * words
        + weights.speaker * signals.speaker
        + weights.asks * signals.asks
        + weights.session * standard(signals.sessions)
        + weights.best_of_session * standard(best[signals.stretches])
        + weights.nearby * two_off
        + weights.follows_question * asked
        + weights.answers_match * before(np.asarray(signals.asks * own, np.float32), joins)
    )
    if signals.meaning is not None:
        total = total + weights.meaning * standard(signals.meaning)
    if matches is not None:
        total = total + weights.matches * matches
    if signals.said_then is not None:
        total = total + weights.said_then * signals.said_then
    return np.asarray(total, np.float32)
