"""The embedder behind an API, against a provider on loopback."""

from __future__ import annotations

import numpy as np
import pytest

import contextkit
from contextkit.embedders.openai import OpenAIEmbedder
from contextkit.embedding import embed
from contextkit.errors import ConfigError, EmbeddingFailed
from tests.fakes.answers import Failure
from tests.fakes.openai_embeddings import vector
from tests.fakes.provider import FakeProvider

pytest.importorskip("openai")


def made(provider: FakeProvider, **fields: object) -> OpenAIEmbedder:
    values = {"base_url": provider.openai_url, "max_retries": 0, "timeout_s": 5, **fields}
    return OpenAIEmbedder.model_validate(values)


def test_rows_stand_in_the_order_of_the_texts(provider: FakeProvider) -> None:
    texts = ["a long text " * 50, "", "short", "\ud800", " ", "other"]
    embedder = made(provider, batch_size=2)
    rows = embed(embedder, texts)
    for index in (0, 2, 5):
        assert np.allclose(rows[index], vector(texts[index], 1536), atol=1e-3)
    assert not rows[[1, 4]].any()
    assert provider.refused == []
    assert [len(seen.body["input"]) for seen in provider.seen] == [2, 2]
    embedder.close()
    assert embed(embedder, ["again"]).any()
    embedder.close()


def test_long_texts_and_many_are_what_the_provider_takes(provider: FakeProvider) -> None:
    with_many = [f"{i} " + "登机口在哪里" * 4000 for i in range(3)] + ["word " * 20] * 2100
    embedder = made(provider, batch_size=2048, max_chars=8000, dimensions=16)
    assert embed(embedder, with_many).shape == (2103, 16)
    assert provider.refused == []
    embedder.close()


def test_fewer_dimensions_are_asked_for_and_other_models_say_theirs(provider: FakeProvider) -> None:
    small = made(provider, dimensions=64)
    assert embed(small, ["text"]).shape == (1, 64)
    assert provider.seen[-1].body["dimensions"] == 64
    provider.embedding_dimension = 96
    own = made(
        provider, model="own", dimensions=96, query_prefix="query: ", text_prefix="passage: "
    )
    assert np.allclose(embed(own, ["t"])[0], vector("passage: t", 96), atol=1e-3)
    assert np.allclose(embed(own, ["t"], query=True)[0], vector("query: t", 96), atol=1e-3)
    assert "dimensions" not in provider.seen[-1].body
    assert len({small.name, own.name, made(provider).name}) == 3
    with pytest.raises(
        ConfigError, match=r"embedder\.dimensions: must be given for the model 'own'"
    ):
        contextkit.load({"embedder": {"kind": "openai", "model": "own"}})
    small.close()
    own.close()


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (Failure(429, "slow down"), "slow down"),
        (
            Failure(401, "Incorrect API key provided: sk-secret"),
            r"Incorrect API key provided: \*\*\*",
        ),
        (Failure(500, "oh"), "oh"),
        (Failure(drop=True), "check base_url, model and api_key"),
        (Failure(hang=True), "raise timeout_s"),
    ],
)
def test_failures_say_what_would_work(provider: FakeProvider, failure: Failure, said: str) -> None:
    embedder = made(provider, api_key="sk-secret", timeout_s=0.3)
    provider.failures = [failure]
    with pytest.raises(EmbeddingFailed, match=said) as raised:
        embedder.embed(["one", "two"])
    assert "2 texts were not embedded" in str(raised.value)
    assert "sk-secret" not in f"{raised.value}{embedder!r}"
    embedder.close()


def test_another_dimension_is_named(provider: FakeProvider) -> None:
    provider.embedding_dimension = 8
    embedder = made(provider, model="own", dimensions=96)
    with pytest.raises(EmbeddingFailed, match=r"1 vectors of \[8\] dimensions came for 1 texts"):
        embedder.embed(["one"])
    embedder.close()


def test_nobody_there() -> None:
    embedder = OpenAIEmbedder(base_url="http://me:secret@127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(
        EmbeddingFailed, match=r"at http://127\.0\.0\.1:9/v1: APIConnectionError"
    ) as e:
        embedder.embed(["one"])
    assert "secret" not in str(e.value)
    embedder.close()
