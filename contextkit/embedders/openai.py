"""`{kind: openai, model: …}`: embeddings of OpenAI, or of any server that speaks its API."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from contextkit.embedders._batches import batches
from contextkit.embedders._modules import require
from contextkit.errors import EmbeddingFailed
from contextkit.native import sayable

if TYPE_CHECKING:
    from contextkit.embedding import Vectors

DIMENSIONS = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
BATCH_CHARS = 400_000
"""Characters in one request: the provider takes 300,000 tokens and 2,048 texts."""


class OpenAIEmbedder(BaseModel):
    """Asks over HTTP, in batches. The key shows neither in `repr` nor in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "openai"
    extra: ClassVar[str] = "openai"
    needs: ClassVar[tuple[str, ...]] = ("openai",)

    model: str = Field(default="text-embedding-3-small", min_length=1)
    """The model's name as the provider spells it."""
    dimensions: PositiveInt | None = Field(
        default=None,
        description="Length of a vector; may be left out for OpenAI's own models, which can be "
        "asked for fewer than they have",
    )
    base_url: str | None = Field(default=None, description="Where the API is, if not at OpenAI's")
    api_key: SecretStr | None = Field(default=None, description="From the environment by default")
    query_prefix: str = Field(
        default="", description="Put before a question, where a model asks so"
    )
    text_prefix: str = Field(default="", description="Put before a passage, where a model asks so")
    max_chars: int = Field(default=16_000, ge=100, description="Longer texts are read up to here")
    batch_size: int = Field(default=256, ge=1, le=2048, description="Texts in one request")
    timeout_s: PositiveFloat = Field(default=30.0, description="Seconds to wait for an answer")
    max_retries: int = Field(default=2, ge=0, description="After 429, 5xx or a lost connection")

    _client: Any = PrivateAttr(default=None)
    _opening: Lock = PrivateAttr(default_factory=Lock)

    @model_validator(mode="after")
    def _known_dimension(self) -> Self:
        if self.dimensions is None and self.model not in DIMENSIONS:
            raise ValueError(
                f"dimensions: must be given for the model {self.model!r}; it is known for "
                f"{', '.join(DIMENSIONS)}"
            )
        return self

    @property
    def name(self) -> str:
        name = f"openai/{self.model}/{self.dimension}"
        if not self.text_prefix:
            return name
        return f"{name}/{hashlib.sha256(self.text_prefix.encode()).hexdigest()[:8]}"

    @property
    def dimension(self) -> int:
        return self.dimensions or DIMENSIONS[self.model]

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One row a text, as the provider gives it; a row of zeros for a text without words."""
        import numpy as np

        prefix = self.query_prefix if query else self.text_prefix
        asked = {
            index: prefix + sayable(text[: self.max_chars])
            for index, text in enumerate(texts)
            if text.strip()
        }
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for batch in batches({i: len(text) for i, text in asked.items()}, BATCH_CHARS):
            for start in range(0, len(batch), self.batch_size):
                part = batch[start : start + self.batch_size]
                rows[part] = self._ask([asked[index] for index in part])
        return rows

    def close(self) -> None:
        """Give back the connections; a later call opens new ones."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, texts: list[str]) -> list[list[float]]:
        sdk = require("openai", kind=self.kind)
        request: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self.model in DIMENSIONS and self.dimension != DIMENSIONS[self.model]:
            request["dimensions"] = self.dimension
        try:
            answer = self._opened(sdk).embeddings.create(**request)
        except sdk.OpenAIError as error:
            raise EmbeddingFailed(
                f"embedder {self.name} at {self._place}: {self._told(error)}. {len(texts)} texts were "
                "not embedded; check base_url, model and api_key, or raise timeout_s"
            ) from error
        data: list[Any] = list(answer.data or ())
        vectors: list[list[float]] = [row.embedding for row in sorted(data, key=_index)]
        if len(vectors) != len(texts) or any(len(v) != self.dimension for v in vectors):
            found = sorted({len(vector) for vector in vectors})
            raise EmbeddingFailed(
                f"embedder {self.name} at {self._place}: {len(vectors)} vectors of {found} dimensions "
                f"came for {len(texts)} texts; set dimensions to what the model has"
            )
        return vectors

    def _opened(self, sdk: Any) -> Any:
        with self._opening:
            if self._client is None:
                self._client = sdk.OpenAI(**self._options())
            return self._client

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"timeout": self.timeout_s, "max_retries": self.max_retries}
        if self.base_url is not None:
            options["base_url"] = self.base_url
        if self.api_key is not None:
            options["api_key"] = self.api_key.get_secret_value()
        elif self.base_url is not None and "OPENAI_API_KEY" not in os.environ:
            options["api_key"] = "none"  # the SDK wants one; such servers mostly do not
        return options

    @property
    def _place(self) -> str:
        if self.base_url is None:
            return "openai"
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def _told(self, error: Exception) -> str:
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        said = f"{type(error).__name__}: {error}{cause}".rstrip(".")
        key = self.api_key.get_secret_value() if self.api_key else ""
        return said.replace(key, "***") if len(key) > 3 else said


def _index(row: Any) -> int:
    return int(row.index)
