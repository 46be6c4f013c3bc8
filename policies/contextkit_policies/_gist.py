"""What a text leaves behind when it leaves: its names (identifiers, paths, numbers) and verdict lines.

An agent that acts on something read long ago rarely needs the text; it needs the exact names to say
what it wants. A gist keeps those letter by letter, in the order in which they stood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any, cast

from contextkit.draft import Draft
from contextkit.messages import Message, TextPart, ToolResultPart
from contextkit_policies._elide import with_results

SHORTEST, LONGEST = 5, 120
"""Characters of a name: shorter ones say little, longer ones are data."""
REMEMBERED = 4096
"""Texts whose names are kept in memory, so that a turn reads only what is new."""
VERDICT_CHARS = 160
VERDICTS = 3

_NAME = re.compile(rf"[\w./-]{{{SHORTEST},}}")
_VERDICT = re.compile(
    r"error|fail|pass(ed|es)\b|exception|traceback|warning|not found|no such|denied|refused|invalid"
    r"|success|\bok\b|\bdone\b|created|deleted|edited|updated",
    re.IGNORECASE,
)
_VERDICT_WORDS = (
    "error fail pass exception traceback warning found such denied refused invalid success ok done "
    "created deleted edited updated"
).split()
"""One of them stands in every verdict: looking for words is far faster than for the pattern."""


@lru_cache(maxsize=REMEMBERED)
def names(text: str) -> dict[str, None]:
    """The distinct names of a text, in the order in which they first stand there."""
    found = (name.strip("./-") for name in _NAME.findall(text))
    return dict.fromkeys(name for name in found if SHORTEST <= len(name) <= LONGEST)


def names_said(message: Message) -> Iterator[dict[str, None]]:
    """The names of each part of a message, arguments of tool calls included."""
    for part in message.parts:
        if isinstance(part, TextPart | ToolResultPart):
            yield names(part.text)
    for call in message.tool_calls:
        yield names(call.name)
        yield _argument_names(call.arguments)


@lru_cache(maxsize=REMEMBERED)
def _argument_names(arguments: str) -> dict[str, None]:
    try:
        value = json.loads(arguments)
    except ValueError:
        return names(arguments)
    return dict.fromkeys(name for text in _texts(value) for name in names(text))


def _texts(value: Any) -> Iterator[str]:
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    elif value is not None:
        yield str(value)
    for one in inner:
        yield from _texts(one)


def names_shown(draft: Draft, but: Collection[int] = ()) -> set[str]:
    """Every name that the call shows, entries `but` left aside."""
    seen: set[str] = set()
    for piece in draft.pieces:
        if piece.is_log:
            entries = draft.log.entries(piece.start, piece.stop)
            shown = [entry.message for entry in entries if entry.seq not in but]
        else:
            shown = [] if piece.start in but else list(piece.shown or ())
        for message in shown:
            seen.update(*names_said(message))
    return seen


def verdicts(text: str, most: int = VERDICTS) -> list[str]:
    """The last lines that say how something went, at most `most` of them, short ones only."""
    return list(_verdicts(text, most))


@lru_cache(maxsize=REMEMBERED)
def _verdicts(text: str, most: int) -> tuple[str, ...]:
    lowered = text.lower()
    present = [word for word in _VERDICT_WORDS if word in lowered]
    found: list[str] = []
    for line in reversed(text.split("\n") if present else ()):
        line = line.strip()
        if not 0 < len(line) <= VERDICT_CHARS or line in found:
            continue
        lowered = line.lower()
        if any(word in lowered for word in present) and _VERDICT.search(line):
            found.append(line)
            if len(found) == most:
                break
    return tuple(found[::-1])


def fill(words: Iterable[str], room: int) -> str:
    """As many of the words as `room` characters hold, in their order; those too long are passed over."""
    out: list[str] = []
    for word in words:
        if len(word) + 1 <= room:
            out.append(word)
            room -= len(word) + 1
        if room <= SHORTEST:
            break
    return " ".join(out)


def gist(message: Message, handle: str, tokens: int, room_tokens: int, known: set[str]) -> Message:
    """A result as its verdict lines and the names that are not `known`, about `room_tokens` in all."""
    share = min(1.0, room_tokens / max(1, tokens))

    def rewrite(result: ToolResultPart) -> str:
        text = result.text
        room = int(len(text) * share)
        lines: list[str] = []
        for line in verdicts(text):
            if len(line) < room // 2:
                lines.append(line)
                room -= len(line) + 1
        told = "\n".join(lines)
        rest = fill((n for n in names(text) if n not in known and n not in told), room)
        head = f"[{handle}, {tokens:,} tokens, was shown in full once; it held:]"
        return "\n".join(part for part in (head, *lines, rest) if part)

    return with_results(message, rewrite)
