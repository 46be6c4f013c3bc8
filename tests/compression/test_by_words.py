"""Prose by words: whole sentences first, the target met closely, what carries the meaning kept."""

from __future__ import annotations

import random

import pytest

from contextkit.compression import ProtectedMass, protected, sentences, words
from contextkit.compression.by_words import Words
from contextkit.compression.surprisal import scores, word_bits
from contextkit.tokens import TiktokenCounter

count = TiktokenCounter().count
PLAIN = (
    "garden house evening river stone walked slowly through light quiet lovely of the and a".split()
)


def prose(n: int, seed: int) -> str:
    draw = random.Random(seed)
    made: list[str] = []
    for index in range(n):
        drawn = [draw.choice(PLAIN) for _ in range(draw.randint(5, 14))]
        if index % 5 == 2:
            drawn.insert(2, f"not {index}")
        made.append(" ".join(drawn).capitalize() + ".")
    return " ".join(made)


@pytest.mark.parametrize("n", [12, 120, 1200])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.9])
def test_the_target_is_met_and_protected_spans_stay(n: int, rate: float) -> None:
    text = prose(n, n)
    target = int(rate * count(text))
    made = Words().compress(text, target, count, question="the river")
    assert target - max(2, 0.02 * count(text)) <= made.achieved_tokens <= target
    assert made.achieved_tokens == count(made.text)
    at = 0
    for span in protected(text):
        at = made.text.index(text[span.start : span.stop], at)


def test_most_kept_words_stand_in_whole_sentences() -> None:
    text = ". ".join(s for s in prose(200, 3).split(". ") if " not " not in s)
    made = Words().compress(text, count(text) // 3, count)
    whole = {text[a:b].strip() for a, b in sentences(text)}
    kept = [made.text[a:b].strip() for a, b in sentences(made.text)]
    assert sum(sentence in whole for sentence in kept) >= len(kept) - 2


def test_what_the_question_names_stays() -> None:
    text = prose(100, 5) + " The ferryman sleeps under an elm tree. " + prose(100, 6)
    made = Words().compress(
        text, int(0.25 * count(text)), count, question="Where does the ferryman sleep?"
    )
    assert "The ferryman sleeps under an elm tree." in made.text


def test_too_much_that_is_protected() -> None:
    text = " ".join(f"Gate {n} must not open before {n}:30." for n in range(60))
    with pytest.raises(ProtectedMass):
        Words().compress(text, 100, count)
    made = Words("stub").compress(text, 100, count, question="gate 41", handle="m8")
    assert made.achieved_tokens <= 100
    assert "Gate 41 must not open before 41:30." in made.text
    assert "m8" in made.text


def test_short_text_comes_back_as_it_is() -> None:
    for text in ("", "one", "a < b  and so\n on"):
        made = Words().compress(text, 50, count)
        assert (made.text, made.note) == (text, "fits")


def test_function_words_and_repetition_say_little() -> None:
    text = "the river the river the river the river elm"
    units = words(text)
    bits = word_bits(text, units)
    assert bits[0] < bits[1] < bits[-1]
    assert len(scores(text, units)) == len(units)
    assert scores("", []) == []
