"""The rows of a memory as columns: what ranking looks at, appended as the thread grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from contextkit.recall.arrays import Growing
from contextkit.recall.lexical import Lexical
from contextkit.recall.rows import Row, Sessions, is_role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]
    Numbers: TypeAlias = NDArray[np.int64]
    Days: TypeAlias = NDArray[np.int32]

NO_COUNTS: dict[str, int] = {}


class Table:
    """Rows in their order; those of documents first, then the log's."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        """Without their terms, which are in `lexical`."""
        self.lexical = Lexical()
        self.sessions: list[int] = []
        self.n_chars = 0
        self._starts = Growing(np.int64)
        self._joins, self._asks = Growing(np.float32), Growing(np.float32)
        self._speakers, self._days = Growing(np.int32), Growing(np.int32)
        self._names: dict[str, int] = {}
        self._said: Counter[str] = Counter()
        self._placing = Sessions()

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Sequence[Row]) -> None:
        """Append rows."""
        if not rows:
            return
        sessions, stretches = self._placing.place(rows)
        known = [self.sessions[-1] if self.sessions else -1, *sessions]
        self._joins.extend([float(a == b) for a, b in pairwise(known)])
        self.lexical.add([row.counts for row in rows], stretches)
        self.rows += [replace(row, counts=NO_COUNTS) for row in rows]
        self.sessions += sessions
        self.n_chars += sum(row.n_chars for row in rows)
        self._starts.extend([row.start for row in rows])
        self._asks.extend([float(row.asks) for row in rows])
        self._days.extend([_day(row.at) for row in rows])
        names = [row.speaker if row.start >= 0 else "" for row in rows]
        self._said.update(names)
        self._speakers.extend([self._names.setdefault(name, len(self._names)) for name in names])

    @property
    def starts(self) -> Numbers:
        """`seq` of each row's entry, -1 for chunks."""
        return self._starts.view

    @property
    def joins(self) -> Scores:
        """1 where a row goes on from the one before it."""
        return self._joins.view

    @property
    def asks(self) -> Scores:
        """1 where a row ends with a question."""
        return self._asks.view

    @property
    def days(self) -> Days:
        """The day of each row as an ordinal, 0 where it is not known."""
        return self._days.view

    @property
    def names(self) -> list[str]:
        """Speakers that have a name and said more than a word now and then, the busiest first."""
        named = [
            name for name, _ in self._said.most_common(MOST_NAMES) if name and not is_role(name)
        ]
        return [name for name in named if self._said[name] >= FEWEST_SAID]

    def said_by(self, name: str) -> Scores:
        """1 where a row is the speaker's, -1 where it is another's."""
        number = self._names.get(name, -1)
        return np.where(self._speakers.view == number, 1.0, -1.0).astype(np.float32)


def _day(at: str) -> int:
    return date.fromisoformat(at[:10]).toordinal() if at else 0


MOST_NAMES = 40
FEWEST_SAID = 2
