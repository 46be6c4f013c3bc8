"""Arrays that grow by appending, at amortised constant cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]

D = TypeVar("D", bound=np.generic)


class Growing(Generic[D]):
    """A one- or two-dimensional array with room behind its last row."""

    def __init__(self, dtype: type[D], width: int | None = None) -> None:
        shape = (64,) if width is None else (64, width)
        self._array: NDArray[D] = np.zeros(shape, dtype)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def view(self) -> NDArray[D]:
        """The rows there are; writing into it writes into the array, until it grows."""
        return self._array[: self._n]

    def extend(self, rows: Sequence[Any] | NDArray[Any]) -> None:
        """Append rows."""
        wanted = self._n + len(rows)
        if wanted > len(self._array):
            room = np.zeros(
                (max(wanted, 2 * len(self._array)), *self._array.shape[1:]), self._array.dtype
            )
            room[: self._n] = self.view
            self._array = room
        self._array[self._n : wanted] = rows
        self._n = wanted

    def cut(self, n_rows: int) -> None:
        """Forget the rows from `n_rows` on."""
        self._n = min(self._n, n_rows)


def before(values: Scores, joins: Scores) -> Scores:
    """What the row before each row has, zero where the row does not go on from it (`joins` is 0)."""
    shifted = np.zeros_like(values)
    shifted[1:] = values[:-1] * joins[1:]
    return shifted


def after(values: Scores, joins: Scores) -> Scores:
    """What the row behind each row has, zero where that one does not go on from it."""
    shifted = np.zeros_like(values)
    shifted[:-1] = values[1:] * joins[1:]
    return shifted
