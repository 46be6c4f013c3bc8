"""Which stretches to keep so that the answer is most likely among them, at so many tokens.

Every stretch of a few words has a chance of being what somebody will ask for; words that stand in several
places count once, where they are likeliest. Those with the highest chance a token come first; what is kept
already costs nothing, and a clause that is opened costs what is protected in it. Sentences do not touch one
another, so all are filled side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contextkit.compression.forms import Numbers, Rows

Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]
MOST_WORDS = 40
"""Longer sentences are filled in parts."""
CANDIDATES = 4
"""Stretches that are looked at for every word of the text."""
TRIES = 64
"""Picks that are looked at behind the first that does not fit."""
TAKEN = 1e3
SLACK = 1.5
"""How far over the target picks are gathered before those of less worth are given up."""


@dataclass(frozen=True, slots=True)
class Stretches:
    """Candidates as columns: first and last unit, segment, chance; sorted by where they begin."""

    first: Numbers
    last: Numbers
    segment: Numbers
    chance: Reals

    @classmethod
    def of(cls, chances: Rows, segment: Numbers) -> Stretches:
        """From `[n_units, n_lengths]` chances: the likeliest, those within one segment."""
        n = len(chances)
        wanted = min(CANDIDATES * n, chances.size)
        edge = np.partition(chances, chances.size - wanted, axis=None)[chances.size - wanted]
        places = np.flatnonzero((chances >= edge) & (chances > 0))
        first, length = np.divmod(places, chances.shape[1])
        last = np.minimum(first + length, n - 1)
        of = segment[first]
        inside = (first + length < n) & (of == segment[last])
        found = cls(first, last, of, chances.ravel()[places].astype(np.float64))
        return found.take(np.flatnonzero(inside))

    def once(self, spoken: Numbers) -> Stretches:
        """Those of the same words as one: the likeliest, with the chance of all; `spoken` numbers words."""
        if not len(self.first):
            return self
        keys = _keys(self.first, self.last, spoken)
        bits = np.uint64(len(keys).bit_length())
        # The place in the low bits: sorting numbers is several times as fast as sorting places by them.
        keys = np.sort(keys >> bits << bits | np.arange(len(keys), dtype=np.uint64))
        order = (keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.intp)
        group = np.cumsum(np.diff(keys >> bits, prepend=keys[:1] >> bits) != 0)
        best = np.sort(order[_best_of_each(self.chance[order], group)])
        sums = np.zeros(len(keys))
        sums[order] = np.bincount(group, weights=self.chance[order])[group]
        found = self.take(best)
        return Stretches(found.first, found.last, found.segment, sums[best])

    def take(self, chosen: Numbers) -> Stretches:
        """Those that are chosen."""
        first, last, segment = (each.take(chosen) for each in (self.first, self.last, self.segment))
        return Stretches(first, last, segment, self.chance.take(chosen))


def segments_of(sentence: Numbers) -> Numbers:
    """Sentences, the long ones in parts."""
    within = np.arange(len(sentence)) - np.searchsorted(sentence, sentence)
    fresh = (within % MOST_WORDS == 0).astype(np.intp)
    return np.asarray(np.cumsum(fresh) - 1, dtype=np.intp)


def pick(
    chances: Rows,
    cost: Reals,
    segment: Numbers,
    clause: Numbers,
    protected: Flags,
    spoken: Numbers,
    target: float,
) -> Reals:
    """For each unit its chance a token when it was picked; 0 where it never was.

    `spoken` numbers the units' words; 0 is none. A unit that is `protected` comes with the clause that it
    stands in; mark none where all stay anyway.
    Within a segment a later pick is worth no more than the one before it, on which it builds.
    """
    state = _Filling(cost, clause, protected)
    best = np.full(int(segment[-1]) + 1, np.inf)
    left = Stretches.of(chances, segment).once(spoken)
    while len(left.first):
        added = state.added(left)
        rate = left.chance / np.maximum(added, 1e-9)
        most = np.minimum(rate, best.take(left.segment))
        open_still = (added > 0) & (added <= target) & (most >= state.edge(target))
        if not open_still.all():
            places = np.flatnonzero(open_still)
            left, rate, most = left.take(places), rate.take(places), most.take(places)
        if len(left.first):
            places = _best_of_each(rate, left.segment)
            picked, worth = left.take(places), most.take(places)
            best[picked.segment] = worth
            state.keep(picked, worth)
    return state.worth


class _Filling:
    """What is kept so far, and at what worth."""

    def __init__(self, cost: Reals, clause: Numbers, protected: Flags) -> None:
        self._cost, self._clause, self._protected = cost, clause, protected
        self._mass: Reals = np.bincount(clause, weights=cost * protected).astype(np.float64)
        self._ranked: Numbers = np.zeros(0, dtype=np.intp)
        self.worth = np.zeros(len(cost))

    def added(self, found: Stretches) -> Reals:
        """Tokens that each stretch would add: its own, and what is protected in the clauses it opens."""
        missing = self._cost * (self.worth == 0)
        alone = _between(_sums(missing), found)
        told = alone
        if self._mass.any():
            mass, held = _sums(self._mass), _sums(missing * self._protected)
            opened = mass[1:][self._clause].take(found.last)
            opened -= mass[self._clause].take(found.first)
            told = alone + opened - _between(held, found)
        return np.where(alone > 1e-6, told, 0.0)

    def edge(self, target: float) -> float:
        """The worth below which a pick cannot come into the target any more; it never falls."""
        order = self._ranked[np.argsort(-self.worth[self._ranked], kind="stable")]
        over = int(np.searchsorted(np.cumsum(self._cost[order]), SLACK * target))
        self._ranked = order[: over + 1]
        return float(self.worth[order[over]]) if over < len(order) else 0.0

    def keep(self, found: Stretches, worth: Reals) -> None:
        """One stretch of every segment, and what is protected in its clauses."""
        lengths = found.last + 1 - found.first
        begins = np.repeat(found.first - np.cumsum(lengths) + lengths, lengths)
        units: Numbers = np.arange(int(lengths.sum())) + begins
        own, level = np.zeros(len(self.worth)), np.zeros(len(self._mass))
        own[units] = np.repeat(worth, lengths)
        np.maximum.at(level, self._clause[units], own[units])
        told = np.where(self._protected, level[self._clause], own)
        fresh = (told > 0) & (self.worth == 0)
        self._ranked = np.concatenate([self._ranked, np.flatnonzero(fresh)])
        self.worth[fresh] = told[fresh]
        self._mass[level > 0] = 0


_FACTOR = 0x9E3779B97F4A7C15
"""Odd, so that it can be divided by, modulo 2**64."""


def _keys(first: Numbers, last: Numbers, spoken: Numbers) -> npt.NDArray[np.uint64]:
    """A number for the words of each stretch: a polynomial of theirs modulo 2**64, spread over all bits."""
    n = len(spoken)
    powers, inverse = (
        np.cumprod(np.full(n, factor, dtype=np.uint64))
        for factor in (_FACTOR, pow(_FACTOR, -1, 1 << 64))
    )
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(spoken.astype(np.uint64) * powers)])
    keys: npt.NDArray[np.uint64] = (sums[last + 1] - sums[first]) * inverse[first]
    return keys * np.uint64(_FACTOR)


def _best_of_each(rate: Reals, segment: Numbers) -> Numbers:
    """The place of the highest rate in each run of one segment, the first of equal ones."""
    starts = np.flatnonzero(np.diff(segment, prepend=-1))
    top = np.repeat(np.maximum.reduceat(rate, starts), np.diff(np.append(starts, len(rate))))
    places = np.flatnonzero(rate == top)
    return places[np.flatnonzero(np.diff(segment[places], prepend=-1))]


def _between(sums: Reals, found: Stretches) -> Reals:
    """Of each stretch the sum, by the sums of all units before each."""
    between: Reals = sums[1:].take(found.last) - sums.take(found.first)
    return between


def _sums(values: Reals) -> Reals:
    return np.concatenate([[0.0], np.cumsum(values)])


@dataclass(frozen=True, slots=True)
class Filled:
    """A score for each unit, the higher the sooner, and whether its clause is open."""

    scores: list[float]
    inside: list[bool]


def fill(
    worth: Reals, chances: Rows, cost: Reals, clause: Numbers, protected: Flags, target: float
) -> Filled:
    """Takes picks by their worth while they fit; further clauses are opened where picks leave room."""
    taken = _taken(worth, cost, clause, protected, target)
    single = np.log(np.maximum(chances.sum(axis=1), 1e-30))
    scores = np.where(worth > 0, np.log(np.maximum(worth, 1e-30)), single + np.log(1e-30))
    scores += np.where(taken, TAKEN, 0.0)
    opened = np.bincount(clause, weights=taken) > 0
    tokens = np.bincount(clause, weights=cost)
    held = np.bincount(clause, weights=cost * protected)
    mass = np.bincount(clause, weights=chances.sum(axis=1))
    inside, left = float(tokens[opened].sum()), target - float(cost[taken].sum())
    for number in np.argsort(-mass / np.sqrt(tokens + 1), kind="stable").tolist():
        if inside >= SLACK * target:
            break
        if opened[number] or (held[number] > left and inside):
            continue
        opened[number] = True
        inside += float(tokens[number])
        left -= float(held[number])
    return Filled(scores.tolist(), opened[clause].tolist())


def _taken(worth: Reals, cost: Reals, clause: Numbers, protected: Flags, target: float) -> Flags:
    """The picked units that fit, best first; a pick that does not fit ends nothing but its own clause."""
    picked = np.flatnonzero(worth)
    order = picked[np.argsort(-worth[picked], kind="stable")]
    fits = np.cumsum(cost[order]) <= target
    taken = np.zeros(len(worth), dtype=bool)
    taken[order[fits]] = True
    if fits.all() or not len(order):
        return taken
    cut = worth == worth[order[int(fits.sum())]]
    if cut.sum() > 1:
        taken &= ~cut
    spent = float(cost[taken].sum())
    rest = order[int(fits.sum()) :]
    for level in dict.fromkeys(worth[rest[:TRIES]].tolist()):
        group = worth == level
        more = float(cost[group].sum())
        left_out = protected & ~taken & ~group
        if spent + more <= target and not left_out[np.isin(clause, clause[group])].any():
            taken |= group
            spent += more
    return taken
