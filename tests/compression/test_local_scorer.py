"""The local scorer on the shipped checkpoint: batch, branch and one pass agree; nothing is read twice."""

from __future__ import annotations

import re

import pytest

import contextkit
from contextkit import plugins
from contextkit.compression import words
from contextkit.compression.llmlingua import LLMLingua
from contextkit.compression.longllmlingua import LongLLMLingua
from contextkit.compression.methods import scorer as by_kind
from contextkit.compression.scoring import Asked
from contextkit.errors import UnknownPlugin
from contextkit.tokens import TiktokenCounter

from .test_methods import document

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from contextkit_backends.local.scorer import LocalScorer, _loaded  # noqa: E402

TEXTS = (
    "The old ship sailed to the harbour.",
    "Paris is the capital of France.",
    "Once upon a time there was a king who had three sons.",
)
count = TiktokenCounter().count


@pytest.fixture(scope="module")
def scorer() -> LocalScorer:
    return LocalScorer(device="cpu", dtype="float32", threads=1, window=64)


def test_a_batch_scores_as_each_text_alone_and_as_a_reading(scorer: LocalScorer) -> None:
    context = "There is a story about the sea."
    asked = [Asked(context, text, words(text)) for text in TEXTS]
    together = scorer.score_many(asked)
    for each, batch in zip(asked, together, strict=True):
        (alone,) = scorer.score_many([each])
        with scorer.open() as reading:
            reading.read(context)
            behind = reading.score(each.text, each.units)
            again = reading.score(each.text, each.units)
        assert batch == pytest.approx(alone, abs=1e-3)
        assert behind == pytest.approx(alone, abs=1e-3)
        assert again == behind, "scoring reads nothing"


def test_what_was_read_is_expected(scorer: LocalScorer) -> None:
    text = TEXTS[0]
    units = words(text)
    alone, after = scorer.score_many([Asked("", text, units), Asked(f"{text} ", text, units)])
    assert sum(after) < 0.7 * sum(alone)
    assert len(after) == len(units)


def test_a_word_has_the_bits_of_its_own_tokens(scorer: LocalScorer) -> None:
    text = "the the the zyzzyva the the"
    (bits,) = scorer.score_many([Asked("", text, words(text))])
    assert max(range(len(bits)), key=lambda i: bits[i]) == 3


def test_survivors_are_read_once_and_words_scored_on_branches(scorer: LocalScorer) -> None:
    engine = _loaded(scorer).engine
    with scorer.open() as reading:
        reading.read(document(6, 1))
        before = engine.stats().prefill_tokens
        reading.score(TEXTS[0], words(TEXTS[0]))
        n_read = engine.stats().prefill_tokens - before
    assert 0 < n_read <= 2 * len(TEXTS[0].split()) + 4


def test_texts_longer_than_the_window(scorer: LocalScorer) -> None:
    text = document(13, 2)
    assert count(text) > 2 * scorer.window
    for method in (LLMLingua(scorer, "stub"), LongLLMLingua(scorer, "stub", prior=0.0)):
        made = method.compress(text, count(text) // 3, count, question="Where is the Ferryman?")
        assert made.note == "local"
        assert count(text) // 3 - 0.02 * count(text) <= made.achieved_tokens <= count(text) // 3


def test_no_text_has_no_bits(scorer: LocalScorer) -> None:
    assert scorer.score_many([]) == []
    assert scorer.score_many([Asked("", "", []), Asked("a", "", [])]) == [[], []]
    with scorer.open() as reading:
        reading.read("")
        assert reading.score("", []) == []


def test_found_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(plugins._registered, ("scorers", "local"), LocalScorer)
    assert by_kind("local", model="pocket") == LocalScorer()
    assert by_kind("surprisal").kind == "surprisal"
    with pytest.raises(UnknownPlugin, match="magic"):
        by_kind("magic")


def test_the_policy_asks_the_model_that_its_configuration_names() -> None:
    essay = document(24, 3)
    config = {
        "backend": {"kind": "echo", "context_window": 100_000},
        "budget": {"window": 1200, "reply_reserve": 100},
        "history": "memory",
        "policies": [
            {"kind": "compress", "method": "llmlingua", "scorer": "local", "rate": 0.3}
            | {"over_tokens": 128, "keep_recent": 0, "high_water": 0.2, "min_gain": 0.0}
        ],
    }
    with contextkit.load(config) as cm:
        thread = cm.thread("t")
        thread.append("Please read what comes.")
        thread.append(
            [{"role": "user", "content": essay}, {"role": "assistant", "content": "Read."}]
        )
        call = thread.assemble("Where is the Ferryman?")
        (made,) = [d for d in call.ledger.decisions if d.policy == "compress"]
        requested, achieved = map(int, re.findall(r"(\d+) (?:tokens requested|achieved)", made.why))
        assert "llmlingua as local" in made.why
        assert 0.9 * requested <= achieved <= requested
        assert count(call.messages[1].text) < 0.4 * count(essay)
        assert thread.expand(made.handle).text == essay
