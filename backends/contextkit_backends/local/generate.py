"""Decoding with transformers' own modules and cache, one prompt or a padded batch.

This is the seam to an engine of our own: `decode` is all that the backend asks of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from contextkit_backends.local.load import require

Step: TypeAlias = list[int | None]
"""The next token of every row, None for a row that has ended."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: Sequence[int],
    eos: frozenset[int],
    sampling: Sampling,
) -> Iterator[Step]:
    """Tokens of all rows step by step, each row's end token included.

    Rows are padded on the left and masked. Work is done only when the next step is asked for, so a
    caller who stops iterating stops the model. Rows of one seed do not depend on their neighbours.
    """
    torch = require("torch")
    device = model.device
    state = _State(model, *_padded(torch, prompts, device))
    generators = [_generator(torch, sampling.seed) for _ in prompts]
    left = list(max_new_tokens)
    while any(n > 0 for n in left):
        logits = state.advance()
        step: Step = [
            _choose(torch, logits[row], sampling, generators[row]) if n > 0 else None
            for row, n in enumerate(left)
        ]
        yield step
        left = [
            0 if token is None or token in eos else n - 1
            for token, n in zip(step, left, strict=True)
        ]
        state.append([token or 0 for token in step])


class _State:
    """The ids to read next, the mask of all that was read, and the model's cache."""

    def __init__(self, model: Any, ids: Any, mask: Any) -> None:
        self._torch = require("torch")
        self._model = model
        self._ids = ids
        self._mask = mask
        kind: Any = model.__class__  # its own `forward`: hooks may wrap the instance's
        takes = inspect.signature(kind.forward).parameters
        self._kwargs: dict[str, Any] = {"use_cache": True}
        if "logits_to_keep" in takes:
            self._kwargs["logits_to_keep"] = 1
        self._positions = "position_ids" in takes

    def advance(self) -> Any:
        """Logits of the last position, rows × vocabulary, in float32 on the CPU."""
        kwargs = dict(self._kwargs)
        if self._positions:
            n_new = self._ids.shape[1]
            kwargs["position_ids"] = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -n_new:]
        with self._torch.inference_mode():
            output = self._model(input_ids=self._ids, attention_mask=self._mask, **kwargs)
            for name in ("past_key_values", "cache_params"):
                if output.get(name) is not None:
                    self._kwargs[name] = output[name]
            return output.logits[:, -1].float().cpu()

    def append(self, tokens: Sequence[int]) -> None:
        """What `advance` reads next."""
        self._ids = self._torch.tensor(tokens, device=self._ids.device).unsqueeze(1)
        self._mask = self._torch.nn.functional.pad(self._mask, (0, 1), value=1)


def _padded(torch: Any, prompts: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    longest = max(len(prompt) for prompt in prompts)
    ids = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _generator(torch: Any, seed: int | None) -> Any:
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator


def _choose(torch: Any, logits: Any, sampling: Sampling, generator: Any) -> int:
    """Nucleus sampling (Holtzman et al. 2020), or the most likely token."""
    if sampling.temperature <= 0:
        return int(logits.argmax())
    shares = torch.softmax(logits / sampling.temperature, dim=-1)
    ordered, order = shares.sort(descending=True)
    # A token stays while those before it hold less than top_p, so the first always stays.
    ordered[(ordered.cumsum(-1) - ordered) >= sampling.top_p] = 0.0
    return int(order[torch.multinomial(ordered, 1, generator=generator)])
