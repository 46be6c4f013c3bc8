"""How conversations are drawn: the numbers behind `transcript`, two sets of them by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """What a conversation is drawn from; a choice is as likely as it stands in its tuple."""

    name: str
    turns: tuple[int, int]
    """Fewest and most requests of the user."""
    rounds: tuple[int, ...]
    """Choices of rounds of tool calls behind a request."""
    calls: tuple[int, ...]
    """Choices of parallel calls a round."""
    result_words: tuple[int, int]
    """Fewest and most words of a result that is no JSON; a quarter of them is."""
    system: float
    """Share of conversations with a system prompt."""
    fresh: float = 0.0
    """Share of conversations that end at a request whatever its rounds were to be."""


MIXED = Shape("mixed", (1, 6), (0, 0, 0, 1, 2, 4), (1, 1, 2, 3, 4), (1, 60), system=0.6)
"""Half of the turns without a tool, some histories that fit, texts of every length: the default."""
TOOLS = Shape("tools", (1, 6), (1, 2, 3), (1, 2, 3, 4), (40, 120), system=1.0, fresh=0.6)
"""An agent's: tools behind every answered request, long results, always a system prompt."""

SHAPES = {shape.name: shape for shape in (MIXED, TOOLS)}
