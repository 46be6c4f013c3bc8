"""A request as a question to a memory: its words, the speakers and the dates that it names.

Who asks about one of the speakers says "What does Ann like?"; Ann herself said "I like". Such a question is
read both ways, and what fits either reading counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from contextkit.recall.dates import NamedDate, named_dates
from contextkit.recall.words import STOP_WORDS, stem, terms

LONGEST_QUERY = 6000
"""Characters of a question that are read: its beginning and its end."""

_RUN = re.compile(r"[^\W_]+")
_ASKING = "does|do|did|has|had|have|is|was|will|would|can|could|should|might|may"
_OWN_FORMS = {"does": "do", "has": "have", "is": "am"}
_OWN_WORDS = {
    "he": "I",
    "she": "I",
    "him": "me",
    "his": "my",
    "her": "my",
    "hers": "mine",
    "himself": "myself",
    "herself": "myself",
}
_OF_ANOTHER = re.compile(rf"\b({'|'.join(_OWN_WORDS)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A question as it is searched: its words, and who of the speakers is named in it."""

    text: str
    named: str | None
    terms: tuple[str, ...]
    of_meeting: bool = False
    """Whether it is put to a meeting, where one speaker's matter is in many mouths."""

    @classmethod
    def of(cls, text: str, names: list[str], *, of_meeting: bool = False) -> Question:
        """The question in a user's request; `names` are those of the speakers."""
        text = clip(text)
        lowered = f" {' '.join(_RUN.findall(text.lower()))} "
        named = [name for name in names if _is_named(name, lowered)]
        found = terms(text)
        of_names = set(stem([word for name in names for word in name.lower().split()]))
        if len(names) > 1:
            found = [term for term in found if term not in of_names] or found
        one = named[0] if len(named) == 1 and len(names) > 1 else None
        return cls(text, one, tuple(found), of_meeting)

    @cached_property
    def readings(self) -> tuple[str, ...]:
        """The question as it was put, and as the one whom it names would say it, where it names one."""
        named = None if self.of_meeting else self.named
        own = None if named is None else as_said_by(named, self.text)
        return (self.text,) if own is None else (self.text, own)

    @cached_property
    def dates(self) -> tuple[NamedDate, ...]:
        """The dates that it names, by their places in its readings, a line each."""
        return named_dates("\n".join(self.readings))

    @cached_property
    def words(self) -> list[tuple[int, int, str]]:
        """The words of its readings, a line each, as (start, stop, term); small ones have an empty term."""
        found = [
            (m.start(), m.end(), m[0].lower()) for m in _RUN.finditer("\n".join(self.readings))
        ]
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


def as_said_by(name: str, text: str) -> str | None:
    """An English question about someone in that one's own words, "What do I like?"; None for any other."""
    first = _RUN.findall(name)[0]
    named = rf"\b(?:{re.escape(name)}|{re.escape(first)})"
    own, n_owned = re.subn(rf"{named}['\u2019]s?(?!\w)", "my", text, flags=re.IGNORECASE)
    own, n_asked = re.subn(
        rf"\b({_ASKING})((?:\s+\w+ly)?)\s+{named}\b",
        lambda found: f"{_OWN_FORMS.get(found[1].lower(), found[1])}{found[2]} I",
        own,
        flags=re.IGNORECASE,
    )
    if not n_owned + n_asked:
        return None
    own = re.sub(rf"{named}\b", "I", own, flags=re.IGNORECASE)
    return _OF_ANOTHER.sub(lambda found: _OWN_WORDS[found[0].lower()], own)


def _is_named(name: str, lowered: str) -> bool:
    words = _RUN.findall(name.lower())
    return bool(words) and (f" {' '.join(words)} " in lowered or f" {words[0]} " in lowered)
