"""What a compression evaluation reads: texts, and, of data sets, questions with their answers' words.

Lost in the middle, MuSiQue, HotpotQA (`datasets`), SQuAD (Rajpurkar et al. 2016, arXiv:1606.05250), or a
text file of any other name. The passage with a
question's answer is taken alone, or among distractors: its own where the data set has them, else those that
share most words with the question.
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from contextkit.errors import InvalidDocument
from contextkit.evals.datasets import records_of

SUFFIXES = (".txt", ".md", ".rst")
_TERM = re.compile(r"\w{3,}")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Case:
    """A text, and, where there are some, a question with the spellings of its answer."""

    data_set: str
    text: str
    question: str = ""
    answers: tuple[str, ...] = ()

    def answered_by(self, text: str) -> bool:
        """Whether the words of an answer stand side by side in a text."""
        said = f" {_spoken(text)} "
        return any(f" {_spoken(answer)} " in said for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage with its title."""

    title: str
    text: str


def cases(path: Path, passages: int = 1, seed: int = 1) -> list[Case]:
    """The cases of a file, each of `passages` passages. Raises `InvalidDocument`."""
    if path.suffix in SUFFIXES:
        try:
            return [Case(path.name, path.read_text(encoding="utf-8"))]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidDocument(f"{path}: cannot be read: {error}") from error
    records = records_of(path)
    name, asked = _asked(path, records)
    pool = list(dict.fromkeys(p for _, _, gold, own in asked for p in (gold, *own)))
    draw = random.Random(seed)
    others = _Others(pool)
    found: list[Case] = []
    for question, answers, gold, own in asked:
        shown = [gold]
        if passages > 1:
            near = own or others.nearest(question, passages - 1 + 20)
            free = (p for p in near if p != gold and not _holds(p, answers))
            shown += islice(free, passages - 1)
            draw.shuffle(shown)
        text = "\n\n".join(f"{p.title}\n{p.text}" if len(shown) > 1 else p.text for p in shown)
        found.append(Case(name, text, question, answers))
    return found


def _asked(
    path: Path, records: Sequence[dict[str, Any]]
) -> tuple[str, list[tuple[str, tuple[str, ...], Passage, list[Passage]]]]:
    """The data set's name; questions, answers, the passage with the answer, the data set's others."""
    fields = records[0].keys()
    for name, wanted, read in (
        ("lost in the middle", {"ctxs", "question"}, _open_questions),
        ("MuSiQue", {"paragraphs", "question_decomposition"}, _musique),
        ("HotpotQA", {"supporting_facts", "context"}, _hotpotqa),
        ("SQuAD", {"data"}, _squad),
    ):
        if wanted <= fields:
            try:
                return name, [each for record in records for each in read(record)]
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise InvalidDocument(
                    f"{path}: looks like {name}, but is not: {type(error).__name__} {error}"
                ) from error
    raise InvalidDocument(
        f"{path}: no lost-in-the-middle, MuSiQue, HotpotQA or SQuAD file, and no text "
        f"({', '.join(SUFFIXES)})"
    )


def _open_questions(
    record: dict[str, Any],
) -> Iterator[tuple[str, tuple[str, ...], Passage, list[Passage]]]:
    shown = [(Passage(c["title"], c["text"]), c.get("isgold", True)) for c in record["ctxs"]]
    gold = next((passage for passage, is_gold in shown if is_gold), None)
    answers = tuple(record["answers"])
    if gold is not None and _holds(gold, answers):
        yield record["question"], answers, gold, [p for p, is_gold in shown if not is_gold]


def _musique(
    record: dict[str, Any],
) -> Iterator[tuple[str, tuple[str, ...], Passage, list[Passage]]]:
    """Each hop is a question of its own, the answers of earlier hops put in."""
    shown = {p["idx"]: Passage(p["title"], p["paragraph_text"]) for p in record["paragraphs"]}
    known: list[str] = []
    for hop in record["question_decomposition"]:
        question = hop["question"].replace(" >> ", " ")
        for number, answer in enumerate(known, 1):
            question = question.replace(f"#{number}", answer)
        known.append(hop["answer"])
        gold = shown[hop["paragraph_support_idx"]]
        if _holds(gold, (hop["answer"],)):
            yield question, (hop["answer"],), gold, [p for p in shown.values() if p != gold]


def _hotpotqa(
    record: dict[str, Any],
) -> Iterator[tuple[str, tuple[str, ...], Passage, list[Passage]]]:
    supporting = {title for title, _ in record["supporting_facts"]}
    shown = [Passage(title, "".join(said)) for title, said in record["context"]]
    answers = (record["answer"],)
    gold = next((p for p in shown if p.title in supporting and _holds(p, answers)), None)
    if gold is not None:
        yield record["question"], answers, gold, [p for p in shown if p != gold]


def _squad(
    record: dict[str, Any],
) -> Iterator[tuple[str, tuple[str, ...], Passage, list[Passage]]]:
    """Questions on a paragraph; the article's others are its distractors, the nearest first."""
    for article in record["data"]:
        shown = [Passage(article["title"], p["context"]) for p in article["paragraphs"]]
        for place, paragraph in enumerate(article["paragraphs"]):
            gold = shown[place]
            nearest = sorted(range(len(shown)), key=lambda other: (abs(other - place), other))
            others = [shown[other] for other in nearest if shown[other] != gold]
            for asked in paragraph["qas"]:
                answers = tuple(dict.fromkeys(a["text"] for a in asked["answers"]))
                if answers and _holds(gold, answers):
                    yield asked["question"], answers, gold, others


class _Others:
    """Passages by the words they share with a question, rare ones counting more."""

    def __init__(self, pool: Sequence[Passage]) -> None:
        self._pool = pool
        self._places: dict[str, list[int]] = {}
        for place, passage in enumerate(pool):
            for term in _terms(f"{passage.title} {passage.text}"):
                self._places.setdefault(term, []).append(place)

    def nearest(self, question: str, n: int) -> list[Passage]:
        scores: defaultdict[int, float] = defaultdict(float)
        for term in sorted(_terms(question)):
            places = self._places.get(term, [])
            for place in places:
                scores[place] += math.log(len(self._pool) / len(places))
        best = sorted(scores, key=lambda place: (-scores[place], place))[:n]
        return [self._pool[place] for place in best]


def _terms(text: str) -> set[str]:
    return {term.lower() for term in _TERM.findall(text)}


def _holds(passage: Passage, answers: Sequence[str]) -> bool:
    return Case("", passage.text, "", tuple(answers)).answered_by(passage.text)


def _spoken(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))
