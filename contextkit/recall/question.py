"""A request as a question to a memory: its words, the speakers and the dates that it names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from contextkit.recall.dates import NamedDate, named_dates
from contextkit.recall.words import STOP_WORDS, stem, terms

LONGEST_QUERY = 6000
"""Characters of a question that are read: its beginning and its end."""

_RUN = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Question:
    """A question as it is searched: its words, and who of the speakers is named in it."""

    text: str
    named: str | None
    terms: tuple[str, ...]

    @classmethod
    def of(cls, text: str, names: list[str]) -> Question:
        """The question in a user's request; `names` are those of the speakers."""
        text = clip(text)
        lowered = f" {' '.join(_RUN.findall(text.lower()))} "
        named = [name for name in names if _is_named(name, lowered)]
        found = terms(text)
        of_names = set(stem([word for name in names for word in name.lower().split()]))
        if len(names) > 1:
            found = [term for term in found if term not in of_names] or found
        return cls(text, named[0] if len(named) == 1 and len(names) > 1 else None, tuple(found))

    @cached_property
    def dates(self) -> tuple[NamedDate, ...]:
        """The dates that it names."""
        return named_dates(self.text)

    @cached_property
    def words(self) -> list[tuple[int, int, str]]:
        """Its words as (start, stop, term); small words have an empty term."""
        found = [(m.start(), m.end(), m[0].lower()) for m in _RUN.finditer(self.text)]
        stems = stem([word for _, _, word in found])
        return [
            (start, stop, "" if word in STOP_WORDS else stemmed)
            for (start, stop, word), stemmed in zip(found, stems, strict=True)
        ]


def clip(text: str) -> str:
    """At most `LONGEST_QUERY` characters of a text, from both ends."""
    if len(text) <= LONGEST_QUERY:
        return text
    half = LONGEST_QUERY // 2
    return f"{text[:half]}\n{text[-half:]}"


def _is_named(name: str, lowered: str) -> bool:
    words = _RUN.findall(name.lower())
    return bool(words) and (f" {' '.join(words)} " in lowered or f" {words[0]} " in lowered)
