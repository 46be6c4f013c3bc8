"""Units in columns are the words that they stand for."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from contextkit.compression import words
from contextkit.compression.iterating import cut_out
from contextkit.compression.phrases import phrases
from contextkit.compression.telling import Part, levelled, parts
from contextkit.compression.units import Units, units_of

from .test_methods import document

TEXT = st.one_of(
    st.text(max_size=120),
    st.text(alphabet='aB1 .,\n\t\x1c\x85\u2028\u3000"(of&)é漢', max_size=120),
    st.builds(document, st.integers(1, 4), st.integers(0, 30)),
)


@given(TEXT)
def test_columns_hold_the_words(text: str) -> None:
    units = units_of(text)
    assert [*units] == words(text) == [*Units.of(words(text))]
    assert units[:2] == words(text)[:2]
    assert len(units) == len(words(text))
    assert "".join(units.written(text)) == text


@given(TEXT)
@example("㐀0\r0")
def test_a_unit_has_as_many_words_as_are_written_in_it(text: str) -> None:
    for units in (units_of(text), phrases(text, words(text))):
        expected = [len(written.split()) or 1 for written in units.written(text)]
        assert units.n_words(text).tolist() == expected


@given(TEXT, st.data())
def test_what_is_cut_out_stands_one_behind_the_other(text: str, data: st.DataObject) -> None:
    units = units_of(text)
    chosen = [n for n in range(len(units)) if data.draw(st.booleans())]
    own, inside = cut_out(text, Units.of([units[n] for n in chosen]))
    assert own == "".join(text[units[n].start : units[n].stop] for n in chosen)
    assert inside.written(own) == [text[units[n].start : units[n].stop] for n in chosen]
    assert inside.protected.tolist() == [units[n].protected for n in chosen]


@given(TEXT, st.data())
def test_runs_become_one_that_is_protected_if_any_is(text: str, data: st.DataObject) -> None:
    units = units_of(text)
    runs: list[tuple[int, int]] = []
    at = 0
    while at < len(units):
        last = min(len(units) - 1, at + data.draw(st.integers(0, 3)))
        runs.append((at, last))
        at = last + 1
    found = [*units.merged(runs)]
    assert [(unit.start, unit.stop) for unit in found] == [
        (units[first].start, units[last].stop) for first, last in runs
    ]
    assert [unit.protected for unit in found] == [
        any(unit.protected for unit in units[first : last + 1]) for first, last in runs
    ]


@given(TEXT, st.lists(st.integers(0, 120), max_size=8))
def test_parts_begin_at_their_bounds(text: str, drawn: list[int]) -> None:
    units = units_of(text)
    bounds = [0, *sorted({bound for bound in drawn if 0 < bound < len(text)})]
    costs = [float(stop - start) for start, stop, _ in units]
    found = parts(bounds, units, costs)
    assert [n for part in found for n in range(part.first, part.stop)] == [*range(len(units))]
    for part in found:
        assert isinstance(part, Part)
        own = units[part.first : part.stop]
        assert part.tokens == sum(stop - start for start, stop, _ in own)
        assert part.protected_tokens == sum(stop - start for start, stop, kept in own if kept)
        assert len({sum(bound <= unit.start for bound in bounds) for unit in own}) == 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=30))
def test_a_level_is_the_place_in_the_group(drawn: list[tuple[int, int]]) -> None:
    groups, scores = [group for group, _ in drawn], [float(score) for _, score in drawn]
    rates = {0: 0.2, 1: 0.5, 2: 0.8, 3: 1.0}
    for at, level in enumerate(levelled(scores, groups, rates)):
        own = [n for n, group in enumerate(groups) if group == groups[at]]
        better = sum((scores[n], -n) > (scores[at], -at) for n in own)
        rank = len(own) - 1 - better
        assert level == (rank + 0.5) / len(own) - (1 - rates[groups[at]])
