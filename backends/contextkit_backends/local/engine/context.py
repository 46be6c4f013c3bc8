"""The forward in progress: what our attention function finds, without being told by the model.

A model's layers call `attention(module, query, key, value, …)` and pass on nothing of ours, so what
belongs to one forward lies in a context variable while it runs. Forwards do not nest.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from contextkit.errors import EngineError


@dataclass(frozen=True, slots=True)
class Call:
    """What a layer says beside its tensors."""

    scale: float
    softcap: float | None = None
    sink_logits: Tensor | None = None
    """Learned logits `[Hq]` of one more column in the softmax's denominator (gpt-oss)."""
    window: int | None = None
    """The layer's own sliding window, the token itself counted."""
    mask: Tensor | None = None
    """`[batch, n]` of a padded batch, 0 where there is padding."""


class Forward(Protocol):
    """Answers the attention of every layer in one forward pass."""

    positions: Tensor | None
    """True positions int64 `[1, n]` for the rotary angles; None: those the model was given."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, call: Call) -> Tensor:
        """`query [B, Hq, n, D]`, `key [B, Hkv, n, D]`, `value [B, Hkv, n, Dv]` to `[B, n, Hq, Dv]`."""
        ...


_current: ContextVar[Forward | None] = ContextVar("contextkit_forward", default=None)


_lent: ContextVar[Forward | None] = ContextVar("contextkit_lent", default=None)


def lend(forward: Forward) -> None:
    """`forward` answers the next call of `attention` in this context, and only that."""
    _lent.set(forward)


@contextmanager
def running(forward: Forward) -> Generator[None]:
    """`forward` answers the attention of what runs inside; EngineError where another one already does."""
    if _current.get() is not None:
        raise EngineError("a forward pass of the engine runs already in this context")
    token = _current.set(forward)
    try:
        yield
    finally:
        _current.reset(token)


def positions_of_this_forward() -> Tensor | None:
    """The true positions of the tokens in the forward in progress, where it has its own."""
    forward = _current.get()
    return None if forward is None else forward.positions


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    **said: Any,
) -> tuple[Tensor, None]:
    """What transformers calls in every layer, in the form of its attention interface."""
    forward = _current.get() or _lent.get()
    _lent.set(None)
    if forward is None:
        raise EngineError(
            "the model's attention belongs to an engine and was called outside of it; use the engine, "
            "or pass past_key_values=engine.cache()"
        )
    scale = said.get("scaling")
    call = Call(
        scale=query.shape[-1] ** -0.5 if scale is None else float(scale),
        softcap=said.get("softcap"),
        sink_logits=said.get("s_aux"),
        window=said.get("sliding_window"),
        mask=attention_mask,
    )
    return forward.attend(module.layer_idx, query, key, value, call), None


NAME = "contextkit"
"""Under this name transformers knows our attention function."""


def register(transformers: Any) -> None:
    """Make the function known to transformers, once; it takes no masks but those of padded batches."""
    if NAME in transformers.AttentionInterface._global_mapping:
        return
    masks: Any = transformers.AttentionMaskInterface
    transformers.AttentionInterface.register(NAME, attention)
    masks.register(NAME, _padding_only)


def _padding_only(*_: Any, attention_mask: Tensor | None = None, **__: Any) -> Tensor | None:
    return attention_mask
