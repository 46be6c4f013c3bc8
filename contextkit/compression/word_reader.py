"""An encoder that was tuned to read: how likely each stretch of words answers a question, or any question.

Question and passage are read as one text, and every word gets scores for beginning, ending and standing
inside an answer (Devlin et al. 2018, arXiv:1810.04805). What tuning changed in the encoder is of low rank
(Hu et al. 2021, arXiv:2106.09685) and comes with the package; its own weights do not. A block of text is
read by itself, so a long text costs what its blocks cost; the chances of all blocks are one distribution
(Clark and Gardner 2017, arXiv:1710.10723).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from contextkit.compression.forms import Numbers, Rows
from contextkit.compression.spans import Word, sentences
from contextkit.compression.telling import document_bounds
from contextkit.errors import ConfigError

ENCODER = "minilm-l6-v2"
"""What the shipped weights were tuned from."""
WINDOW_CHARS = 1200
"""A longer block is read in parts."""
WINDOWS = 64
"""Blocks that are read together."""
QUESTION_CHARS = 400
"""The rest of a longer question is not read."""
_HEAD = ("last", "bias", "lengths")


class Reads(Protocol):
    """Reads pairs of texts as one."""

    def pairs(
        self, question: str, texts: Sequence[str]
    ) -> list[tuple[Rows, npt.NDArray[np.int64]]]:
        """Of each text, behind the question, its tokens' states `[n, width]` and starts `[n]`."""
        ...


class Encoder(Protocol):
    """Can be tuned to read; `MiniLMEmbedder` is one."""

    @property
    def name(self) -> str:
        """Which model in which version."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules that have to be installed for it."""
        ...

    def tuned(self, changes: Mapping[str, Rows]) -> Reads:
        """The encoder with low-rank changes of its weights, made once for the same mapping."""
        ...


@dataclass(frozen=True, slots=True)
class WordReader:
    """`last` `[width, 3]` with its `bias` makes scores of states; the others change the encoder."""

    head: Mapping[str, Rows]
    changes: Mapping[str, Rows]

    @classmethod
    def load(cls, path: Path) -> WordReader:
        """From an `.npz`. Raises `ConfigError` for what is no such file."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                told = {name: stored[name].astype(np.float32) for name in stored.files}
                return cls({name: told.pop(name) for name in _HEAD}, told)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"word reader: {path.name} cannot be used: {error}") from error

    @property
    def lengths(self) -> Rows:
        """What a stretch's number of words adds to its score."""
        return self.head["lengths"]

    def marks(self, encoder: Encoder, text: str, units: Sequence[Word], question: str) -> Rows:
        """Begin, end and inside scores of each unit `[n, 3]`; of one that no token stands for, the bias."""
        reads = encoder.tuned(self.changes)
        starts = np.array([unit.start for unit in units], dtype=np.intp)
        found = np.zeros((len(units), len(self.head["last"])), dtype=np.float32)
        windows = [*_windows(text)]
        for at in range(0, len(windows), WINDOWS):
            some = windows[at : at + WINDOWS]
            told = reads.pairs(question.strip()[:QUESTION_CHARS], [text[a:b] for a, b in some])
            for (start, stop), (states, places) in zip(some, told, strict=True):
                first, last = np.searchsorted(starts, (start, stop)).tolist()
                of = np.searchsorted(starts[first:last], places + start, side="right") - 1
                found[first:last] = _means(states, of, last - first)
        return np.asarray(found @ self.head["last"] + self.head["bias"], dtype=np.float32)


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
    """The mean state of each unit `[n, width]`; zero for one without a token. Tokens stand in order."""
    there = of >= 0
    told, begins, times = np.unique(of[there], return_index=True, return_counts=True)
    means = np.zeros((n, states.shape[1]), dtype=np.float32)
    if len(told):
        means[told] = np.add.reduceat(states[there], begins, axis=0) / times[:, None]
    return means


@cache
def shipped_reader() -> WordReader:
    """The reader that comes with the package, for `minilm`."""
    with as_file(files("contextkit.data") / "word_reader.npz") as path:
        return WordReader.load(path)
