"""Statements that cannot both hold: the same slot with another number, another date, or a negation.

Lexical and cautious: two sentences conflict only where they say nearly the same words. Nothing is
resolved; both sides are kept with their times, since an older statement may be the right one.
BriefContext (Zhang et al. 2025) leaves this to its reduce call; here it is a step of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from contextkit.compression.spans import sentences

ConflictKind: TypeAlias = Literal["number", "date", "negation", "opposite"]

SAME = 0.75
"""Share of words, values left out, that two sentences must have in common, in order."""

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_VALUE = re.compile(
    rf"(?P<date>\d{{4}}-\d\d?-\d\d?|\d\d?[/.]\d\d?[/.]\d{{2,4}}|\d\d?\s+{_MONTH}(?:\s+\d{{4}})?"
    rf"|{_MONTH}\s+\d\d?(?:,?\s+\d{{4}})?|\d\d?:\d\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b)"
    r"|(?P<number>[$€£]?\d+(?:[.,]\d+)*%?)"
    r"|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)?)",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"(?:no|not|never|none|nobody|nothing|neither|without|cannot|\w+n['’]t)", re.IGNORECASE
)
_SMALL = frozenset(
    "a an the is are was were be been it its this that to of in on at for and has have had do does "
    "did".split()
)
_OPPOSITES = {
    word: pair
    for pair in (
        ("open", "closed"), ("on", "off"), ("allowed", "forbidden"), ("enabled", "disabled"),
        ("true", "false"), ("accepted", "rejected"), ("increased", "decreased"), ("up", "down"),
        ("passed", "failed"), ("before", "after"), ("cheaper", "dearer"), ("won", "lost"),
        ("likes", "hates"), ("loves", "hates"), ("married", "single"), ("alive", "dead"),
    )
    for word in pair
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that was said, by whom it can be found again, and when."""

    handle: str
    text: str
    date: str = ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two statements about one slot that differ; `earlier` was said first where dates are known."""

    kind: ConflictKind
    earlier: Statement
    later: Statement
    values: tuple[str, str]

    def describe(self) -> str:
        """Both sides in one line, with their times and handles."""
        sides = [
            f"{s.text.strip()} ({', '.join(filter(None, (s.date, s.handle)))})"
            for s in (self.earlier, self.later)
        ]
        return f"{self.kind}: {sides[0]} / {sides[1]}"


@dataclass(frozen=True, slots=True)
class _Claim:
    source: int
    text: str
    words: tuple[str, ...]
    """Content words in order; a value is told by its kind."""
    values: tuple[tuple[str, str, int], ...]
    """(kind, as written, place among the words)."""
    negated: bool


def detect_conflicts(statements: Sequence[Statement]) -> list[Conflict]:
    """Pairs of sentences of different statements that contradict, in the order of the statements."""
    claims = [claim for i, s in enumerate(statements) for claim in _claims(i, s.text)]
    found: list[Conflict] = []
    for left, right in _candidates(claims):
        told = _difference(left, right)
        if told is None:
            continue
        kind, values = told
        sides = [
            Statement(statements[c.source].handle, c.text, statements[c.source].date)
            for c in (left, right)
        ]
        if sides[1].date and sides[0].date > sides[1].date:
            sides.reverse()
            values = values[1], values[0]
        found.append(Conflict(kind, sides[0], sides[1], values))
    return found


def _claims(source: int, text: str) -> Iterator[_Claim]:
    for start, stop in sentences(text):
        sentence = text[start:stop].strip()
        if sentence.endswith("?"):
            continue
        words: list[str] = []
        values: list[tuple[str, str, int]] = []
        negated = False
        for match in _VALUE.finditer(sentence):
            said = match.group()
            if match.lastgroup == "word":
                if _NEGATION.fullmatch(said):
                    negated = not negated
                elif said.lower() not in _SMALL:
                    words.append(_stem(said.lower()))
                continue
            kind = match.lastgroup or ""
            values.append((kind, said, len(words)))
            words.append(f"<{kind}>")
        if len(words) >= 2 and not all(word.startswith("<") for word in words):
            yield _Claim(source, sentence, tuple(words), tuple(values), negated)


def _stem(word: str) -> str:
    """Enough to bring `costs` and `cost` together; opposites stay whole."""
    if word in _OPPOSITES:
        return word
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def _candidates(claims: Sequence[_Claim]) -> Iterator[tuple[_Claim, _Claim]]:
    """Pairs that share at least half of the rarer one's words, each once."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, claim in enumerate(claims):
        shared: dict[int, int] = defaultdict(int)
        for word in set(claim.words):
            for other in places[word]:
                shared[other] += 1
            places[word].append(index)
        for other in sorted(shared):
            least = min(len(set(claim.words)), len(set(claims[other].words)))
            if claims[other].source != claim.source and 2 * shared[other] >= least:
                yield claims[other], claim


def _difference(left: _Claim, right: _Claim) -> tuple[ConflictKind, tuple[str, str]] | None:
    matcher = SequenceMatcher(None, left.words, right.words, autojunk=False)
    if matcher.ratio() < SAME or not _same_slot(left, right):
        return None
    if left.negated != right.negated:
        same = {(k, v.lower()) for k, v, _ in left.values} == {
            (k, v.lower()) for k, v, _ in right.values
        }
        return ("negation", (left.text, right.text)) if same else None
    opposite = _opposite(left.words, right.words)
    if opposite is not None:
        return "opposite", opposite
    return _value_difference(left, right, matcher)


def _same_slot(left: _Claim, right: _Claim) -> bool:
    """Whether one sentence says all words of the other: another word is another subject."""
    mine, theirs = ({w for w in c.words if w not in _OPPOSITES} for c in (left, right))
    return mine <= theirs or theirs <= mine


def _opposite(left: Iterable[str], right: Iterable[str]) -> tuple[str, str] | None:
    for word in left:
        pair = _OPPOSITES.get(word)
        if pair is None or word in right:
            continue
        other = pair[1] if word == pair[0] else pair[0]
        if other in right:
            return word, other
    return None


def _value_difference(
    left: _Claim, right: _Claim, matcher: SequenceMatcher[str]
) -> tuple[ConflictKind, tuple[str, str]] | None:
    """The one value in which two sentences differ; where more differ, they speak of different things."""
    across = {a + n: b + n for a, b, size in matcher.get_matching_blocks() for n in range(size)}
    there = {place: (kind, said) for kind, said, place in right.values}
    differing: list[tuple[ConflictKind, tuple[str, str]]] = []
    for kind, said, place in left.values:
        other = there.get(across.get(place, -1))
        if other is None or other[0] != kind:
            return None
        if _plain(other[1]) != _plain(said):
            if kind == "number" and _names_something(left, place):
                return None
            differing.append(("date" if kind == "date" else "number", (said, other[1])))
    return differing[0] if len(differing) == 1 and len(left.values) == len(right.values) else None


def _plain(value: str) -> str:
    return re.sub(r"[\s,]+", " ", value.lower()).strip()


_LABELS = frozenset(
    "room item step day week chapter page version gate flight order ticket number issue line table "
    "figure section phase level unit apartment floor".split()
)


def _names_something(claim: _Claim, place: int) -> bool:
    """Whether a number tells which thing is meant (`room 12`), not how much."""
    return place > 0 and claim.words[place - 1] in _LABELS
