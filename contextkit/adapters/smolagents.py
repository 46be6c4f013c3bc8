"""A smolagents agent keeps its code and gets managed context: its model, wrapped.

    model = wrap(OpenAIModel("gpt-4o"), contextkit.load("agent.yaml"))
    agent = ToolCallingAgent(tools=tools, model=model)                           # as before

smolagents writes its memory anew as text for every step. What it calls tools with, and what it observed,
are read as call and result, so that policies see the task as the request and observations as results.
The agent's memory is not touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit.adapters._framework import Assembled, Bridge, Unit, missing
from contextkit.adapters._proxy import Proxy
from contextkit.backend import Reply
from contextkit.dialects import openai
from contextkit.errors import InvalidMessage
from contextkit.messages import (
    ImagePart,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from contextkit.usage import Usage

try:
    from smolagents import memory, models, utils  # type: ignore[import-untyped]
except ImportError as error:
    raise missing("smolagents", "smolagents", error) from error

if TYPE_CHECKING:
    from contextkit.manager import ContextManager
    from contextkit.tools import Tool

_models: Any = models  # smolagents declares no types of its own
ChatMessage: Any = _models.ChatMessage
MessageRole: Any = _models.MessageRole

ModelT = TypeVar("ModelT")

_BATCH = "tools"
"""The name under which a step's calls, which smolagents writes as one text, are kept."""
_CLOSING = 2
"""Place of the closing tag among the stop sequences of a code agent, which puts it back."""


def wrap(
    model: ModelT, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
) -> ModelT:
    """A stand-in for a smolagents model whose `generate` and `generate_stream` fit the budget.

    Without `thread` a conversation is recognised by its messages; a planning step is one of its own.
    Raises `BudgetExceeded` and `InvalidMessage`, which smolagents wraps in its `AgentGenerationError`;
    after an error of the model nothing is recorded.
    """
    bridge = Bridge(manager, thread=thread, tenant=tenant)
    replaced: dict[str, Any] = {"generate": partial(_generate, model, bridge)}
    if hasattr(model, "generate_stream"):
        replaced["generate_stream"] = partial(_generate_stream, model, bridge)
    return cast("ModelT", _Model(model, replaced))


class _Model(Proxy):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.generate(*args, **kwargs)


def _generate(
    model: Any, bridge: Bridge, messages: Sequence[Any], *args: Any, **kwargs: Any
) -> Any:
    stops, more, assembled = _begin(bridge, messages, args, kwargs)
    try:
        answer = model.generate(assembled.show(_make), stops, **more)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = bridge.smaller(assembled, error)
        answer = model.generate(assembled.show(_make), stops, **more)
    bridge.finish(assembled, partial(_reply, answer, stops, _n_calls(messages)))
    return answer


def _generate_stream(
    model: Any, bridge: Bridge, messages: Sequence[Any], *args: Any, **kwargs: Any
) -> Iterator[Any]:
    stops, more, assembled = _begin(bridge, messages, args, kwargs)
    try:
        deltas = model.generate_stream(assembled.show(_make), stops, **more)
        first = next(deltas, None)
    except Exception as error:  # noqa: BLE001  all but "too long" is raised again
        assembled = bridge.smaller(assembled, error)
        deltas = model.generate_stream(assembled.show(_make), stops, **more)
        first = next(deltas, None)
    seen: list[Any] = []
    while first is not None:
        seen.append(first)
        yield first
        first = next(deltas, None)
    n_calls = _n_calls(messages)
    bridge.finish(
        assembled, lambda: _reply(_models.agglomerate_stream_deltas(seen), stops, n_calls)
    )


def _begin(
    bridge: Bridge, messages: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[list[str] | None, dict[str, Any], Assembled[Any]]:
    names = ("stop_sequences", "response_format", "tools_to_call_from")
    more = dict(zip(names, args, strict=False)) | kwargs
    stops: list[str] | None = more.pop("stop_sequences", None)
    tools: list[Tool] = [
        openai.parse_tool(_models.get_tool_json_schema(tool))
        for tool in more.get("tools_to_call_from") or ()
    ]
    return stops, more, bridge.begin(_units(messages), tools)


def _units(messages: Sequence[Any]) -> list[Unit[Any]]:
    """The steps as messages: a step's calls and what it observed, images included, are a pair."""
    units: list[Unit[Any]] = []
    images: list[Any] = []
    n_calls = 0
    is_open = False
    for index, item in enumerate(messages):
        said = _said(item)
        try:
            parts = _parts(said.content)
        except InvalidMessage as error:
            raise InvalidMessage(f"messages.{index}.{error}") from None
        role = MessageRole(said.role)
        call_id = f"step-{n_calls}"
        if role is MessageRole.TOOL_CALL:
            n_calls += 1
            is_open = True
            call = ToolCallPart(f"step-{n_calls}", _BATCH, _text(parts))
            units.append(Unit((item,), (Message("assistant", (call,)),)))
        elif is_open and role is MessageRole.USER and all(isinstance(p, ImagePart) for p in parts):
            images.append((item, parts))
        elif is_open and role is MessageRole.TOOL_RESPONSE:
            pictured = tuple(part for _, found in images for part in found)
            content = (*pictured, *parts) if pictured else _text(parts)
            observed = Message("tool", (ToolResultPart(call_id, content, name=_BATCH),))
            units.append(Unit((*(shown for shown, _ in images), item), (observed,)))
            images, is_open = [], False
        else:
            units += [Unit((shown,), (Message("user", found),)) for shown, found in images]
            images, is_open = [], False
            units.append(Unit((item,), (Message(_ROLES[role], parts),)))
    return units


def _said(item: Any) -> Any:
    """A message as an object; smolagents takes dictionaries too."""
    return ChatMessage.from_dict({**item}) if isinstance(item, Mapping) else item


def _n_calls(messages: Sequence[Any]) -> int:
    roles = [MessageRole(_said(item).role) for item in messages]
    return sum(role is MessageRole.TOOL_CALL for role in roles)


_ROLES: dict[Any, Any] = {
    MessageRole.SYSTEM: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.TOOL_RESPONSE: "developer",  # of a step that failed before it called anything
}


def _parts(content: Any) -> tuple[Part, ...]:
    if content is None or isinstance(content, str):
        return (TextPart(content),) if content else ()
    return tuple(_part(element) for element in content)


def _part(element: dict[str, Any]) -> Part:
    kind = element.get("type")
    if kind == "text":
        return TextPart(str(element["text"]))
    if kind == "image":
        return ImagePart(
            data=cast("Any", utils).encode_image_base64(element["image"]), media_type="image/png"
        )
    if kind == "image_url":
        return ImagePart(url=element["image_url"]["url"])
    return OpaquePart("smolagents", json.loads(json.dumps(element, default=str)))


def _text(parts: Sequence[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _make(message: Message) -> list[Any]:
    """Messages that say what a policy put there."""
    if message.tool_results:
        return [_written(MessageRole.TOOL_RESPONSE, r.text) for r in message.tool_results]
    if message.tool_calls:
        said = "\n".join(call.arguments for call in message.tool_calls)
        return [_written(MessageRole.TOOL_CALL, said)]
    role = MessageRole.TOOL_RESPONSE if message.role == "developer" else MessageRole(message.role)
    return [_written(role, message.text)]


def _written(role: Any, text: str) -> Any:
    return ChatMessage(role=role, content=[{"type": "text", "text": text}])


def _reply(answer: Any, stops: list[str] | None, n_calls: int) -> Reply:
    """The answer as smolagents will write it into the next request."""
    used = answer.token_usage
    usage = None if used is None else Usage(used.input_tokens, used.output_tokens)
    if answer.content is None and answer.tool_calls:
        text = f"Calling tools:\n{_written_calls(answer.tool_calls)}"
        call = ToolCallPart(f"step-{n_calls + 1}", _BATCH, text)
        return Reply(Message("assistant", (call,)), usage)
    text = answer.content or ""
    closing = stops[_CLOSING] if stops and len(stops) > _CLOSING else ""
    if text and not text.strip().endswith(closing):
        text += closing
    return Reply(text_message("assistant", text.strip()), usage)


def _written_calls(calls: Sequence[Any]) -> list[dict[str, Any]]:
    by_id = {
        call.id: cast("Any", memory).ToolCall(
            call.function.name, _models.parse_json_if_needed(call.function.arguments), call.id
        )
        for call in calls
    }
    return [by_id[call_id].dict() for call_id in sorted(by_id)]
