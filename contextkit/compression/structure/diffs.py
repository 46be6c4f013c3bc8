"""Unified diffs: hunks and lines of hunks leave; what stays has headers that count it right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from contextkit.compression.structure.eliding import NotThis, Parts, counted

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_FILE = re.compile(r"^(?:diff |Index: |--- (?=[^\n]*\n\+\+\+ ))", re.MULTILINE)
_HUNK = re.compile(r"^@@ -\d", re.MULTILINE)
_MARK = re.compile("\0(\\d+) (\\d+) (\\d+) (.*)\n?")
CHANGED = 0.5


@dataclass(frozen=True, slots=True)
class Diff:
    """Files open into hunks, hunks into lines; changed lines stay before context."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` for text that has no hunk or holds NUL."""
        if start == 0 and stop == len(text):
            if "\0" in text or not _HUNK.search(text):
                raise NotThis("no hunk")
            places = [match.start() for match in _FILE.finditer(text)]
            places = [
                at
                for i, at in enumerate(places)
                if not i or not _same_file(text, places[i - 1], at)
            ]
            if len(places) > 1:
                return Parts(
                    places, [*places[1:], stop], places[0], stop, skeleton=True, what="files"
                )
        if not HUNK.match(text, start):
            places = [match.start() for match in _HUNK.finditer(text, start, stop)]
            if not places:
                return None
            return Parts(places, [*places[1:], stop], places[0], stop, skeleton=True, what="hunks")
        head = text.find("\n", start, stop) + 1
        lines = text[head:stop].splitlines(keepends=True) if head else []
        bounds = [*accumulate(map(len, lines), initial=head)]
        return Parts(bounds[:-1], bounds[1:], head, stop, bonus=_changed(lines), what="lines")

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A line that no tool takes for a part of a hunk; `finish` counts the hunks around it."""
        if parts.what != "lines":
            return f"… {counted(high - low, parts.what)} left out{where}\n"
        gone = text[parts.starts[low] : parts.stops[high - 1]].splitlines()
        old = sum(line[:1] in " -" for line in gone)
        new = sum(line[:1] in " +" for line in gone)
        return f"\0{old} {new} {high - low} {where}\n"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
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
