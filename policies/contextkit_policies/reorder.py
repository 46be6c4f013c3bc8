"""Where in the call the best retrieved passages stand: first, last, or at both ends.

Models read the middle of a long context worst, some the beginning best and some the end (Liu et al.,
"Lost in the Middle", 2023). Only what was gathered for this question moves, a whole group at a time: a
document stays in its order, an exchange stays chronological, and the stable prefix stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, TypeVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.piece import Piece
from contextkit.policy import Policy, Stage, Turn
from contextkit_policies import _groups

T = TypeVar("T")


class Reorder(Policy):
    """Order the independent groups of retrieved passages by their rank."""

    kind: ClassVar[str] = "reorder"
    stage: ClassVar[Stage] = Stage.ARRANGE

    order: Literal["best_first", "best_last", "ends_first"] = Field(
        default="ends_first", description="Where the best groups stand; the weakest fill the rest"
    )
    anchor: Literal["first", "last"] = Field(
        default="first", description="With ends_first: the end that the very best one takes"
    )

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Permute the retrieved items that stand before the same entry; one alone stays as it is."""
        for place in sorted({piece.start for piece in _retrieved(draft)}):
            found = [piece for piece in _retrieved(draft) if piece.start == place]
            ranked = sorted(found, key=lambda piece: -_score(piece))
            placed = arranged(ranked, self.order, self.anchor)
            if placed != found:
                why = (
                    self.order if self.order != "ends_first" else f"ends_first, best {self.anchor}"
                )
                draft = draft.arrange(placed, policy=self.kind, why=why)
        return draft


def arranged(ranked: Sequence[T], order: str, anchor: str) -> list[T]:
    """The ranked things (best first) in the order of the call; the same for odd and even numbers."""
    if order == "best_first":
        return list(ranked)
    if order == "best_last":
        return list(reversed(ranked))
    ends = [*ranked[::2], *reversed(ranked[1::2])]
    return ends if anchor == "first" else ends[::-1]


def _retrieved(draft: Draft) -> list[Piece]:
    return [
        piece
        for piece in draft.pieces
        if piece.is_inserted
        and piece.volatile
        and piece.section == "retrieved"
        and _groups.read(piece.detail) is not None
    ]


def _score(piece: Piece) -> float:
    told = _groups.read(piece.detail)
    return told[0] if told else 0.0
