"""Prose told by whole sentences: what a sentence holds stays with it or leaves with it."""

from __future__ import annotations

import numpy as np

from contextkit.compression.spans import sentences
from contextkit.compression.structure.lines import cut
from contextkit.compression.structure.parts import NotThis, Parts, counted

MOST = 400_000
"""Characters beyond which sentences are not looked for; lines are."""


class Prose:
    """Sentences are the parts."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` for very long texts."""
        if len(text) > MOST:
            raise NotThis("too long to look for sentences")
        self._text = text

    def top(self) -> Parts:
        """Raises `NotThis` for a single sentence."""
        found = np.array(sentences(self._text), dtype=np.intp).reshape(-1, 2)
        if len(found) < 2:
            raise NotThis("no sentences")
        return Parts(found[:, 0], found[:, 1], 0, len(self._text), what="sentences")

    def open(self, start: int, stop: int) -> Parts | None:
        """A sentence has no parts."""
        return None

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A note in the place of what left, with the blanks that ended it."""
        last = self._text[slice(*parts.span(high - 1, high))]
        blanks = last[len(last.rstrip()) :]
        return f"[… {counted(high - low, parts.what)} left out{where}]{blanks}"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """A very long sentence: its head and its tail."""
        return cut(self._text[start:stop], room, where)

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Valid however many sentences there are."""
