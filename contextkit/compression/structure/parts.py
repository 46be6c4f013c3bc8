"""What a dialect says of a text: its parts, what stands for those that leave, what is valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.intp]
STUB = 36
"""Characters that a stub is expected to take, without its handle."""


class NotThis(ValueError):
    """The text is not of this kind, or not in a way that can be told in parts."""


def counted(n: int, what: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{n} {what if n != 1 else what[:-1]}"


def bounds_of(lengths: list[int], start: int = 0) -> Places:
    """The edges of stretches that follow each other, one more than stretches."""
    return np.cumsum([start, *lengths], dtype=np.intp)


def _none() -> Mapping[int, float]:
    return {}


@dataclass(frozen=True, slots=True)
class Parts:
    """A stretch `text[start:stop]` in parts: `text[start:head]`, the parts, `text[tail:stop]`."""

    starts: Places
    stops: Places
    head: int
    tail: int
    joint: str = ""
    """What stands between two parts."""
    skeleton: bool = False
    """Whether every part told briefly says more than a few told in full."""
    first: int = 0
    """Parts at the beginning that stay (the header of a table)."""
    bonus: Mapping[int, float] = field(default_factory=_none)
    """What the dialect itself finds worth keeping."""
    what: str = "items"

    @classmethod
    def tiled(
        cls,
        starts: Places,
        head: int,
        tail: int,
        *,
        skeleton: bool = False,
        bonus: Mapping[int, float] | None = None,
        what: str,
    ) -> Parts:
        """Parts of which each ends where the next begins, the first at `head`, the last at `tail`."""
        edges = np.append(starts, tail)
        edges[0] = head
        return cls(
            edges[:-1], edges[1:], head, tail, skeleton=skeleton, bonus=bonus or {}, what=what
        )

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, low: int, high: int) -> tuple[int, int]:
        """Where the parts `low <= i < high` begin and end."""
        return int(self.starts[low]), int(self.stops[high - 1])


class Dialect(Protocol):
    """One text of one kind, and how it is told in fewer characters.

    Made for a text; raises `NotThis` where that is not of the kind.
    """

    @property
    def stub_is_part(self) -> bool:
        """Whether a stub is set apart by `joint` like a part: an array's element is, a comment is not."""
        ...

    def top(self) -> Parts:
        """The parts of the whole text. Raises `NotThis` where it has none."""
        ...

    def open(self, start: int, stop: int) -> Parts | None:
        """The parts of a part, or None where it has none."""
        ...

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """What stands for the parts `low <= i < high`; `alone`: no part of the stretch stays."""
        ...

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """A part without parts in fewer characters, or None where it stays whole or leaves."""
        ...

    def finish(self, told: str) -> str:
        """The told text in its last form."""
        ...

    def check(self, told: str) -> None:
        """Raises `NotThis` where what is told is not valid."""
        ...
