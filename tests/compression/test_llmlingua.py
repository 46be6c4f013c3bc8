"""LLMLingua's steps as the papers have them: survivors as context, a threshold a segment, the contrast."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from contextkit.compression import protected, words
from contextkit.compression.classifier import WordClassifier, shipped
from contextkit.compression.in_step import in_step
from contextkit.compression.iterating import iterate, segments
from contextkit.compression.llmlingua import LLMLingua
from contextkit.compression.llmlingua2 import LLMLingua2
from contextkit.compression.longllmlingua import LongLLMLingua
from contextkit.compression.phrases import phrases
from contextkit.compression.recovery import recover
from contextkit.compression.scope import Scope
from contextkit.compression.scoring import Asked, SurprisalScorer, TableReading
from contextkit.compression.selective_context import SelectiveContext
from contextkit.compression.telling import Part, choose, levelled
from contextkit.errors import ConfigError
from contextkit.tokens import TiktokenCounter

from .test_methods import document

count = TiktokenCounter().count
DOCUMENTS = (
    "The garden behind the mill is quiet and the roses grow there.",
    "The lighthouse of Varno was built by the engineer Maren Oldsen for the harbour.",
    "Bread is baked early and the bakers sing while they work.",
    "The river freezes in winter and the boats lie on the shore.",
)
QUESTION = "Who built the lighthouse of Varno?"


class Heard(SurprisalScorer):
    """The shipped scorer, with what its readings were given to read."""

    def open(self) -> Listening:
        return Listening()


class Listening(TableReading):
    heard: ClassVar[list[str]] = []

    def read(self, text: str) -> None:
        self.heard.append(text)
        super().read(text)


def test_a_segment_is_scored_behind_survivors_and_the_last_is_treated() -> None:
    text = document(40, 2)
    units = phrases(text, words(text))
    costs = [1.0] * len(units)
    Listening.heard.clear()
    asking = iterate(text, units, range(len(units)), costs, [0.5] * len(units), Heard(), size=50)
    (scores,) = in_step(Heard(), [asking])
    runs = segments(range(len(units)), costs, 50)
    assert len(Listening.heard) == len(runs), "behind the last nothing is scored"
    assert Listening.heard[0] == "", "the first stands behind nothing"
    survivors = " ".join(Listening.heard).split()
    assert 0.4 * len(text.split()) < len(survivors) < 0.65 * len(text.split())
    last = scores[-(len(units) % 50 or 50) :]
    assert any(score < 0 for score in last)


def test_each_segment_keeps_its_own_rate() -> None:
    scores = [*range(10), *range(100, 110)]
    level = levelled([float(s) for s in scores], [0] * 10 + [1] * 10, {0: 0.3, 1: 0.7})
    assert sum(s > 0 for s in level[:10]) == 3
    assert sum(s > 0 for s in level[10:]) == 7


def test_parts_are_chosen_by_worth_until_the_room_is_over() -> None:
    found = [Part(0, 1, 10, 0), Part(1, 2, 10, 9), Part(2, 3, 10, 0), Part(3, 4, 10, 0)]
    assert choose(found, [1, 9, 5, 3], 20, 100) == {1, 2}
    assert choose(found, [1, 9, 5, 3], 30, 0) == {1, 2, 3}, "the best one stays whatever it holds"
    assert choose(found, [1, 2, 5, 3], 30, 0) == {0, 2, 3}


def test_whole_documents_leave_and_pins_hold() -> None:
    text = "\n\n".join([document(5, 1), "Zyzzyva quokka xylem fjord.", document(5, 2)])
    target = count(text) // 5
    made = LLMLingua(on_protected="stub").compress(text, target, count)
    assert "Zyzzyva" in made.text
    pinned = LLMLingua(on_protected="stub", pin_first=1).compress(text, target, count)
    assert pinned.text.split()[0] in text.split(".")[0]


def test_the_document_that_the_question_asks_for_keeps_most() -> None:
    text = "\n\n".join(DOCUMENTS)
    for prior in (0.0, 1.0):
        made = LongLLMLingua(on_protected="stub", prior=prior).compress(
            text, count(text) // 3, count, question=QUESTION
        )
        kept = [sum(w in made.text.split() for w in d.split()) / len(d.split()) for d in DOCUMENTS]
        assert max(kept) == kept[1], prior


def test_documents_in_the_order_that_was_asked_for() -> None:
    text = "\n\n".join(DOCUMENTS)
    target = int(0.9 * count(text))
    best = {}
    for order in ("original", "sort", "two_stage"):
        made = LongLLMLingua(on_protected="stub", order=order).compress(
            text, target, count, question=QUESTION
        )
        best[order] = made.text.index("lighthouse")
    assert best["sort"] == best["two_stage"] < best["original"]


def test_without_a_question_it_is_llmlingua() -> None:
    text = document(30, 4)
    target = count(text) // 2
    assert (
        LongLLMLingua().compress(text, target, count).text
        == LLMLingua().compress(text, target, count).text
    )


def test_a_question_makes_its_words_likelier() -> None:
    units = words(DOCUMENTS[1])
    alone, behind = SurprisalScorer().score_many(
        [Asked(context, DOCUMENTS[1], [u.stop for u in units]) for context in ("", QUESTION)]
    )
    gain = {
        DOCUMENTS[1][u.start : u.stop].strip(): a - b
        for u, a, b in zip(units, alone, behind, strict=True)
    }
    assert gain["lighthouse"] > 1 > gain["engineer"]


def test_what_a_reply_quotes_is_put_back() -> None:
    original = "The award went to Dr. Wilhelm Conrad Röntgen of Würzburg, in 1901."
    compressed = "award Wilhelm Röntgen 1901"
    assert recover("It was Wilhelm Röntgen.", compressed, original) == (
        "It was Wilhelm Conrad Röntgen."
    )
    assert recover("Nobody knows, Wilhelm.", compressed, original) == "Nobody knows, Wilhelm."
    assert recover("", compressed, original) == ""


@pytest.mark.parametrize("unit", ["word", "phrase", "sentence"])
def test_selective_context_by_units(unit: str) -> None:
    text = "The of and to the in it. Quixotic zephyrs vex jaded wizards. The of and to in the it."
    made = SelectiveContext(unit=unit).compress(text, count(text) // 2, count)  # type: ignore[arg-type]
    assert "zephyrs vex jaded" in made.text
    long = SelectiveContext(unit="sentence", reduce="sum").compress(text, count(text) // 2, count)
    assert long.achieved_tokens <= count(text) // 2


def test_names_are_units() -> None:
    text = "He met Wilhelm Conrad Röntgen, of Germany, at the Bank of England in May 1901 again."
    told = [text[u.start : u.stop].strip() for u in phrases(text, words(text))]
    assert {"Wilhelm Conrad Röntgen,", "Bank of England", "May 1901"} <= {*told}
    assert " ".join(told) == text


def test_a_rewrite_is_taken_only_with_all_that_is_protected() -> None:
    text = " ".join(f"The gate {n} does not open and the garden is lovely today." for n in range(9))
    target = int(0.8 * count(text))
    told = []
    for loses in (False, True):

        def rewrite(source: str, tokens: int, loses: bool = loses) -> str:
            short = source.replace("and the garden is lovely today", "")
            return short.replace("not", "") if loses else short

        made = Scope(on_protected="stub", rewrite=rewrite).compress(text, target, count)
        told.append(made.note)
        assert made.achieved_tokens <= target
    assert told[0] == "rewritten" != told[1]


def test_scope_tells_the_chunk_of_the_question_longest() -> None:
    text = "\n".join([document(8, 1), " ".join([DOCUMENTS[1]] * 3), document(8, 2)])
    made = Scope(on_protected="stub").compress(text, count(text) // 3, count, question=QUESTION)
    assert made.text.count("lighthouse") >= 2


def test_names_say_more_than_function_words_to_the_classifier() -> None:
    text = "It was in the evening that the letter of the king reached Maren Oldsen in Bergen."
    units = words(text)
    scores = dict(zip(text.split(), shipped().scores(text, units), strict=True))
    assert min(scores["Maren"], scores["Bergen."]) > max(scores["It"], scores["that"], scores["of"])


def test_own_weights(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    np.savez(path, allow_pickle=False, **shipped().weights)
    text = document(20, 3)
    target = count(text) // 2
    assert (
        LLMLingua2(weights=path).compress(text, target, count).text
        == LLMLingua2().compress(text, target, count).text
    )
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match=r"broken\.npz"):
        WordClassifier.load(tmp_path / "broken.npz")


def test_long_texts_are_scored_in_blocks_as_in_one() -> None:
    text = document(700, 3)
    units = words(text)
    assert len(units) > 4200
    scores = shipped().scores(text, units)
    assert len(scores) == len(units)
    assert protected(text)
    rows = shipped()
    assert rows.scores("", []) == []
