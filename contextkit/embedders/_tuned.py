"""all-MiniLM-L6-v2 with low-rank changes of its weights (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contextkit.embedders._batches import batches
from contextkit.errors import ConfigError
from contextkit.native import multiplies_bfloat16, sayable

if TYPE_CHECKING:
    from threading import Lock

    import numpy as np
    from numpy.typing import NDArray

    from contextkit.embedding import Vectors

BATCH_TOKENS = 1024
MODULES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "mixed": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}
"""Names of the changes, `down.NAME` `[n_layers, rank, in]` and `up.NAME` `[n_layers, out, rank]`."""


class TunedMiniLM:
    """Reads a question with a text; a model of its own beside the one that embeds."""

    def __init__(
        self, torch: Any, model: Any, tokenizer: Any, asking: Lock, changes: Mapping[str, Any]
    ) -> None:
        self._torch, self._tokenizer, self._asking = torch, tokenizer, asking
        self.changes = changes
        self._model = _changed(torch, model, changes)

    def pairs(self, question: str, texts: Sequence[str]) -> list[tuple[Vectors, NDArray[np.int64]]]:
        """Of each text its tokens' states `[n, 384]` and where they start `[n]`.

        Reads up to 512 tokens of question and text; the longer one is cut first.
        """
        import numpy as np

        torch = self._torch
        found: list[Any] = [None] * len(texts)
        with self._asking, torch.inference_mode():
            asked = sayable(question)
            told = self._tokenizer.encode_batch([(asked, sayable(text)) for text in texts])
            for batch in batches({i: len(made.ids) for i, made in enumerate(told)}, BATCH_TOKENS):
                states = self._read([told[index] for index in batch]).float().cpu().numpy()
                for row, index in enumerate(batch):
                    made = told[index]
                    own = np.flatnonzero([which == 1 for which in made.sequence_ids])
                    starts = np.asarray(made.offsets, dtype=np.int64).reshape(-1, 2)[own, 0]
                    found[index] = states[row, own], starts
        return found

    def _read(self, some: Sequence[Any]) -> Any:
        torch, device = self._torch, self._model.device
        longest = max(len(made.ids) for made in some)

        def padded(rows: Sequence[Sequence[int]]) -> Any:
            return torch.tensor([[*r] + [0] * (longest - len(r)) for r in rows]).to(device)

        return self._model(
            input_ids=padded([made.ids for made in some]),
            token_type_ids=padded([made.type_ids for made in some]),
            attention_mask=padded([made.attention_mask for made in some]),
        ).last_hidden_state


def _changed(torch: Any, model: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of the model whose linear layers are changed, in bfloat16 where that is quicker."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        for name, place in MODULES.items():
            try:
                downs, ups = changes[f"down.{name}"], changes[f"up.{name}"]
                for layer, down, up in zip(made.encoder.layer, downs, ups, strict=True):
                    weight = layer.get_submodule(place).weight
                    weight += torch.from_numpy(up @ down).to(weight)
            except (KeyError, ValueError, RuntimeError) as error:
                raise ConfigError(
                    f"embedder minilm: the changes do not fit this model: {error}"
                ) from error
    quick = model.device.type == "cpu" and multiplies_bfloat16(torch)
    return made.to(torch.bfloat16 if quick else model.dtype).eval()
