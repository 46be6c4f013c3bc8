"""What a reply quotes from a compressed text, put back as the original had it.

Subsequence recovery of LongLLMLingua (arXiv:2310.06839, §4.4): a stretch of the reply that stands in the
compressed text becomes the shortest stretch of the original that holds the same words in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
MOST_GAP = 10
"""Words that may have been left out between two that were kept."""


def recover(reply: str, compressed: str, original: str, *, least_words: int = 2) -> str:
    """The reply with its quotes from `compressed` as they stand in `original`.

    Stretches of fewer than `least_words` words stay; so does what the original does not hold within gaps of
    ten words.
    """
    said = list(_WORD.finditer(reply))
    shown = [match.group() for match in _WORD.finditer(compressed)]
    source = list(_WORD.finditer(original))
    words = [match.group() for match in source]
    places: dict[str, list[int]] = {}
    for place, word in enumerate(shown):
        places.setdefault(word, []).append(place)
    sources: dict[str, list[int]] = {}
    for place, word in enumerate(words):
        sources.setdefault(word, []).append(place)
    out: list[str] = []
    at = index = 0
    while index < len(said):
        length = _longest([match.group() for match in said[index:]], shown, places)
        span = (
            _shortest([m.group() for m in said[index : index + length]], words, sources)
            if length >= least_words
            else None
        )
        if span is None:
            index += max(1, length if length < least_words else 1)
            continue
        out.append(reply[at : said[index].start()])
        out.append(original[source[span[0]].start() : source[span[1]].end()])
        at = said[index + length - 1].end()
        index += length
    return "".join([*out, reply[at:]])


def _longest(said: Sequence[str], shown: Sequence[str], places: dict[str, list[int]]) -> int:
    """How many words of `said`, from its first, stand in a row in what was shown."""
    best = 0
    for place in places.get(said[0], ()):
        length = 0
        while (
            length < len(said)
            and place + length < len(shown)
            and said[length] == shown[place + length]
        ):
            length += 1
        best = max(best, length)
    return best


def _shortest(
    wanted: Sequence[str], words: Sequence[str], sources: dict[str, list[int]]
) -> tuple[int, int] | None:
    """First and last word of the shortest stretch that holds the wanted words in order."""
    best: tuple[int, int] | None = None
    for first in sources.get(wanted[0], ()):
        last = _last(wanted, words, first)
        if last is not None and (best is None or last - first < best[1] - best[0]):
            best = first, last
    return best


def _last(wanted: Sequence[str], words: Sequence[str], first: int) -> int | None:
    """Where the last wanted word stands when the first one is at `first`; None beyond a gap too wide."""
    place = first
    for word in wanted[1:]:
        after = range(place + 1, min(len(words), place + 2 + MOST_GAP))
        found = next((p for p in after if words[p] == word), None)
        if found is None:
            return None
        place = found
    return place
