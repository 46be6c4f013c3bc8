"""One question put to a table of rows: its signals, their sum, the best rows and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall import ranking
from contextkit.recall.dates import NamedDate, said_then
from contextkit.recall.dense import Dense
from contextkit.recall.feedback import FIRST, resemble
from contextkit.recall.following import STEPS_FROM, follow
from contextkit.recall.question import Question
from contextkit.recall.ranking import Signals
from contextkit.recall.states import Asked
from contextkit.recall.stretches import IN_MEETINGS, IN_TALK, around, is_broad, is_meeting
from contextkit.recall.table import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

    Matcher: TypeAlias = Callable[[Asked, NDArray[np.intp], Callable[[int, int], float]], Scores]

FEW, FEW_CHARS = 1500, 250_000
"""So many rows with so many characters are all looked at closely; of more, the likeliest."""
CANDIDATES = 320
SAMPLED = 128
"""Rows beside the candidates that tell how common a match is."""
SMALL_WORD = 0.5
"""What a word without meaning of its own counts among the words of a question."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A text that is no row, and tells some: how often each term occurs in it, and the rows it tells."""

    counts: dict[str, int]
    rows: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Found:
    """Rows, best first, with their scores and the signals they come from; the scores of tellings."""

    rows: list[int]
    scores: list[float]
    reasons: list[str]
    told: list[float]


def search(
    table: Table,
    question: Question,
    allowed: NDArray[np.bool_],
    known: NDArray[np.bool_],
    top: int,
    dense: Dense | None = None,
    asked: Asked | None = None,
    matcher: Matcher | None = None,
    tellings: Sequence[Telling] = (),
) -> Found:
    """The likeliest of the allowed rows; the known ones may lead to them. Every telling is weighed."""
    signals = look(table, question, dense, asked)
    matches = None
    weights = ranking.WORDS_ALONE if signals.meaning is None else ranking.WITH_VECTORS
    if matcher is not None and asked is not None and asked.tokens is not None:
        weights = ranking.WITH_STATES
        matches = look_closely(table, question, signals, allowed, asked, matcher)
    total = ranking.score(signals, weights, matches)
    likeliest = _best(np.where(known, total, -np.inf), min(FIRST, int(known.sum())))
    total += follow(table, total, likeliest[:STEPS_FROM], question.terms)
    meeting = is_meeting(table)
    if dense is not None and signals.meaning is not None and not meeting:
        total += resemble(table, dense.vectors, total, likeliest, *near(table, total, allowed))
    if meeting:
        total += around(total, table.sessions, IN_MEETINGS)
    elif is_broad([word for _, _, word in question.words]):
        total += around(total, table.sessions, IN_TALK)
    told = [weigh_telling(table, question, signals, weights, total, each) for each in tellings]
    total = np.where(allowed, total, -np.inf)
    best = _distinct(table, _best(total, min(2 * top, int(allowed.sum()))))[:top]
    reasons = [_reason(signals, matches, row) for row in best]
    return Found(best, [float(total[row]) for row in best], reasons, told)


def weigh_telling(
    table: Table,
    question: Question,
    signals: Signals,
    weights: ranking.Weights,
    total: Scores,
    telling: Telling,
) -> float:
    """The score of a telling on the scale of the rows, which compete with it.

    Its words count as a row's do; in place of the signals that only rows have stands their mean over
    the rows that it tells.
    """
    words, spread = signals.words, float(signals.words.std())
    spread = spread if spread > 1e-9 else 1.0
    own = (table.lexical.score_text(question.terms, telling.counts) - float(words.mean())) / spread
    at = telling.rows
    others = total[at] - weights.words * (words[at] - words.mean()) / spread
    return weights.words * own + (float(others.mean()) if len(at) else 0.0)


def look(table: Table, question: Question, dense: Dense | None, asked: Asked | None) -> Signals:
    """The signals that are cheap enough for every row."""
    lexical = table.lexical
    postings = lexical.postings(question.terms)
    speaker = table.said_by(question.named) if question.named else np.zeros(len(table), np.float32)
    return Signals(
        words=lexical.score(postings),
        sessions=lexical.score_sessions(postings)[lexical.sessions],
        stretches=lexical.sessions,
        joins=table.joins,
        asks=table.asks,
        speaker=speaker,
        meaning=dense.score(asked.vector) if dense is not None and asked is not None else None,
        said_then=said_then(question.dates, table.days),
    )


def near(
    table: Table, scores: Scores, allowed: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows that are looked at closely: all, or the likeliest with a sample; and the sample."""
    n_rows = len(table)
    every = np.arange(n_rows)
    if n_rows <= FEW and table.n_chars <= FEW_CHARS:
        return every, every
    sample = every[:: max(1, n_rows // SAMPLED)]
    likely = np.where(allowed, scores, -np.inf)
    return np.union1d(_best(likely, CANDIDATES), sample), sample


def look_closely(
    table: Table,
    question: Question,
    signals: Signals,
    allowed: NDArray[np.bool_],
    asked: Asked,
    matcher: Matcher,
) -> Scores:
    """How well the words of the question are matched by each row, standardised."""
    candidates, sample = near(table, ranking.first_look(signals), allowed)
    dates = () if signals.said_then is None else question.dates
    weights = {
        start: 0.0 if _is_dated(start, dates) else weigh(table, term)
        for start, _, term in question.words
    }
    starts = np.asarray([start for start, _, _ in question.words] or [0])

    def weight_of(start: int, stop: int) -> float:
        word = int(starts[max(0, int(np.searchsorted(starts, start, side="right")) - 1)])
        return weights.get(word, SMALL_WORD) if question.words else SMALL_WORD

    found = np.full(len(table), np.nan, np.float32)
    found[candidates] = matcher(asked, candidates, weight_of)
    scored = ranking.standard(found, sample)
    lowest = float(np.nanmin(scored))
    return np.nan_to_num(scored, nan=lowest)


def weigh(table: Table, term: str) -> float:
    """What a word of the question counts: how rare it is."""
    return table.lexical.idf(term) if term else SMALL_WORD


def _is_dated(start: int, dates: Sequence[NamedDate]) -> bool:
    return any(each.start <= start < each.stop for each in dates)


def _best(scores: Scores, top: int) -> list[int]:
    """The rows with the highest scores, equal ones in their order."""
    if top <= 0:
        return []
    chosen = np.arange(len(scores))
    if top < len(scores):
        edge = np.partition(scores, len(scores) - top)[len(scores) - top]
        chosen = np.flatnonzero(scores >= edge)
    order = chosen[np.argsort(-scores[chosen], kind="stable")]
    return [int(row) for row in order[:top]]


def _distinct(table: Table, rows: list[int]) -> list[int]:
    """The rows without those that say what an earlier one of them says."""
    return list({table.rows[row].key: row for row in reversed(rows)}.values())[::-1]


def _reason(signals: Signals, matches: Scores | None, row: int) -> str:
    said: list[str] = []
    if matches is not None:
        said.append(f"matches {matches[row]:+.1f}")
    said.append(f"words {signals.words[row]:.1f}")
    if signals.meaning is not None:
        said.append(f"meaning {signals.meaning[row]:.2f}")
    if signals.speaker[row]:
        said.append("said by the one named" if signals.speaker[row] > 0 else "said by another")
    if signals.said_then is not None and signals.said_then[row]:
        said.append("said then" if signals.said_then[row] == 1 else "said soon after")
    return ", ".join(said)
