"""Texts become terms: the same words however they are written, in any script."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.recall import words
from contextkit.recall.words import terms


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Painting paintings, PAINTED!", ["paint", "paint", "paint"]),
        ("Caroline's dog and the cats’ toys", ["carolin", "dog", "cat", "toy"]),
        ("What is it that you do?", []),
        ("gate 12B at 07:45", ["gate", "12b", "07", "45"]),
        ("snake_case-word", ["snake", "case", "word"]),
        ("", []),
        ("🎉🎉 !!! …", []),
        ("東京タワーに行く", ["東京", "京タ", "タワ", "ワー", "ーに", "に行", "行く"]),
        ("שלום עולם", ["שלום", "עולם"]),
    ],
)
def test_terms(text: str, found: list[str]) -> None:
    assert terms(text) == found


def test_a_word_without_end_is_cut() -> None:
    (term,) = terms("ab" * 100_000)
    assert len(term) <= words.LONGEST_WORD


@given(st.text())
def test_any_text_has_terms(text: str) -> None:
    assert all(term and term == term.lower() for term in terms(text.upper().lower()))


@pytest.fixture
def without_stemmer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    words._stemmer.cache_clear()
    yield
    monkeypatch.undo()
    words._stemmer.cache_clear()


@pytest.mark.usefixtures("without_stemmer")
def test_without_the_library_plurals_still_meet() -> None:
    assert words.stemmer_name() == "plain"
    assert terms("stories walks walking walked boss") == ["story", "walk", "walk", "walk", "boss"]
    assert terms("gas bus") == ["gas", "bus"]
