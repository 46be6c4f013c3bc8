"""What of a cached sequence a new prompt can keep: its head, and what stands behind a gap.

A message policy drops history from the middle of a call: the new prompt is the old one with a stretch
cut out, and something new behind. In the KV cache that is an eviction and an extension; nothing has to
be read again. Any other change keeps the common head alone.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

PROBE = 16
"""Tokens that have to agree before the rest is compared; shorter tails are not worth a gap."""


@dataclass(frozen=True, slots=True)
class Reuse:
    """How a prompt continues a cached sequence, in places among the visible cached tokens.

    `[0, head)` stays; `[head, resume)` is evicted; `[resume, stop)` stays; what is behind `stop` is cut
    off; the prompt's tokens from `n_kept` on have to be read.
    """

    head: int
    resume: int
    stop: int

    @property
    def n_kept(self) -> int:
        """Tokens of the prompt that need no prefill."""
        return self.head + self.stop - self.resume

    @property
    def n_evicted(self) -> int:
        """Tokens that leave the cache between head and the rest."""
        return self.resume - self.head


def find_reuse(cached: Sequence[int], prompt: Sequence[int]) -> Reuse:
    """The most of `prompt` that the visible tokens `cached` already hold.

    The last token of a prompt is never counted as kept: its logits are wanted.
    """
    have, want = array("q", cached), array("q", prompt)
    limit = max(0, len(want) - 1)
    head = _n_common(have, 0, want, 0, limit)
    plain = Reuse(head, head, head)
    if head == limit or head == len(have):
        return plain
    gap = _behind_a_gap(have, want, head, limit)
    return gap if gap is not None and gap.n_kept > plain.n_kept else plain


def _behind_a_gap(have: array[int], want: array[int], head: int, limit: int) -> Reuse | None:
    """The earliest place behind `head` where the prompt goes on for longest."""
    if limit - head < PROBE:
        return None
    probe = want[head : head + PROBE].tobytes()
    raw, best = have.tobytes(), None
    width = have.itemsize
    at = raw.find(probe, (head + 1) * width)
    while at >= 0:
        if at % width == 0:
            resume = at // width
            stop = resume + _n_common(have, resume, want, head, limit)
            if best is None or stop - resume > best.stop - best.resume:
                best = Reuse(head, resume, stop)
            if stop == len(have):
                break
        at = raw.find(probe, at + 1)
    return best


def _n_common(have: array[int], i: int, want: array[int], j: int, limit: int) -> int:
    """How many tokens agree from `have[i]` and `want[j]` on, the prompt read up to `limit`."""
    most = min(len(have) - i, limit - j)
    low = 0
    # Equal stretches are found by halving: comparing slices runs in C, a token at a time does not.
    while most - low > 0:
        half = (most - low + 1) // 2
        if have[i + low : i + low + half] == want[j + low : j + low + half]:
            low += half
        elif half == 1:
            break
        else:
            most = low + half - 1
    return low
