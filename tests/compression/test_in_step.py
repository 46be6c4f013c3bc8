"""Texts compressed side by side: each as if it were alone, and what they ask is asked together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextkit.compression import ProtectedMass
from contextkit.compression.in_step import Asking, Planned, Task, compress_many, in_step
from contextkit.compression.methods import NAMES, MethodName, method
from contextkit.compression.scoring import Asked, Begins, SurprisalScorer, TableReading
from contextkit.errors import ConfigError
from contextkit.tokens import TiktokenCounter

from .test_methods import document

count = TiktokenCounter().count
BY_SCORES: tuple[MethodName, ...] = ("selective_context", "llmlingua", "longllmlingua", "scope")


class Together(SurprisalScorer):
    """A table that likes to be asked about several texts at once, and remembers how it was asked."""

    side_by_side: int = 4
    asked: ClassVar[list[int]] = []

    @property
    def at_once(self) -> int:
        return self.side_by_side

    def open(self) -> Counted:
        return Counted()

    def score_many(self, asked: Sequence[Asked]) -> list[list[float]]:
        self.asked.append(len(asked))
        return super().score_many(asked)


class Counted(TableReading):
    """How many readings are open."""

    n_open: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.n_open += 1

    def close(self) -> None:
        Counted.n_open -= 1


TEXTS = st.lists(
    st.one_of(
        st.builds(document, st.integers(1, 12), st.integers(0, 50)),
        st.text(max_size=200),
        st.sampled_from(["", "one", "no 12 or 13, never 14\n\n" * 9]),
    ),
    max_size=7,
)


@settings(deadline=None, max_examples=25)
@given(TEXTS, st.integers(1, 5), st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from(BY_SCORES))
def test_each_text_is_told_as_if_it_were_alone(
    texts: list[str], side_by_side: int, rate: float, name: MethodName
) -> None:
    by = method(name, "stub", Together(side_by_side=side_by_side))
    tasks = [
        Task(text, max(1, int(rate * count(text))), count, "Where is the Ferryman?", f"m{n}")
        for n, text in enumerate(texts)
    ]
    alone = [
        by.compress(t.text, t.target_tokens, count, question=t.question, handle=t.handle)
        for t in tasks
    ]
    assert compress_many(by, tasks) == alone
    assert Counted.n_open == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_method_takes_many(name: MethodName) -> None:
    by = method(name, "stub", Together())
    assert isinstance(by, Planned) == (name in BY_SCORES)
    tasks = [Task(document(6, n), 90, count) for n in range(3)]
    assert compress_many(by, tasks) == [by.compress(t.text, 90, count) for t in tasks]
    assert compress_many(by, []) == []


def test_the_segments_of_several_texts_are_asked_about_together() -> None:
    by = method("llmlingua", "stub", Together(side_by_side=3))
    tasks = [Task(document(60, n), 700, count) for n in range(3)]
    Together.asked.clear()
    compress_many(by, tasks)
    together = [*Together.asked]
    Together.asked.clear()
    for task in tasks:
        compress_many(by, [task])
    assert sum(together) == sum(Together.asked)
    assert together[1] == 3, "behind the documents a segment each"
    assert len(together) <= 0.5 * len(Together.asked)


def test_a_text_begins_where_another_one_ended() -> None:
    def plan(name: str, n: int) -> Asking[str]:
        for _ in range(n):
            yield [Asked("", name, [])]
        return name

    Together.asked.clear()
    plans = [plan("a", 4), plan("b", 1), plan("c", 3), plan("d", 0), plan("e", 1)]
    assert in_step(Together(side_by_side=2), plans) == ["a", "b", "c", "d", "e"]
    assert Together.asked == [2, 2, 2, 2, 1]


class Later(Together):
    """Answers when it is asked to, and remembers what was asked and answered in which order."""

    worth: int = 1
    log: ClassVar[list[str]] = []

    @property
    def enough(self) -> int:
        return self.worth

    def begin(self, asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        names = "".join(each.text[:1] for each in asked)
        self.log.append(f"ask {names}")

        def answer() -> list[list[float]]:
            self.log.append(f"answer {names}")
            return self.score_many(asked)

        return answer


def test_texts_are_worked_on_while_others_are_being_scored() -> None:
    def plan(name: str, n: int) -> Asking[str]:
        for _ in range(n):
            Later.log.append(f"work {name}")
            yield [Asked("", name * 3, [3])]
        return name

    Later.log.clear()
    plans = [plan("a", 2), plan("b", 1), plan("c", 1), plan("d", 1)]
    scorer = Later(side_by_side=3, worth=6)
    assert isinstance(scorer, Begins)
    assert in_step(scorer, plans) == ["a", "b", "c", "d"]
    assert Later.log == [
        *("work a", "work b", "ask ab", "work c", "answer ab", "work a", "ask ca", "work d"),
        *("answer ca", "ask d", "answer d"),
    ]


@settings(deadline=None, max_examples=25)
@given(TEXTS, st.integers(1, 5), st.sampled_from([1, 300, 5000]), st.sampled_from(BY_SCORES))
def test_answers_that_come_later_are_the_same(
    texts: list[str], side_by_side: int, worth: int, name: MethodName
) -> None:
    tasks = [Task(text, max(1, count(text) // 3), count, "Where is it?", "m") for text in texts]
    at_once = method(name, "stub", Together(side_by_side=side_by_side))
    later = method(name, "stub", Later(side_by_side=side_by_side, worth=worth))
    assert compress_many(later, tasks) == compress_many(at_once, tasks)
    assert Counted.n_open == 0


class Broken(Later):
    """Fails as soon as it is asked behind a reading."""

    def begin(self, asked: Sequence[Asked]) -> Callable[[], list[list[float]]]:
        if Counted.n_open:
            raise ConfigError("no more answers")
        return super().begin(asked)


def test_where_a_scorer_fails_every_reading_is_let_go_of() -> None:
    by = method("llmlingua", "stub", Broken(side_by_side=3, worth=300))
    tasks = [Task(document(30, n), 200, count) for n in range(4)]
    with pytest.raises(ConfigError, match="no more answers") as failure:
        compress_many(by, tasks)
    assert Counted.n_open == 0, "while the error still holds the plans"
    assert failure.tb is not None


def test_where_one_text_cannot_be_told_the_others_let_go_of_what_they_hold() -> None:
    by = method("llmlingua", "error", Together())
    free = document(30, 1)
    tasks = [Task(free, count(free) // 2, count), Task("no 12 or 13, never 14\n" * 60, 20, count)]
    with pytest.raises(ProtectedMass, match="but the target is 20"):
        compress_many(by, tasks)
    assert Counted.n_open == 0
