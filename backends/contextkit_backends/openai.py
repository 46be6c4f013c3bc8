"""OpenAI, and every server that speaks its API (vLLM, SGLang, llama.cpp, gateways).

    backend: {kind: openai, model: gpt-4.1-mini}
    backend: {kind: openai, model: Qwen/Qwen3-8B, base_url: "http://gpu:8000/v1", window: 32768}

Each request carries everything the model reads; nothing is kept at the provider (`store: false`
where the Responses API would keep it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import PrivateAttr, model_validator

from contextkit.backend import Capabilities, Reply, ReplyChunk
from contextkit.dialects.streams import ChatCollector, ResponsesCollector
from contextkit.dialects.usage import inner
from contextkit.replies import chat_reply, collected_reply, plain, responses_reply
from contextkit.tokens import TokenCounter
from contextkit.tokens.choose import counter_for

from ._failures import AnsweredWithError, cut_stream
from ._remote import RemoteBackend
from ._windows import COMPATIBLE, find_max_input, find_window

if TYPE_CHECKING:
    from types import ModuleType

    from contextkit.call import Call

_OPTIONAL = {
    "stream_options": ("stream_options", "include_usage"),
    "include": ("encrypted", "include"),
}
"""Fields that add something but that some servers refuse, and the words by which they refuse them."""


class OpenAIBackend(RemoteBackend):
    """Asks a model over OpenAI's Chat Completions or Responses API.

    Needs `pip install "contextkit[openai]"`. `max_tokens_field` is for servers that only know the
    older `max_tokens`. `provider` is whose cache rules hold: OpenAI's own at its own address, no
    one's elsewhere.
    """

    kind: ClassVar[str] = "openai"
    sdk: ClassVar[str] = "openai"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"

    api: Literal["chat", "responses"] = "chat"
    """Which of OpenAI's two APIs to speak; compatible servers know `chat`."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How the limit of the reply is called; older servers only know `max_tokens`."""
    provider: str | None = None
    """Whose cache rules hold; OpenAI's at its own address, none elsewhere."""

    _refused: set[str] = PrivateAttr(default_factory=set[str])

    @model_validator(mode="after")
    def _can_diagnose(self) -> OpenAIBackend:
        if self.diagnostics and self.api == "chat":
            raise ValueError("diagnostics: only the Responses API has them; set api: responses")
        return self

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            context_window=self.window or find_window(COMPATIBLE, self.model),
            dialect="openai" if self.api == "chat" else "responses",
            provider=self._provider,
            model=self.model,
            max_input_tokens=self.max_input_tokens or find_max_input(self.model),
        )

    @cached_property
    def counter(self) -> TokenCounter:
        return counter_for(self._provider, self.model, self.tokenizer)

    def complete(self, call: Call) -> Reply:
        """Ask once and wait for the whole answer."""
        request = self._request(call)
        with self.telling():
            answer = plain(self._ask(request))
            if answer.get("status") == "failed":
                raise AnsweredWithError(inner(answer, "error"))
            self._remember(call, answer)
            return chat_reply(answer) if self.api == "chat" else responses_reply(answer)

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Ask and hand on what comes; the last chunk has the whole reply."""
        collector = ChatCollector() if self.api == "chat" else ResponsesCollector()
        request = self._request(call) | {"stream": True}
        if self.api == "chat":
            request["stream_options"] = {"include_usage": True}
        with self.telling(), closing(self._ask(request)) as events:
            for event in events:
                wire = plain(event)
                _check(wire)
                if text := collector.add(wire):
                    yield ReplyChunk(text)
        if not collector.finished:
            raise cut_stream(self.place)
        reply = collected_reply(collector)
        if isinstance(collector, ResponsesCollector):
            self._remember(call, collector.response)
            reply = replace(reply, raw={**collector.response, "output": collector.wire})
        yield ReplyChunk(reply=reply)

    def _request(self, call: Call) -> dict[str, Any]:
        if self.api == "chat":
            return {
                **self._settings(),
                **_sent(call.to_openai()),
                self.max_tokens_field: call.max_output_tokens,
            }
        return {
            **self._settings(),
            **_sent(call.to_responses()),
            "max_output_tokens": call.max_output_tokens,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            **self._diagnosis(call),
        }

    def _diagnosis(self, call: Call) -> dict[str, Any]:
        """What asks for a verdict on the cache; only where there is an answer to compare with."""
        before = self._answers.before(call) if self.diagnostics else None
        return {"prompt_cache_options": {"comparison_response_id": before}} if before else {}

    def _ask(self, request: Mapping[str, Any]) -> Any:
        """Send the request, without the optional fields that this server refuses."""
        sent = {name: value for name, value in request.items() if name not in self._refused}
        client = self.client
        create = client.chat.completions.create if self.api == "chat" else client.responses.create
        try:
            return create(**sent)
        except Exception as error:
            refused = _refused_field(error, sent)
            if refused is None:
                raise
            self._refused.add(refused)
            return self._ask(request)

    @property
    def _provider(self) -> str:
        if self.provider is not None:
            return self.provider
        return "openai" if self._at_openai else ""

    @property
    def _at_openai(self) -> bool:
        address = self.base_url or os.environ.get("OPENAI_BASE_URL")
        return not address or (urlsplit(address).hostname or "").endswith("openai.com")

    def _make(self, sdk: ModuleType, **options: Any) -> Any:
        if not self._at_openai and "OPENAI_API_KEY" not in os.environ:
            options.setdefault("api_key", "none")  # the SDK wants one; such servers mostly do not
        return sdk.OpenAI(**options)


def _sent(form: Mapping[str, Any]) -> dict[str, Any]:
    """The form without empty fields, which the provider refuses (`tools: []`)."""
    return {name: value for name, value in form.items() if value or name in ("messages", "input")}


def _refused_field(error: Exception, sent: Mapping[str, Any]) -> str | None:
    """The optional field that a 400 or 422 is about."""
    if getattr(error, "status_code", None) not in (400, 422):
        return None
    said = str(error).lower()
    for name, words in _OPTIONAL.items():
        if name in sent and any(word in said for word in words):
            return name
    return None


def _check(event: Mapping[str, Any]) -> None:
    """Raise what a Responses stream reports as an event of its own."""
    if event.get("type") == "error":
        raise AnsweredWithError(event.get("error") or event)
    if event.get("type") == "response.failed":
        raise AnsweredWithError(inner(inner(event, "response"), "error"))
