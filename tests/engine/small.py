"""A Llama small enough to be asked hundreds of times in a test."""

from __future__ import annotations

from typing import Any

import pytest

VOCABULARY = 97


def small_llama(seed: int = 0, **more: Any) -> Any:
    """Two layers, random weights made large enough that tokens differ clearly."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        **{
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 4096,
            **more,
        }
    )
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 4.0
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def greedy(model: Any, prompt: list[int], n: int) -> tuple[int, ...]:
    """What transformers' own generate answers."""
    torch = pytest.importorskip("torch")
    ids = torch.tensor([prompt])
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
    )
    return tuple(found[0, len(prompt) :].tolist())
