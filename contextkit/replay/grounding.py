"""Argument grounding: is what a recorded tool call names still before the model that has to name it?

A measure of an agent's context that needs no model. Every tool call of a recording names things (ids,
paths, identifiers of 5 and more characters); those that were seen earlier in the log are its *needs*.
A call is grounded where all of them stand literally in the context that a configuration would have
sent, and reachable where the rest is behind a handle that the context quotes.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from contextkit.messages import Message
from contextkit.piece import Piece, parse_handle
from contextkit.replay.recording import Recording

WORD = re.compile(r"[A-Za-z0-9_./\-]{5,}")
"""Ids, paths and names; `.`, `/` and `-` at the ends are cut off."""
HANDLE = re.compile(r"(?<![\w.-])m\d+(?:-\d+)?(?![\w.-]*\w)")
_SEPARATOR = "\0"


class Need(NamedTuple):
    """Something that a tool call names, and which earlier messages hold it (bit n: message n)."""

    word: str
    holders: int


@dataclass(frozen=True, slots=True)
class Grounded:
    """How many recorded tool calls had all they name: literally, or there or behind a handle."""

    calls: int = 0
    in_context: int = 0
    reachable: int = 0

    def __add__(self, other: Grounded) -> Grounded:
        return Grounded(
            self.calls + other.calls,
            self.in_context + other.in_context,
            self.reachable + other.reachable,
        )


Needs = tuple[tuple[Need, ...], ...]
"""Of one model call: the needs of each tool call it answered with."""


def find_needs(recording: Recording) -> tuple[Needs, ...]:
    """For every recorded model call what its tool calls name and was seen before."""
    texts = [said(message) for message in recording.messages]
    holders = _Holders(texts)
    return tuple(
        tuple(
            tuple(_needs(call.arguments, recorded.n_before, holders))
            for call in recording.messages[recorded.n_before].tool_calls
        )
        for recorded in recording.calls
    )


def said(message: Message) -> str:
    """Everything a message says: its text, and its tool calls as written and decoded."""
    parts = [message.text]
    for call in message.tool_calls:
        parts += [f"{call.name} {call.arguments}", *_leaves(call.arguments)]
    return "\n".join(parts)


class Judge:
    """Holds what a recording needs against the calls that a configuration makes of it."""

    def __init__(self, needs: Sequence[Needs]) -> None:
        self._needs = needs
        self._said: dict[bytes, tuple[str, int]] = {}

    def judge(self, index: int, pieces: Sequence[Piece]) -> Grounded:
        """The tool calls of the `index`-th recorded answer, against a call made of these pieces."""
        needs = self._needs[index]
        if not needs:
            return Grounded()
        shown, texts, quoted = self._show(pieces)
        in_context = reachable = 0
        for wanted in needs:
            missing = [
                need
                for need in wanted
                if not need.holders & shown and not any(need.word in text for text in texts)
            ]
            in_context += not missing
            reachable += all(need.holders & quoted for need in missing)
        return Grounded(len(needs), in_context, reachable)

    def _show(self, pieces: Sequence[Piece]) -> tuple[int, list[str], int]:
        """Which messages stand there as said, what else is said, what its handles stand for."""
        shown = quoted = 0
        texts: list[str] = []
        for piece in pieces:
            if piece.shown is None:
                shown |= (1 << piece.stop) - (1 << piece.start)
                continue
            for message in piece.shown:
                text, handles = self._read(message)
                texts.append(text)
                quoted |= handles
        return shown, texts, quoted

    def _read(self, message: Message) -> tuple[str, int]:
        known = self._said.get(message.digest)
        if known is None:
            text = said(message)
            known = self._said[message.digest] = (text, _quoted(text))
        return known


def _quoted(text: str) -> int:
    """The messages that the handles in a text stand for."""
    behind = 0
    for match in HANDLE.finditer(text):
        span = parse_handle(match[0])
        if span is not None and span[1] < 1 << 20:
            behind |= (1 << span[1]) - (1 << span[0])
    return behind


class _Holders:
    """Which messages of a recording say a word; asked once a word."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._all = _SEPARATOR.join(texts)
        self._ends: list[int] = []
        end = -1
        for text in texts:
            end += len(text) + 1
            self._ends.append(end)
        self._known: dict[str, int] = {}

    def __getitem__(self, word: str) -> int:
        known = self._known.get(word)
        if known is None:
            known = self._known[word] = self._find(word)
        return known

    def _find(self, word: str) -> int:
        held, at = 0, self._all.find(word)
        while at >= 0:
            message = bisect_right(self._ends, at)
            held |= 1 << message
            at = self._all.find(word, self._ends[message])
        return held


def _needs(arguments: str, n_before: int, holders: _Holders) -> Iterator[Need]:
    earlier = (1 << n_before) - 1
    words = {word for value in _leaves(arguments) for word in _words(value)}
    for word in sorted(words):
        held = holders[word] & earlier
        if held:
            yield Need(word, held)


def _words(text: str) -> Iterator[str]:
    for found in WORD.findall(text):
        word = found.strip(".-/")
        if len(word) >= 5:
            yield word


def _leaves(arguments: str) -> list[str]:
    """The values in a tool call's arguments; the text itself where it is no JSON."""
    try:
        return list(_values(json.loads(arguments)))
    except (ValueError, RecursionError):
        return [arguments]


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in cast("dict[str, Any]", value).values():
            yield from _values(inner)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _values(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
