"""Generation on the shipped checkpoint: transformers' answers, stop texts, pieces, JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contextkit_backends.local.load import SHIPPED

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from contextkit_backends.local.engine import Engine  # noqa: E402

POCKET = SHIPPED / "pocket"
PROMPTS = ("The old ship", "Water is", "In the morning the two brothers went to the market and")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load("pocket", device="cpu", dtype="float32", pool_tokens=2048, threads=1)


@pytest.fixture(scope="module")
def reference() -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(POCKET, dtype=torch.float32).eval()


def test_equals_transformers(engine: Engine, reference: Any) -> None:
    assert engine.tokenizer is not None
    found = engine.generate(PROMPTS, max_new_tokens=16, eos=frozenset(), logprobs=True)
    for prompt, one in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([engine.tokenizer.encode(prompt)])
        with torch.inference_mode():
            own = reference.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=16,
                min_new_tokens=16,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=1,
            )
            logits = reference(own).logits[0, ids.shape[1] - 1 : -1].float()
        new = own[0, ids.shape[1] :]
        assert one.token_ids == tuple(new.tolist())
        assert one.text == engine.tokenizer.decode(new.tolist())
        wanted = logits.log_softmax(-1).gather(-1, new[:, None])[:, 0]
        assert torch.allclose(torch.tensor(one.logprobs), wanted, atol=1e-4)


def test_pieces_add_up_and_stop_texts_end_them(engine: Engine) -> None:
    (whole,) = engine.generate(PROMPTS[:1], max_new_tokens=24)
    *pieces, last = engine.stream_generate(PROMPTS[0], max_new_tokens=24)
    assert "".join(piece.text for piece in pieces) + last.text == whole.text
    assert last.generation is not None
    assert last.generation.token_ids == whole.token_ids
    stop = whole.text[len(whole.text) // 2 :][:4]
    (cut,) = engine.generate(PROMPTS[:1], max_new_tokens=24, stop=(stop,))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    *pieces, last = engine.stream_generate(PROMPTS[0], max_new_tokens=24, stop=(stop,))
    assert "".join(piece.text for piece in pieces) + last.text == cut.text
    assert last.generation == cut


def test_a_schema_is_kept_to_beside_a_free_reply(engine: Engine) -> None:
    pytest.importorskip("llguidance", reason="needs contextkit[structured]")
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Bern", "Oslo"]}, "n": {"type": "integer", "maximum": 9}},
        "required": ["city", "n"],
        "additionalProperties": False,
    }
    for temperature in (0.0, 1.0):
        (one,) = engine.generate(
            PROMPTS[:1], max_new_tokens=120, json_schema=schema, temperature=temperature, seed=3
        )
        if one.finish_reason == "length":  # white space may go on for ever
            assert not one.text.strip().endswith("}")
            continue
        found = json.loads(one.text)
        assert set(found) == {"city", "n"}
        assert found["city"] in ("Bern", "Oslo")
