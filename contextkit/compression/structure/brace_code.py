"""Languages with braces (JavaScript, Java, C, Go, Rust, CSS, …): bodies leave, brackets stay balanced."""

from __future__ import annotations

import re

import numpy as np

from contextkit.compression.structure.arrays import (
    SOLID,
    Margin,
    Nest,
    Quoted,
    codes_of,
    flat,
    marked,
    table,
)
from contextkit.compression.structure.parts import NotThis, Parts, Places, counted

_QUOTED = re.compile(
    rb"([\"'`/](?:(?<=\")(?:[^\"\\\n]++|\\.)*+\"|(?<=')(?:[^'\\\n]++|\\.)*+'|(?<=`)(?:[^`\\]++|\\.)*+`"
    rb"|(?<=/)(?:/[^\n]*+|\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/)"
    rb"|(?:(?<=[=(,:;!&|?{\[\n]/)|(?<=[=(,:;!&|?{\[] /)|(?<=return /))"
    rb"(?![*/ ])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/))",
    re.DOTALL,
)
_MARKS, _LINE_END = table(b"()[]{}\n"), table(b"\n")
_GOES_ON = re.compile(
    r"[ \t]*(?:[.?:+*&|=<>)\]},;-]|/(?![/*])|(?:else|catch|finally|while|instanceof|in|of"
    r"|extends|implements|where)\b)"
)
_OPEN_END = re.compile(
    r"(?:[=+*/%&|?:<>(.!~^\[-]|=>|\b(?:return|else|extends|throws|new|await))\s*(?://[^\n]*)?$"
)

_MAY_GO_ON = codes_of(table(b".?:+*&|=<>)]},;-/ecfwio")).astype(np.bool_)
"""What a line may begin with that goes on with the one before, by `_GOES_ON`."""
_MAY_BE_OPEN = codes_of(table(b"=+*/%&|?:<>(.!~^[-neswt")).astype(np.bool_)
"""What a line may end with that goes on, by `_OPEN_END`."""


class Braces:
    """Statements are the parts; one with a braced body opens into it."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` where brackets do not match, or nothing is in braces."""
        self._text, self._data = text, flat(text)
        self._quoted, self._nest = _read(self._data)
        self._margin, self._solid = Margin.of(self._data), marked(self._data, SOLID)
        self._line_ends = marked(self._data, _LINE_END)
        starts, stops = self._nest.bodies()
        braced = np.array([text[at] != "(" for at in starts.tolist()], dtype=np.bool_)
        self._opens, self._closes = starts[braced], stops[braced]
        """Braces over several lines, by where they open."""
        if not len(self._opens):
            raise NotThis("nothing in braces")

    def top(self) -> Parts:
        """The statements outside all braces."""
        lines = np.append(0, self._nest.outside + 1)
        parts = self._parts(lines, 0, len(self._text), False)
        if parts is None:
            raise NotThis("no statement")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """The statements of the longest body in a statement."""
        low, high = np.searchsorted(self._opens, (start, stop))
        opens, closes = self._opens[low:high], self._closes[low:high]
        sizes = np.where(closes < stop, closes - opens, 0)
        if not sizes.any():
            return None
        opening = int(opens[sizes.argmax()])
        lines, closing = self._nest.inside(opening)
        return self._parts(lines + 1, opening + 1, closing, _is_literal(self._text, opening))

    def _parts(self, lines: Places, head: int, tail: int, literal: bool) -> Parts | None:
        starts = self._statements(lines[lines < tail], literal)
        if not len(starts):
            return None
        # What stands behind the brace on its own line belongs to the head, the last indent to the tail.
        last = self._text.rfind("\n", head, tail) + 1
        if last > starts[-1] and not self._text[last:tail].strip():
            tail = last
        return Parts.tiled(starts, int(starts[0]), tail, skeleton=True, what="lines")

    def _statements(self, lines: Places, literal: bool) -> Places:
        """Which lines begin a statement, or an element where `literal`; blank ones do not."""
        lines = lines[np.isin(lines, self._margin.starts, assume_unique=True)]
        if not len(lines):
            return lines
        at = np.searchsorted(self._margin.starts, lines)
        before = self._solid[np.searchsorted(self._solid, lines) - 1]
        last = codes_of(self._data)[before]
        if literal:
            goes_on = last != ord(",")
        else:
            goes_on = last == ord(",")
            for index in np.flatnonzero(_MAY_BE_OPEN[last] | self._quoted.holds(before)).tolist():
                start = max(int(before[index]) - 80, 0)
                goes_on[index] |= (
                    _OPEN_END.search(self._text, start, int(before[index]) + 1) is not None
                )
        for index in np.flatnonzero(_MAY_GO_ON[self._margin.firsts[at]] & ~goes_on).tolist():
            goes_on[index] = _GOES_ON.match(self._text, int(lines[index])) is not None
        goes_on[0] = False
        found: Places = lines[~goes_on]
        return found

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment."""
        start, stop = parts.span(low, high)
        first, last = np.searchsorted(self._line_ends, (start, stop))
        n = counted(max(1, int(last - first)), parts.what)
        indent = indent_of(self._text, start, stop)
        return f"{indent}/* … {n} left out{where.replace('*/', '')} */\n"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Simple statements stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Nothing more to do."""
        return told

    def check(self, told: str) -> None:
        """Raises `NotThis` where brackets do not match any more."""
        _read(flat(told))


_CODE_LINE = re.compile(r"\s*?^([ \t]*)\S", re.MULTILINE)


def indent_of(text: str, start: int, stop: int) -> str:
    """The blanks before the first line of a stretch that says something."""
    line = _CODE_LINE.match(text, start, stop)
    return line[1] if line else ""


def _read(data: bytes) -> tuple[Quoted, Nest]:
    """What is quoted, and the brackets. Raises `NotThis` where they do not match."""
    quoted = Quoted.of(data, _QUOTED)
    return quoted, Nest(data, quoted.outside(marked(data, _MARKS)))


def _is_literal(text: str, opening: int) -> bool:
    """Whether a brace opens a value (an object, a list) rather than a block."""
    before = text[max(0, opening - 80) : opening].rstrip()
    return not before.endswith("=>") and (before[-1:] in "=(,:[?" or text[opening] == "[")
