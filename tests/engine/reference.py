"""StreamingLLM as its paper has it: keys are kept unrotated and rotated at every read, by cache place.

Semantics of the published evaluation code (arXiv:2309.17453): after each token the cache is cut to `sinks`
first and `window` last tokens, so a token sees `sinks + window` and itself, at places 0, 1, 2, …
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AttentionInterface

from .architectures import Architecture


class RotateAtRead:
    """Runs a model token by token; told position 0, it rotates nothing itself."""

    def __init__(
        self, model: Any, architecture: Architecture, sinks: int, window: int | None
    ) -> None:
        self.model, self.architecture = copy.deepcopy(model), architecture
        self.sinks, self.window = sinks, window
        self.kept: list[int] = []
        self.n_read = 0
        self.cached: dict[int, list[tuple[Any, Any]]] = {}
        AttentionInterface.register("rotate_at_read", self._attend)
        self.model.set_attn_implementation("rotate_at_read")
        self.rotary = next(m for n, m in self.model.named_modules() if n.endswith("rotary_emb"))

    def extend(self, token_ids: list[int]) -> Any:
        """Logits `[n, vocab]`."""
        AttentionInterface.register("rotate_at_read", self._attend)
        return torch.cat([self._step(token) for token in token_ids])

    def drop(self, positions: range) -> None:
        """These tokens leave the cache."""
        gone = [n for n, position in enumerate(self.kept) if position in positions]
        holders: list[list[Any]] = [self.kept, *self.cached.values()]
        for entries in holders:
            del entries[gone[0] : gone[-1] + 1]

    def _step(self, token: int) -> Any:
        ids, place = torch.tensor([[token]]), torch.tensor([[0]])
        with torch.inference_mode():
            logits = self.model(input_ids=ids, position_ids=place, use_cache=False).logits[0]
        self.kept.append(self.n_read)
        self.n_read += 1
        if self.window is not None and len(self.kept) > self.sinks + self.window:
            self.drop(range(self.kept[self.sinks], self.kept[-self.window]))
        return logits.float()

    def _attend(
        self, module: Any, q: Any, k: Any, v: Any, mask: Any, *, scaling: float, **said: Any
    ) -> Any:
        entries = self.cached.setdefault(module.layer_idx, [])
        entries.append((k[0, :, 0], v[0, :, 0]))
        keys, values = (torch.stack(x, dim=1) for x in zip(*entries, strict=True))
        keys = self._rotate(module, keys, torch.arange(len(entries)))
        query = self._rotate(module, q[0], torch.tensor([len(entries) - 1]))
        n_groups = q.shape[1] // k.shape[1]
        keys, values = (x.repeat_interleave(n_groups, dim=0) for x in (keys, values))
        scores = (query @ keys.transpose(1, 2)).float() * scaling
        if said.get("softcap") is not None:
            scores = torch.tanh(scores / said["softcap"]) * said["softcap"]
        if said.get("sliding_window"):
            # The layer's own window; the sinks stay, as they do for the engine's window.
            first = self.sinks if self.window is not None else 0
            scores[..., first : max(first, len(entries) - said["sliding_window"])] = -torch.inf
        if said.get("s_aux") is not None:
            scores = torch.cat((scores, said["s_aux"].float()[:, None, None]), dim=-1)
        weights = scores.softmax(dim=-1)[..., : len(entries)].to(values.dtype)
        return (weights @ values).transpose(0, 1)[None], None

    def _rotate(self, module: Any, x: Any, places: Any) -> Any:
        """`x [heads, n, D]` rotated to `places [n]`."""
        if not self.architecture.rotates(module):
            return x
        kind = self.architecture.kind(module)
        own = hasattr(self.rotary, f"{kind}_inv_freq")
        frequencies = getattr(self.rotary, f"{kind}_inv_freq" if own else "inv_freq")
        angles = places[:, None].double() * frequencies.double()
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        n = len(frequencies)
        start = x.shape[-1] - 2 * n if self.architecture.at_end else 0
        rest, part, tail = x.tensor_split((start, start + 2 * n), dim=-1)
        if self.architecture.pairing == "halves":
            a, b = part[..., :n], part[..., n:]
            turned = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
        else:
            a, b = part[..., 0::2], part[..., 1::2]
            turned = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
        return torch.cat((rest, turned, tail), dim=-1)
