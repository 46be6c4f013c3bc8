"""`structure`: typed elision; what parses as JSON, code, a table still parses in fewer tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from contextkit.compression.base import Compressed, Count, ProtectedMass
from contextkit.compression.kinds import blocks
from contextkit.compression.llmlingua2 import LLMLingua2
from contextkit.compression.structure.dialects import FENCE, Section
from contextkit.compression.structure.relevance import Relevance

PROBES = 14
SMALL = 240
"""Characters that a small section gets before larger ones share the rest."""
CLOSE = 0.98
"""A text that fills this share of its target is close enough."""
_PROSE = ("prose", "text")
_STUB = re.compile(r"\s*\[…[^\]]*\]\s*")
UNUSED = 0.02
"""Of a text of prose, the share that may be missing to its target."""
SAMPLED_FROM, SAMPLED_TIMES, SAMPLES = 100_000, 64, 8
"""A text of so many characters, so many for each token of its target, is not counted but sampled."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Whole items, rows, lines and bodies leave; a stub counts them; what stays is verbatim.

    Of prose, whole sentences. Where those leave over 2 % of a text's tokens unused, as in short texts, it
    is told by the likeliest words, like `llmlingua2`.

    A text of 100,000 characters and more that is far over its target is not counted: `source_tokens` is
    then what samples of it say. `achieved_tokens` is always counted.

    `on_protected` decides where not even an outline fits: `error` raises `ProtectedMass`, `stub` leaves
    one line that names the handle.
    """

    kind: ClassVar[str] = "structure"

    on_protected: Literal["error", "stub"] = "error"

    def compress(
        self,
        text: str,
        target_tokens: int,
        count: Count,
        *,
        question: str = "",
        handle: str = "",
    ) -> Compressed:
        """The text in at most `target_tokens` tokens. Raises `ProtectedMass` where it can't be."""
        tokens = _tokens(text, target_tokens, count)
        if tokens <= target_tokens:
            return Compressed(text, tokens, target_tokens, tokens, self.kind, "fits")
        where = f" ({handle})" if handle else ""
        sections = [
            Section(text[start:stop], kind, Relevance.of(question), where)
            for start, stop, kind in blocks(text)
        ]
        told = _valid(sections, len(text), tokens, target_tokens, count)
        note = " ".join(dict.fromkeys(part.kind for part in sections if part.kind != FENCE))
        if isinstance(told, int):
            if self.on_protected == "error":
                raise ProtectedMass(told, target_tokens)
            told, note = _bare(target_tokens, count, len(text), handle), "stub"
        achieved = count(told)
        unused = target_tokens - (0 if _STUB.fullmatch(told) else achieved)
        is_prose = note != "stub" and all(part.kind in _PROSE for part in sections)
        if is_prose and unused > UNUSED * tokens:
            by_words = LLMLingua2(on_protected="stub")
            made = by_words.compress(text, target_tokens, count, question=question, handle=handle)
            if made.text.strip():
                return replace(made, method=self.kind, note="words")
        return Compressed(told, tokens, target_tokens, achieved, self.kind, note)


def _tokens(text: str, target: int, count: Count) -> int:
    """The tokens of a text; of a long one that is far over its target, what samples of it say."""
    size = max(1, target)
    if len(text) < max(SAMPLED_FROM, SAMPLED_TIMES * size):
        return count(text)
    step = len(text) // SAMPLES
    sampled = sum(count(text[at : at + size]) for at in range(0, step * SAMPLES, step))
    if sampled <= target + SAMPLES:  # the samples alone do not show that the text is over
        return count(text)
    return sampled * len(text) // (SAMPLES * size)


def _valid(
    sections: Sequence[Section], length: int, tokens: int, target: int, count: Count
) -> str | int:
    """The longest telling in which every section is what it was, or the tokens of the shortest."""
    while True:
        found = _largest(partial(_tell, sections), length, tokens, target, count)
        if isinstance(found, int):
            return found
        # Every one is asked: what does not hold goes on to another dialect.
        valid = [part.holds(told) for part, told in zip(sections, found, strict=True)]
        if all(valid):
            return "".join(found)


def _tell(sections: Sequence[Section], room: int) -> list[str]:
    """Each section, all of them in about `room` characters."""
    shares = _shares(sections, room)
    return [part.tell(share) for part, share in zip(sections, shares, strict=True)]


def _shares(sections: Sequence[Section], room: int) -> list[int]:
    """Characters for each section by size and relevance; what small ones leave goes to larger ones."""
    shares = [len(part.text) if part.kind == FENCE else 0 for part in sections]
    weights = [len(part.text) * (1 + part.score) for part in sections]
    order = [index for index, part in enumerate(sections) if part.kind != FENCE]
    order.sort(key=lambda index: len(sections[index].text))
    left, weight = max(0.0, float(room - sum(shares))), sum(weights[index] for index in order)
    for index in order:
        share = left * weights[index] / weight
        if len(order) > 1:
            share = max(share, min(left / 4, SMALL))
        shares[index] = min(int(share), len(sections[index].text))
        left -= shares[index]
        weight -= weights[index]
    return shares


def _largest(
    tell: Callable[[int], list[str]], length: int, tokens: int, target: int, count: Count
) -> list[str] | int:
    """The longest telling found within the target, or the tokens of the shortest where none is."""
    low, high = 0, length
    best: list[str] | None = None
    best_tokens, least = -1, tokens
    room = max(1, length * target // tokens)
    for probe in range(PROBES):
        told = tell(room)
        now = count("".join(told))
        least = min(least, now)
        if now <= target:
            if now > best_tokens:
                best, best_tokens = told, now
            low = room
            if now >= CLOSE * target:
                break
        else:
            high = room
        if high - low <= 1 + room // 256:
            break
        # Tokens grow about evenly with characters; where they don't, halving finds the place.
        guess = room * target // max(now, 1)
        middle = min((low + high) // 2, 2 * low or high)
        room = guess if low < guess < high and probe % 2 == 0 else middle
    if best is None:
        told = tell(1)
        now = count("".join(told))
        return told if now <= target else min(least, now)
    return best


def _bare(target: int, count: Count, length: int, handle: str) -> str:
    """One line for all of it, as much of it as fits."""
    named = f", see {handle}" if handle else ""
    for said in (f"[{length} characters left out{named}]", f"[{handle or '…'}]", "…"):
        if count(said) <= target:
            return said
    return ""
