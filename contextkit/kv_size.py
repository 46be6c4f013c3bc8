"""How many bytes a model's keys and values take, from its `config.json` alone.

The figures are those of the local engine's pool: whole pages of `page_tokens` tokens, the same for every
attention layer. In `int4-int8` full pages are quantised, scales counted; sinks and the page in progress are
bf16, and of a page of sinks whose other tokens have left only the sinks are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from contextkit.errors import ConfigError

KvOption: TypeAlias = Literal["fp32", "bf16", "int4-int8"]

_N_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_N_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_N_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_HEAD_DIM = ("head_dim", "kv_channels", "attention_head_dim")


@dataclass(frozen=True, slots=True)
class KvShape:
    """What a model stores for a token. `sliding` are the windows of layers that read only so far."""

    n_layers: int
    n_heads: int
    n_kv_heads: int
    key_dim: int
    value_dim: int
    sliding: tuple[int, ...] = ()
    latent_dim: int | None = None
    """Numbers a token and layer that a cache of compressed latents would hold (MLA); ours expands them."""

    @property
    def n_numbers(self) -> int:
        """Numbers that a token takes over all layers."""
        return self.n_layers * self.n_kv_heads * (self.key_dim + self.value_dim)

    def page_bytes(self, page_tokens: int, option: KvOption) -> int:
        """Bytes of a full page over all layers."""
        if option != "int4-int8":
            return page_tokens * self.n_numbers * (4 if option == "fp32" else 2)
        keys = page_tokens * self.key_dim // 2 + 2 * self.key_dim
        values = page_tokens * (self.value_dim + 2)
        return self.n_layers * self.n_kv_heads * (keys + values)


@dataclass(frozen=True, slots=True)
class KvSize:
    """The cache of one stream in one way of keeping it."""

    option: KvOption
    sinks: int
    window: int | None
    n_tokens: int
    """Tokens that can still be read; with a window fewer than were."""
    n_bytes: int


def read_shape(config: Mapping[str, Any]) -> KvShape:
    """The shape that a `config.json` describes; ConfigError names what it does not say."""
    text: Any = config.get("text_config")
    config = cast("Mapping[str, Any]", text) if isinstance(text, Mapping) else config
    n_heads = _need(config, _N_HEADS)
    n_kv_heads = _first(config, _N_KV_HEADS) or n_heads
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        n_kv_heads = 1
    kinds = list(_attention_kinds(config))
    windows = tuple(window for kind in kinds if (window := _reach(config, kind)))
    rank = _first(config, ("kv_lora_rank",))
    if rank is not None:
        rotated = _need(config, ("qk_rope_head_dim",))
        key_dim = _need(config, ("qk_nope_head_dim",)) + rotated
        value_dim = _need(config, ("v_head_dim",))
        return KvShape(
            len(kinds), n_heads, n_heads, key_dim, value_dim, windows, latent_dim=rank + rotated
        )
    dim = _first(config, _HEAD_DIM) or _need(config, _HIDDEN) // n_heads
    return KvShape(
        len(kinds), n_heads, n_kv_heads, dim, _first(config, ("v_head_dim",)) or dim, windows
    )


def sizes(
    shape: KvShape, n_tokens: int, *, sinks: int, window: int, page_tokens: int
) -> list[KvSize]:
    """Every option, everything kept and then with sinks and a window."""
    return [
        kv_size(shape, n_tokens, option, sinks=kept[0], window=kept[1], page_tokens=page_tokens)
        for kept in ((0, None), (sinks, window))
        for option in get_args(KvOption)
    ]


def kv_size(
    shape: KvShape,
    n_tokens: int,
    option: KvOption,
    *,
    sinks: int = 0,
    window: int | None = None,
    page_tokens: int = 64,
) -> KvSize:
    """The pages that a stream of `n_tokens` holds, in bytes."""
    low = 0 if window is None else max(0, n_tokens - window)
    n_head = min(-(-sinks // page_tokens), -(-n_tokens // page_tokens)) if window else 0
    tail_first = max(low // page_tokens, n_head)
    n_tail_full = max(0, n_tokens // page_tokens - tail_first)
    in_progress = n_tokens % page_tokens > 0 and n_tokens // page_tokens >= tail_first
    unpacked: KvOption = "bf16" if option == "int4-int8" else option
    n_bytes = n_tail_full * shape.page_bytes(page_tokens, option)
    n_bytes += (n_head + in_progress) * shape.page_bytes(page_tokens, unpacked)
    sinks = sinks if window else 0
    if option == "int4-int8" and sinks % page_tokens and low >= n_head * page_tokens:
        n_bytes -= shape.page_bytes(page_tokens - sinks % page_tokens, unpacked)
    return KvSize(option, sinks, window, n_tokens - max(0, low - sinks), n_bytes)


def _attention_kinds(config: Mapping[str, Any]) -> Iterator[str]:
    """One word for each layer that has a cache: full, sliding or chunked attention."""
    n_layers = _need(config, _N_LAYERS)
    kinds: Any = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(kinds, list):
        words = [str(kind) for kind in cast("list[Any]", kinds)]
        yield from (w for w in words if w == "hybrid" or ("attention" in w and "linear" not in w))
        return
    period = _first(config, ("attn_layer_period",))
    offset = int(config.get("attn_layer_offset") or 0)
    slides = config.get("sliding_window") and config.get("use_sliding_window", True)
    for layer in range(n_layers):
        if period is None or layer % period == offset:
            yield "sliding_attention" if slides else "full_attention"


def _reach(config: Mapping[str, Any], kind: str) -> int | None:
    keys = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    return _first(config, (keys[kind],)) if kind in keys else None


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((int(config[name]) for name in names if config.get(name)), None)


def _need(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    found = _first(config, names)
    if found is None:
        raise ConfigError(
            f"model: its config.json has none of {', '.join(names)}, so its cache has no size"
        )
    return found
