"""Replies under a JSON schema: always valid, whatever the model would rather say."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from contextkit.errors import ConfigError
from contextkit_backends.local.load import SHIPPED

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("llguidance", reason="needs contextkit[structured]")

from contextkit_backends.local.engine.constrain import Grammars  # noqa: E402
from contextkit_backends.local.engine.text import PlainTokenizer  # noqa: E402

EOS = 6
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "gate": {"enum": ["A1", "B12"]},
        "minutes": {"type": "integer", "minimum": 0, "maximum": 99},
        "open": {"type": "boolean"},
    },
    "required": ["gate", "minutes", "open"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer() -> PlainTokenizer:
    return PlainTokenizer.read(SHIPPED / "pocket")


@pytest.mark.parametrize("seed", range(6))
def test_random_logits_make_valid_json(tokenizer: PlainTokenizer, seed: int) -> None:
    constraint = Grammars(tokenizer.source, [EOS]).constraint(SCHEMA)
    random = torch.Generator().manual_seed(seed)
    ids: list[int] = []
    while not constraint.complete:
        # More words than the tokenizer knows: models pad their vocabularies.
        logits = torch.randn(8200, generator=random)
        logits[: tokenizer.encode("\n")[0] + 1] -= 2.0
        masked = constraint.mask(logits)
        assert not torch.isfinite(masked[8192:]).any()
        ids.append(int(masked.argmax()))
        assert float(masked[ids[-1]]) == float(logits[ids[-1]])
        constraint.take(ids[-1])
        assert len(ids) < 400
    found = json.loads(tokenizer.decode(ids))
    assert found["gate"] in ("A1", "B12")
    assert 0 <= found["minutes"] <= 99
    assert isinstance(found["open"], bool)
    assert set(found) == {"gate", "minutes", "open"}


def test_constraints_do_not_share_their_place(tokenizer: PlainTokenizer) -> None:
    grammars = Grammars(tokenizer.source, [EOS])
    one, other = grammars.constraint(SCHEMA), grammars.constraint(SCHEMA)
    start = other.mask(torch.zeros(8192))
    one.take(int(one.mask(torch.zeros(8192)).argmax()))
    assert torch.equal(other.mask(torch.zeros(8192)), start)
    with pytest.raises(ConfigError, match="json_schema"):
        one.take(EOS)


@pytest.mark.parametrize("wrong", [{"type": "nope"}, {"type": object()}, {"pattern": 3}])
def test_a_schema_that_is_none_is_refused(tokenizer: PlainTokenizer, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="json_schema: "):
        Grammars(tokenizer.source, [EOS]).constraint(wrong)


def test_a_model_without_an_end_is_refused(tokenizer: PlainTokenizer) -> None:
    with pytest.raises(ConfigError, match="names no end token"):
        Grammars(tokenizer.source, [])


def test_the_missing_extra_is_named(
    tokenizer: PlainTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ConfigError, match=r"contextkit\[structured\]"):
        Grammars(tokenizer.source, [EOS])
