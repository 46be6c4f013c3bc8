"""The shipped classifier: how likely each stretch of words is what somebody will ask a text for.

A small network over what is known of a word (`traits`) and of its neighbours, trained on questions whose
answers are marked in public passages, with the question and without it, and on what the shipped reader
(`word_reader`) says of them (Hinton et al. 2015, arXiv:1503.02531). After LLMLingua-2 (Pan et al. 2024,
arXiv:2403.12968), whose labels a large model wrote; ours are extractive, and stretches are judged by where
they begin and end, as readers are trained (Seo et al. 2016, arXiv:1611.01603).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contextkit.compression.asked import COLUMNS as ASKED
from contextkit.compression.forms import ROWS, Numbers
from contextkit.compression.spans import Word
from contextkit.compression.traits import Traits, traits
from contextkit.errors import ConfigError

Array = npt.NDArray[np.float32]
_NAMES = ("mean", "scale", "w1", "b1", "w2", "b2", "w3", "b3", "lengths")


def chances_of(marks: Array, lengths: Array, sentence: Numbers) -> Array:
    """Chances of stretches `[n, n_lengths]` from begin, end and inside scores of units `[n, 3 or more]`.

    `lengths` is what a number of units adds. The chances sum to 1; a stretch that reaches into another
    sentence has none.
    """
    begin, end, inside = marks.T[:3]
    n, most = len(begin), len(lengths)
    sums = np.concatenate([[0], np.cumsum(inside, dtype=np.float64)]).astype(np.float32)
    scores = np.full((n, most), -np.inf, dtype=np.float32)
    for length in range(min(most, n)):
        last = n - length
        told = begin[:last] + end[length:] + sums[length + 1 :] - sums[:last] + lengths[length]
        same = sentence[:last] == sentence[length:]
        scores[:last, length] = np.where(same, told, -np.inf)
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum(), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class WordClassifier:
    """The weights of one network; its first layer says how many neighbours of a word it sees."""

    weights: Mapping[str, Array]

    @classmethod
    def load(cls, path: Path) -> WordClassifier:
        """From an `.npz`. Raises `ConfigError` for what is no such file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls({name: stored[name].astype(np.float32) for name in _NAMES})
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"word classifier: {path.name} cannot be used: {error}") from error

    def chances(self, known: Traits) -> Array:
        """For each unit and each length up to the longest how likely that stretch is; see `chances_of`."""
        return chances_of(self._forward(known), self.weights["lengths"], known.layout.sentence)

    def scores(self, text: str, units: Sequence[Word], question: str = "") -> list[float]:
        """Log-odds up to a constant that a unit is part of an answer."""
        if not units:
            return []
        chances = self.chances(traits(text, units, question)).astype(np.float64)
        n, most = chances.shape
        change = np.zeros(n + most)
        change[:n] = chances.sum(axis=1)
        for length in range(most):
            change[length + 1 : length + 1 + n] -= chances[: n + most - length - 1, length]
        found: list[float] = np.log(np.maximum(np.cumsum(change)[:n], 1e-12)).tolist()
        return found

    def _forward(self, known: Traits) -> Array:
        """Begin, end, inside and single scores of each unit `[n, 4]`.

        What a written word adds to the first layer is worked out once for each, not for each place.
        """
        w = self.weights
        n_columns, n_form, n_place = len(w["mean"]), known.rows.shape[1], known.places.shape[1]
        sides, hidden = len(w["w1"]) // n_columns // 2, w["w1"].shape[1]
        # [columns, sides · hidden]: what a word adds to itself and to those beside it
        first = w["w1"].reshape(2 * sides + 1, n_columns, hidden).transpose(1, 0, 2)
        first = first.reshape(n_columns, -1) / w["scale"][:, None]
        shift = w["mean"] @ first
        of_forms: Array = np.asarray(known.rows @ first[:n_form] - shift, dtype=np.float32)
        parts = [(known.places, first[n_form : n_form + n_place])]
        if known.asked is not None:
            parts.append((known.asked, first[n_form + n_place : n_form + n_place + ASKED]))
        n = len(known.forms.ids)
        found = np.empty((n, w["w3"].shape[1]), dtype=np.float32)
        for at in range(0, n, ROWS):
            low, high = max(0, at - sides), min(n, at + ROWS + sides)
            added: Array = of_forms[known.forms.ids[low:high]]
            for rows, weights in parts:
                added += rows[low:high] @ weights
            seen = _beside(added.reshape(high - low, 2 * sides + 1, hidden), sides) + w["b1"]
            second = np.maximum(np.maximum(seen, 0) @ w["w2"] + w["b2"], 0)
            end = min(n, at + ROWS)
            found[at:end] = (second @ w["w3"] + w["b3"])[at - low : end - low]
        return found


def _beside(added: Array, sides: int) -> Array:
    """For each unit the sum of what it and its neighbours add to it; those beyond the ends add nothing."""
    n = len(added)
    found = np.zeros((n, added.shape[2]), dtype=np.float32)
    for side in range(-sides, sides + 1):
        low, high = max(0, -side), min(n, n - side)
        found[low:high] += added[low + side : high + side, side + sides]
    return found


@cache
def shipped() -> WordClassifier:
    """The classifier that comes with the package."""
    with as_file(files("contextkit.data") / "word_classifier.npz") as path:
        return WordClassifier.load(path)
