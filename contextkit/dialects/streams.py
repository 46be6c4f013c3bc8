"""Streamed replies put together: events of a wire form go in, the whole reply comes out.

One collector a wire form, all with the same face: `add(event)` takes an event as a dictionary and
returns the text in it, `finished` says whether the provider ended the reply (a cut stream never
does), `wire` is the reply as the provider would have sent it whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from contextkit.usage import Usage

from .usage import anthropic_usage, chat_usage, inner, responses_usage

Event = Mapping[str, Any]


class Collector(Protocol):
    """Puts the events of one streamed reply together."""

    @property
    def finished(self) -> bool:
        """True once the provider said why the reply ended: nothing of it is missing."""
        ...

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def model(self) -> str:
        """Which model answers, as the provider names it; empty where it did not say."""
        ...

    @property
    def wire(self) -> Any:
        """The reply whole: an assistant message, or a list of output items (Responses)."""
        ...

    def add(self, event: Event) -> str:
        """Take in the next event; returns the text that it adds, mostly a few characters."""
        ...


class ChatCollector:
    """OpenAI chat completion chunks; of several choices the first."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.model = ""
        self._message: dict[str, Any] = {}
        self._calls: list[dict[str, Any]] = []
        self._places: dict[int, int] = {}

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    @property
    def wire(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, **self._message}
        if self._calls:
            message["tool_calls"] = self._calls
        return message

    def add(self, event: Event) -> str:
        self.usage = chat_usage(event.get("usage")) or self.usage
        self.model = event.get("model") or self.model
        said = ""
        for choice in event.get("choices") or ():
            if choice.get("index", 0) == 0:
                said += self._add_delta(inner(choice, "delta"))
                self.finish_reason = choice.get("finish_reason") or self.finish_reason
        return said

    def _add_delta(self, delta: Event) -> str:
        for name, value in delta.items():
            if name == "tool_calls":
                for fragment in value or ():
                    self._add_fragment(fragment)
            elif name != "role" and value is not None:
                self._message[name] = _joined(self._message.get(name), value)
        return str(delta.get("content") or "") + str(delta.get("refusal") or "")

    def _add_fragment(self, fragment: Event) -> None:
        call = self._call_of(fragment)
        function = inner(fragment, "function")
        call["id"] = call["id"] or fragment.get("id") or ""
        call["function"]["name"] = call["function"]["name"] or function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""
        for name in fragment.keys() - {"index", "id", "type", "function"}:
            call[name] = fragment[name]

    def _call_of(self, fragment: Event) -> dict[str, Any]:
        # Some servers leave the index out and start each call with its id.
        identity = fragment.get("id")
        index = fragment.get("index")
        if index is None:
            known = [place for place, call in enumerate(self._calls) if call["id"] == identity]
            place = known[0] if known else len(self._calls) - (0 if identity else 1)
        else:
            place = self._places.setdefault(index, len(self._calls))
        if not 0 <= place < len(self._calls):
            self._calls.append(
                {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            return self._calls[-1]
        return self._calls[place]


class ResponsesCollector:
    """Events of the OpenAI Responses API; its last event repeats the response whole."""

    def __init__(self) -> None:
        self.response: Event = {}

    @property
    def finished(self) -> bool:
        return self.response.get("status") in ("completed", "incomplete")

    @property
    def finish_reason(self) -> str | None:
        why: str | None = inner(self.response, "incomplete_details").get("reason")
        return why or self.response.get("status")

    @property
    def usage(self) -> Usage | None:
        return responses_usage(self.response.get("usage"))

    @property
    def model(self) -> str:
        return self.response.get("model") or ""

    @property
    def wire(self) -> list[dict[str, Any]]:
        return list(self.response.get("output") or ())

    def add(self, event: Event) -> str:
        kind = event.get("type")
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.response = event["response"]
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            return str(event["delta"])
        return ""


class AnthropicCollector:
    """Events of an Anthropic message; blocks it does not know are kept as they started."""

    def __init__(self) -> None:
        self.finished = False
        self.finish_reason: str | None = None
        self.model = ""
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, str] = {}

    @property
    def usage(self) -> Usage | None:
        return anthropic_usage(self._usage)

    @property
    def wire(self) -> dict[str, Any]:
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        return {"role": "assistant", "content": blocks}

    def add(self, event: Event) -> str:
        kind = event.get("type")
        if kind == "message_start":
            self._usage.update(inner(event["message"], "usage"))
            self.model = event["message"].get("model") or ""
        elif kind == "content_block_start":
            self._blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            return self._add_delta(event["index"], event["delta"])
        elif kind == "content_block_stop":
            self._close(event["index"])
        elif kind == "message_delta":
            self.finish_reason = event["delta"].get("stop_reason") or self.finish_reason
            counted = inner(event, "usage")
            self._usage.update({k: v for k, v in counted.items() if v is not None})
        elif kind == "message_stop":
            self.finished = True
        return ""

    def _add_delta(self, index: int, delta: Event) -> str:
        block = self._blocks[index]
        kind = delta.get("type")
        if kind == "text_delta":
            block["text"] = block.get("text", "") + delta["text"]
            return str(delta["text"])
        if kind == "input_json_delta":
            self._arguments[index] = self._arguments.get(index, "") + delta["partial_json"]
        elif kind == "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
        elif kind == "signature_delta":
            block["signature"] = (block.get("signature") or "") + delta["signature"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        return ""

    def _close(self, index: int) -> None:
        written = self._arguments.pop(index, "")
        if written:
            try:
                self._blocks[index]["input"] = json.loads(written)
            except ValueError:  # cut at max_tokens in the middle of the arguments
                self._blocks[index]["input"] = {}


def _joined(before: Any, added: Any) -> Any:
    """Text and lists grow; anything else is what came last."""
    if isinstance(before, str) and isinstance(added, str):
        return before + added
    if isinstance(before, list) and isinstance(added, list):
        return [*before, *added]  # pyright: ignore[reportUnknownVariableType]
    return added
