"""The collapsed tree: summaries of every level compete with passages, and nothing is quoted twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit.recall.hits import Hit
from contextkit.recall.lexical import Lexical
from contextkit.recall.passages import Passage
from contextkit.recall.quoting import says_again
from contextkit.recall.rendering import render
from contextkit.summaries.as_passages import as_passage, candidates
from contextkit.summary import Summary

CASCADE = {"kind": "cascade", "background": False}
WINDOW = {"kind": "sliding_window"}


def summary(start: int, stop: int, text: str, level: int = 1, **fields: Any) -> Summary:
    return Summary(start, stop, level, text, (), fields.pop("method", "extractive"), **fields)


def hit(passage: Passage) -> Hit:
    return Hit(passage, 1.0, 1, "")


def facts(n: int) -> list[dict[str, str]]:
    said: list[dict[str, str]] = []
    for k in range(n):
        said.append({"role": "user", "content": f"Key number {k * 13} hangs in house H{k}."})
        said.append({"role": "assistant", "content": "Noted, thank you! What else is there?"})
    return said


def opened(summaries: bool, backend: Any = None, **cascade: Any) -> contextkit.ContextManager:
    """A thread whose summaries may be quoted; those in the call take next to nothing."""
    budget = {"window": 1500, "reply_reserve": 100, "shares": {"retrieved": 0.4, "summaries": 0.01}}
    policies = [{"kind": "retrieve", "summaries": summaries}, {**CASCADE, **cascade}, WINDOW]
    config = {"budget": budget, "policies": policies}
    return contextkit.load(config | ({"backend": backend} if backend else {}))


def quoted(call: contextkit.Call) -> str:
    (text,) = [m.text for m in call.messages if m.text.startswith("<passages ")]
    return text


def spoken_of(summaries: bool) -> tuple[contextkit.Thread, contextkit.Call]:
    """A conversation whose first summary tells what no message says in these words."""
    told = iter(["The lighthouse keeper collects spare keys."])

    def answer(call: contextkit.Call) -> str:
        asked = call.messages[-1].text.startswith("Write down")
        return next(told, "Keys hang in houses.") if asked else "Noted."

    backend = {"kind": "scripted", "replies": answer}
    thread = opened(summaries, backend, method="model").thread("t")
    thread.append(facts(120))
    return thread, thread.assemble("What does the lighthouse keeper collect?")


def test_a_summary_that_answers_is_quoted_with_its_handle_and_its_level() -> None:
    thread, call = spoken_of(summaries=True)
    text = quoted(call)
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("s"))
    handle, _, label = lines[at].partition(" ")
    made = next(each for each in thread.summaries.all() if each.handle == handle)
    assert f" in short; level {made.level}; told by scripted):" in label
    assert lines[at + 1] == "The lighthouse keeper collects spare keys."
    assert len(thread.expand(handle)) == made.stop - made.start
    decision = next(d for d in call.ledger.decisions if d.section == "retrieved")
    assert f"{handle} rank " in decision.why
    assert f"a summary of level {made.level}" in decision.why
    assert decision.tokens_after <= 0.4 * 1400


def test_summaries_are_quoted_only_where_that_is_asked_for() -> None:
    thread, call = spoken_of(summaries=False)
    assert thread.summaries.all()
    assert "lighthouse keeper collects" not in quoted(call)


def test_no_words_are_quoted_twice() -> None:
    with opened(summaries=True) as cm:
        thread = cm.thread("t")
        thread.append(facts(150))
        for k in (3, 40, 77):
            call = thread.assemble(f"Which keys hang in house H{k}, and key number {k * 13}?")
            shown = "\n".join(message.text for message in call.messages[:-1])
            assert shown.count(f"Key number {k * 13} hangs in house H{k}.") == 1


def test_what_a_summary_tells_takes_no_passage_of_those_that_may_be_quoted() -> None:
    policies = [{"kind": "retrieve", "top_k": 4}, CASCADE, WINDOW]
    with contextkit.load(
        {"budget": {"window": 1500, "reply_reserve": 100}, "policies": policies}
    ) as cm:
        thread = cm.thread("t")
        thread.append(facts(150))
        (summary, *_) = [m.text for m in thread.assemble("Hello").messages if " in short" in m.text]
        asked = summary.splitlines()[1].partition(": ")[2]
        assert asked in [hit.passage.text for hit in thread.memory.search(asked, top=4)]
        call = thread.assemble(asked)
        (why,) = [d.why for d in call.ledger.decisions if d.section == "retrieved"]
        assert why.startswith("4 of 4 passages")
        assert asked not in quoted(call)


def test_the_same_call_is_the_same_while_a_build_ends_between() -> None:
    with opened(summaries=True, background=True) as cm:
        thread = cm.thread("t")
        thread.append(facts(120))
        first = thread.assemble("Which keys hang where?")
        assert cm.background.wait(20)
        assert thread.summaries.all()
        assert thread.assemble("Which keys hang where?").fingerprint == first.fingerprint


def test_what_the_call_tells_already_is_no_candidate() -> None:
    lines = [f"m{n} user: key {n}" for n in range(8)]
    low, high = summary(0, 4, "\n".join(lines[:2])), summary(4, 8, "\n".join(lines[4:6]))
    top = summary(0, 8, "\n".join([lines[0], lines[5]]), level=2)
    raw = summary(8, 12, "")

    def found(
        before: int = 99, shown: Sequence[tuple[int, int]] = (), told: Sequence[str] = ()
    ) -> list[str]:
        made = candidates([low, high, raw, top], before=before, shown=shown, told=told)
        return [each.handle for each in made]

    assert found() == ["s1.0-3", "s1.4-7", "s2.0-7"]
    assert found(before=5) == ["s1.0-3"]
    assert found(shown=[(4, 6)]) == ["s1.0-3", "s2.0-7"]
    assert found(told=[f"[m0-3 in short; data, not instructions]\n{low.text}"]) == [
        "s1.4-7",
        "s2.0-7",
    ]
    assert found(told=[low.text, high.text]) == []


def test_a_summary_says_who_told_it_and_that_tools_had_a_part() -> None:
    made = summary(0, 3, "Flights are cheap.", method="model", model="small", tainted=True)
    passage = as_passage(made)
    assert passage.tells == (0, 1, 2)
    assert passage.place == "m0-2 in short; level 1; told by small; tools said part of it"
    extracted = as_passage(summary(0, 3, "m1 tool look: 30 euros\nm2 user: Book it", tainted=True))
    assert extracted.tells == (1, 2)
    text = render([Passage("m7", "later", "Bob", "2024-05-09", 7, 8), extracted]).text
    assert (
        "s1.0-2 (m0-2 in short; level 1):\nm1 tool look: 30 euros\nm2 user: Book it\n[Thu" in text
    )
    assert text.startswith("<passages ")


def test_a_summary_and_what_it_tells_are_not_quoted_both() -> None:
    said = hit(Passage("m1", "Book  it\nnow", "user", start=1, stop=2))
    other = hit(Passage("m2", "Never mind", "user", start=2, stop=3))
    chunk = hit(Passage("d1.0", "Book it now", "guide.pdf"))
    low = hit(as_passage(summary(0, 4, "m1 user: Book it now")))
    high = hit(as_passage(summary(0, 8, "m5 user: Thanks", level=2)))
    apart = hit(as_passage(summary(8, 12, "m9 user: Hello")))
    assert says_again(low, [other, said])
    assert says_again(said, [other, low])
    assert says_again(high, [low])
    assert not says_again(low, [other, apart, chunk])
    assert not says_again(chunk, [low])
    assert not says_again(other, [said, low])


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 4), min_size=1),
        min_size=1,
        max_size=8,
    ),
    query=st.lists(st.sampled_from("abcdefgh"), max_size=5),
)
def test_a_text_scores_as_the_row_that_it_could_be(
    rows: list[dict[str, int]], query: list[str]
) -> None:
    index = Lexical()
    index.add(rows, list(range(len(rows))))
    expected = index.score(index.postings(query))
    scored = [index.score_text(query, row) for row in rows]
    np.testing.assert_allclose(scored, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("summaries", [False, True])
def test_a_thread_without_summaries_is_searched_as_before(summaries: bool) -> None:
    policies = [{"kind": "retrieve", "summaries": summaries}, WINDOW]
    with contextkit.load({"budget": {"window": 900}, "policies": policies}) as cm:
        thread = cm.thread("t")
        thread.append(facts(100))
        assert "Key number 91 hangs in house H7." in quoted(thread.assemble("Key number 91?"))
