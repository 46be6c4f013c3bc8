"""From a request's bytes to those that are sent, and from the reply to the log. Synchronous: the server
runs it in worker threads.
"""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from contextkit.adapters._conversations import Begun, Conversations
from contextkit.adapters._known import KnownThreads
from contextkit.adapters._said import INSTRUCTION, content_key, content_keys, opening
from contextkit.errors import InvalidMessage
from contextkit.instructions import instructions_of
from contextkit.messages import Message
from contextkit.overflow import find_overflow
from contextkit.server import json_body
from contextkit.server.endpoints import Endpoint
from contextkit.server.json_body import Body
from contextkit.server.refusals import Refusal
from contextkit.server.resent import Bodies, Known, Match, Place
from contextkit.server.splice import around, is_as_said, spliced
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.ledger import Ledger
    from contextkit.manager import ContextManager

TENANTS = 1024
"""Tenants whose conversations are at hand."""


class History:
    """What a request says: its head, the part that was known, and the messages that are new."""

    def __init__(
        self,
        endpoint: Endpoint,
        body: Body,
        match: Match | None,
        head: tuple[Message, ...],
        new: tuple[Message, ...],
    ) -> None:
        self.endpoint = endpoint
        self.body = body
        self.match = match
        self.head = head
        self.new = new
        self.n_known = match.n_messages if match else 0
        """Messages between the head and the new ones."""
        self.body_keys = match.known.keys[: self.n_known] if match else content_keys(new)
        if match:
            self.body_keys += map(content_key, new)
        """The keys of the array's messages, without the head's."""
        self.keys = [INSTRUCTION] * len(head) + self.body_keys if head else self.body_keys
        self.body_instructions = match.known.instructions if match else tuple(instructions_of(new))
        """Those that open the array."""
        self.instructions = (*head, *self.body_instructions)
        self.n_opening = len(head) + match.known.n_opening if match else opening((*head, *new))

    @property
    def n_messages(self) -> int:
        """Messages of the array."""
        return self.n_known + len(self.new)

    @cached_property
    def ends(self) -> list[int]:
        """The byte behind each new message of the array."""
        if not self.body.ends:
            return []
        n_items = self.endpoint.ends(self.body.fields[self.endpoint.array])
        return [self.body.ends[n - 1] for n in n_items]

    def end(self, n_messages: int) -> int:
        """The byte behind so many messages of the array, at least one."""
        if n_messages <= self.n_known and self.match:
            return self.match.known.ends[n_messages - 1]
        return self.ends[n_messages - self.n_known - 1]

    def since(self, start: int) -> list[Message]:
        """The messages from `start` on; what was known is read again where it is asked for."""
        behind = start - len(self.head) - self.n_known
        if behind >= 0:
            return list(self.new[behind:])
        if not self.n_known:
            return [*self.head, *self.new][start:]
        whole = json_body.read(self.body.raw, self.endpoint.array)
        read = self.endpoint.wire.read(whole.fields)
        return list(read[0])[start:] if read else []


@dataclass(frozen=True, slots=True)
class Started:
    """A request on its way: the bytes to send, and what is recorded once it was answered."""

    endpoint: Endpoint
    body: Body
    sent: bytes
    begun: Begun | None = None
    """None for a request that passes untouched."""
    history: History | None = None
    place: Place = ()

    @property
    def streams(self) -> bool:
        return self.body.fields.get("stream") is True


class Turns:
    """The conversations of all tenants under one manager. Safe to use from several threads."""

    def __init__(self, manager: ContextManager, remembered_bytes: int) -> None:
        self.manager = manager
        self.bodies = Bodies(remembered_bytes)
        self._known = KnownThreads(n_bytes=remembered_bytes)
        self._tenants: OrderedDict[str, Conversations] = OrderedDict()
        self._lock = Lock()

    def begin(self, endpoint: Endpoint, tenant: str, thread: str | None, raw: bytes) -> Started:
        """Raises `Refusal`, `InvalidMessage`, `BudgetExceeded`, `StoreError`."""
        place = (tenant, endpoint.path, thread or "")
        body, match, read = self._parsed(endpoint, place, raw)
        if read is None or _asks_nothing(read[0]):
            return Started(endpoint, body, raw)
        messages, tools = read
        n_head = 1 if body.fields.get(endpoint.head) else 0
        head, new = tuple(messages[:n_head]), tuple(messages[n_head:])
        history = History(endpoint, body, match, head, new)
        begun = self._conversations(tenant).begin_said(history, tools, thread=thread)
        return Started(endpoint, body, _sent(history, begun), begun, history, place)

    def _parsed(
        self, endpoint: Endpoint, place: Place, raw: bytes
    ) -> tuple[Body, Match | None, tuple[list[Message], list[Tool]] | None]:
        """The body and what it says, read from where it is new."""
        match = self.bodies.find(place, raw)
        if match is not None:
            # An invalid message is named by its place in the whole array, which is read below.
            with suppress(InvalidMessage):
                body = json_body.resume(raw, endpoint.array, match.known.body, match.at)
                return body, match, _read(endpoint, body)
        body = json_body.read(raw, endpoint.array)
        return body, None, _read(endpoint, body)

    def smaller(self, started: Started, message: str, code: str | None) -> Started | None:
        """The request made smaller where the provider's refusal says that it was too long."""
        overflow = find_overflow(message, code)
        if started.begun is None or started.history is None or overflow is None:
            return None
        begun = self._conversations(started.begun.thread.tenant).again(started.begun, overflow)
        return replace(started, begun=begun, sent=_sent(started.history, begun))

    def finish(self, started: Started, read: Callable[[], Reply]) -> Ledger | None:
        """Record the turn; None where it was not recorded."""
        if started.begun is None:
            return None
        tenant = started.begun.thread.tenant
        return self._conversations(tenant).finish(started.begun, read)

    def remember(self, started: Started) -> None:
        """Keep the body of a recorded request, so that of the next one only what is new is read."""
        if started.begun is not None:
            thread = started.begun.thread
            self._known.weigh(thread.tenant, thread.name, len(started.body.raw))
        known = _known(started.history) if started.history is not None else None
        if known is not None:
            self.bodies.add(started.place, known)

    def _conversations(self, tenant: str) -> Conversations:
        with self._lock:
            found = self._tenants.pop(tenant, None)
            if found is None:
                found = Conversations(self.manager, None, tenant, known=self._known)
            self._tenants[tenant] = found
            while len(self._tenants) > TENANTS:
                self._tenants.popitem(last=False)
            return found


def _asks_nothing(messages: list[Message]) -> bool:
    """Whether the newest message is an empty one of the user's; what of that is the provider's to say."""
    return bool(messages) and messages[-1].role == "user" and messages[-1].is_empty


def _read(endpoint: Endpoint, body: Body) -> tuple[list[Message], list[Tool]] | None:
    endpoint.check(body.fields)
    try:
        return endpoint.wire.read(body.fields)
    except (TypeError, AttributeError, LookupError) as error:  # shapes that no reader foresaw
        raise InvalidMessage(f"the request has a form that no API has: {error!r}") from None


def _sent(history: History, begun: Begun) -> bytes:
    """The client's own bytes where nothing is to change, else those of what stays."""
    call, endpoint, body = begun.call, history.endpoint, history.body
    only_items = begun.tools == call.tools and not (endpoint.marks and call.cache_points)
    if only_items and is_as_said(call):
        return body.raw
    items = spliced(history, call)
    if items is None:
        return _write(body, endpoint.wire.write(body.fields, call))
    if not only_items:
        return _write(body, around(endpoint, body.fields, begun, json.loads(b"[%b]" % items)))
    raw = body.raw
    return b"".join((raw[: body.array_at], items, raw[history.end(history.n_messages) :]))


def _write(body: Body, request: Mapping[str, Any]) -> bytes:
    try:
        return json_body.written(body, request)
    except ValueError as error:  # a number of the body that JSON has no form for
        raise Refusal(400, f"the body cannot be written again: {error}") from None


def _known(history: History) -> Known | None:
    """What is remembered of a recorded request; None where its history is no array of messages."""
    body, match = history.body, history.match
    if body.array_at < 0:
        return None
    ends = match.known.ends[: match.n_messages] if match else array("Q")
    open_ends = match.known.open_ends[: match.n_messages] if match else bytearray()
    ends.extend(history.ends)
    joins = history.endpoint.joins
    open_ends.extend(joins and message.role == "assistant" for message in history.new)
    while open_ends and open_ends[-1]:
        ends.pop()
        open_ends.pop()
    n_opening = history.n_opening - len(history.head)
    if not ends or len(ends) < n_opening:
        return None
    keys = history.body_keys
    keys = keys if len(keys) == len(ends) else keys[: len(ends)]
    read = body.raw[: ends[-1]]
    return Known(_bare(body), read, ends, open_ends, keys, n_opening, history.body_instructions)


def _bare(body: Body) -> Body:
    """Only what `json_body.resume` needs: the fields before the array."""
    head = list(body.texts)[: body.n_head_fields]
    return Body(
        b"",
        {name: body.fields[name] for name in head},
        {name: body.texts[name] for name in head},
        body.array_at,
        body.n_head_fields,
    )
