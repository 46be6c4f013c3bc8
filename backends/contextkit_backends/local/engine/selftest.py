"""Proof at load that the model on pages answers as the model itself does.

A model may accept our attention function and never call it, or mean something by its tensors that we do
not see; both would be silent. So it reads a few tokens both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from contextkit_backends.local.engine.adapter import Adapted, Bypassed
from contextkit_backends.local.engine.batch import Row
from contextkit_backends.local.engine.paged import Paged
from contextkit_backends.local.engine.settings import EngineSettings

N_TOKENS = 8
N_PREFILL = 5


@dataclass(frozen=True, eq=False)
class Trial:
    """A few tokens, and the logits fp32 `[n, vocab]` that the model's own attention gives them."""

    token_ids: list[int]
    logits: Tensor

    @classmethod
    def of(cls, adapted: Adapted, settings: EngineSettings) -> Trial:
        """Ask the model with its own attention spelled out, its rotary factors chosen as for pages."""
        model = adapted.model
        # So few that neither the engine's window nor a layer's own hides one of them.
        windows = [settings.context_tokens, *(layer.window for layer in adapted.layers)]
        n = min(N_TOKENS, settings.page_tokens, *(window for window in windows if window))
        n_tokens = model.get_input_embeddings().num_embeddings
        token_ids = [(7919 * place + 11) % n_tokens for place in range(n)]
        own = model.config._attn_implementation
        ids = torch.tensor([token_ids], device=model.device)
        try:
            model.set_attn_implementation("eager")
            with torch.inference_mode():
                logits = model(input_ids=ids, use_cache=False).logits[0].float()
        finally:
            model.set_attn_implementation(own)
        return cls(token_ids, logits)

    def check(self, paged: Paged) -> None:
        """Bypassed, with the difference, where a prefill and single steps do not agree."""
        sequence = paged.open()
        sequence.chain = None
        ids = self.token_ids
        try:
            parts = [ids[:N_PREFILL], *([token] for token in ids[N_PREFILL:])]
            found = torch.cat(
                [paged.step([Row(sequence, part)], every=True) for part in parts if part]
            )
        finally:
            sequence.close()
            paged.n_computed = 0
        spread = float(self.logits.std()) or 1.0
        error = float((found - self.logits).square().mean().sqrt()) / spread
        tolerance = 1e-4 if paged.model.dtype == torch.float32 else 0.1
        if not error <= tolerance:
            raise Bypassed(
                f"on pages its logits differ by {error:.2g} of their spread from its own attention's"
            )
