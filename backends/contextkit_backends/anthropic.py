"""Anthropic's Messages API: system, cache points and signed thinking as the call sealed them.

backend: {kind: anthropic, model: claude-sonnet-5-5}

Thinking is switched on by `extra_body: {thinking: {type: enabled, budget_tokens: 2048}}`; its blocks
come back with their signatures and are stored as they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from contextkit.backend import Capabilities, Reply, ReplyChunk
from contextkit.dialects.streams import AnthropicCollector
from contextkit.dialects.usage import inner
from contextkit.replies import anthropic_reply, collected_reply, plain
from contextkit.tokens import TokenCounter
from contextkit.tokens.choose import counter_for

from ._failures import cut_stream
from ._remote import RemoteBackend
from ._windows import ANTHROPIC, find_window

if TYPE_CHECKING:
    from types import ModuleType

    from contextkit.call import Call


class AnthropicBackend(RemoteBackend):
    """Asks a Claude model. Needs `pip install "contextkit[anthropic]"`."""

    kind: ClassVar[str] = "anthropic"
    sdk: ClassVar[str] = "anthropic"
    key_variable: ClassVar[str] = "ANTHROPIC_API_KEY"

    @cached_property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            context_window=self.window or find_window(ANTHROPIC, self.model),
            dialect="anthropic",
            provider="anthropic",
            model=self.model,
            max_input_tokens=self.max_input_tokens,
        )

    @cached_property
    def counter(self) -> TokenCounter:
        return counter_for("anthropic", self.model, self.tokenizer)

    def complete(self, call: Call) -> Reply:
        """Ask once and wait for the whole answer."""
        with self.telling():
            answer = plain(self.client.messages.create(**self._request(call)))
            self._remember(call, answer)
            return anthropic_reply(answer)

    def stream(self, call: Call) -> Iterator[ReplyChunk]:
        """Ask and hand on what comes; the last chunk has the whole reply."""
        collector = AnthropicCollector()
        request = self._request(call)
        began: Mapping[str, Any] = {}
        with (
            self.telling(),
            closing(self.client.messages.create(**request, stream=True)) as events,
        ):
            for event in events:
                wire = plain(event)
                began = began or inner(wire, "message")
                if text := collector.add(wire):
                    yield ReplyChunk(text)
        if not collector.finished:
            raise cut_stream(self.place)
        self._remember(call, began)
        reply = collected_reply(collector)
        if verdict := inner(began, "diagnostics"):
            reply = replace(reply, raw={**reply.raw, "diagnostics": verdict})
        yield ReplyChunk(reply=reply)

    def _request(self, call: Call) -> dict[str, Any]:
        form = call.to_anthropic()
        return {
            **self._settings(),
            **self._diagnosis(call),
            **{name: value for name, value in form.items() if value or name == "messages"},
            "max_tokens": call.max_output_tokens,
        }

    def _diagnosis(self, call: Call) -> dict[str, Any]:
        """What asks for a verdict on the cache; a first call opts in with no answer to compare."""
        if not self.diagnostics:
            return {}
        return {"diagnostics": {"previous_message_id": self._answers.before(call)}}

    def _make(self, sdk: ModuleType, **options: Any) -> Any:
        return sdk.Anthropic(**options)
