"""Compression measured: is the rate met, what survives, what a model makes of it; baselines beside.

Answer spans: the share of questions whose answer's words still stand side by side. Protected spans: the
share of numbers, names, negations that are left. Continuation: bits a word that a model adds to the true
last fifth of a text when it reads the rest compressed. Reader: the share of questions that a model answers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from contextkit.compression.base import Compresses, Count
from contextkit.compression.in_step import Task, compress_many
from contextkit.compression.scoring import Asked, Scorer
from contextkit.compression.spans import protected, words
from contextkit.evals.compression_cases import Case

Reader: TypeAlias = Callable[[str, str], str]
"""A model's answer to a question about a text."""
CONTINUATION = 0.2
"""Share of a text that is its continuation."""
MOST_CONTINUED = 256
BATCH = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """One text under one method at one rate."""

    data_set: str
    method: str
    rate: float
    asked: bool
    """Whether the method heard the question."""
    source_tokens: int
    target_tokens: int
    achieved_tokens: int
    ms: float
    """CPU time, shared out evenly over the texts of a batch."""
    answer: bool | None = None
    protected: float | None = None
    added_bits: float | None = None
    read: bool | None = None

    @property
    def rate_error(self) -> float:
        """Achieved less requested tokens, by the text's tokens."""
        return (self.achieved_tokens - self.target_tokens) / max(1, self.source_tokens)


@dataclass(frozen=True, slots=True)
class Judges:
    """What is asked beside the text itself: a scorer for continuations, a reader for answers."""

    scorer: Scorer | None = None
    reader: Reader | None = None


def run(
    cases: Sequence[Case],
    methods: Sequence[tuple[str, Compresses]],
    rates: Sequence[float],
    count: Count,
    asked: Sequence[bool],
    judges: Judges | None = None,
) -> Iterator[Outcome]:
    """Every case under every method at every rate, with and without its question as `asked` says.

    Cases of one batch are told in step, so that a scorer is asked about all of them together.
    """
    judges = judges or Judges()
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        for name, method in methods:
            for rate in rates:
                for hears in asked:
                    yield from _judged(batch, name, method, rate, count, hears, judges)


def _judged(
    cases: Sequence[Case],
    name: str,
    method: Compresses,
    rate: float,
    count: Count,
    hears: bool,
    judges: Judges,
) -> Iterator[Outcome]:
    targets = [max(1, int(rate * count(case.text))) for case in cases]
    tasks = [
        Task(case.text, target, count, case.question if hears else "")
        for case, target in zip(cases, targets, strict=True)
    ]
    began = time.process_time()
    told = compress_many(method, tasks)
    ms = 1000 * (time.process_time() - began) / max(1, len(cases))
    for case, target, made in zip(cases, targets, told, strict=True):
        read = added = None
        if judges.reader is not None and case.answers:
            read = case.answered_by(judges.reader(made.text, case.question))
        if judges.scorer is not None:
            added = added_bits(case.text, method, rate, count, judges.scorer)
        yield Outcome(
            case.data_set,
            name,
            rate,
            hears,
            made.source_tokens,
            target,
            made.achieved_tokens,
            ms,
            case.answered_by(made.text) if case.answers else None,
            survival(case.text, made.text),
            added,
            read,
        )


def survival(text: str, told: str) -> float | None:
    """The share of a text's protected spans that stand in what it became; None where it has none."""
    wanted = Counter(text[span.start : span.stop] for span in protected(text))
    if not wanted:
        return None
    kept = sum(min(n, told.count(span)) for span, n in wanted.items())
    return kept / wanted.total()


def added_bits(
    text: str, method: Compresses, rate: float, count: Count, scorer: Scorer
) -> float | None:
    """Bits a word that compressing the beginning adds to the true end; None for a text of few words."""
    units = words(text)
    edge = int(len(units) * (1 - CONTINUATION))
    if len(units) < 20:
        return None
    at = units[edge].start
    stop = units[min(len(units), edge + MOST_CONTINUED) - 1].stop
    before, after = text[:at], text[at:stop]
    made = method.compress(before, max(1, int(rate * count(before))), count)
    heard = [word.stop for word in words(after)]
    whole, short = scorer.score_many([Asked(before, after, heard), Asked(made.text, after, heard)])
    return (sum(short) - sum(whole)) / len(heard)
