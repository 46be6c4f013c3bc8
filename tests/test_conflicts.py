"""Contradictions are found where two statements differ in one value, and nowhere else."""

from __future__ import annotations

import random

import pytest

from contextkit.conflicts import Statement, detect_conflicts


def _pair(left: str, right: str) -> list[str]:
    found = detect_conflicts(
        [Statement("m1", left, "2024-01-01"), Statement("m2", right, "2024-02-01")]
    )
    return [conflict.kind for conflict in found]


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("The refund costs 40 dollars.", "The refund costs 45 dollars.", "number"),
        ("The launch is on 5 May 2024.", "The launch is on 7 May 2024.", "date"),
        (
            "The meeting starts at 10:30 in the hall.",
            "The meeting starts at 11:00 in the hall.",
            "date",
        ),
        ("The west gate is open on holidays.", "The west gate is closed on holidays.", "opposite"),
        ("Anna has booked the hotel.", "Anna has not booked the hotel.", "negation"),
        ("He likes green olives.", "He doesn't like green olives.", "negation"),
    ],
)
def test_a_changed_value_is_a_conflict(left: str, right: str, kind: str) -> None:
    assert _pair(left, right) == [kind]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("The refund costs 40 dollars.", "The refund costs 40 dollars."),
        ("Room 12 has 3 chairs and a desk.", "Room 14 has 3 chairs and a desk."),
        ("Anna bought 3 apples.", "The train to Oslo takes 7 hours."),
        ("Is the west gate open?", "Is the west gate closed?"),
        ("In 2019 we sold 40 boats.", "In 2020 we sold 55 boats."),
        ("It is 1,000 metres to the lake.", "It is 1000 metres to the lakeside hut."),
    ],
)
def test_other_statements_are_none(left: str, right: str) -> None:
    assert _pair(left, right) == []


def test_both_sides_are_kept_with_their_times() -> None:
    later = Statement("m9", "The fee is 45 dollars now.", "2024-03-02")
    earlier = Statement("m2", "The fee is 40 dollars now.", "2024-03-01")
    (found,) = detect_conflicts([later, earlier])
    assert (found.earlier.handle, found.later.handle) == ("m2", "m9")
    assert found.values == ("40", "45")
    told = found.describe()
    for part in ("m2", "m9", "2024-03-01", "2024-03-02", "40 dollars", "45 dollars"):
        assert part in told


def test_injected_contradictions_are_found_among_many() -> None:
    draw = random.Random(5)
    things = [
        f"{a} {b}"
        for a in ("red", "blue", "old", "north")
        for b in ("bridge", "boat", "mill", "tower")
    ]
    facts = [f"The {thing} weighs {draw.randint(10, 99)} tons altogether." for thing in things]
    changed = draw.sample(range(len(facts)), 6)
    said = [Statement(f"m{i}", fact) for i, fact in enumerate(facts)]
    said += [Statement(f"m{100 + i}", facts[i].replace(" weighs ", " weighs 1")) for i in changed]
    found = detect_conflicts(said)
    pairs = {(c.earlier.handle, c.later.handle) for c in found if c.kind == "number"}
    wanted = {(f"m{i}", f"m{100 + i}") for i in changed}
    assert wanted <= pairs
    assert len(pairs & wanted) / len(pairs) >= 0.9


def test_hostile_text_is_no_trouble() -> None:
    assert detect_conflicts([]) == []
    assert detect_conflicts([Statement("m1", ""), Statement("m2", "😀" * 5000)]) == []
