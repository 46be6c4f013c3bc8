"""Which words of a text say most, without a model: rare ones, in sentences that the question asks for.

Self-information, as Selective Context takes it from a language model (Li 2023, arXiv 2310.06201), is taken
here from how often a word stands in the text itself: what every line says need not be said again.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from contextkit.compression.spans import Word, sentences
from contextkit.compression.structure.relevance import Relevance
from contextkit.compression.vocabulary import FUNCTION, FUNCTION_BITS

_SPOKEN = re.compile(r"[^\W_]+")
SENTENCE = 100.0
"""How far the worst word of a better sentence stands above the best of a worse one."""
EDGE = 0.15


def word_bits(text: str, units: Sequence[Word]) -> list[float]:
    """Self-information of each word in bits, by its frequency in the text; function words near nothing."""
    lowered = text.lower() if len(text.lower()) == len(text) else text
    written = [lowered[start:stop] for start, stop, _ in units]
    times = Counter(written)
    spoken = {each: _stripped(each) for each in times}
    counts: Counter[str] = Counter()
    for each, word in spoken.items():
        counts[word] += times[each]
    n = max(1, len(units))
    said = {word: math.log2(1 + n / counts[word]) if word else 0.0 for word in counts}
    said |= dict.fromkeys(FUNCTION, FUNCTION_BITS)
    bits = {each: said[word] for each, word in spoken.items()}
    return [*map(bits.__getitem__, written)]


def scores(text: str, units: Sequence[Word], question: str = "") -> list[float]:
    """A score a word; the words of a better sentence all stand above those of a worse one.

    So filling a target keeps whole sentences, and only the last that fits in part is cut word by word.
    """
    bits = word_bits(text, units)
    bounds = [start for start, _ in sentences(text)]
    of = sentence_of(bounds, units)
    named = Relevance.of(question).hits(text).scores(bounds, 0, len(text)) if question else {}
    ranks = _ranks(len(bounds), of, bits, named)
    return [SENTENCE * ranks[sentence] + bit for sentence, bit in zip(of, bits, strict=True)]


def sentence_of(bounds: Sequence[int], units: Sequence[Word]) -> list[int]:
    """For each unit the number of the sentence that it begins in; `bounds` are where sentences begin."""
    starts = [unit.start for unit in units]
    edges = [*(bisect_left(starts, bound) for bound in bounds[1:]), len(starts)]
    found: list[int] = []
    for sentence, edge in enumerate(edges):
        found += [sentence] * (edge - len(found))
    return found


def _ranks(n: int, of: Sequence[int], bits: Sequence[float], named: dict[int, float]) -> list[int]:
    """The place of each sentence, the worst at 0: what the question names, then bits a word, then edges."""
    totals = np.bincount(of, weights=bits, minlength=n).tolist()
    lengths: list[int] = np.bincount(of, minlength=n).tolist()
    top = max((t / max(1, length) for t, length in zip(totals, lengths, strict=True)), default=1.0)

    def worth(index: int) -> tuple[float, int]:
        density = totals[index] / max(1, lengths[index]) / (top or 1.0)
        edge = EDGE * (index == 0 or index == n - 1)
        return named.get(index, 0.0) + 0.9 * density + edge, -index

    ranks = [0] * n
    for rank, index in enumerate(sorted(range(n), key=worth)):
        ranks[index] = rank
    return ranks


@lru_cache(maxsize=65_536)
def _stripped(word: str) -> str:
    found = _SPOKEN.search(word)
    return found.group() if found else ""
