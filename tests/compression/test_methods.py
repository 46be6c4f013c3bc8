"""What every method by words holds: the target, short text, whole words, bad input; then each one's own."""

from __future__ import annotations

import random
from typing import get_args

import pytest

from contextkit.compression import ProtectedMass, sentences, words
from contextkit.compression.methods import NAMES, MethodName, method
from contextkit.tokens import TiktokenCounter

count = TiktokenCounter().count
BY_WORDS: tuple[MethodName, ...] = tuple(name for name in NAMES if name != "structure")
PLAIN = (
    "garden house evening river stone walked slowly through light quiet lovely Ferryman Elm of the and a"
).split()


def document(n_sentences: int, seed: int, paragraph: int = 6) -> str:
    """Prose in paragraphs, one sentence in nine with a number and a negation."""
    draw = random.Random(seed)
    made: list[str] = []
    for index in range(n_sentences):
        drawn = [draw.choice(PLAIN) for _ in range(draw.randint(6, 14))]
        if index % 9 == 2:
            drawn.insert(2, f"not {index}")
        end = ".\n\n" if index % paragraph == paragraph - 1 else ". "
        made.append(" ".join(drawn).capitalize() + end)
    return "".join(made).strip()


def test_all_names_are_methods() -> None:
    assert [method(name).kind for name in NAMES] == list(get_args(MethodName))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [6, 40, 400])
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_target_is_met(name: MethodName, n: int, rate: float) -> None:
    text = document(n, n)
    tokens = count(text)
    target = int(rate * tokens)
    made = method(name, "stub").compress(text, target, count, question="Where is the Ferryman?")
    assert made.achieved_tokens == count(made.text) <= target
    assert made.achieved_tokens >= target - max(2, 0.02 * tokens)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", [0.2, 0.35, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("n", [5, 20, 90, 450, 4500])
def test_the_target_is_met_from_50_to_50_000_tokens(name: MethodName, rate: float, n: int) -> None:
    text = document(n, n + 7)
    tokens = count(text)
    target = int(rate * tokens)
    made = method(name, "stub").compress(text, target, count)
    assert target - max(1, 0.02 * tokens) <= made.achieved_tokens <= target


@pytest.mark.parametrize("name", BY_WORDS)
def test_short_text_is_left_alone(name: MethodName) -> None:
    for text in ("", "one", "a < b  and so\n on"):
        made = method(name).compress(text, 50, count, question="what is a?")
        assert (made.text, made.note) == (text, "fits")


@pytest.mark.parametrize("name", BY_WORDS)
def test_words_are_whole_and_in_their_order(name: MethodName) -> None:
    text = document(60, 3)
    made = method(name, "stub").compress(text, count(text) // 3, count, question="the river")
    left = iter([text[unit.start : unit.stop].strip() for unit in words(text)])
    for word in made.text.split():
        assert any(word in unit.split() for unit in left), word


@pytest.mark.parametrize("name", BY_WORDS)
def test_by_default_what_is_protected_stays(name: MethodName) -> None:
    text = document(60, 4)
    made = method(name).compress(text, count(text) // 2, count, question="the river")
    assert all(f"not {index}" in made.text for index in range(2, 60, 9))


@pytest.mark.parametrize("name", BY_WORDS)
def test_more_protected_than_fits(name: MethodName) -> None:
    text = " ".join(f"Gate {n} must not open before {n}:30." for n in range(60))
    with pytest.raises(ProtectedMass):
        method(name).compress(text, 100, count)
    made = method(name, "stub").compress(
        text, 100, count, question="When opens gate 41?", handle="m8"
    )
    assert made.achieved_tokens <= 100
    assert "m8" in made.text


ODD = {
    "one word": "word" * 400,
    "blanks": " \n\t" * 500,
    "bytes": "".join(chr(n % 256) for n in range(2000)),
    "half JSON": '{"a": [1, 2, {"b": "not closed", ' * 40,
    "emoji": "🙂🙃 👩‍👩‍👧 " * 150,
    "languages": "Das ist gut. これは良いです。 هذا جيد. Это хорошо. " * 40,
    "angle": "<llmlingua, rate=0.5>if a < b then c</llmlingua> " * 40,
    "lone surrogate": "a \ud800 b " * 100,
}


@pytest.mark.parametrize("name", BY_WORDS)
@pytest.mark.parametrize("odd", ODD)
def test_odd_text_is_told_within_its_target(name: MethodName, odd: str) -> None:
    text = ODD[odd]
    for target in (1, count(text) // 4):
        made = method(name, "stub").compress(text, target, count, question="what is b?")
        assert count(made.text) <= target


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_WORDS)
def test_a_line_of_a_megabyte(name: MethodName) -> None:
    text = document(18_000, 5).replace("\n", " ")
    assert len(text) > 900_000
    target = count(text) // 4
    made = method(name, "stub").compress(text, target, count, question="the Ferryman")
    assert made.achieved_tokens <= target


@pytest.mark.parametrize("name", BY_WORDS)
def test_telling_again_changes_nothing(name: MethodName) -> None:
    text = document(40, 6)
    one = method(name, "stub").compress(text, count(text) // 2, count)
    two = method(name, "stub").compress(one.text, count(text) // 2, count)
    assert two.text == one.text


def test_sentences_of_the_question_stay() -> None:
    text = (
        f"{document(60, 8)} The keeper of the lighthouse is called Maren Oldsen. {document(60, 9)}"
    )
    for name in ("llmlingua2", "longllmlingua"):
        made = method(name, "stub").compress(
            text, count(text) // 8, count, question="Who is the keeper of the lighthouse?"
        )
        assert "Maren Oldsen" in made.text, name
        assert len(sentences(made.text)) > 0
