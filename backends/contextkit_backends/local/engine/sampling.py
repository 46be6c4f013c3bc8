"""How the next token is chosen: greedy, or drawn after temperature, top-k, top-p and min-p.

A drawn token depends on its row's logits, its settings and one uniform number of its own request,
so a seed gives the same tokens whatever else is in the batch. The filters stand in the order of
transformers' logits processors and are as those define them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from contextkit.errors import ConfigError, NotFinite


@dataclass(frozen=True, slots=True)
class Sampling:
    """The settings of one request; temperature 0 is greedy, and then the others do nothing."""

    temperature: float = 0.0
    top_p: float = 1.0
    """Keep the likeliest tokens that hold this share of the probability (Holtzman et al. 2020)."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    min_p: float = 0.0
    """Keep tokens with at least this share of the likeliest one's probability (Minh et al. 2024)."""
    seed: int | None = None
    """Makes draws repeatable; None draws anew every time."""

    def __post_init__(self) -> None:
        allowed = {
            "temperature": (0.0 <= self.temperature < math.inf, "0 or more"),
            "top_p": (0.0 < self.top_p <= 1.0, "over 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "min_p": (0.0 <= self.min_p <= 1.0, "from 0 to 1"),
        }
        for name, (fits, wanted) in allowed.items():
            if not fits:
                raise ConfigError(f"{name}: must be {wanted}, not {getattr(self, name)}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


class Draws:
    """The uniform numbers of one request, one a token."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)

    def next(self) -> float:
        return self._random.random()


def choose(logits: Any, settings: Sequence[Sampling], draws: Sequence[Draws]) -> Any:
    """One token a row: ids int64 [rows] for float32 `logits` [rows, vocabulary].

    A number is taken from the draws of every row that is not greedy, and from no other.
    """
    ids = logits.argmax(-1)
    drawn = [row for row, one in enumerate(settings) if not one.greedy]
    if not drawn:
        return ids
    numbers = torch.tensor([draws[row].next() for row in drawn], device=logits.device)
    rows = torch.tensor(drawn, device=logits.device)
    ids[rows] = _draw(logits[rows], [settings[row] for row in drawn], numbers)
    return ids


def _draw(logits: Any, settings: Sequence[Sampling], numbers: Any) -> Any:
    """The token of every row at which the filtered cumulative probability passes its number."""

    def column(name: str) -> Any:
        values = [float(getattr(one, name)) for one in settings]
        return torch.tensor(values, device=logits.device).unsqueeze(-1)

    shares, order = (logits / column("temperature")).softmax(-1).sort(-1, True)
    top_k = column("top_k")
    rank = torch.arange(shares.shape[-1], device=logits.device)
    shares = shares.masked_fill((top_k > 0) & (rank >= top_k), 0.0)
    shares = shares / shares.sum(-1, keepdim=True)
    # A token stays while those before it hold less than top_p, so the first always stays.
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= column("top_p"), 0.0)
    shares = shares.masked_fill(shares < column("min_p") * shares[:, :1], 0.0)
    reached = shares.cumsum(-1)
    place = (reached <= numbers.unsqueeze(-1) * reached[:, -1:]).sum(-1, keepdim=True)
    # Rounding may put the number at the very end: then the last token that has a share.
    last = (shares > 0).sum(-1, keepdim=True) - 1
    return order.gather(-1, torch.minimum(place, last)).squeeze(-1)


def unusable(logits: Any) -> Any:
    """Which rows have no finite largest logit: bool [rows]. NaN, +inf and all -inf are found."""
    return ~torch.isfinite(logits.amax(-1))


def log_probability(logits: Any, ids: Any) -> Any:
    """The model's own log-probability of each row's token, before temperature and filters."""
    return logits.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)


def not_finite(request: int, position: int) -> NotFinite:
    return NotFinite(
        f"request {request}: the model gave NaN or infinite logits at position {position}; "
        "its weights are damaged, or the dtype is too narrow for them (bfloat16 or float32 may do)"
    )
