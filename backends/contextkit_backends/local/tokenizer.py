"""From messages to the token ids a checkpoint reads, and back; loads neither weights nor torch.

Control tokens (`<|end|>`, `<|im_start|>`, …) that stand in a message, a tool result or a schema are
encoded as the plain text they are: only the template writes control tokens, so what a tool returns
cannot open a system message. transformers does the same with `sanitize_control_tokens=True`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from contextkit.errors import ConfigError
from contextkit_backends.local.fit import Reading, ways
from contextkit_backends.local.load import require
from contextkit_backends.local.template import (
    ChatTemplate,
    TemplateRefused,
    WireMessage,
    WireTool,
)

# Lone surrogates mark a control token found in data: no text that can be encoded has one.
_OPEN, _CLOSE = "\ud800", "\udfff"
_SURROGATES = re.compile("[\ud800-\udfff]")


class ChatTokenizer:
    """A tokenizer and its chat template: `encode_chat` is the whole way into the model."""

    def __init__(self, tokenizer_json: str, template: ChatTemplate) -> None:
        tokenizers = require("tokenizers")
        self.template = template
        self._text = tokenizers.Tokenizer.from_str(tokenizer_json)
        for truncates_or_pads in (self._text.no_truncation, self._text.no_padding):
            truncates_or_pads()
        added: dict[int, Any] = self._text.get_added_tokens_decoder()
        self.control_tokens = tuple(sorted((str(t.content) for t in added.values()), key=len))[::-1]
        control = "|".join(map(re.escape, self.control_tokens)) or "(?!)"
        self._control = re.compile(control)
        self._marked = re.compile(f"{_OPEN}({control}){_CLOSE}|[{_OPEN}{_CLOSE}]")
        self._plain = tokenizers.Tokenizer.from_str(_without_added_tokens(tokenizer_json))
        self.fingerprint = sha256(
            "\0".join(
                (
                    tokenizer_json,
                    template.source,
                    template.tool_source,
                    json.dumps(template.special),
                )
            ).encode()
        ).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> ChatTokenizer:
        """The tokenizer of a checkpoint's folder; ConfigError where it has none that is usable."""
        return cls(read_tokenizer_json(folder), ChatTemplate.read(folder))

    @cached_property
    def reading(self) -> Reading:
        """How this template wants tool arguments and content, found out by asking it."""
        return Reading.of(self.template)

    def encode_chat(
        self,
        messages: Sequence[WireMessage],
        tools: Sequence[WireTool] = (),
        *,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """The ids of a whole conversation; raises `TemplateRefused` where the template does."""
        text = self.render(messages, tools, add_generation_prompt=add_generation_prompt)
        return self.encode(text)

    def render(
        self,
        messages: Sequence[WireMessage],
        tools: Sequence[WireTool] = (),
        *,
        add_generation_prompt: bool = False,
        adapt: bool = True,
    ) -> str:
        """The text of a conversation, control tokens that are data marked as such for `encode`.

        With `adapt`, a template that refuses the messages as they are is asked again with
        neighbours of one role joined, then with the system message put into the first request.
        """
        wire = [self._mark(self.reading.of_message(message)) for message in messages]
        schemas = [self._mark(tool) for tool in tools]
        refused: TemplateRefused | None = None
        for way in ways if adapt else ways[:1]:
            try:
                return self.template.render(
                    way(wire), schemas, add_generation_prompt=add_generation_prompt
                )
            except TemplateRefused as error:
                refused = refused or error
        assert refused is not None
        raise refused

    def encode(self, marked: str) -> list[int]:
        """The ids of rendered text; `marked` control tokens become plain text."""
        if _OPEN not in marked and _CLOSE not in marked:
            return list(self._text.encode(marked, add_special_tokens=False).ids)
        out: list[int] = []
        for index, piece in enumerate(self._marked.split(marked)):
            if piece:
                tokenizer = self._plain if index % 2 else self._text
                out.extend(tokenizer.encode(piece, add_special_tokens=False).ids)
        return out

    @property
    def eos_ids(self) -> frozenset[int]:
        """The token that the tokenizer itself calls the end, where it names one."""
        eos = self._text.token_to_id(self.template.special.get("eos_token", ""))
        return frozenset() if eos is None else frozenset({int(eos)})

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, control tokens left out."""
        return str(self._text.decode(list(ids), skip_special_tokens=True))

    def _mark(self, value: Any) -> Any:
        if isinstance(value, str):
            clean = _SURROGATES.sub("\ufffd", value)
            return self._control.sub(f"{_OPEN}\\g<0>{_CLOSE}", clean)
        if isinstance(value, Mapping):
            entries = cast("Mapping[str, Any]", value)
            return {key: self._mark(item) for key, item in entries.items()}
        if isinstance(value, list | tuple):
            return [self._mark(item) for item in cast("Sequence[Any]", value)]
        return value


def _without_added_tokens(tokenizer_json: str) -> str:
    """The same tokenizer, knowing no added token: `<|end|>` is six characters to it."""
    value = json.loads(tokenizer_json)
    value["added_tokens"] = []
    value["post_processor"] = None
    value["truncation"] = value["padding"] = None
    return json.dumps(value)


def read_tokenizer_json(folder: Path) -> str:
    """A folder's `tokenizer.json`, or one made by transformers from an older file format."""
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    transformers = require("transformers")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return str(tokenizer.backend_tokenizer.to_str())
    except (OSError, ValueError, ImportError, AttributeError) as error:
        raise ConfigError(
            f"model: {folder.name} has no tokenizer.json, and none could be made: {error}"
        ) from error
