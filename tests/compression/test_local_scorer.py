"""The local scorer on the shipped checkpoint: batch, branch and one pass agree; nothing is read twice."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

import contextkit
from contextkit import plugins
from contextkit.compression import words
from contextkit.compression.in_step import Task, compress_many
from contextkit.compression.llmlingua import LLMLingua
from contextkit.compression.longllmlingua import LongLLMLingua
from contextkit.compression.methods import MethodName, method
from contextkit.compression.methods import scorer as by_kind
from contextkit.compression.scoring import Asked, Reading, SurprisalScorer
from contextkit.errors import UnknownPlugin
from contextkit.tokens import TiktokenCounter

from .test_methods import document

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from contextkit_backends.local.load import quick_dtype  # noqa: E402
from contextkit_backends.local.scorer import LocalScorer, _loaded  # noqa: E402

TEXTS = (
    "The old ship sailed to the harbour.",
    "Paris is the capital of France.",
    "Once upon a time there was a king who had three sons.",
)
count = TiktokenCounter().count


def ends(text: str) -> list[int]:
    return [word.stop for word in words(text)]


@pytest.fixture(scope="module")
def scorer() -> LocalScorer:
    return LocalScorer(device="cpu", dtype="float32", threads=1, window=64)


def test_a_batch_scores_as_each_text_alone_and_as_a_reading(scorer: LocalScorer) -> None:
    context = "There is a story about the sea."
    asked = [Asked(context, text, ends(text)) for text in TEXTS]
    together = scorer.score_many(asked)
    for each, batch in zip(asked, together, strict=True):
        (alone,) = scorer.score_many([each])
        with scorer.open() as reading:
            (behind,) = scorer.score_many([replace(each, reading=reading)])
            (again,) = scorer.score_many([replace(each, context="", reading=reading)])
        assert batch == pytest.approx(alone, abs=1e-3)
        assert behind == pytest.approx(alone, abs=1e-3)
        assert again == pytest.approx(behind, abs=1e-4), "scoring reads nothing"


def test_a_lone_surrogate_is_read_as_a_question_mark(scorer: LocalScorer) -> None:
    asked = [Asked(f"Where {mark}", f"is it {mark} now", [3, 6, 8, 11]) for mark in "\ud800?"]
    broken, whole = scorer.score_many(asked)
    assert broken == pytest.approx(whole, abs=1e-3)


def test_what_was_read_is_expected(scorer: LocalScorer) -> None:
    text = TEXTS[0]
    units = ends(text)
    alone, after = scorer.score_many([Asked("", text, units), Asked(f"{text} ", text, units)])
    assert sum(after) < 0.7 * sum(alone)
    assert len(after) == len(units)


def test_a_word_has_the_bits_of_its_own_tokens(scorer: LocalScorer) -> None:
    text = "the the the zyzzyva the the"
    (bits,) = scorer.score_many([Asked("", text, ends(text))])
    assert max(range(len(bits)), key=lambda i: bits[i]) == 3


def test_survivors_are_read_once_and_words_scored_on_branches(scorer: LocalScorer) -> None:
    engine = _loaded(scorer).engine
    with scorer.open() as reading:
        scorer.score_many([Asked(document(6, 1), "", [], reading)])
        before = engine.stats().prefill_tokens
        scorer.score_many([Asked("", TEXTS[0], ends(TEXTS[0]), reading)])
        n_read = engine.stats().prefill_tokens - before
    assert 0 < n_read <= 2 * len(TEXTS[0].split()) + 4
    assert engine.stats().n_free_pages == engine.stats().n_pages, (
        "nothing is held, nothing published"
    )


def test_texts_longer_than_the_window(scorer: LocalScorer) -> None:
    text = document(13, 2)
    assert count(text) > 2 * scorer.window
    for by in (LLMLingua(scorer, "stub"), LongLLMLingua(scorer, "stub", prior=0.0)):
        made = by.compress(text, count(text) // 3, count, question="Where is the Ferryman?")
        assert made.note == "local"
        assert count(text) // 3 - 0.02 * count(text) <= made.achieved_tokens <= count(text) // 3


def test_no_text_has_no_bits(scorer: LocalScorer) -> None:
    assert scorer.score_many([]) == []
    assert scorer.score_many([Asked("", "", []), Asked("a", "", [])]) == [[], []]
    with scorer.open() as reading:
        assert scorer.score_many([Asked("", "", [], reading)]) == [[]]


def test_readings_beside_each_other_score_as_alone_beyond_the_window(scorer: LocalScorer) -> None:
    texts = [document(n, seed) for seed, n in enumerate((1, 9, 5, 12))]
    assert count(texts[-1]) > 2 * scorer.window

    def asked(text: str, reading: Reading) -> Asked:
        at = len(text) * 2 // 3
        return Asked(text[:at], text[at:], ends(text[at:]), reading)

    with ExitStack() as stack:
        readings = [stack.enter_context(scorer.open()) for _ in texts]
        together = scorer.score_many([*map(asked, texts, readings)])
        once_more = scorer.score_many([*map(asked, texts, readings)])
    for text, first, second in zip(texts, together, once_more, strict=True):
        with scorer.open() as reading:
            (alone,) = scorer.score_many([asked(text, reading)])
            (again,) = scorer.score_many([asked(text, reading)])
        assert first == pytest.approx(alone, abs=1e-3)
        assert second == pytest.approx(again, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["llmlingua", "longllmlingua", "selective_context"])
def test_texts_in_step_are_told_as_one_by_one(name: MethodName, dtype: str) -> None:
    asks = LocalScorer(device="cpu", dtype=dtype, threads=1, window=64)
    by = method(name, "stub", asks)
    texts = [document(n, seed) for seed, n in enumerate((3, 14, 1, 8, 20, 5))]
    tasks = [Task(text, count(text) // 3, count, "Where is the Ferryman?") for text in texts]
    together = compress_many(by, tasks)
    assert [made.text for made in together] == [
        by.compress(t.text, t.target_tokens, count, question=t.question).text for t in tasks
    ]
    assert _loaded(asks).engine.stats().n_free_pages == _loaded(asks).engine.stats().n_pages


def test_threads_share_one_engine(scorer: LocalScorer) -> None:
    by = method("llmlingua", "stub", scorer)
    texts = [document(n, seed) for seed, n in enumerate((9, 4, 12, 7))]

    def told(text: str) -> str:
        return by.compress(text, count(text) // 3, count).text

    alone = [told(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(told, texts)] == alone
    assert _loaded(scorer).engine.stats().n_free_pages == _loaded(scorer).engine.stats().n_pages


def test_as_many_texts_side_by_side_as_there_are_pages_for(scorer: LocalScorer) -> None:
    n_pages = _loaded(scorer).engine.stats().n_pages
    assert scorer.at_once == 8
    wide = LocalScorer(device="cpu", dtype="float32", threads=1, window=64 * n_pages)
    assert wide.at_once == 1


def test_auto_is_bfloat16_where_a_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for known, expected in ({"avx512_bf16": True}, "bfloat16"), ({"avx512_f": True}, "auto"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=known: known, raising=False)
        assert quick_dtype("cpu") == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert quick_dtype("cpu") == "auto"


def test_a_reading_is_its_own_scorers_and_in_one_question_at_a_time(scorer: LocalScorer) -> None:
    units = ends("a b")
    with scorer.open() as reading, SurprisalScorer().open() as other:
        with pytest.raises(ValueError, match="one question"):
            scorer.score_many([Asked("", "a b", units, reading)] * 2)
        with pytest.raises(TypeError, match="TableReading"):
            scorer.score_many([Asked("", "a b", units, other)])
        with pytest.raises(TypeError, match="LocalReading"):
            SurprisalScorer().score_many([Asked("", "a b", units, reading)])


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
