"""Sequences of answered calls, kept so that the next call of the conversation goes on from them.

The prefix index finds equal beginnings, page by page. A kept sequence does more: where the next prompt
is the last one with a stretch cut out of its middle, which is what a window over messages does, the
stretch is evicted and nothing is read again. Kept pages are given back as soon as anybody needs them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit_backends.local.engine.reuse import Reuse, find_reuse

if TYPE_CHECKING:
    from contextkit_backends.local.engine.sequence import Sequence

MOST_KEPT = 64
MOST_CUT_TOKENS = 256
"""A sequence whose end has to be cut off by more than this belongs to another conversation."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A sequence and the tokens that its next query sees, oldest first."""

    salt: str
    token_ids: tuple[int, ...]
    sequence: Sequence


class KeptSequences:
    """The most recently answered calls; the engine's lock is its lock."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self.n_evicted_tokens = 0

    def put(self, salt: str, token_ids: Items[int], sequence: Sequence) -> None:
        """Keep a sequence, which is this object's from now on."""
        sequence.abandon()
        self._kept.append(Kept(salt, tuple(token_ids), sequence))
        while len(self._kept) > MOST_KEPT:
            self.drop_oldest()

    def take(self, salt: str, prompt: Items[int]) -> tuple[Sequence, int] | None:
        """The sequence that `prompt` goes on from, made to see just that, and how many tokens it holds.

        None where no conversation of this salt is continued by the prompt.
        """
        found = [
            (reuse.n_kept, place, reuse)
            for place, kept in enumerate(self._kept)
            if kept.salt == salt and (reuse := _continued(kept, prompt)) is not None
        ]
        if not found:
            return None
        _, place, reuse = max(found)
        kept = self._kept[place]
        del self._kept[place]
        if not _fit(kept, reuse):
            kept.sequence.close()
            return None
        self.n_evicted_tokens += reuse.n_evicted
        return kept.sequence, kept.sequence.n_cached

    def drop_oldest(self) -> bool:
        """Give back the pages of the sequence that was kept first; False where there is none."""
        if not self._kept:
            return False
        self._kept.popleft().sequence.close()
        return True

    def __len__(self) -> int:
        return len(self._kept)


def _continued(kept: Kept, prompt: Items[int]) -> Reuse | None:
    """How the prompt continues a conversation; None where it says something else."""
    reuse = find_reuse(kept.token_ids, prompt)
    n_cut = len(kept.token_ids) - reuse.stop
    if n_cut > MOST_CUT_TOKENS or 2 * n_cut > reuse.n_kept:
        return None
    sequence = kept.sequence
    gapped = sequence.gap(sequence.length) > 0
    # A sequence has one gap: a later one begins where it began, or before it.
    if reuse.n_evicted and gapped and reuse.head > sequence.head:
        return None
    return reuse


def _position(sequence: Sequence, place: int) -> int:
    """Where the `place`-th visible token stands in the text that was read."""
    return place if place <= sequence.head else place + sequence.gap(sequence.length)


def _fit(kept: Kept, reuse: Reuse) -> bool:
    """Cut the end and evict the gap; False where the cut would reach into what has to stay."""
    sequence = kept.sequence
    if reuse.stop < len(kept.token_ids):
        stop = _cut(kept, reuse)
        if stop <= max(sequence.head, _position(sequence, reuse.resume)) or not stop:
            return False
        sequence.truncate(stop)
    if reuse.n_evicted:
        sequence.evict(reuse.head, _position(sequence, reuse.resume))
    return True


def _cut(kept: Kept, reuse: Reuse) -> int:
    """The position to cut at: what stood in a full page before is cut at that page's start."""
    sequence = kept.sequence
    stop = _position(sequence, reuse.stop)
    size = sequence.pages.page_tokens
    return stop if stop // size == sequence.length // size else stop // size * size
