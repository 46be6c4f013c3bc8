"""What the classifier knows of words: their forms, their places, the question; and its own arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contextkit.compression import sentences, words
from contextkit.compression.asked import asked_rows
from contextkit.compression.classifier import WordClassifier, shipped
from contextkit.compression.forms import CAPITAL, DIGIT, MONTH, YEAR
from contextkit.compression.llmlingua2 import LLMLingua2
from contextkit.compression.places import place_rows
from contextkit.compression.spans import clauses
from contextkit.compression.traits import Traits, traits
from contextkit.tokens import TiktokenCounter

from .test_methods import document

count = TiktokenCounter().count
TEXT = (
    'The tower (built in 1889) is tall, grey; it was "a thorn" to many. Maren Oldsen drew it.\n'
    "The harbour is not, as many say, older than the tower."
)


def test_clauses_begin_behind_pauses_and_with_sentences() -> None:
    begins = clauses(TEXT, [start for start, _ in sentences(TEXT)])
    told = [TEXT[a:b].strip() for a, b in zip(begins, [*begins[1:], len(TEXT)], strict=True)]
    assert told == [
        "The tower", "(built in 1889)", "is tall,", "grey;", 'it was "a thorn" to many.',
        "Maren Oldsen drew it.", "The harbour is not,", "as many say,", "older than the tower.",
    ]  # fmt: skip


def test_a_sentence_with_a_negation_is_not_cut() -> None:
    units = words(TEXT)
    known = traits(TEXT, units)
    parts = [
        {*known.uncut[known.layout.sentence == number].tolist()}
        for number in range(known.layout.sentence[-1] + 1)
    ]
    assert [len(part) for part in parts] == [5, 1, 1]


def test_forms_are_looked_at_once() -> None:
    text = "May the river run. The river ran in May 1889, x2 may the river"
    known = traits(text, words(text))
    assert len(known.forms.forms) < len(known.forms.ids)
    assert known.dense().shape[1] == len(shipped().weights["mean"])
    rows = dict(zip(known.forms.written, known.rows, strict=True))
    assert rows["May"][MONTH]
    assert not rows["may"][MONTH]
    assert rows["1889,"][YEAR]
    assert rows["May"][CAPITAL]
    assert rows["x2"][DIGIT]


def test_places_in_brackets_quotes_and_names() -> None:
    units = words(TEXT)
    known = traits(TEXT, units)
    rows = place_rows(TEXT, units, known.forms, known.layout, known.rows)
    told = [TEXT[unit.start : unit.stop].strip() for unit in units]
    assert {told[i] for i in np.flatnonzero(rows[:, 8])} == {"(built", "in", "1889)"}
    assert {told[i] for i in np.flatnonzero(rows[:, 9])} == {'"a thorn"'}
    assert {told[i] for i in np.flatnonzero(rows[:, 5])} == {"Maren", "Oldsen"}
    assert np.isfinite(rows).all()


def test_the_questions_words_are_near() -> None:
    units = words(TEXT)
    known = traits(TEXT, units)
    rows = asked_rows(known.forms, known.layout, known.rows, "Who drew the tower?")
    told = [TEXT[unit.start : unit.stop].strip() for unit in units]
    hits = {told[i] for i in np.flatnonzero(rows[:, 2])}
    assert hits == {"tower", "drew", "tower."}
    assert not asked_rows(known.forms, known.layout, known.rows, "is it of the?").any()


@pytest.mark.parametrize("question", ["", "Who drew the tower of the harbour?"])
@pytest.mark.parametrize("n", [1, 2, 30, 800])
def test_the_network_is_what_its_weights_say(question: str, n: int) -> None:
    text = document(n, n)
    known = traits(text, words(text), question)
    chances = shipped().chances(known)
    assert chances == pytest.approx(by_the_weights(known, shipped()), abs=2e-4)
    assert chances.sum() == pytest.approx(1, abs=1e-3)


def by_the_weights(known: Traits, classifier: WordClassifier) -> np.ndarray[Any, Any]:
    """The chances told plainly, from all columns of every unit."""
    w = classifier.weights
    rows = (known.dense() - w["mean"]) / w["scale"]
    zero = np.zeros_like(rows[:1])
    seen = np.concatenate([np.vstack([zero, rows[:-1]]), rows, np.vstack([rows[1:], zero])], axis=1)
    hidden = np.maximum(np.maximum(seen @ w["w1"] + w["b1"], 0) @ w["w2"] + w["b2"], 0)
    begin, end, inside, _ = (hidden @ w["w3"] + w["b3"]).T
    longest = len(w["lengths"])
    scores = np.full((len(begin), longest), -np.inf)
    for first in range(len(begin)):
        for length in range(min(longest, len(begin) - first)):
            last = first + length
            if known.layout.sentence[first] == known.layout.sentence[last]:
                told = begin[first] + end[last] + inside[first : last + 1].sum()
                scores[first, length] = told + w["lengths"][length]
    odds = np.exp(scores - scores.max())
    return np.asarray(odds / odds.sum())


def test_scores_are_the_chances_of_all_stretches_with_a_word() -> None:
    text = document(6, 1)
    units = words(text)
    chances = shipped().chances(traits(text, units)).astype(float)
    wanted = np.zeros(len(units))
    for first, length in zip(*np.nonzero(chances), strict=True):
        wanted[first : first + length + 1] += chances[first, length]
    assert np.exp(shipped().scores(text, units)) == pytest.approx(wanted, rel=1e-3)
    assert WordClassifier(shipped().weights).scores("", []) == []


@pytest.mark.parametrize("rate", [0.15, 0.3, 0.5])
def test_no_sentence_is_told_without_its_negation(rate: float) -> None:
    names = ("Alder", "Birch", "Cedar", "Elder", "Hazel", "Larch", "Maple", "Rowan")
    made = [f"{name} Hall is not, whatever the keepers say, opened before noon." for name in names]
    text = f"{document(20, 3)} {' '.join(made)}"
    told = LLMLingua2("stub").compress(text, int(rate * count(text)), count, question="Alder Hall")
    assert 0 < sum(name in told.text for name in names) <= told.text.count("not,")


def test_a_conjunction_begins_a_clause_but_not_before_what_is_protected() -> None:
    text = (
        "The mill was sold in 1911 when its owner died and the town, which paid between 5 and 10 "
        "crowns, pulled it down. It was not sold when the owner died."
    )
    units = words(text)
    known = traits(text, units)
    told = ["" for _ in range(known.uncut[-1] + 1)]
    for unit, number in zip(units, known.uncut.tolist(), strict=True):
        told[number] += text[unit.start : unit.stop]
    assert [part.strip() for part in told] == [
        "The mill was sold in 1911", "when its owner died", "and the town,",
        "which paid between 5 and 10 crowns,", "pulled it down.",
        "It was not sold when the owner died.",
    ]  # fmt: skip
