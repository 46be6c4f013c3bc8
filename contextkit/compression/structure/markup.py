"""XML in fewer tokens: elements leave whole, a comment stands for them, the document stays well formed."""

from __future__ import annotations

import re
from xml.parsers import expat

import numpy as np

from contextkit.compression.structure.arrays import Quoted, codes_of, flat, marked, table
from contextkit.compression.structure.lines import cut
from contextkit.compression.structure.parts import NotThis, Parts, Places, counted

_NO_TAG = re.compile(rb"(<(?:!--.*?-->|!\[CDATA\[.*?\]\]>|\?.*?\?>|![^>]*>))", re.DOTALL)
_TAG = re.compile(rb"<[^\"'>]*+(?:\"[^\"]*+\"[^\"'>]*+|'[^']*+'[^\"'>]*+)*+>")
_LESS, _GREATER, _DOUBLE, _SINGLE = table(b"<"), table(b">"), table(b'"'), table(b"'")


class Xml:
    """Child elements are the parts."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` for what is not well formed or declares entities."""
        _check(text)
        self._text = text
        data = flat(text)
        codes = codes_of(data)
        self._tags = Quoted.of(data, _NO_TAG).outside(marked(data, _LESS))
        self._ends = _ends_of(data, self._tags)
        self._closing = codes[self._tags + 1] == ord("/")
        self._alone = ~self._closing & (codes[self._ends - 2] == ord("/"))
        step = np.where(self._closing, -1, np.where(self._alone, 0, 1))
        self._level = np.cumsum(step) + (step < 1)
        """How deep the element of each tag is, the root at 1."""

    def top(self) -> Parts:
        """The elements inside the root."""
        parts = self.open(0, len(self._text))
        if parts is None:
            raise NotThis("an element without elements")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """The elements directly inside the element of a part; text between them is not parted."""
        first, last = map(int, np.searchsorted(self._tags, (start, stop)))
        if last - first < 2 or self._alone[first]:
            return None
        level = self._level[first] + 1
        inside = slice(first + 1, last)
        ends = (self._level[inside] == level) & (self._closing[inside] | self._alone[inside])
        stops = self._ends[inside][ends]
        if not len(stops):
            return None
        head, tail = int(self._ends[first]), int(stops[-1])
        # Blanks and words before a child go with it.
        return Parts(np.append(head, stops[:-1]), stops, head, tail, what="elements")

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment, which is legal wherever an element is."""
        first = self._text[slice(*parts.span(low, low + 1))]
        blanks = first[: len(first) - len(first.lstrip())]
        return f"{blanks}<!-- … {counted(high - low, parts.what)} left out{where.replace('--', '-')} -->"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """An element of nothing but text: head and tail of it."""
        text = self._text
        first, last = map(int, np.searchsorted(self._tags, (start, stop)))
        other = any(text.find(mark, start, stop) >= 0 for mark in ("&", "<!", "<?"))
        if last - first != 2 or other:
            return None
        head, tail = int(self._ends[first]), int(self._tags[first + 1])
        shorter = cut(text[head:tail], room - (head - start) - (stop - tail), where)
        return None if shorter is None else text[start:head] + shorter + text[tail:stop]

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Read again."""
        _check(told)


def _ends_of(data: bytes, tags: Places) -> Places:
    """Behind each tag of a well-formed document, over every `>` that is quoted."""
    greater, single, double = (marked(data, mark) for mark in (_GREATER, _SINGLE, _DOUBLE))
    at = np.searchsorted(greater, tags)
    unsure = np.arange(len(tags))
    mixed: list[int] = []
    while len(unsure):
        starts, stops = tags[unsure], greater[at[unsure]]
        n_single, n_double = _between(single, starts, stops), _between(double, starts, stops)
        both = (n_single > 0) & (n_double > 0)
        mixed += unsure[both].tolist()
        unsure = unsure[~both & ((n_single + n_double) % 2 == 1)]
        at[unsure] += 1
    ends = greater[at]
    for index in mixed:
        tag = _TAG.match(data, int(tags[index]))
        if tag is None:
            raise NotThis("a tag has no end")
        ends[index] = tag.end() - 1
    return ends + 1


def _between(places: Places, starts: Places, stops: Places) -> Places:
    """How many of the places are in each stretch."""
    return np.searchsorted(places, stops) - np.searchsorted(places, starts)


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
