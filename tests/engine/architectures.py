"""Tiny models with random weights of every architecture that rotates its queries, and how each rotates.

The rotation is written down here from the models' papers and code; the engine has to find it by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SHAPE = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Architecture:
    """A model type with what its tiny configuration has beside `SHAPE`."""

    name: str
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    pairing: str = "halves"
    rotates: Callable[[Any], bool] = lambda attention: True
    """Which attention modules rotate at all."""
    kind: Callable[[Any], str | None] = lambda attention: None
    """The layer type whose frequencies an attention module takes."""
    at_end: bool = False
    """The rotated channels are the last ones (MLA)."""

    def build(self, seed: int = 0) -> Any:
        """A model with weights of a spread at which attention matters."""
        torch.manual_seed(seed)
        config = AutoConfig.for_model(self.name, **{**SHAPE, **self.extra})
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim >= 2:
                    weight.mul_(3.0)
        return model


def _sliding(attention: Any) -> bool:
    return bool(attention.sliding_window)


def _layer_type(attention: Any) -> str:
    return str(attention.config.layer_types[attention.layer_idx])


# All experts are chosen: rounding then moves a token's answer a little, never to another expert.
MOE = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 48,
}
MIXED = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 64}
ROTARY = (
    Architecture("llama"),
    Architecture("qwen2"),
    Architecture("qwen3", {"head_dim": 16}),
    Architecture("qwen3_moe", {**MOE, "head_dim": 16, "norm_topk_prob": True}),
    Architecture("mistral", {"head_dim": 16, "sliding_window": None}),
    Architecture("mixtral", {**MOE, "sliding_window": None}),
    Architecture("gemma", {"head_dim": 16}),
    Architecture("gemma2", {**MIXED, "head_dim": 16, "query_pre_attn_scalar": 16}),
    Architecture(
        "gemma3_text", {**MIXED, "head_dim": 16, "query_pre_attn_scalar": 16}, kind=_layer_type
    ),
    Architecture("phi", {"partial_rotary_factor": 0.5}),
    Architecture("phi3", {"sliding_window": None}),
    Architecture("gpt_neox", {"rotary_pct": 0.25}),
    Architecture("stablelm", {"partial_rotary_factor": 0.25}),
    Architecture("starcoder2", {"sliding_window": None}),
    Architecture("cohere", {}, "interleaved"),
    Architecture("cohere2", {**MIXED, "head_dim": 16}, "interleaved", rotates=_sliding),
    Architecture("olmo2"),
    Architecture("olmo3", {**MIXED}, kind=_layer_type),
    Architecture("smollm3", {"no_rope_layers": [1, 1, 1, 0]}, rotates=lambda a: bool(a.use_rope)),
    Architecture(
        "exaone4", {**MIXED, "sliding_window_pattern": 2}, rotates=lambda a: bool(a.is_sliding)
    ),
    Architecture("granite"),
    Architecture("gpt_oss", {**MOE, **MIXED, "head_dim": 16}),
    Architecture(
        "deepseek_v3",
        {
            "n_routed_experts": 4,
            "num_experts_per_tok": 4,
            "n_group": 2,
            "topk_group": 2,
            "moe_intermediate_size": 48,
            "first_k_dense_replace": 2,
            "q_lora_rank": 32,
            "kv_lora_rank": 32,
            "qk_nope_head_dim": 16,
            "qk_rope_head_dim": 8,
            "v_head_dim": 12,
            "num_key_value_heads": 4,
        },
        at_end=True,
    ),
    Architecture(
        "llama4_text",
        {
            **MOE,
            "head_dim": 16,
            "intermediate_size_mlp": 96,
            "no_rope_layers": [1, 1, 1, 0],
            "attention_chunk_size": 2048,
            "layer_types": ["chunked_attention"] * 3 + ["full_attention"],
        },
        "interleaved",
        rotates=lambda a: bool(a.use_rope),
    ),
    Architecture("glm4", {"partial_rotary_factor": 0.5, "head_dim": 16}, "interleaved"),
    Architecture("persimmon", {"partial_rotary_factor": 0.5, "num_key_value_heads": 4}),
)
BY_NAME = {architecture.name: architecture for architecture in ROTARY}
