"""The shipped word classifier: how likely a word is part of an answer somebody will look for.

A small network over `traits`, three words wide, trained on questions whose answers are marked in public
passages: with the question, and without it. After LLMLingua-2 (Pan et al. 2024, arXiv:2403.12968), whose
labels a large model wrote; ours are extractive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contextkit.compression.spans import Word
from contextkit.compression.traits import traits
from contextkit.errors import ConfigError

Array = npt.NDArray[np.float32]
_NAMES = ("mean", "scale", "w1", "b1", "w2", "b2", "w3", "b3")
ROWS = 4096
NEIGHBOUR = 0.5
"""What the better of its two neighbours adds to a word's score: answers are seldom one word."""


@dataclass(frozen=True, slots=True)
class WordClassifier:
    """The weights of one network; `scores` are log-odds up to a constant."""

    weights: Mapping[str, Array]

    @classmethod
    def load(cls, path: Path) -> WordClassifier:
        """From an `.npz`. Raises `ConfigError` for what is no such file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls({name: stored[name].astype(np.float32) for name in _NAMES})
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"word classifier: {path.name} cannot be used: {error}") from error

    def scores(self, text: str, units: Sequence[Word], question: str = "") -> list[float]:
        """A score a unit."""
        if not units:
            return []
        rows = (traits(text, units, question) - self.weights["mean"]) / self.weights["scale"]
        found = np.concatenate([self._forward(rows, at) for at in range(0, len(rows), ROWS)])
        edge = np.array([found.min()], dtype=np.float32)
        beside = np.maximum(np.concatenate([edge, found[:-1]]), np.concatenate([found[1:], edge]))
        return [float(score) for score in found + NEIGHBOUR * beside]

    def _forward(self, rows: Array, at: int) -> Array:
        """Scores of the rows `at … at + ROWS`, each seen with the one before and the one after it."""
        zero = np.zeros((1, rows.shape[1]), dtype=np.float32)
        padded = np.concatenate([rows[at - 1 : at] if at else zero, rows[at : at + ROWS + 1], zero])
        n = min(ROWS, len(rows) - at)
        wide = np.concatenate([padded[1 : n + 1], padded[:n], padded[2 : n + 2]], axis=1)
        w = self.weights
        hidden = np.maximum(wide @ w["w1"] + w["b1"], 0)
        hidden = np.maximum(hidden @ w["w2"] + w["b2"], 0)
        return np.asarray((hidden @ w["w3"] + w["b3"])[:, 0], dtype=np.float32)


@cache
def shipped() -> WordClassifier:
    """The classifier that comes with the package."""
    with as_file(files("contextkit.data") / "word_classifier.npz") as path:
        return WordClassifier.load(path)
