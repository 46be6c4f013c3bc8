"""The requests that are managed: where each has its messages, and how its replies are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contextkit.adapters._proxy import Wire
from contextkit.adapters.anthropic import MESSAGES
from contextkit.adapters.openai import CHAT, RESPONSES
from contextkit.dialects import anthropic, openai, responses
from contextkit.errors import InvalidMessage
from contextkit.messages import Message
from contextkit.server.refusals import Shape
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.call import Call


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to ask a model."""

    path: str
    shape: Shape
    wire: Wire
    array: str
    """The field that holds the history."""
    head: str
    """The field whose text is a message of its own before them, where the API has one."""
    marks: bool
    """Whether cache points are written into the request."""
    is_last: Callable[[str, Mapping[str, Any]], bool]
    """Whether nothing of a reply comes behind this event."""
    ends: Callable[[Sequence[Any]], list[int]]
    """How many items there are up to the end of each message."""
    dump: Callable[[Sequence[Message], Call], list[dict[str, Any]]]
    """Messages of a call as items; raises `InvalidMessage` where they can't be by themselves."""
    tools: Callable[[Sequence[Tool]], list[dict[str, Any]]]
    joins: bool = False
    """Whether what the model says next belongs to the message that it began, so none ends there."""

    def check(self, request: Mapping[str, Any]) -> None:
        """Raises `InvalidMessage` for fields of a type that could not be read."""
        said = request.get(self.array)
        allowed = list if self.path != RESPONSES_API.path else (list, str)
        if said is not None and not isinstance(said, allowed):
            raise InvalidMessage(f"{self.array}: must be a list, not {type(said).__name__}")
        _check_objects(self.array, said)
        if request.get("tools") is not None and not isinstance(request["tools"], list):
            raise InvalidMessage(f"tools: must be a list, not {type(request['tools']).__name__}")
        _check_objects("tools", request.get("tools"))
        head = request.get(self.head)
        if head is not None and not isinstance(head, (str, list) if self.marks else str):
            raise InvalidMessage(f"{self.head}: must be text, not {type(head).__name__}")


def _check_objects(name: str, values: Any) -> None:
    listed: list[Any] = [] if values is None or isinstance(values, str) else values
    for index, value in enumerate(listed):
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise InvalidMessage(f"{name}.{index}: must be an object, not {kind}")


def _each(items: Sequence[Any]) -> list[int]:
    """Every item is a message of its own."""
    return list(range(1, len(items) + 1))


def _turns(items: Sequence[Any]) -> list[int]:
    """The items of one reply are one message."""
    ends: list[int] = []
    within = False
    for n_items, item in enumerate(items, 1):
        own = responses.parse(item).role == "assistant"
        if own and within:
            ends[-1] = n_items
        else:
            ends.append(n_items)
        within = own
    return ends


def _chat(messages: Sequence[Message], call: Call) -> list[dict[str, Any]]:
    return [openai.dump(message) for message in messages]


def _claude(messages: Sequence[Message], call: Call) -> list[dict[str, Any]]:
    return [anthropic.dump(message) for message in messages]


def _items(messages: Sequence[Message], call: Call) -> list[dict[str, Any]]:
    items = responses.items_of(messages, call.messages)
    paired = {c.id for m in messages for c in m.tool_calls}
    paired |= {r.call_id for m in messages for r in m.tool_results}
    if paired - {item.get("call_id") for item in items}:
        raise InvalidMessage("a call's id was changed, so its other half has to be too")
    return items


def _is_done(data: str, event: Mapping[str, Any]) -> bool:
    return data == "[DONE]"


def _is_stop(data: str, event: Mapping[str, Any]) -> bool:
    return event.get("type") == "message_stop"


def _is_completed(data: str, event: Mapping[str, Any]) -> bool:
    return event.get("type") in ("response.completed", "response.incomplete", "response.failed")


CHAT_API = Endpoint(
    "/v1/chat/completions",
    "openai",
    CHAT,
    "messages",
    "",
    False,
    _is_done,
    _each,
    _chat,
    openai.tools_of,
)
RESPONSES_API = Endpoint(
    "/v1/responses",
    "openai",
    RESPONSES,
    "input",
    "instructions",
    False,
    _is_completed,
    _turns,
    _items,
    responses.tools_of,
    joins=True,
)
MESSAGES_API = Endpoint(
    "/v1/messages",
    "anthropic",
    MESSAGES,
    "messages",
    "system",
    True,
    _is_stop,
    _each,
    _claude,
    anthropic.tools_of,
)
ENDPOINTS = (CHAT_API, RESPONSES_API, MESSAGES_API)
