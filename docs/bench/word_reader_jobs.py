"""What `word_reader.py` trains on: texts with what is right in them, as a file of lines of JSON.

    python -P docs/bench/word_reader_jobs.py NQ_OPEN MUSIQUE HOTPOTQA SQUAD > JOBS.jsonl

The first 700 questions of lost in the middle (MIT), MuSiQue's hops (CC BY 4.0), HotpotQA's bridges, 7,584
paragraphs of SQuAD 1.1's training part (both CC BY-SA 4.0) and the new Wikipedia part of SQuADShifts
(Miller et al. 2020, arXiv:2004.14444, CC BY 4.0), the last two in one file SQUAD: each passage alone and
among others, with its question and without. Nothing of SQuAD's development part is among them: that is
what is measured on.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from contextkit.evals.compression_cases import Case, cases

TRAINED, SEED = 700, 2
NQ_WEIGHT, ASKED_BY_MANY = 5.0, 0.75
AMONG_OTHERS = (3, 4, 6)
SHARE = 12
"""One question of so many of SQuAD's is also asked of its paragraph among others."""

Spans = list[tuple[int, int]]


class Job(NamedTuple):
    """A text and, for each of its answers, the stretches that are right, in characters."""

    text: str
    question: str
    answers: list[Spans]
    weight: float = 1.0


def jobs(nq: str, musique: str, hotpotqa: str, squad: str) -> Iterator[Job]:
    """Everything that is trained on."""
    rng = random.Random(SEED)
    for n in (1, 3, 6):
        for case in cases(Path(nq), n)[:TRAINED]:
            weight = NQ_WEIGHT if n == 1 else 1.0
            yield _asked(case, weight)
            if n == 1:
                yield _asked(case, weight, asked=False)
    for path in (musique, hotpotqa):
        yield from (_asked(case) for n in (1, 4) for case in cases(Path(path), n))
        yield from (_asked(case, asked=False) for case in cases(Path(path)))
    alone = cases(Path(squad))
    yield from map(_asked, alone)
    for n in AMONG_OTHERS:
        found = cases(Path(squad), n)
        yield from map(_asked, rng.sample(found, len(found) // SHARE))
    yield from _unasked(alone)


def _asked(case: Case, weight: float = 1.0, *, asked: bool = True) -> Job:
    """One question, whose answer has several spellings."""
    spans = [span for answer in case.answers for span in _places(answer, case.text)]
    return Job(case.text, case.question if asked else "", [spans], weight)


def _unasked(alone: list[Case]) -> Iterator[Job]:
    """Paragraphs with all that is asked of them, one by one and in threes; each answer counts by itself."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    for case in alone:
        told[case.text] += case.answers
    for n in (1, 3):
        for group in zip(*[iter(told)] * n, strict=False):
            text = "\n\n".join(group)
            answers = [_places(answer, text) for part in group for answer in told[part]]
            yield Job(text, "", answers, ASKED_BY_MANY * len(answers) / (1 if n == 1 else 2))


def _places(answer: str, text: str) -> Spans:
    found = re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE)
    return [match.span() for match in found]


if __name__ == "__main__":
    for job in jobs(*sys.argv[1:]):
        print(json.dumps(job, ensure_ascii=False))
