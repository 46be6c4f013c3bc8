"""Summaries without a model: what says most for its tokens, word for word, nothing twice.

A message or a sentence is worth the rarity of its words in the stretch (inverse document frequency), the
facts it holds (numbers, dates, names, paths), and more where a user says what must hold or something is
left open. Units are chosen one by one, by worth for their length; words that a chosen one has said count
for less in the next, which is maximal marginal relevance (Carbonell & Goldstein 1998) with coverage in
place of similarity. Centrality (LexRank) is left out: in talk, what is central is small talk (measured).
No clock, no chance.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from contextkit.compression.base import Count
from contextkit.compression.spans import protected, sentences
from contextkit.recall.words import names, terms
from contextkit.summaries.rules import gives_orders, is_constraint, is_open_task
from contextkit.summaries.said import Said, join

WHOLE_CHARS = 600
"""A message of up to so many characters is told whole or not at all."""
LONGEST, SHORTEST = 400, 40
"""Characters of a unit: longer sentences are cut at words, shorter ones go with the next."""
READ_CHARS = 2_000_000
CANDIDATES = 1000
"""Units that are weighed closely, where there are more: a summary holds far fewer."""
FACT, NAME = 2.0, 3.0
"""What a fact and a name are worth beside the rarity of their words, in its unit (about a bit)."""
MOST_FACTS, MOST_NAMES = 5, 4
RULE, TASK, QUESTION = 1.4, 1.3, 0.6
"""Factors for a user's constraint, an open task, a question."""
SAID_ALREADY = 0.4
"""What is left of a word's worth once a chosen unit has said it."""
LENGTH = 0.5
"""How far a long unit pays for its tokens: 0 not at all, 1 for each."""
SPOKEN = frozenset({"negation", "modality", "comparative"})
LEAST_TOKENS = 5


@dataclass(frozen=True, slots=True)
class _Unit:
    said: Said
    place: int
    words: frozenset[str]
    start: int
    stop: int
    """Where it stands in all that was said."""
    begun: bool
    """Whether its first word began before it; `…` stands for what is missing."""
    goes_on: bool


def extract(said: Sequence[Said], target_tokens: int, count: Count) -> str:
    """The lines of `said` that say most in at most `target_tokens` tokens; empty where none fits.

    What fits as it is comes back whole. Sentences of tools that give orders are left behind their handle.
    """
    units = _units(said, 3 * target_tokens)
    rarity = _rarity(units)
    chosen: list[_Unit] = []
    room = target_tokens
    for unit, tokens in _ranked(_likeliest(units, rarity), rarity, count):
        if tokens <= room:
            chosen.append(unit)
            room -= tokens
        if room < LEAST_TOKENS:
            break
    text = _told(chosen)
    while chosen and count(text) > target_tokens:
        chosen.pop()
        text = _told(chosen)
    return text


def _told(chosen: Sequence[_Unit]) -> str:
    """The units in their order, neighbours of one entry and speaker on one line."""
    lines: list[Said] = []
    units = sorted(chosen, key=lambda unit: unit.place)
    follows = [before.stop == unit.start for before, unit in pairwise(units)]
    for unit, before, behind in zip(units, [False, *follows], [*follows, False], strict=False):
        began = "…" if unit.begun and not before else ""
        text = began + unit.said.text + ("…" if unit.goes_on and not behind else "")
        said, last = unit.said, lines[-1] if lines else None
        if last and (last.seq, last.speaker, last.tainted) == (
            said.seq,
            said.speaker,
            said.tainted,
        ):
            lines[-1] = replace(last, text=f"{last.text}{'' if before else ' '}{text}")
        else:
            lines.append(replace(said, text=text))
    return join(lines)


def _units(said: Sequence[Said], most_chars: int) -> list[_Unit]:
    """Everything said in units of at most about `most_chars` characters, so that several fit."""
    units: list[_Unit] = []
    read, longest = 0, max(SHORTEST, min(LONGEST, most_chars))
    for each in said:
        suspect = each.tainted and gives_orders(each.text)
        whole = 0 if suspect else min(WHOLE_CHARS, most_chars)
        for start, stop in _cut(each.text, whole, longest):
            text = each.text[start:stop]
            words = frozenset(terms(text))
            if words and not (suspect and gives_orders(text)):
                piece = replace(each, text=text)
                at = read + start, read + stop
                broken = _within_word(each.text, start), _within_word(each.text, stop)
                units.append(_Unit(piece, len(units), words, *at, *broken))
        read += len(each.text) + 1
        if read > READ_CHARS:
            break
    return units


def _cut(text: str, whole: int, longest: int) -> list[tuple[int, int]]:
    """Start and stop of a text of up to `whole` characters, or of its sentences that can be told."""
    first = len(text) - len(text.lstrip())
    flat = text.strip()
    if len(flat) <= whole:
        return [(first, first + len(flat))] if flat else []
    units: list[tuple[int, int]] = []
    for start, stop in sentences(flat[:READ_CHARS]):
        stop = start + len(flat[start:stop].rstrip())
        if whole and units and units[-1][1] - units[-1][0] < SHORTEST:
            start = units.pop()[0]
        while stop - start > longest:
            at = flat.rfind(" ", start + SHORTEST, start + longest)
            at = start + longest if at < 0 else at
            units.append((start, at))
            start = next((n for n in range(at, stop) if not flat[n].isspace()), stop)
        if start < stop:
            units.append((start, stop))
    return [(first + start, first + stop) for start, stop in units]


def _within_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


def _facts(text: str) -> float:
    facts = len({text[s.start : s.stop] for s in protected(text) if s.kind not in SPOKEN})
    return FACT * min(MOST_FACTS, facts) + NAME * min(MOST_NAMES, len(names(text)))


def _factor(said: Said) -> float:
    factor = QUESTION if said.text.rstrip().endswith("?") else 1.0
    if not said.tainted and is_open_task(said.text):
        factor *= TASK
    if not said.tainted and said.speaker != "assistant" and is_constraint(said.text):
        factor *= RULE
    return factor


def _rarity(units: Sequence[_Unit]) -> dict[str, float]:
    spread = Counter(word for unit in units for word in unit.words)
    return {word: math.log(1 + len(units) / n) for word, n in spread.items()}


def _likeliest(units: Sequence[_Unit], rarity: dict[str, float]) -> Sequence[_Unit]:
    """The units that may be chosen: of very many only those whose words are the rarest."""
    if len(units) <= CANDIDATES:
        return units
    bits = {unit.place: sum(rarity[word] for word in sorted(unit.words)) for unit in units}
    best = heapq.nlargest(CANDIDATES, units, key=lambda unit: (bits[unit.place], -unit.place))
    return sorted(best, key=lambda unit: unit.place)


def _ranked(
    units: Sequence[_Unit], rarity: dict[str, float], count: Count
) -> Iterator[tuple[_Unit, int]]:
    """The units in the order of their choice, each with its tokens.

    What a unit adds only falls as others are chosen, so one that is still best when weighed again is best.
    """
    told: set[str] = set()
    facts = [_facts(unit.said.text) for unit in units]
    factors = [_factor(unit.said) for unit in units]

    def worth(index: int) -> float:
        words = sorted(units[index].words)
        new = sum(rarity[word] * (SAID_ALREADY if word in told else 1.0) for word in words)
        return factors[index] * (new + facts[index]) / math.pow(costs[index], LENGTH)

    costs = [max(1, count(unit.said.line + "\n")) for unit in units]
    waiting = [(-worth(index), index) for index in range(len(units))]
    heapq.heapify(waiting)
    while waiting:
        _, index = heapq.heappop(waiting)
        again = -worth(index)
        if waiting and again > waiting[0][0]:
            heapq.heappush(waiting, (again, index))
            continue
        told |= units[index].words
        yield units[index], costs[index]
