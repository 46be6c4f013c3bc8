"""A question about one of the speakers is read as it was put and in that one's own words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.manager import load
from contextkit.recall.memory import Memory
from contextkit.recall.question import Question, as_said_by
from contextkit.recall.states import read_query
from tests.recall.test_vectors import Letters


@pytest.mark.parametrize(
    ("name", "text", "own"),
    [
        ("Ann", "What does Ann like?", "What do I like?"),
        ("Ann", "What did ann really say of her kids?", "What did I really say of my kids?"),
        ("Ann", "What is Ann's favourite book?", "What is my favourite book?"),
        ("Ann", "What is Ann\u2019s dog called by Bob?", "What is my dog called by Bob?"),
        ("James", "What are James' plans?", "What are my plans?"),
        ("Ann", "Where will Ann go when she leaves?", "Where will I go when I leaves?"),
        ("Grad B", "What did Grad B think?", "What did I think?"),
        (
            "Ann Lee",
            "What has Ann bought, and is Ann Lee happy?",
            "What have I bought, and am I happy?",
        ),
        ("Ann", "Who met Ann?", None),
        ("Ann", "Was kaufte Ann?", None),
        ("Ann", "Does Annabel like it?", None),
    ],
)
def test_a_question_in_the_words_of_the_one_it_names(name: str, text: str, own: str | None) -> None:
    assert as_said_by(name, text) == own


def test_only_one_who_is_named_alone_and_in_a_talk_is_spoken_for() -> None:
    names = ["Ann", "Bob"]
    assert Question.of("What does Ann like?", names).readings == (
        "What does Ann like?",
        "What do I like?",
    )
    for question in (
        Question.of("What do Ann and Bob like?", names),
        Question.of("What is liked?", names),
        Question.of("What does Ann like?", ["Ann"]),
        Question.of("What does Ann like?", names, of_meeting=True),
    ):
        assert question.readings == (question.text,)


def test_words_and_dates_are_found_by_their_places_in_both_readings() -> None:
    question = Question.of("What did Ann eat on 3 May 2023?", ["Ann", "Bob"])
    whole = "\n".join(question.readings)
    assert [whole[each.start : each.stop] for each in question.dates] == ["3 May 2023"] * 2
    assert [whole[a:b] for a, b, _ in question.words].count("eat") == 2
    assert [whole[a:b].lower() for a, b, _ in question.words if _ == ""] != []


@given(st.text(max_size=60), st.sampled_from(["Ann", "a.b", "Zoë (home)", "O'Neil", "王 伟"]))
def test_any_text_has_a_reading_or_none(text: str, name: str) -> None:
    own = as_said_by(name, f"{text} does {name} {text}")
    assert own is None or name.lower() not in own.lower() or name.lower() in text.lower()


def test_the_readings_of_a_question_are_read_as_one() -> None:
    embedder = Letters()
    texts = ["red fox", "the blue whale"]
    both = read_query(embedder, texts)
    alone = [read_query(embedder, [text]) for text in texts]
    assert both.tokens is not None
    assert both.places is not None
    assert [alone[0].vector @ both.vector, 1] == pytest.approx([alone[1].vector @ both.vector, 1])
    assert np.linalg.norm(both.vector) == pytest.approx(1)
    assert both.tokens == pytest.approx(np.concatenate([a.tokens for a in alone]))
    said = "\n".join(texts)
    assert [said[a:b] for a, b in both.places] == ["red", "fox", "the", "blue", "whale"]


def test_a_memory_reads_both() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(
        [{"role": "user", "name": n, "content": f"I like tea, {n}."} for n in ("Ann", "Bob") * 2]
    )
    model = Letters()
    assert Memory(cm.history, thread.record_, model).search("What does Ann like?")[0].handle == "m0"
    assert model.read[-2:] == ["What does Ann like?", "What do I like?"]
