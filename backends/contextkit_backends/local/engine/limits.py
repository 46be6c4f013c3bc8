"""How far a model's own attention reaches, where that is less than without end."""

from __future__ import annotations

from typing import Any

from contextkit_backends.local.engine.adapter import Adapted


def attention_chunk(model: Any) -> int | None:
    """Tokens of the chunks that some layers attend within (Llama 4), or None."""
    text = model.config.get_text_config()
    chunked = "chunked_attention" in (getattr(text, "layer_types", None) or ())
    return int(text.attention_chunk_size) if chunked else None


def most_positions(adapted: Adapted) -> int | None:
    """Positions that the model can be told, or None where there is no end.

    A learned table ends; so does the first attention chunk, since chunks are not masked here.
    """
    limits = [attention_chunk(adapted.model)]
    if adapted.adds_positions:
        limits.append(
            getattr(adapted.model.config.get_text_config(), "max_position_embeddings", None)
        )
    return min((limit for limit in limits if limit is not None), default=None)
