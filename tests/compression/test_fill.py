"""A target is met from below, closely, and nothing protected is lost on the way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.compression import ProtectedMass, Word, keep_to_target, protected, words
from contextkit.compression.joining import joined
from contextkit.tokens import TiktokenCounter

count = TiktokenCounter().count
PLAIN = (
    "garden house evening river stone walked slowly through light quiet lovely of the and".split()
)


def prose(n: int, seed: int = 0) -> str:
    draw = random.Random(seed)
    made = [draw.choice(PLAIN) + ("." if i % 12 == 11 else "") for i in range(n)]
    for at in range(7, n, 40):
        made[at] = f"{at}"
    return " ".join(made)


@pytest.mark.parametrize("n", [50, 500, 5_000, 50_000])
@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_target_is_met_within_two_percent(n: int, rate: float) -> None:
    text = prose(n)
    draw = random.Random(1)
    units = words(text)
    target = int(rate * count(text))
    out = keep_to_target(text, units, [draw.random() for _ in units], target, count)
    assert count(out) <= target
    assert count(out) >= target - max(1, 0.02 * count(text))
    for span in protected(text):
        assert text[span.start : span.stop] in out


@settings(max_examples=60)
@given(st.text(max_size=200), st.integers(0, 60), st.randoms(use_true_random=False))
def test_never_over_the_target(text: str, target: int, draw: random.Random) -> None:
    units = words(text)
    scores = [draw.random() for _ in units]
    least = count(joined(text, [unit for unit in units if unit.protected]))
    if least > target:
        with pytest.raises(ProtectedMass):
            keep_to_target(text, units, scores, target, count)
        return
    out = keep_to_target(text, units, scores, target, count)
    assert count(out) <= target
    assert all(char in text or char.isspace() for char in out)


def test_the_best_words_stay_in_their_order() -> None:
    text = "one two three four five six"
    units = words("alpha beta gamma delta")
    out = keep_to_target("alpha beta gamma delta", units, [1, 9, 2, 8], 2, lambda t: len(t.split()))
    assert out == "beta delta"
    assert keep_to_target(text, words(text), [0] * 6, 0, lambda t: len(t.split())) == ""


@pytest.mark.parametrize(
    ("text", "kept", "told"),
    [
        ("one two\nthree four", "one four", "one\nfour"),
        ("one\ntwo three", "one three", "one\nthree"),
        ("one \t two three ", "one three", "one \t three "),
        ("one two\u3000three\n", "one two", "one two"),
        ("one two", "", ""),
    ],
)
def test_line_breaks_stay_where_words_leave(text: str, kept: str, told: str) -> None:
    units = [unit for unit in words(text) if text[unit.start : unit.stop].strip() in kept.split()]
    assert joined(text, units) == told


def test_units_without_blanks_of_their_own_are_kept_apart() -> None:
    text = "one two three"
    assert joined(text, [Word(0, 3, False), Word(8, 13, False)]) == "one three"


@pytest.mark.parametrize(
    ("text", "left", "told"),
    [
        ("Rome, which fell, is old", "which fell,", "Rome is old"),
        ("Rome, which fell, is old", "is", "Rome, which fell old"),
        ("Rome (in 1990, it fell; and rose)", "it fell;", "Rome (in 1990 and rose)"),
        ("It is not, as we know, late", "as we know,", "It is not, late"),
        ("It is not, as we know, late", "late", "It is not, as we know"),
        ("see https://a.io/b?c=1, or ask", "or", "see https://a.io/b?c=1, ask"),
        ("red , green , blue", "green", "red , blue"),
        ("red, green, blue ", "", "red, green, blue "),
        ("red,\ngreen,\nblue", "green,", "red,\nblue"),
        ("漢字, 仮名, 文", "仮名,", "漢字 文"),
    ],
)
def test_a_pause_leaves_with_what_it_led_to(text: str, left: str, told: str) -> None:
    units = [u for u in words(text) if text[u.start : u.stop].strip() not in left.split()]
    assert joined(text, units) == told


@given(st.text(alphabet='ab1,;: \n\t"(no漢', max_size=60), st.data())
def test_words_and_protected_spans_stay_where_pauses_leave(text: str, data: st.DataObject) -> None:
    units = [u for u in words(text) if u.protected or data.draw(st.booleans())]
    told = joined(text, units)
    kept = "".join(text[u.start : u.stop] for u in units)
    assert [*filter(str.isalnum, told)] == [*filter(str.isalnum, kept)]
    assert "  " not in told or "  " in text
    for span in protected(text):
        assert text[span.start : span.stop] in told
