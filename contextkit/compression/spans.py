"""What may never be dropped, and the units in which the rest may be.

Numbers, names, paths, quotes, negations carry a meaning that no neighbour repeats; a word is dropped
whole or not at all, so no output holds half of one.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import accumulate, compress, repeat
from typing import Any, NamedTuple, cast

from contextkit.compression.unspaced import DENIES, DENY_BEGIN
from contextkit.compression.unspaced import pieces as pieces_of

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[a-z]*\.?"
_UNIT = (
    r"(?:\s?(?:%|percent|per\s?cent|[kmgt]i?b|[kmgt]?hz|[kmc]?m|km/h|mph|mm|kg|mg|g|lbs?|oz|ml|l"
    r"|ms|s|sec(?:onds?)?|min(?:utes?)?|h|hours?|days?|weeks?|months?|years?|°[cf]?|px"
    r"|tokens?|dollars?|euros?|usd|eur|gbp|am|pm|million|billion|thousand)\b)?"
)
_KINDS = {
    "url": r"(?:https?|ftp|file|wss?)://[^\s<>\"'`\])}]+",
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uuid": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "path": r"(?:~|\.{1,2})?(?:/[\w.@+~-]+){2,}/?|\b[A-Za-z]:\\[^\s\"'<>|]+|\b[\w-]+(?:/[\w.-]+)+\.\w+",
    "date": (
        rf"\b\d{{4}}-\d\d?-\d\d?(?:[t ]\d\d?:\d\d(?::\d\d)?(?:\.\d+)?z?)?|\b\d\d?[/.]\d\d?[/.]\d{{2,4}}\b"
        rf"|\b\d\d?(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+\d{{4}})?\b"
        rf"|\b{_MONTH}\s+\d\d?(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?\b"
    ),
    "time": r"\b\d\d?:\d\d(?::\d\d)?(?:\s?[ap]\.?m\.?)?",
    "version": r"\bv?\d+(?:\.\d+){2,}(?:[-+][\w.]+)?\b|\bv\d+(?:\.\d+)*\b",
    "hash": r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,64}\b",
    "number": rf"[$€£¥#]?[+-]?\d+(?:[.,_]\d+)*(?:e[+-]?\d+)?{_UNIT}",
    "quote": r"\"[^\"\n]{1,80}\"|“[^”\n]{1,80}”|`[^`\n]{1,120}`",
    "identifier": (
        r"\b[A-Za-z]\w*_\w+\b|\b[a-z]+[A-Z]\w*\b|\b(?:[A-Z][a-z0-9]+){2,}\b|\b[A-Za-z]+\d\w*\b"
        r"|\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b|\b[A-Za-z_]\w*\(\)|\B--?[a-z][\w-]+|\b[A-Z]{2,}\b"
    ),
    "negation": (
        r"\b(?:no|not|nor|never|none|nobody|nothing|nowhere|neither|without|unless|except|cannot"
        rf"|hardly|barely|fails?|failed|false|\w+n['’]t)\b|{DENIES}"
    ),
    "modality": r"\b(?:must|shall|should|only|until|always|required?|mandatory|forbidden|optional)\b",
    "comparative": (
        r"\b(?:more|less|fewer|greater|least|most|before|after|above|below|than|over|under|exceeds?"
        r"|instead)\b"
    ),
}
_PROTECTED = re.compile(
    "|".join(
        f"(?P<{kind}>{pattern if kind == 'identifier' else f'(?i:{pattern})'})"
        for kind, pattern in _KINDS.items()
    )
)
# What a span may need to see behind its own token: a number's unit, a date's year, the end of a quote.
_OPEN = re.compile(rf"\d|[\"“`]|\b{_MONTH}$", re.IGNORECASE)
# A plain word, with no span of its own unless it is one of these or may begin a date.
_PLAIN = re.compile(r"\(?[A-Za-z][a-z]*(?:['’]s)?[.,;:!?)]*")
_TELLING = re.compile(
    "|".join([_KINDS["negation"], _KINDS["modality"], _KINDS["comparative"], rf"\b{_MONTH}$"]),
    re.IGNORECASE,
)
# No span begins elsewhere: every pattern starts at a word's edge, with a digit, one of these, or a URL.
_BEGIN = re.compile(rf"\b\w|\d|[~./$€£¥#+\-\"“`{DENY_BEGIN}]|(?i:[hfw](?=[a-z]{{1,4}}://))")
# One class first, which the search skips to; so in `_PAUSE`.
_END = re.compile(
    r"[.!?…。！？\n](?:(?<=\n)\n*|(?<=[.!?…])[.!?…]*[\"'”’)\]]*(?:\s+|$)|(?<=[。！？])[。！？]*[」』”’）]*\s*)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|fig|no|inc|jr|sr|approx)|\b[A-Z])\.\s+$",
    re.IGNORECASE,
)
_PAUSE = re.compile(
    r"[,;:)—\s，、；：](?:(?<=[,;:)—])[\"”’]?\s|(?<=[，、；：])\s*|(?<=\s)(?:(?=\()|[–-]\s))"
)


class Span(NamedTuple):
    """A stretch of a text that has to stay as it is, and what it is."""

    start: int
    stop: int
    kind: str


_OPEN_ENDED = (Span(0, 0, ""),)


class Word(NamedTuple):
    """A stretch that is kept or dropped whole, with the blanks behind it; words tile their text."""

    start: int
    stop: int
    protected: bool


def protected(text: str) -> list[Span]:
    """Every protected span of a text, in order, none overlapping another."""
    pieces = pieces_of(text)
    found: list[Span] = []
    at = start = 0
    for piece, own in zip(pieces, map(_own, pieces), strict=True):
        stop = start + len(piece.rstrip())
        if own and stop > at:
            if own is _OPEN_ENDED or at > start:
                at = _take(text, max(start, at), stop, found)
            else:
                found += [Span(start + first, start + last, kind) for first, last, kind in own]
                at = found[-1].stop
        start += len(piece)
    return found


def words(text: str) -> list[Word]:
    """The text in words; one that meets a protected span is protected, a span's words are one."""
    edges, runs = tiles(text)
    found: list[Word] = []
    done = 0
    for first, last in runs:
        found += in_words(edges[done:first], edges[done + 1 : first + 1], repeat(False))
        found.append(Word(edges[first], edges[last + 1], True))
        done = last + 1
    return [*found, *in_words(edges[done:-1], edges[done + 1 :], repeat(False))]


def in_words(
    starts: Iterable[int], stops: Iterable[int], protected: Iterable[bool]
) -> Iterator[Word]:
    """Words out of columns; what `Word` does, in a third of the time."""
    new = cast("Any", tuple).__new__
    return map(partial(new, Word), zip(starts, stops, protected, strict=False))


def tiles(text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Where the pieces between blanks begin, the end last; which pieces protected spans hold together."""
    pieces = pieces_of(text)
    edges = [*accumulate(map(len, pieces), initial=0)]
    known = [*map(_own, pieces)]
    runs: list[tuple[int, int]] = []
    at = 0
    for index in compress(range(len(pieces)), known):
        start = edges[index]
        if known[index] is not _OPEN_ENDED and at <= start:
            runs.append((index, index))
            continue
        stop = start + len(pieces[index].rstrip())
        if stop > at:
            found: list[Span] = []
            at = _take(text, max(start, at), stop, found)
            _hold(found, edges, runs)
    return edges, runs


def _hold(spans: list[Span], edges: list[int], runs: list[tuple[int, int]]) -> None:
    """Add first and last piece of every run that the spans hold together."""
    for start, stop, _ in spans:
        first = bisect_right(edges, start) - 1
        last = first if stop <= edges[first + 1] else bisect_right(edges, stop - 1, first) - 1
        if runs and first <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(last, runs[-1][1])
        else:
            runs.append((first, last))


@lru_cache(maxsize=32_768)
def _own(piece: str) -> tuple[Span, ...]:
    """The spans of a piece; `_OPEN_ENDED` where they hang on what stands behind it."""
    token = piece.rstrip()
    if _PLAIN.fullmatch(token) and not _TELLING.search(token):
        return ()
    if _OPEN.search(token):
        return _OPEN_ENDED
    found: list[Span] = []
    _take(token, 0, len(token), found)
    return tuple(found)


def _take(text: str, start: int, stop: int, found: list[Span]) -> int:
    """Add the spans that begin in `start <= at < stop`; returns where the search goes on."""
    at = start
    while (begin := _BEGIN.search(text, at, stop)) is not None:
        at = begin.start()
        match = _PROTECTED.match(text, at)
        if match is None or match.end() == at:
            at += 1
            continue
        found.append(Span(at, match.end(), match.lastgroup or ""))
        at = match.end()
    return max(at, stop)


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and stop of every sentence; together they are the text, byte for byte."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        first = match.start()
        if text[first] == "." and _ABBREVIATION.search(text, max(start, first - 8), end):
            continue
        found.append((start, end))
        start = end
    if start < len(text):
        found.append((start, len(text)))
    return found


def clauses(text: str, whole: Sequence[int]) -> list[int]:
    """Where clauses begin: every sentence of `whole`, and what follows a comma, a bracket or a dash."""
    inner = {match.end() for match in _PAUSE.finditer(text)} - {len(text)}
    return sorted({*whole, *inner})
