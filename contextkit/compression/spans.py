"""What may never be dropped, and the units in which the rest may be.

Numbers, names, paths, quotes, negations carry a meaning that no neighbour repeats; a word is dropped
whole or not at all, so no output holds half of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
        r"|hardly|barely|fails?|failed|false|\w+n['’]t)\b"
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
_TOKEN = re.compile(r"\S+")
# Most words are plain letters and need no further look, unless they are one of these.
_SPOKEN = re.compile(
    "|".join([*(_KINDS[kind] for kind in ("negation", "modality", "comparative")), _MONTH]),
    re.IGNORECASE,
)
_WORD = re.compile(r"\S+\s*|\s+")
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*|[。！？]+)(?:\s+|$)|\n+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|fig|no|inc|jr|sr|approx)|\b[A-Z])\.\s+$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text that has to stay as it is, and what it is."""

    start: int
    stop: int
    kind: str


@dataclass(frozen=True, slots=True)
class Word:
    """A stretch that is kept or dropped whole, with the blanks behind it; words tile their text."""

    start: int
    stop: int
    protected: bool


def protected(text: str) -> list[Span]:
    """Every protected span of a text, in order, none overlapping another."""
    found: list[Span] = []
    at = 0
    for token in _TOKEN.finditer(text):
        start, stop = token.span()
        if stop <= at:
            continue
        word = token.group()
        plain = word.isalpha() and word[1:] == word[1:].lower()
        if plain and not _SPOKEN.fullmatch(word):
            continue
        at = _take(text, max(start, at), stop, found)
    return found


def _take(text: str, start: int, stop: int, found: list[Span]) -> int:
    """Add the spans that begin in `start <= at < stop`; returns where the search goes on."""
    at = start
    while at < stop:
        match = _PROTECTED.match(text, at)
        if match is None or match.end() == at:
            at += 1
            continue
        found.append(Span(at, match.end(), match.lastgroup or ""))
        at = match.end()
    return at


def words(text: str) -> list[Word]:
    """The text in words; one that meets a protected span is protected, a span's words are one."""
    found: list[Word] = []
    spans = iter(protected(text))
    span = next(spans, None)
    for match in _WORD.finditer(text):
        start, stop = match.span()
        if found and found[-1].stop > start:
            continue
        end, kept = stop, False
        while span is not None and span.start < end:
            kept = kept or span.stop > start
            if span.stop > end:
                end = _word_end(text, span.stop)
            span = next(spans, None)
        found.append(Word(start, end, kept))
    return found


def _word_end(text: str, at: int) -> int:
    """The end of the word, with its blanks, that `at` stands in or right behind."""
    match = _WORD.match(text, at)
    if match is None:
        return len(text)
    return match.end()


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and stop of every sentence; together they are the text, byte for byte."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if _ABBREVIATION.search(text, max(start, match.start() - 8), end):
            continue
        found.append((start, end))
        start = end
    if start < len(text):
        found.append((start, len(text)))
    return found
