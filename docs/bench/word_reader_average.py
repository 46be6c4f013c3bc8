"""The average of several tunings, as low-rank changes again: `word_reader.npz` is one.

    python -P docs/bench/word_reader_average.py OUT.npz RANK TUNED.npz TUNED.npz …

Averaged weights keep what their models agree on (Wortsman et al. 2022, arXiv:2203.05482). It is the changes
that are averaged, not their factors; of the mean the `RANK` largest singular values are kept.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
DOWN, UP = "down.", "up."


def average(rank: int, tuned: list[dict[str, Rows]]) -> dict[str, Any]:
    """As `WordReader.load` reads them."""
    found: dict[str, Any] = {}
    for name in tuned[0]:
        if name.startswith(DOWN):
            up = UP + name.removeprefix(DOWN)
            layers = np.mean([each[up] @ each[name] for each in tuned], axis=0)
            left, values, right = np.linalg.svd(layers, full_matrices=False)
            roots = np.sqrt(values[:, :rank])
            found[name] = (roots[:, :, None] * right[:, :rank]).astype(np.float16)
            found[up] = (left[:, :, :rank] * roots[:, None, :]).astype(np.float16)
        elif not name.startswith(UP):
            found[name] = np.mean([each[name] for each in tuned], axis=0).astype(np.float32)
    return found


def _loaded(path: str) -> dict[str, Rows]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


if __name__ == "__main__":
    out, rank, *paths = sys.argv[1:]
    np.savez_compressed(
        out, allow_pickle=False, **average(int(rank), [_loaded(path) for path in paths])
    )
