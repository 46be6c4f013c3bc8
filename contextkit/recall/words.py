"""Texts as search terms: words without endings, without the ones that every text has.

Stemming is Porter's second English algorithm (snowballstem.org) where PyStemmer is installed, else a
few plural and tense endings. Scripts that put no spaces between words become pairs of characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]{1,3}\b)?")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"
)
_OWNER = re.compile(r"'s?$")
_LARGE = re.compile(r"(?<![.!?:]\s)(?<!^)(?<!\n)\b[^\W\d_][\w'-]+")
LONGEST_WORD = 64
"""Longer runs of letters are data, not words; their beginning is indexed."""

STOP_WORDS = frozenset(
    """
    a about after all also am an and any are as at be because been before being but by can could did do
    does during each few for from had has have he her here hers him his how i if in into is it its just
    me more most my no nor not of off on only or other our out over own same she should so some such
    than that the their them then there these they this those through to too under until up very was we
    were what when where which while who whom whose why will with would yes you your
    """.split()
)


def terms(text: str) -> list[str]:
    """The search terms of a text in their order, repetitions included."""
    lowered = text.replace("\u2019", "'").lower()
    found: list[str] = []
    for match in _WORD.finditer(lowered):
        word = match[0]
        if _UNSPACED.search(word):
            found += _pairs(word)
            continue
        word = _OWNER.sub("", word)[:LONGEST_WORD]
        if word and word not in STOP_WORDS:
            found.append(word)
    return stem(found)


def names(text: str) -> list[str]:
    """Terms of the words that are written large inside a sentence, each once: names, mostly."""
    found = [match[0] for match in _LARGE.finditer(text) if match[0][0].isupper()]
    return list(dict.fromkeys(terms(" ".join(found))))


def stem(words: Sequence[str]) -> list[str]:
    """The words without their endings."""
    return _stemmer()[1](list(words))


def stemmer_name() -> str:
    """Which stemmer is in force; terms of different ones are not comparable."""
    return _stemmer()[0]


@cache
def _stemmer() -> tuple[str, Callable[[list[str]], list[str]]]:
    try:
        stemmers: Any = import_module("Stemmer")
    except ImportError:
        return "plain", lambda words: [_plain_stem(word) for word in words]
    return "porter2", stemmers.Stemmer("english").stemWords


def _plain_stem(word: str) -> str:
    """Endings of plurals, the past and -ing cut off where enough of a word is left."""
    for ending, put in (
        ("ies", "y"),
        ("sses", "ss"),
        ("ing", ""),
        ("ed", ""),
        ("es", "e"),
        ("s", ""),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)] + put
    return word


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]
