"""What a fake provider says, and how it fails, in no provider's own form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One reply; `calls` are (tool name, arguments)."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    reasoning: str = ""
    refusal: str = ""
    cut_at_limit: bool = False

    @property
    def arguments(self) -> list[str]:
        return [json.dumps(arguments) for _, arguments in self.calls]


@dataclass(frozen=True)
class Failure:
    """One scripted failure.

    `status` answers with an error; `cut_after` breaks a stream off after so many events; `in_stream`
    sends an error as an event of the stream; `hang` never answers; `drop` closes the connection.
    """

    status: int = 0
    message: str = "scripted failure"
    code: str | None = None
    kind: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    cut_after: int | None = None
    in_stream: bool = False
    hang: bool = False
    drop: bool = False


class Refusal(Exception):
    """The request breaks a rule of the provider's."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


Responder = Callable[[dict[str, Any]], Answer]


def words(text: str) -> frozenset[str]:
    """The words of a list of names."""
    return frozenset(text.split())


def echo(body: dict[str, Any]) -> Answer:
    """Says back the last text in the request, shortened."""
    turns = body.get("messages", body.get("input"))
    return Answer(f"You said: {text_in(turns[-1])[:60]}" if turns else "You said nothing.")


def saying(text: str) -> Responder:
    """Says this, whatever it is asked."""
    return lambda _: Answer(text)


def text_in(value: Any) -> str:
    """All text in a wire message, whatever its form."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(filter(None, map(text_in, value)))
    if isinstance(value, dict):
        return " ".join(
            filter(None, (text_in(value.get(k)) for k in ("text", "content", "output")))
        )
    return ""
