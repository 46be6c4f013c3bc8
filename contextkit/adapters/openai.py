"""A chat loop written for the OpenAI SDK keeps its code and gets managed context.

    client = wrap(OpenAI(), contextkit.load("agent.yaml"))
    client.chat.completions.create(model=…, messages=history, tools=tools)      # as before

Managed are `chat.completions.create/parse/stream` and `responses.create/parse/stream`, synchronous
and asynchronous, streamed and not. Everything else passes through: other resources,
`with_raw_response`, Responses requests whose history the provider keeps (`previous_response_id`,
`conversation`, `item_reference`), and chats in the form that came before tools (`function_call`). Keep
sending the whole history; a loop that cuts it itself begins a new thread at each cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit.adapters._conversations import Conversations
from contextkit.adapters._proxy import Proxy, Request, Wire, endpoint, is_async
from contextkit.adapters._shared import given, parse_each
from contextkit.dialects import openai, responses
from contextkit.dialects.streams import ChatCollector, ResponsesCollector
from contextkit.messages import Message, text_message
from contextkit.replies import chat_reply, plain, responses_message, responses_reply
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.call import Call
    from contextkit.manager import ContextManager

Client = TypeVar("Client")

_KEPT_THERE = ("previous_response_id", "conversation", "prompt")
_LAST = ("response.completed", "response.incomplete", "response.failed")


def wrap(
    client: Client, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
) -> Client:
    """A stand-in for `client` (`OpenAI`, `AsyncOpenAI`, or a subclass) whose calls fit the budget.

    Without `thread` the conversation is recognised by its messages. What is sent is decided by the
    manager's budget and policies; the client's own model answers. Raises `BudgetExceeded` and
    `InvalidMessage` beside what the SDK raises; after an error nothing is recorded, and the same
    request may be made again.
    """
    return cast("Client", _wrap(client, Conversations(manager, thread, tenant)))


def _wrap(client: Any, conversations: Conversations) -> Proxy:
    asynchronous = is_async(client)
    completions = endpoint(client.chat.completions, conversations, CHAT, asynchronous)
    chat = Proxy(client.chat, {"completions": completions})

    def with_options(**options: Any) -> Proxy:
        return _wrap(client.with_options(**options), conversations)

    return Proxy(
        client,
        {
            "chat": chat,
            "responses": endpoint(client.responses, conversations, RESPONSES, asynchronous),
            "with_options": with_options,
            "copy": with_options,
        },
    )


def _read_chat(request: Request) -> tuple[list[Message], list[Tool]] | None:
    messages = given(request, "messages")
    if messages is None or any(map(_is_before_tools, _listed(messages))):
        return None
    tools = parse_each(openai.parse_tool, given(request, "tools"), "tools")
    return parse_each(openai.parse, messages, "messages"), tools


def _write_chat(request: Request, call: Call) -> Request:
    form = call.to_openai()
    return {**_with_tools(request, form, call, openai.parse_tool), "messages": form["messages"]}


def _with_tools(request: Request, form: Mapping[str, Any], call: Call, parse: Any) -> Request:
    """The user's own tools where the call has the same, else those of the call."""
    if list(call.tools) == parse_each(parse, given(request, "tools"), "tools"):
        return request
    rest = {name: value for name, value in request.items() if name != "tools"}
    return rest | ({"tools": form["tools"]} if form.get("tools") else {})


def _pick_chunk(event: Any) -> Mapping[str, Any] | None:
    kind = getattr(event, "type", None)
    if kind is None:
        return cast("Mapping[str, Any]", plain(event))
    return cast("Mapping[str, Any]", plain(event.chunk)) if kind == "chunk" else None


def _read_responses(request: Request) -> tuple[list[Message], list[Tool]] | None:
    said = given(request, "input")
    if said is None or any(given(request, name) is not None for name in _KEPT_THERE):
        return None
    messages: list[Message] = []
    if instructions := given(request, "instructions"):
        messages.append(text_message("system", instructions))
    if isinstance(said, str):
        messages.append(text_message("user", said))
    elif any(map(_is_kept_there, _listed(said))):
        return None
    else:
        messages += _turns(said)
    return messages, parse_each(responses.parse_tool, given(request, "tools"), "tools")


def _is_before_tools(message: Any) -> bool:
    """Whether a message has the form that came before tools, without ids to pair by."""
    return _field(message, "role") == "function" or bool(_field(message, "function_call"))


def _is_kept_there(item: Any) -> bool:
    """Whether an item stands for another that the provider has, or answers one of those."""
    kind = _field(item, "type")
    if kind == "function_call_output":
        return _field(item, "call_id") is None
    is_named = kind is None and _field(item, "role") is None and _field(item, "id") is not None
    return is_named or kind == "item_reference"


def _listed(values: Any) -> Sequence[Any]:
    """Values that may be looked at twice."""
    return cast("Sequence[Any]", values) if isinstance(values, list | tuple) else ()


def _field(value: Any, name: str) -> Any:
    """A field of a dictionary or of an SDK's object; None where it has none."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    return getattr(value, name, None)


def _turns(items: Any) -> list[Message]:
    """Input items as messages, the items of one reply as the one message they were."""
    wire = [plain(item) for item in items]
    parsed = parse_each(responses.parse, wire, "input")
    turns: list[Message] = []
    pairs = zip(wire, parsed, strict=True)
    for ours, run in groupby(pairs, key=lambda pair: pair[1].role == "assistant"):
        found = list(run)
        turns += [responses_message([w for w, _ in found])] if ours else [m for _, m in found]
    return turns


def _write_responses(request: Request, call: Call) -> Request:
    instructions = given(request, "instructions")
    head = call.messages[0]
    if instructions and head.role == "system" and head.text == instructions:
        form = responses.request(call.messages[1:], call.tools)
    else:
        form = call.to_responses()
        request = {name: value for name, value in request.items() if name != "instructions"}
    return {**_with_tools(request, form, call, responses.parse_tool), "input": form["input"]}


def _pick_last(event: Any) -> Mapping[str, Any] | None:
    return cast("Mapping[str, Any]", plain(event)) if event.type in _LAST else None


CHAT = Wire(_read_chat, _write_chat, chat_reply, ChatCollector, _pick_chunk)
RESPONSES = Wire(_read_responses, _write_responses, responses_reply, ResponsesCollector, _pick_last)
