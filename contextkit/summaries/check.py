"""Whether a summary says only what its sources say: every number, date, path, name, rule, open task.

What a model wrote is believed in nothing that can be looked up. A fault is a reason in words; one is
enough to refuse the summary, and the next way to summarise is tried.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence

from contextkit.compression.spans import protected, sentences
from contextkit.recall.words import terms
from contextkit.summaries.rules import gives_orders, is_open_task, is_rule
from contextkit.summaries.said import Said

FACTS = frozenset(
    {
        "url",
        "email",
        "uuid",
        "path",
        "date",
        "time",
        "version",
        "hash",
        "number",
        "quote",
        "identifier",
    }
)
SHOWN = 3
"""Facts that are named in a fault."""
SUPPORT = 0.6
"""Share of the words of a rule or an open task that one sentence of the sources must have."""
LEAST_CHARS = 400
SQUEEZED = 0.15
"""A text that packs into less of its bytes says the same over and over."""

_ERROR = re.compile(
    r"\s*(?:error\b|exception\b|traceback\b|internal server error|service unavailable|rate limit"
    r"|too many requests|(?:http )?[45]\d\d\b|i(?:['’]m| am) (?:sorry|unable|not able)|sorry[,.]"
    r"|i can(?:no|['’])t\b|as an ai\b|no (?:content|summary|text)\b|\{\s*\"error\")",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(?<![\w.])m\d+(?:-\d+)?\b")
_DIGITS = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NEGATED = re.compile(
    r"\b(?:no|not|never|none|without|cannot|forbidden|\w+n['’]t)\b", re.IGNORECASE
)
_SIGNS = {"dollar": "$", "euro": "€", "pound": "£", "percent": "%"}
_EDGES = " \t\n\"'“”‘’`.,;:!?()[]{}<>*"


def faults(text: str, sources: Sequence[Said], *, tokens: int, source_tokens: int) -> Iterator[str]:
    """Why a summary of `sources` cannot stand; nothing where it can."""
    if not text.strip():
        yield "it is empty"
        return
    if tokens >= source_tokens:
        yield f"it takes {tokens:,} tokens, its sources take {source_tokens:,}"
    if _ERROR.match(text):
        yield f"it is an error or an excuse: {text.strip()[:60]!r}"
    if _is_a_loop(text):
        yield "it repeats itself"
    said = "\n".join(each.text for each in sources)
    plain = _REFERENCE.sub("", text)
    missing = _unknown_facts(plain, said)
    if missing:
        yield f"not in its sources: {', '.join(missing[:SHOWN])}"
    yield from _unfounded(plain, sources)
    by_user = _flat("\n".join(each.text for each in sources if not each.tainted))
    for sentence in _sentences(plain):
        if gives_orders(sentence) and _flat(sentence) not in by_user:
            yield f"it gives orders: {sentence[:60]!r}"


def _is_a_loop(text: str) -> bool:
    lines = [line.strip() for line in text.split("\n") if len(line.strip()) > 20]
    if any(lines.count(line) >= 3 for line in set(lines)):
        return True
    body = text.encode("utf-8", "surrogatepass")
    return len(body) >= LEAST_CHARS and len(zlib.compress(body)) < SQUEEZED * len(body)


def _unknown_facts(text: str, said: str) -> list[str]:
    """Facts of the text that the sources do not have, as they stand there."""
    lowered = _flat(said)
    numbers = {_number(each) for each in _DIGITS.findall(said)}
    missing: list[str] = []
    for span in protected(text):
        if span.kind not in FACTS:
            continue
        fact = text[span.start : span.stop].strip(_EDGES)
        if fact and not _is_known(fact, lowered, numbers):
            missing.append(fact)
    return list(dict.fromkeys(missing))


def _is_known(fact: str, lowered: str, numbers: set[str]) -> bool:
    """Whether the sources say it: letter by letter, or, of a number, a date, by every number and word."""
    flat = _flat(fact)
    if re.search(rf"(?<!\w){re.escape(flat)}(?!\w)", lowered):
        return True
    digits = _DIGITS.findall(fact)
    if not digits:
        return False
    if any(_number(each) not in numbers for each in digits):
        return False
    words = re.findall(r"[^\W\d_]{3,}", flat)
    words = [word for word in words if _SIGNS.get(word.rstrip("s"), "\0") not in lowered]
    return all(re.search(rf"(?<![^\W\d_]){re.escape(word[:3])}", lowered) for word in words)


def _number(said: str) -> str:
    """A number without what only separates: `1,200` and `1200` are one, `1.50` and `1.5` are not."""
    return said.replace(",", "").strip(".:/-").lstrip("0") or "0"


def _unfounded(text: str, sources: Sequence[Said]) -> Iterator[str]:
    """Rules and open tasks that no sentence of the sources says."""
    claims = [s for s in _sentences(text) if is_rule(s) or is_open_task(s)]
    if not claims:
        return
    known = [
        (frozenset(terms(sentence)), _NEGATED.search(sentence) is not None)
        for each in sources
        for sentence in _sentences(each.text)
    ]
    for claim in claims:
        words = frozenset(terms(claim))
        negated = _NEGATED.search(claim) is not None
        if words and not any(
            len(words & there) >= SUPPORT * len(words) and negated == was for there, was in known
        ):
            yield f"no source says: {claim[:60]!r}"


def _sentences(text: str) -> Iterator[str]:
    for start, stop in sentences(text):
        if sentence := text[start:stop].strip(" \n\t-*•"):
            yield sentence


def _flat(text: str) -> str:
    return " ".join(text.lower().split())
