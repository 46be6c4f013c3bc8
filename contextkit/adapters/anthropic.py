"""A chat loop written for the Anthropic SDK keeps its code and gets managed context.

    client = wrap(Anthropic(), contextkit.load("agent.yaml"))
    client.messages.create(model=…, max_tokens=…, system=…, messages=history)   # as before

Managed are `messages.create/parse/stream`, the same under `beta`, synchronous and asynchronous.
`system` is the first message of the thread and goes back as `system`; cache points are the call's.
Everything else passes through. Keep sending the whole history; a loop that cuts it itself begins a
new thread at each cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit.adapters._conversations import Conversations
from contextkit.adapters._proxy import Proxy, Request, Wire, endpoint, is_async
from contextkit.adapters._shared import given, parse_each
from contextkit.dialects import anthropic
from contextkit.dialects.streams import AnthropicCollector
from contextkit.messages import Message
from contextkit.replies import anthropic_reply, plain
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.call import Call
    from contextkit.manager import ContextManager

Client = TypeVar("Client")

_EVENTS = (
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
)


def wrap(
    client: Client, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
) -> Client:
    """A stand-in for `client` (`Anthropic`, `AsyncAnthropic`, or a subclass) whose calls fit the budget.

    Without `thread` the conversation is recognised by its messages. What is sent is decided by the
    manager's budget and policies; the client's own model answers. Raises `BudgetExceeded` and
    `InvalidMessage` beside what the SDK raises; after an error nothing is recorded, and the same
    request may be made again.
    """
    return cast("Client", _wrap(client, Conversations(manager, thread, tenant)))


def _wrap(client: Any, conversations: Conversations) -> Proxy:
    asynchronous = is_async(client)

    def with_options(**options: Any) -> Proxy:
        return _wrap(client.with_options(**options), conversations)

    replaced: dict[str, Any] = {
        "messages": endpoint(client.messages, conversations, MESSAGES, asynchronous),
        "with_options": with_options,
        "copy": with_options,
    }
    beta = getattr(client, "beta", None)  # the clients of some clouds have none
    if beta is not None and hasattr(beta, "messages"):
        messages = endpoint(beta.messages, conversations, MESSAGES, asynchronous)
        replaced["beta"] = Proxy(beta, {"messages": messages})
    return Proxy(client, replaced)


def _read(request: Request) -> tuple[list[Message], list[Tool]] | None:
    said = given(request, "messages")
    if said is None:
        return None
    system = given(request, "system")
    head = [{"role": "system", "content": plain(system)}] if system else []
    messages = parse_each(anthropic.parse, head, "system")
    messages += parse_each(anthropic.parse, said, "messages")
    return messages, parse_each(anthropic.parse_tool, given(request, "tools"), "tools")


def _write(request: Request, call: Call) -> Request:
    form = call.to_anthropic()
    # The provider counts a request-wide mark among its four; the call's own points come first.
    dropped = ("system", "tools", *(("cache_control",) if call.cache_points else ()))
    rest = {name: value for name, value in request.items() if name not in dropped}
    return rest | {name: form[name] for name in ("system", "messages", "tools") if form.get(name)}


def _pick(event: Any) -> Mapping[str, Any] | None:
    """Events that came over the wire; the SDK's helper adds others, with copies of the text so far."""
    return cast("Mapping[str, Any]", plain(event)) if event.type in _EVENTS else None


MESSAGES = Wire(_read, _write, anthropic_reply, AnthropicCollector, _pick)
