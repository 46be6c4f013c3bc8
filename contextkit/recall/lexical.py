"""An index of search terms that grows by appending: BM25 of every row, and of every session, for a query.

Robertson and Zaragoza 2009, with Lucene's idf, ln(1 + (N - df + 0.5) / (df + 0.5)), which is never
negative. Rows are numbered in the order they come; postings of most rows lie sorted by term, those of
the newest are scanned.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.arrays import Growing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]
    Rows: TypeAlias = NDArray[np.int32]

K1, B = 1.2, 0.5
SESSION_B = 0.75
MOST_TERMS = 200
"""Terms of a query that are looked up, the rarest ones."""
TAIL = 8192
"""Postings at the least that are scanned before all are sorted again."""


class Lexical:
    """Terms of rows, with the session that each row belongs to. Not safe to share without a lock."""

    def __init__(self) -> None:
        self._vocabulary: dict[str, int] = {}
        self._document_frequency = Growing(np.int32)
        self._terms, self._rows = Growing(np.int32), Growing(np.int32)
        self._counts = Growing(np.float32)
        self._lengths, self._sessions = Growing(np.float32), Growing(np.int32)
        self._order: Rows = np.empty(0, np.int32)
        self._starts: Rows = np.zeros(1, np.int32)
        self._n_sorted = 0

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def sessions(self) -> Rows:
        """The session of every row, ascending by row."""
        return self._sessions.view

    @property
    def lengths(self) -> Scores:
        """How many terms every row has."""
        return self._lengths.view

    def add(self, terms: Sequence[Mapping[str, int]], sessions: Sequence[int]) -> None:
        """Append rows: how often each term occurs in them, and their sessions."""
        first = len(self)
        ids: list[int] = []
        rows: list[int] = []
        counts: list[int] = []
        for offset, row in enumerate(terms):
            for term, count in row.items():
                ids.append(self._vocabulary.setdefault(term, len(self._vocabulary)))
                rows.append(first + offset)
                counts.append(count)
        self._terms.extend(ids)
        self._rows.extend(rows)
        self._counts.extend(counts)
        self._lengths.extend([sum(row.values()) for row in terms])
        self._sessions.extend(sessions)
        missing = len(self._vocabulary) - len(self._document_frequency)
        self._document_frequency.extend([0] * missing)
        np.add.at(self._document_frequency.view, np.asarray(ids, np.int32), 1)

    def idf(self, term: str) -> float:
        """How rare a term is; of a term that no row has, the most there can be."""
        known = self._vocabulary.get(term)
        frequency = 0 if known is None else int(self._document_frequency.view[known])
        return math.log(1 + (len(self) - frequency + 0.5) / (frequency + 0.5))

    def postings(self, query: Sequence[str]) -> list[tuple[float, Rows, Scores]]:
        """(idf, rows, counts) of every distinct term of a query that some row has."""
        self._sort()
        known = [term for term in dict.fromkeys(query) if term in self._vocabulary]
        if len(known) > MOST_TERMS:
            known = sorted(known, key=lambda term: -self.idf(term))[:MOST_TERMS]
        tail_terms = self._terms.view[self._n_sorted :]
        found: list[tuple[float, Rows, Scores]] = []
        for term in known:
            number = self._vocabulary[term]
            at: Rows = np.empty(0, np.int32)
            if number + 1 < len(self._starts):
                at = self._order[self._starts[number] : self._starts[number + 1]]
            late = (np.flatnonzero(tail_terms == number) + self._n_sorted).astype(np.int32)
            at = np.concatenate([at, late]) if len(late) else at
            found.append((self.idf(term), self._rows.view[at], self._counts.view[at]))
        return found

    def score(
        self, postings: Sequence[tuple[float, Rows, Scores]], *, k1: float = K1, b: float = B
    ) -> Scores:
        """BM25 of every row, `[n_rows]`."""
        lengths = self._lengths.view
        scores = np.zeros(len(lengths), np.float32)
        mean = float(lengths.mean()) if len(lengths) else 1.0
        norm = (k1 * (1 - b) + k1 * b / max(mean, 1e-9) * lengths).astype(np.float32)
        for idf, rows, counts in postings:
            scores[rows] += idf * (k1 + 1) * counts / (counts + norm[rows])
        return scores

    def score_text(self, query: Sequence[str], counts: Mapping[str, int]) -> float:
        """BM25 that a text with these terms would have as a row, among the rows there are."""
        lengths = self._lengths.view
        mean = float(lengths.mean()) if len(lengths) else 1.0
        norm = K1 * (1 - B + B * sum(counts.values()) / max(mean, 1e-9))
        found = [(term, counts[term]) for term in dict.fromkeys(query) if term in counts]
        return sum(self.idf(term) * (K1 + 1) * n / (n + norm) for term, n in found)

    def score_sessions(self, postings: Sequence[tuple[float, Rows, Scores]]) -> Scores:
        """BM25 of every session as one text, `[n_sessions]`."""
        sessions = self._sessions.view
        n_sessions = int(sessions.max()) + 1 if len(sessions) else 0
        scores = np.zeros(n_sessions, np.float32)
        if not n_sessions:
            return scores
        lengths = np.bincount(sessions, self._lengths.view, n_sessions)
        norm = K1 * (1 - SESSION_B + SESSION_B * lengths / max(float(lengths.mean()), 1e-9))
        for _, rows, counts in postings:
            inside = np.bincount(sessions[rows], counts, n_sessions)
            frequency = int((inside > 0).sum())
            idf = math.log(1 + (n_sessions - frequency + 0.5) / (frequency + 0.5))
            scores += (idf * (K1 + 1) * inside / (inside + norm)).astype(np.float32)
        return scores

    def _sort(self) -> None:
        """Sort the postings by term again where too many are unsorted."""
        n_postings = len(self._terms)
        if n_postings - self._n_sorted <= max(TAIL, self._n_sorted // 8):
            return
        terms = self._terms.view
        self._order = np.argsort(terms, kind="stable").astype(np.int32)
        per_term = np.bincount(terms, minlength=len(self._vocabulary))
        self._starts = np.concatenate([[0], np.cumsum(per_term)]).astype(np.int32)
        self._n_sorted = n_postings


def count(terms: Sequence[str]) -> dict[str, int]:
    """How often each term occurs."""
    return dict(Counter(terms))
