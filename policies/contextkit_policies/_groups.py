"""How an inserted item says how good it is and what it belongs to: a line in its piece's `detail`."""

from __future__ import annotations


def label(score: float, group: str) -> str:
    """The detail of an item of the group (`log`, or a document's handle) whose best score this is."""
    return f"{score:.6g} {group}"


def read(detail: str) -> tuple[float, str] | None:
    """The score and the group that `label` wrote, or None for any other text."""
    score, _, group = detail.partition(" ")
    try:
        return (float(score), group) if group else None
    except ValueError:
        return None
