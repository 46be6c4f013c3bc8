"""YAML in fewer tokens: entries leave whole, a comment stands for them, what is told still loads."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np

from contextkit.compression.structure.arrays import Margin, codes_of, flat
from contextkit.compression.structure.parts import NotThis, Parts, counted

_ANCHOR = re.compile(rb"[&*]\w")
_TAB = re.compile(rb"\n *\t")
_KEY = re.compile(
    r"[ ]*(?:- +)*(?:[^\s#\"'{\[][^:#\n]*|\"[^\"\n]*\"|'[^'\n]*'):[ \t]*(?:#[^\n]*)?\n"
)
_BLANKS = re.compile(r"[ ]*")


class Yaml:
    """Entries of mappings and items of sequences are the parts, found by indentation."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` for what has tabs, anchors, directives or several documents."""
        self._text, data = text, b"\n" + flat(text)
        if (
            ((b"&" in data or b"*" in data) and _ANCHOR.search(data))
            or b"\n%" in data
            or data.count(b"\n---") > 1
            or (b"\t" in data and _TAB.search(data))
        ):
            raise NotThis("tabs, anchors, directives or several documents")
        margin = Margin.of(data[1:])
        self._lines = margin.only(margin.firsts != ord("#"))
        letters = np.append(codes_of(data), 32)[self._lines.starts + self._lines.indents + 2]
        self._items = (self._lines.firsts == ord("-")) & np.isin(letters, (32, 10))
        """Which lines begin an item of a sequence."""

    def top(self) -> Parts:
        """Raises `NotThis` where nothing is an entry."""
        head = 4 if self._text.startswith("---\n") else 0
        parts = self._entries(head, len(self._text))
        if parts is None:
            raise NotThis("no entries")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """The entries below a key. Raises `NotThis` for one further left than the first."""
        line_end = self._text.find("\n", start, stop) + 1
        if not line_end or not _KEY.match(self._text, start):
            return None
        return self._entries(line_end, stop)

    def _entries(self, head: int, stop: int) -> Parts | None:
        """Entries at the indentation of the first; deeper lines go with theirs."""
        low, high = map(int, np.searchsorted(self._lines.starts, (head, stop)))
        if low == high:
            return None
        indents, level = self._lines.indents[low:high], self._lines.indents[low]
        if (indents < level).any():
            raise NotThis("an entry stands further left than the first")
        of_items = bool(self._items[low])
        begins = (indents == level) & (self._items[low:high] == of_items)
        starts = self._lines.starts[low:high][begins]
        what = "items" if of_items else "keys"
        return Parts.tiled(starts, head, stop, skeleton=not of_items, what=what)

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment; where nothing stays, an empty value of the kind that was there."""
        indent = _BLANKS.match(self._text, int(parts.starts[low]))
        blanks = indent.group() if indent else ""
        said = f"# … {counted(high - low, parts.what)} left out{where}\n"
        if not alone:
            return blanks + said
        empty = "[]" if parts.what == "items" else "{}"
        return f"{blanks} {empty}  {said}"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Scalars stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Parsed again; raises `NotThis` where that fails or no collection is left."""
        yaml: Any = importlib.import_module("yaml")
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            events: list[Any] = [*yaml.parse(told, Loader=loader)]
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise NotThis(str(error)) from None
        if len(events) < 3 or not isinstance(events[2], yaml.CollectionStartEvent):
            raise NotThis("no entries are left")
