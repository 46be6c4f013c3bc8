"""What must hold of every trimmed history, whoever trimmed it; each law judges one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from contextkit.errors import InvalidMessage
from contextkit.testing.conversations import Form, Wire
from contextkit.testing.counting import Count
from contextkit.testing.wire import as_text, known_by
from contextkit.validity import wire_problems

LAWS: dict[str, str] = {
    "valid": "the provider takes the request: tool calls and results paired, roles in order, nothing empty",
    "request": "the newest request of the user is there word for word",
    "budget": "the request takes no more than the budget",
    "system": "the system prompt is there word for word",
    "order": "what is shown of the history stands in its order, each message at most once",
    "deterministic": "the same history gives the same request",
    "unmutated": "the caller's messages are left as they were",
    "answers": "there is an answer wherever what must stay fits the budget",
}
"""Name and meaning; a report counts the transcripts that break each."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A law that one answer breaks, and how it shows."""

    law: str
    text: str


def judge(
    given: Sequence[Wire], returned: object, budget_tokens: int, count: Count, form: Form = "openai"
) -> list[Finding]:
    """The laws that a trimmed history breaks by itself; none where it is as it should be.

    `given` is the whole history, valid as it stands. Where even the system prompt, the newest request and
    the newest batch are over the budget, only validity is judged.
    """
    return Judge(given, budget_tokens, count, form).findings(returned)


class Judge:
    """The laws over one history: what does not depend on an answer is worked out once for all of them."""

    def __init__(
        self, given: Sequence[Wire], budget_tokens: int, count: Count, form: Form = "openai"
    ) -> None:
        self.given, self.budget_tokens, self.count = given, budget_tokens, count
        self.form: Form = form
        self.is_tight = is_tight(given, budget_tokens, count, form)
        """Whether what must stay is over the budget by itself."""
        self._found: dict[bytes, list[Finding]] = {}

    def findings(self, returned: object) -> list[Finding]:
        """What `judge` finds; equal answers are judged once."""
        key = known_by(returned)
        if key not in self._found:
            self._found[key] = self._judged(returned)
        return self._found[key]

    def _judged(self, returned: object) -> list[Finding]:
        listed = cast("list[object]", returned) if isinstance(returned, list) else [None]
        if not all(isinstance(message, dict) for message in listed):
            kind = type(cast("object", returned)).__name__
            return [Finding("answers", f"gave {kind}, not a list of messages")]
        messages = cast("list[Wire]", listed)
        found = [Finding("valid", p) for p in wire_problems({"messages": messages}, self.form)[:1]]
        if self.is_tight:
            return found
        found += _request(self.given, messages, self.form)
        found += _system(self.given, messages)
        found += _order(self._places, messages, self.form)
        return found + _budget(messages, self.budget_tokens, self.count)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where each unit of the history stands in it."""
        places: dict[str, list[int]] = {}
        for place, unit in enumerate(units(self.given, self.form)):
            places.setdefault(unit, []).append(place)
        return places


def is_tight(given: Sequence[Wire], budget_tokens: int, count: Count, form: Form) -> bool:
    """Whether what must stay is over the budget by itself."""
    return count(must_stay(given, form)) > budget_tokens


def must_stay(given: Sequence[Wire], form: Form) -> list[Wire]:
    """The system prompt, the newest request, the newest batch of calls with its results."""
    last = len(given) - 1
    request = max((i for i, m in enumerate(given) if _asks(m, form)), default=last)
    start = last
    while start > request and given[start].get("role") != "assistant":
        start -= 1
    opening = [m for m in given if m.get("role") in ("system", "developer")]
    return [*opening, *given[request : request + 1], *given[max(start, request + 1) :]]


def texts(message: Mapping[str, Any]) -> list[str]:
    """The text of a message, block by block."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [str(b["text"]) for b in _blocks(content) if b.get("type") == "text"]


def units(messages: Sequence[Mapping[str, Any]], form: Form) -> list[str]:
    """What is said, piece by piece: messages, or in the Anthropic form their blocks."""
    return [unit for message in messages for unit in _units(message, form)]


def _units(message: Mapping[str, Any], form: Form) -> Iterator[str]:
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else _blocks(content)
    plain = [{k: v for k, v in block.items() if k != "cache_control"} for block in blocks]
    if form == "openai":
        yield as_text({**message, "content": plain})
        return
    for block in plain:
        if isinstance(block.get("content"), str):
            block["content"] = [{"type": "text", "text": block["content"]}]
        yield as_text([message.get("role"), block])


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if not isinstance(content, list):
        return []
    listed = cast("list[object]", content)
    return [cast("Mapping[str, Any]", b) for b in listed if isinstance(b, Mapping)]


def _asks(message: Mapping[str, Any], form: Form) -> bool:
    """Whether a user says something of their own."""
    if message.get("role") != "user":
        return False
    kinds = {str(b.get("type")) for b in _blocks(message.get("content"))}
    return form == "openai" or kinds != {"tool_result"}


def _request(given: Sequence[Wire], messages: Sequence[Wire], form: Form) -> list[Finding]:
    newest = next((m for m in reversed(given) if _asks(m, form)), None)
    if newest is None:
        return []
    said = {text for m in messages if m.get("role") == "user" for text in texts(m)}
    missing = [text for text in texts(newest) if text not in said]
    if missing:
        return [Finding("request", f"{missing[0][:60]!r} is not among what the user says")]
    pictures = _n_pictures([newest])
    shown = _n_pictures([m for m in messages if m.get("role") == "user"])
    return [Finding("request", "its picture is gone")] if shown < pictures else []


def _n_pictures(messages: Sequence[Mapping[str, Any]]) -> int:
    kinds = [str(b.get("type")) for m in messages for b in _blocks(m.get("content"))]
    return sum(kind in ("image", "image_url") for kind in kinds)


def _system(given: Sequence[Wire], messages: Sequence[Wire]) -> list[Finding]:
    roles = ("system", "developer")
    have = {text for m in messages if m.get("role") in roles for text in texts(m)}
    wanted = [text for m in given if m.get("role") in roles for text in texts(m)]
    gone = [text for text in wanted if text not in have]
    return [Finding("system", f"{gone[0][:60]!r} is not there")] if gone else []


def _order(places: Mapping[str, list[int]], messages: Sequence[Wire], form: Form) -> list[Finding]:
    shown = [unit for unit in units(messages, form) if unit in places]
    for unit, times in Counter(shown).items():
        if times > len(places[unit]):
            return [Finding("order", f"{times} times there: {unit[:80]}")]
    at = -1
    for unit in shown:
        later = [place for place in places[unit] if place > at]
        if not later:
            return [Finding("order", f"stands behind what came later: {unit[:80]}")]
        at = later[0]
    return []


def _budget(messages: Sequence[Wire], budget_tokens: int, count: Count) -> list[Finding]:
    try:
        tokens = count(messages)
    except InvalidMessage as error:
        return [Finding("valid", f"is no conversation: {error}")]
    if tokens <= budget_tokens:
        return []
    return [Finding("budget", f"{tokens:,} tokens, {budget_tokens:,} are allowed")]
