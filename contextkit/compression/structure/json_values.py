"""JSON in fewer tokens: whole items leave, a stub stands for them, what stays is spelled as it was."""

from __future__ import annotations

import json
import re

import numpy as np

from contextkit.compression.structure.arrays import Nest, flat, marked, table
from contextkit.compression.structure.lines import cut
from contextkit.compression.structure.parts import STUB, NotThis, Parts, Places, counted

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_QUOTE, _MARKS = table(b'"'), table(b"[]{},")
MOST_NAMED = 8
"""Keys that a stub names; of more it tells the number."""


class Json:
    """Elements of arrays and entries of objects are the parts; a stub is an element or an entry."""

    stub_is_part = True

    def __init__(self, text: str) -> None:
        """Raises `NotThis` where the text is no JSON."""
        _check(text)
        self._text = text
        data = flat(text)
        if b"\\" in data:
            data = data.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        self._quotes = marked(data, _QUOTE)
        marks = marked(data, _MARKS)
        inside = np.searchsorted(self._quotes, marks) & 1
        self._nest = Nest(data, marks[inside == 0])
        self._ascii_only = text.isascii()
        dots = "..." if self._ascii_only else "…"
        self._dots = dots
        self._dots_are_free = json.dumps(dots)[:-1] not in text and f'"{dots}' not in text

    def top(self) -> Parts:
        """Raises `NotThis` for an empty value, and for an object that says a key twice."""
        parts = self._values(_skip(self._text, 0))
        if parts is None:
            raise NotThis("nothing inside")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """The elements or entries of the value of a part. Raises `NotThis` for a key said twice."""
        at = self._value(start)
        return self._values(at) if self._text[at] in "[{" else None

    def _values(self, at: int) -> Parts | None:
        commas, closing = self._nest.inside(at)
        tail = len(self._text[at + 1 : closing].rstrip(" \t\r\n")) + at + 1
        if tail == at + 1:
            return None
        starts, stops = np.append(at + 1, commas + 1), np.append(commas, tail)
        if self._text[at] == "[":
            return Parts(starts, stops, at + 1, tail, joint=",", what="items")
        self._check_keys(starts)
        return Parts(starts, stops, at + 1, tail, joint=",", skeleton=True, what="keys")

    def _check_keys(self, starts: Places) -> None:
        quotes, text = self._quotes, self._text
        first = np.searchsorted(quotes, starts)
        ends = zip(quotes[first].tolist(), quotes[first + 1].tolist(), strict=True)
        keys = {text[a + 1 : b] for a, b in ends}
        if any("\\" in key for key in keys):
            keys = {json.loads(f'"{key}"') for key in keys}
        if len(keys) < len(starts):
            raise NotThis("a key twice")

    def _value(self, at: int) -> int:
        """Where the value of an entry begins; of anything else, where it is."""
        text = self._text
        at = _skip(text, at)
        if text[at] != '"':
            return at
        _, end = _DECODER.raw_decode(text, at)
        colon = _skip(text, end)
        return _skip(text, colon + 1) if text[colon : colon + 1] == ":" else at

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """An element that is a string; in an object an entry under a key that it had not."""
        text, first = self._text, int(parts.starts[low])
        blanks = text[first : _skip(text, first)]
        said = f"{self._dots} {counted(high - low, parts.what)} left out{where}"
        if parts.what == "items":
            return blanks + json.dumps(said, ensure_ascii=self._ascii_only)
        if high - low <= MOST_NAMED:
            starts = parts.starts[low:high].tolist()
            named = ", ".join(_DECODER.raw_decode(text, _skip(text, at))[0] for at in starts)
            if len(named) <= STUB:
                said = f"{named} left out{where}"
        name = self._free_key(parts, low)
        value = json.dumps(said, ensure_ascii=_plain(said, self._ascii_only))
        return f"{blanks}{json.dumps(name, ensure_ascii=self._ascii_only)}: {value}"

    def _free_key(self, parts: Parts, low: int) -> str:
        """A key that the object has not, another for each stub of one object."""
        name = f"{self._dots}{low or ''}"
        while not self._dots_are_free and any(
            self._text.find(said, parts.head, parts.tail) >= 0
            for said in (f'"{name}"', json.dumps(name))
        ):
            name += "."
        return name

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """A long string: its head and tail; any other value stays or leaves."""
        at = self._value(start)
        value, _ = _DECODER.raw_decode(self._text, at)
        if not isinstance(value, str):
            return None
        shorter = cut(value, room - (at - start) - 2, where)
        if shorter is None or len(shorter) >= len(value):
            return None
        plain = _plain(shorter, self._ascii_only)
        return self._text[start:at] + json.dumps(shorter, ensure_ascii=plain)

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Parsed again: an array or an object as before."""
        _check(told)


def _check(text: str) -> None:
    """Raises `NotThis` where the text is no JSON, or neither array nor object."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotThis(f"no JSON: {error}") from None
    if text[_skip(text, 0)] not in "[{":
        raise NotThis("a single value has no parts to leave out")


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _plain(text: str, ascii_only: bool) -> bool:
    """Whether to escape what is not ASCII: as the document does, and for what no encoding can write."""
    return ascii_only or any("\ud800" <= char <= "\udfff" for char in text)
