"""What a sentence encoder tells of each word: what it means where it stands, how near the question it is.

The states of a few layers, averaged over a word's pieces: projected, and compared with the question's
(after late interaction, Khattab and Zaharia 2020, arXiv:2004.12832). A block of text is read by itself, so
a long text costs what its blocks cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contextkit.compression.forms import Numbers, Rows
from contextkit.compression.places import Layout
from contextkit.compression.spans import Word, sentences
from contextkit.compression.telling import document_bounds

PROJECTED, COMPARED = (3, 6), (2, 4, 6)
"""Layers whose states are projected, and those that are held against the question's."""
LAYERS = tuple(sorted({*PROJECTED, *COMPARED}))
AROUND = (4, 10)
"""Words on both sides that are taken together as one meaning."""
NEAR = (3, 8)
"""Words on both sides among which each word of the question looks for its like."""
COMPARISONS = 12
WINDOW_CHARS = 1200
"""A longer block is read in parts."""
WINDOWS = 64
"""Blocks that are read together."""
LEAST = 1e-3


class Encoder(Protocol):
    """Reads texts; `MiniLMEmbedder` is one."""

    @property
    def name(self) -> str:
        """Which model in which version."""
        ...

    def layers(
        self, texts: Sequence[str], which: Sequence[int]
    ) -> list[tuple[Rows, npt.NDArray[np.int64]]]:
        """Of each text its tokens' states `[n_layers, n_tokens, width]` and places `[n_tokens, 2]`.

        The first and the last token stand for the text as a whole.
        """
        ...


@dataclass(frozen=True, slots=True)
class WordStates:
    """An encoder, and how its states are projected `[len(PROJECTED), width, n_columns]`."""

    encoder: Encoder
    projection: Rows

    @property
    def n_columns(self) -> int:
        """Of `rows`."""
        return self.n_projected + 2 * len(COMPARED) * COMPARISONS

    @property
    def n_projected(self) -> int:
        """Columns that no question changes."""
        return sum(len(layer[0]) for layer in self.projection)

    def rows(self, text: str, units: Sequence[Word], found: Layout, question: str) -> Rows:
        """The columns of each unit `[n, n_columns]`; without a question those that compare are zero."""
        starts = np.array([unit.start for unit in units], dtype=np.intp)
        n_projected = self.n_projected
        out = np.zeros((len(units), self.n_columns), dtype=np.float32)
        asked = self._question(question)
        windows = [*_windows(text)]
        for at in range(0, len(windows), WINDOWS):
            some = windows[at : at + WINDOWS]
            read = self.encoder.layers([text[start:stop] for start, stop in some], LAYERS)
            for (start, stop), (states, places) in zip(some, read, strict=True):
                first, last = np.searchsorted(starts, (start, stop)).tolist()
                if first == last:
                    continue
                of = np.searchsorted(starts[first:last], places[1:-1, 0] + start, side="right") - 1
                means = _means(states[:, 1:-1], of, last - first)
                out[first:last, :n_projected] = self._projected(means)
                if asked is not None:
                    told = _compared(means, asked, found, first, last)
                    out[first:last, n_projected : n_projected + told.shape[1]] = told
        if asked is not None and len(units):
            told = out[:, n_projected : n_projected + len(COMPARED) * COMPARISONS]
            spread = told.std(axis=0) + LEAST
            out[:, n_projected + told.shape[1] :] = (told - told.mean(axis=0)) / spread
        return out

    def _question(self, question: str) -> Rows | None:
        """The states of the question's tokens; None where it has no words."""
        if not question.strip():
            return None
        states = self.encoder.layers([question], LAYERS)[0][0]
        return states if states.shape[1] > len("[]") else None

    def _projected(self, means: Rows) -> Rows:
        rows = [
            means[LAYERS.index(layer)] @ self.projection[number]
            for number, layer in enumerate(PROJECTED)
        ]
        return np.concatenate(rows, axis=1)


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Start and stop of what is read at once: blocks between empty lines, long ones by sentences."""
    bounds = [*document_bounds(text), len(text)]
    for start, stop in pairwise(bounds):
        if stop - start <= WINDOW_CHARS:
            yield start, stop
            continue
        ends = [start + end for _, end in sentences(text[start:stop])]
        while start < stop:
            inside = [end for end in ends if start < end <= start + WINDOW_CHARS]
            end = inside[-1] if inside else min(stop, start + WINDOW_CHARS)
            yield start, end
            start = end


def _means(states: Rows, of: Numbers, n: int) -> Rows:
    """The mean state of each unit in each layer `[n_layers, n, width]`; zero for one without a token.

    Tokens stand in the order of their units.
    """
    there = of >= 0
    told, begins, times = np.unique(of[there], return_index=True, return_counts=True)
    means = np.zeros((len(states), n, states.shape[2]), dtype=np.float32)
    if len(told):
        means[:, told] = np.add.reduceat(states[:, there], begins, axis=1) / times[:, None]
    return means


def _compared(means: Rows, asked: Rows, found: Layout, first: int, last: int) -> Rows:
    """For each layer how near a unit, and what stands around it, is to the question."""
    sentence = found.sentence[first:last] - found.sentence[first]
    clause = found.clause[first:last] - found.clause[first]
    told: list[Rows] = []
    for layer in COMPARED:
        rows, question = means[LAYERS.index(layer)], asked[LAYERS.index(layer)]
        own, tokens = _unit(rows), _unit(question[1:-1])
        whole = _unit(question.mean(axis=0))
        alike = own @ tokens.T
        best = alike.max(axis=1)
        told += [
            (_unit(_sum_by(rows, sentence)) @ whole)[sentence],
            (_unit(_sum_by(rows, clause)) @ whole)[clause],
            *(_unit(_sum_near(rows, span)) @ whole for span in AROUND),
            own @ whole,
            best,
            *(_best_near(alike, span).mean(axis=1) for span in NEAR),
            alike[:, 0],
            alike[:, min(1, len(tokens) - 1)],
            own @ _unit(question[0]),
            (np.bincount(sentence, weights=best) / np.bincount(sentence))[sentence],
        ]
    return np.stack(told, axis=1)


def _unit(rows: Rows) -> Rows:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, LEAST), dtype=np.float32)


def _sum_by(rows: Rows, part: Numbers) -> Rows:
    """The sum of each run of one part; parts ascend without a gap."""
    return np.add.reduceat(rows, np.flatnonzero(np.diff(part, prepend=-1)))


def _sum_near(rows: Rows, span: int) -> Rows:
    """The sum over so many units on both sides."""
    sums = np.concatenate([np.zeros_like(rows[:1]), np.cumsum(rows, axis=0)])
    places = np.arange(len(rows))
    low, high = np.maximum(places - span, 0), np.minimum(places + span + 1, len(rows))
    return np.asarray(sums[high] - sums[low], dtype=np.float32)


def _best_near(rows: Rows, span: int) -> Rows:
    """The highest value within so many units on both sides."""
    found = rows.copy()
    for side in range(1, min(span, len(rows) - 1) + 1):
        found[side:] = np.maximum(found[side:], rows[:-side])
        found[:-side] = np.maximum(found[:-side], rows[side:])
    return found
