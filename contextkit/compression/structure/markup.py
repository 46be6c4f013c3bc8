"""XML in fewer tokens: elements leave whole, a comment stands for them, the document stays well formed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.parsers import expat

from contextkit.compression.structure.eliding import NotThis, Parts, counted
from contextkit.compression.structure.lines import cut

_TAG = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<![^>]*>|<(/?)[^\s/>]++(?:[^\"'>]++|\"[^\"]*+\"|'[^']*+')*+>",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Xml:
    """Child elements are the parts."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` for what is not well formed or declares entities."""
        if start == 0 and stop == len(text):
            _check(text)
        return _children(text, start, stop)

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment, which is legal wherever an element is."""
        first = text[parts.starts[low] : parts.stops[low]]
        blanks = first[: len(first) - len(first.lstrip())]
        return f"{blanks}<!-- … {counted(high - low, parts.what)} left out{where.replace('--', '-')} -->"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """An element of nothing but text: head and tail of it."""
        tags = [*_TAG.finditer(text, start, stop)]
        if len(tags) != 2 or tags[0][1] is None or "&" in text[start:stop]:
            return None
        head, tail = tags[0].end(), tags[1].start()
        shorter = cut(text[head:tail], room - (head - start) - (stop - tail), where)
        return None if shorter is None else text[start:head] + shorter + text[tail:stop]

    def finish(self, told: str) -> str:
        """Read again."""
        _check(told)
        return told


def _check(text: str) -> None:
    """Raises `NotThis` for what a parser without external entities refuses, and for any entity."""
    parser = expat.ParserCreate(encoding="utf-8")

    def refuse(*_: object) -> None:
        raise NotThis("it declares entities")

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8"), True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise NotThis(str(error)) from None


def _children(text: str, start: int, stop: int) -> Parts | None:
    """The elements directly inside the element of `text[start:stop]`; text between them is not parted."""
    starts: list[int] = []
    stops: list[int] = []
    depth, head, tail = 0, -1, stop
    begun = start
    for match in _TAG.finditer(text, start, stop):
        if match[1] is None:
            continue
        if match[1]:
            depth -= 1
            if depth == 0:
                tail = match.start()
                break
        elif text[match.end() - 2] == "/":
            if depth == 0:
                return None
            if depth == 1:
                starts.append(match.start())
                stops.append(match.end())
            continue
        else:
            depth += 1
            if depth == 1:
                head = match.end()
            elif depth == 2:
                begun = match.start()
            continue
        if depth == 1:
            starts.append(begun)
            stops.append(match.end())
    if not starts:
        return None
    # Blanks and words before a child go with it.
    edges = [head, *stops[:-1]]
    return Parts(edges, stops, head, stops[-1] if stops[-1] <= tail else tail, what="elements")
