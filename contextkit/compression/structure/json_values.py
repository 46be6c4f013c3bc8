"""JSON in fewer tokens: whole items leave, a stub stands for them, what stays is spelled as it was."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from contextkit.compression.structure.eliding import STUB, NotThis, Parts, counted
from contextkit.compression.structure.lines import cut

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
MOST_NAMED = 8
"""Keys that a stub names; of more it tells the number."""


@dataclass(frozen=True, slots=True)
class Json:
    """Elements of arrays and entries of objects are the parts; a stub is an element or an entry."""

    stub_is_part: bool = True

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` where the stretch is no JSON, or an object says a key twice."""
        at = _skip(text, start)
        if start:
            at = _value(text, at)
        if at >= stop or text[at] not in "[{":
            if start == 0:
                raise NotThis("a single value has no parts to leave out")
            return None
        try:
            return _array(text, at, stop) if text[at] == "[" else _object(text, at, stop)
        except (ValueError, StopIteration, RecursionError, IndexError) as error:
            raise NotThis(f"no JSON: {error}") from None

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """An element that is a string; in an object an entry under a key that it had not."""
        first = parts.starts[low]
        blanks = text[first : _skip(text, first)]
        ascii_only = text.isascii()
        dots = "..." if ascii_only else "…"
        said = f"{dots} {counted(high - low, parts.what)} left out{where}"
        if parts.what == "items":
            return blanks + json.dumps(said, ensure_ascii=ascii_only)
        if high - low <= MOST_NAMED:
            keys = (_DECODER.raw_decode(text, _skip(text, at))[0] for at in parts.starts[low:high])
            named = ", ".join(keys)
            if len(named) <= STUB:
                said = f"{named} left out{where}"
        name = _free_key(text, parts, low, dots)
        value = json.dumps(said, ensure_ascii=_plain(said, ascii_only))
        return f"{blanks}{json.dumps(name, ensure_ascii=ascii_only)}: {value}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """A long string: its head and tail; any other value stays or leaves."""
        at = _value(text, _skip(text, start))
        value, _ = _DECODER.raw_decode(text, at)
        if not isinstance(value, str):
            return None
        shorter = cut(value, room - (at - start) - 2, where)
        if shorter is None or len(shorter) >= len(value):
            return None
        return text[start:at] + json.dumps(shorter, ensure_ascii=_plain(shorter, text.isascii()))

    def finish(self, told: str) -> str:
        """Parsed again: an array or an object as before."""
        try:
            json.loads(told)
        except ValueError as error:
            raise NotThis(str(error)) from None
        return told


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int) -> int:
    """Where the value of an entry begins; of anything else, where it is."""
    if text[at : at + 1] != '"':
        return at
    _, end = _DECODER.raw_decode(text, at)
    colon = _skip(text, end)
    return _skip(text, colon + 1) if text[colon : colon + 1] == ":" else at


def _array(text: str, at: int, stop: int) -> Parts:
    starts: list[int] = []
    stops: list[int] = []
    scan = _DECODER.raw_decode
    head = place = at + 1
    while True:
        value = _skip(text, place)
        if not starts and text[value] == "]":
            break
        _, end = scan(text, value)
        starts.append(place)
        stops.append(end)
        place = end if text[end] in ",]" else _skip(text, end)
        if text[place] == "]":
            break
        if text[place] != ",":
            raise NotThis(f"no comma at {place}")
        place += 1
    tail = stops[-1] if stops else head
    _ends(text, place + 1, stop)
    return Parts(starts, stops, head, tail, joint=",", what="items")


def _object(text: str, at: int, stop: int) -> Parts:
    starts: list[int] = []
    stops: list[int] = []
    keys: set[str] = set()
    scan = _DECODER.raw_decode
    head = place = at + 1
    while True:
        key_at = _skip(text, place)
        if not starts and text[key_at] == "}":
            break
        if text[key_at] != '"':
            raise NotThis(f"no key at {key_at}")
        key, end = scan(text, key_at)
        colon = _skip(text, end)
        if text[colon] != ":" or key in keys:
            raise NotThis("no colon behind a key, or a key twice")
        keys.add(key)
        _, end = scan(text, _skip(text, colon + 1))
        starts.append(place)
        stops.append(end)
        place = _skip(text, end)
        if text[place] == "}":
            break
        if text[place] != ",":
            raise NotThis(f"no comma at {place}")
        place += 1
    tail = stops[-1] if stops else head
    _ends(text, place + 1, stop)
    return Parts(starts, stops, head, tail, joint=",", skeleton=True, what="keys")


def _ends(text: str, at: int, stop: int) -> None:
    if _skip(text, at) < stop:
        raise NotThis(f"more behind the end at {at}")


def _free_key(text: str, parts: Parts, low: int, dots: str) -> str:
    """A key that the object has not, another for each stub of one object."""
    name = f"{dots}{low or ''}"
    inside = text[parts.head : parts.tail]
    while f'"{name}"' in inside or json.dumps(name) in inside:
        name += "."
    return name


def _plain(text: str, ascii_only: bool) -> bool:
    """Whether to escape what is not ASCII: as the document does, and for what no encoding can write."""
    return ascii_only or any("\ud800" <= char <= "\udfff" for char in text)
