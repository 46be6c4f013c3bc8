"""Unified diffs: hunks and lines of hunks leave; what stays has headers that count it right."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from contextkit.compression.structure.parts import NotThis, Parts, bounds_of, counted

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_FILE = re.compile(r"^(?:diff |Index: |--- (?=[^\n]*\n\+\+\+ ))", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d", re.MULTILINE)
_MARK = re.compile("\0(\\d+) (\\d+) (\\d+) (.*)\n?")
CHANGED = 0.5


class Diff:
    """Files open into hunks, hunks into lines; changed lines stay before context."""

    stub_is_part = False

    def __init__(self, text: str) -> None:
        """Raises `NotThis` for text that has no hunk or holds NUL."""
        if "\0" in text or not _HUNK.search(text):
            raise NotThis("no hunk")
        self._text = text

    def top(self) -> Parts:
        """The files; the hunks where there is one."""
        text, places, last = self._text, list[int](), 0
        for match in _FILE.finditer(text):
            if not places or not _same_file(text, last, match.start()):
                places.append(match.start())
            last = match.start()
        if len(places) > 1:
            starts = np.array(places)
            return Parts.tiled(starts, places[0], len(text), skeleton=True, what="files")
        parts = self._hunks(0, len(text))
        if parts is None:
            raise NotThis("no hunk")
        return parts

    def open(self, start: int, stop: int) -> Parts | None:
        """The hunks of a file, the lines of a hunk."""
        if not HUNK.match(self._text, start):
            return self._hunks(start, stop)
        head = self._text.find("\n", start, stop) + 1
        lines = self._text[head:stop].splitlines(keepends=True) if head else []
        if not lines:
            return None
        edges = bounds_of([*map(len, lines)], head)
        return Parts(edges[:-1], edges[1:], head, stop, bonus=_changed(lines), what="lines")

    def _hunks(self, start: int, stop: int) -> Parts | None:
        places = [match.start() for match in _HUNK.finditer(self._text, start, stop)]
        if not places:
            return None
        return Parts.tiled(np.array(places), places[0], stop, skeleton=True, what="hunks")

    def stub(self, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A line that no tool takes for a part of a hunk; `finish` counts the hunks around it."""
        if parts.what != "lines":
            return f"… {counted(high - low, parts.what)} left out{where}\n"
        gone = self._text[slice(*parts.span(low, high))].splitlines()
        old = sum(line[:1] in " -" for line in gone)
        new = sum(line[:1] in " +" for line in gone)
        return f"\0{old} {new} {high - low} {where}\n"

    def leaf(self, start: int, stop: int, room: int, where: str) -> str | None:
        """Lines stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Every run of lines between stubs gets a hunk header of its own, with its own counts."""
        out: list[str] = []
        lines = told.splitlines(keepends=True)
        at = 0
        while at < len(lines):
            header = HUNK.match(lines[at])
            at += 1
            if header is None:
                out.append(lines[at - 1])
                continue
            stop = at
            while stop < len(lines) and lines[stop][0] in " +-\\\0\n":
                stop += 1
            body, at = lines[at:stop], stop
            if any(line[0] == "\0" for line in body):
                out.extend(_hunks(header, lines[at - len(body) - 1][header.end() :], body))
            else:
                out.extend([header.string, *body])
        return "".join(out)

    def check(self, told: str) -> None:
        """Valid as `finish` made it."""


def _same_file(text: str, first: int, second: int) -> bool:
    """Whether `---` only goes on what `diff` began."""
    return text.startswith("--- ", second) and "\n@@ " not in text[first:second]


def _changed(lines: list[str]) -> Mapping[int, float]:
    return {index: CHANGED for index, line in enumerate(lines) if line[0] in "+-"}


def _hunks(header: re.Match[str], title: str, body: list[str]) -> list[str]:
    old, new = int(header[1]), int(header[3])
    out: list[str] = []
    run: list[str] = []

    def close() -> None:
        nonlocal old, new, run
        n_old = sum(line[0] in " -\n" for line in run)
        n_new = sum(line[0] in " +\n" for line in run)
        if run:
            out.append(f"@@ -{old},{n_old} +{new},{n_new} @@{title}")
            out.extend(run)
        old, new, run = old + n_old, new + n_new, []

    for line in body:
        mark = _MARK.fullmatch(line)
        if mark is None:
            run.append(line)
            continue
        close()
        out.append(f"… {counted(int(mark[3]), 'lines')} of the hunk left out{mark[4]}\n")
        old, new = old + int(mark[1]), new + int(mark[2])
    close()
    return out
