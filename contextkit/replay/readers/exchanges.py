"""Request logs: `{"request": {…}, "response": {…}, "timestamp": …}`, one model call a line.

A call continues the conversation whose messages it repeats; one that repeats none starts another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from contextkit.dialects import parse_message
from contextkit.errors import ContextKitError
from contextkit.replay.readers.building import Wire, build, table
from contextkit.replay.readers.talks import read_usage
from contextkit.replay.recording import Recording
from contextkit.replies import reply_of
from contextkit.usage import Usage


@dataclass
class _Talk:
    """A conversation as it grows from request to request."""

    source: str
    model: str
    system: Any
    tools: Any
    said: list[tuple[Any, Any, Usage | None]] = field(default_factory=list[Any])
    notes: list[str] = field(default_factory=list[str])


def is_exchange(value: Any) -> bool:
    """Whether a value is a request with its response."""
    if not isinstance(value, Mapping):
        return False
    return "messages" in table(cast("Wire", value).get("request"))


def read(values: Sequence[Any], name: str) -> Iterator[Recording]:
    """The conversations of a log, in the order in which they began."""
    talks: list[_Talk] = []
    for index, value in enumerate(values):
        _add(talks, cast("Wire", value), f"{name}: line {index + 1}")
    for index, talk in enumerate(talks):
        yield build(
            f"{name}-{index}" if len(talks) > 1 else name,
            talk.source,
            talk.said,
            tools=talk.tools or (),
            model=talk.model,
            notes=talk.notes,
        )


def _add(talks: list[_Talk], value: Wire, where: str) -> None:
    request = cast("Wire", value["request"])
    response = value.get("response")
    listed = request.get("messages")
    messages: list[Any] = cast("list[Any]", listed) if isinstance(listed, list) else []
    at = value.get("timestamp", value.get("created_at", value.get("time")))
    talk = _continued(talks, request, messages)
    if talk is None:
        talk = _begun(request, response)
        talks.append(talk)
    known = len(talk.said) - (1 if talk.system else 0)
    talk.said += [(message, at, None) for message in messages[known:]]
    if not isinstance(response, Mapping):
        talk.notes.append(f"{where}: has no response")
        return
    answer = cast("Wire", response)
    try:
        message = reply_of(answer).message
    except (ContextKitError, KeyError, IndexError, TypeError, AttributeError) as error:
        talk.notes.append(f"{where}: the response cannot be read ({type(error).__name__}: {error})")
        return
    talk.said.append((message, None, read_usage(table(answer.get("usage")))))


def _begun(request: Wire, response: Any) -> _Talk:
    is_anthropic = isinstance(response, Mapping) and "content" in response
    talk = _Talk(
        "anthropic" if is_anthropic else "openai",
        str(request.get("model") or ""),
        request.get("system"),
        request.get("tools"),
    )
    if talk.system:
        talk.said.append(({"role": "system", "content": talk.system}, None, None))
    return talk


def _continued(talks: list[_Talk], request: Wire, messages: list[Any]) -> _Talk | None:
    """The conversation that these messages begin with, the longest one."""
    best: _Talk | None = None
    for talk in talks:
        if talk.system != request.get("system"):
            continue
        said = talk.said[1:] if talk.system else talk.said
        if len(said) < len(messages) and (best is None or len(said) > len(best.said)):
            pairs = zip(said, messages, strict=False)
            if said and all(_same(one[0], other) for one, other in pairs):
                best = talk
    return best


def _same(said: Any, wire: Any) -> bool:
    """Whether a message says the same, cache points and bookkeeping aside."""
    try:
        return parse_message(wire).same_content(parse_message(said))
    except ContextKitError:
        return False
