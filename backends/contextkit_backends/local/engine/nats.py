"""How much a model expects what stands in a text: -log p of given tokens, and nothing of the others.

Logits are worked out only where a token is told, and only its own number is kept of each.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contextkit_backends.local.engine.batch import Numbers, Row, on_device

AT_ONCE = 1 << 26
"""Logits that are turned to fp32 at once."""


@dataclass(frozen=True, slots=True)
class Told:
    """Tokens to read next in a sequence, and what stands behind each of the last `len(then)` of them."""

    sequence: Any
    token_ids: Items[int]
    then: Items[int] = ()
    stays: int | None = None
    """How many of the tokens become part of the sequence; None: all, as in parts of it."""

    @property
    def row(self) -> Row:
        """What of it a batch reads."""
        return Row(self.sequence, self.token_ids)

    def part(self, start: int, stop: int) -> Told:
        """The tokens `start … stop - 1` with what stands behind those."""
        first = len(self.token_ids) - len(self.then)
        then = self.then[max(0, start - first) : max(0, stop - first)]
        return Told(self.sequence, self.token_ids[start:stop], then)


def nats(logits: Tensor, tokens: Numbers) -> Tensor:
    """-log p of a token under each row of `logits [n, vocab]`: fp32 `[n]`."""
    wanted = on_device(tokens, logits.device)
    step = max(1, AT_ONCE // logits.shape[-1])
    parts = [
        cross_entropy(logits[at : at + step].float(), wanted[at : at + step], reduction="none")
        for at in range(0, max(1, len(wanted)), step)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def passes(told: Items[Told], most: int) -> list[list[int]]:
    """Which of them are read together: the like of length, at most so many tokens, or one alone."""
    found: list[list[int]] = []
    spent = 0
    for index in sorted(range(len(told)), key=lambda n: len(told[n].token_ids)):
        n = len(told[index].token_ids)
        if not found or spent + n > most:
            found.append([])
            spent = 0
        found[-1].append(index)
        spent += n
    return found
