"""Dates that a question names: read, and preferred where rows were said on them."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.manager import load
from contextkit.recall.dates import SOON, TOLD_LATER, named_dates, said_then
from tests.recall.test_memory import found, said


@pytest.mark.parametrize(
    ("text", "year", "month", "day"),
    [
        ("What was said on 3 June, 2023?", 2023, 6, 3),
        ("the 3rd of June 2023", 2023, 6, 3),
        ("on June 3, 2023", 2023, 6, 3),
        ("on Dec. 1,2023 in Rome", 2023, 12, 1),
        ("after 2024-01-31T09:00", 2024, 1, 31),
        ("in August 2023", 2023, 8, None),
        ("camping in July?", None, 7, None),
        ("on Sept 5", None, 9, 5),
        ("since 2021", 2021, None, None),
        ("in May", None, 5, None),
    ],
)
def test_a_date_is_read(text: str, year: int | None, month: int | None, day: int | None) -> None:
    (named,) = named_dates(text)
    assert (named.year, named.month, named.day) == (year, month, day)


@pytest.mark.parametrize(
    "text",
    [
        "may I ask?",
        "in augu\u017ft",
        "of may 5 people",
        "march 3 miles",
        "in 300 words",
        "room 2023",
        "7 seconds",
        "",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert named_dates(text) == ()


def test_the_date_itself_counts_most_then_the_days_behind_it() -> None:
    june = date(2023, 6, 30).toordinal()
    days = np.asarray([0, june - 30, june - 29, june, june + 1, june + SOON, june + SOON + 1])
    fits = said_then(named_dates("in June 2023"), days.astype(np.int32))
    assert fits is not None
    soon = np.float32(TOLD_LATER)
    assert fits.tolist() == [0, 0, 1, 1, soon, soon, 0]


def test_a_date_without_a_year_is_of_any_year_there_is() -> None:
    days = np.asarray([date(year, 6, 3).toordinal() for year in (2021, 2022, 2023)], np.int32)
    fits = said_then(named_dates("on 3 June"), days)
    assert fits is not None
    assert fits.tolist() == [1, 1, 1]


@pytest.mark.parametrize("text", ["on 31 February 2023", "2023-19-45", "in June 1999", "hello"])
def test_a_date_on_which_nothing_was_said_tells_nothing(text: str) -> None:
    assert said_then(named_dates(text), np.asarray([738_000], np.int32)) is None
    assert said_then(named_dates(text), np.zeros(3, np.int32)) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for named in named_dates(text):
        assert text[named.start : named.stop]
        assert list(named.spans([2023])) == sorted(named.spans([2023]))


@pytest.mark.parametrize("embedder", [None, "hashing"])
def test_of_passages_alike_the_one_of_the_day_is_found(embedder: str | None) -> None:
    cm = load({"embedder": embedder} if embedder else {})
    thread = cm.thread("t")
    rows: list[tuple[str, str, str]] = []
    for month in range(1, 10):
        rows += [
            ("Ann", f"2023-0{month}-14T10:00", f"We had dinner at place number {month}."),
            ("Bob", f"2023-0{month}-14T10:01", "How nice."),
        ]
    thread.append(said(rows))
    assert found(thread.memory, "Where was dinner on 14 March, 2023?", top=1) == ["m4"]
    assert found(thread.memory, "Where was dinner in June?", top=1) == ["m10"]
    why: Any = thread.memory.search("Where was dinner on July 13?", top=1)[0]
    assert why.handle == "m12"
    assert why.why.endswith("said soon after")
