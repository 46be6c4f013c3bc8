"""Protected spans, words and sentences tile their text and keep what carries the meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.compression import protected, sentences, words

TEXTS = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["not", "3.14 mg", "v2.0.1", "https://a.b/c?x=1", "snake_case", "the", "of", '"so it is"',
         "a/b/c.py", "2024-05-06", "\n", "  ", "Dr.", "end.", "é😀", "<", "don't", "12%", "UUID"]
    ),
    max_size=60,
).map(" ".join)  # fmt: skip


@given(TEXTS)
def test_words_tile_the_text(text: str) -> None:
    units = words(text)
    assert "".join(text[unit.start : unit.stop] for unit in units) == text


@given(TEXTS)
def test_sentences_tile_the_text(text: str) -> None:
    assert "".join(text[start:stop] for start, stop in sentences(text)) == text


@given(TEXTS)
def test_no_word_cuts_a_protected_span(text: str) -> None:
    units = words(text)
    for span in protected(text):
        whole = [u for u in units if u.start <= span.start and span.stop <= u.stop]
        assert len(whole) == 1
        assert whole[0].protected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see https://a.org/x?y=1#z now", "url"),
        ("it isn'thttps://a.org/x here", "url"),
        ("mail jo.do+x@mail.example.org today", "email"),
        ("in src/app/main.py there", "path"),
        ("in /usr/lib/x there", "path"),
        ("on 2024-05-06 we met", "date"),
        ("on 6 May 2024 we met", "date"),
        ("at 10:45 pm", "time"),
        ("weighs 3.14 mg", "number"),
        ("costs $1,200.50 a day", "number"),
        ("release 2.0.1-rc1 is out", "version"),
        ("commit 9b5ad71b2ce fixes", "hash"),
        ("call parse_messages here", "identifier"),
        ("call parseMessages here", "identifier"),
        ("the ENOENT error", "identifier"),
        ("run it with --force now", "identifier"),
        ("he did not go", "negation"),
        ("he didn't go", "negation"),
        ("you must go", "modality"),
        ("less than that", "comparative"),
        ('he said "go home" then', "quote"),
    ],
)
def test_what_carries_the_meaning_is_protected(text: str, kind: str) -> None:
    assert kind in {span.kind for span in protected(text)}


def test_plain_words_are_free() -> None:
    assert protected("The garden behind the house was lovely that evening") == []


def test_numbers_do_not_end_sentences() -> None:
    text = "Take 3.14 mg of v2.0.1. Then see https://a.b/c?x=1 for more. Dr. Who agrees."
    assert [text[a:b].strip() for a, b in sentences(text)] == [
        "Take 3.14 mg of v2.0.1.",
        "Then see https://a.b/c?x=1 for more.",
        "Dr. Who agrees.",
    ]
