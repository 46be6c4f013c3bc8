"""Dates that a question names: "on 3 May 2023", "in June", "by 2024-01-31"; and what was said on them.

What happened on a day is told on it or soon after it. A date whose year is not said is of any year.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float32]
    Days: TypeAlias = NDArray[np.int32]

SOON = 7
"""Days after a date on which it is still talked about."""
TOLD_LATER = 0.6
"""What those count beside the date itself."""

_MONTHS = {"sept": 9} | {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
}
_ALSO_WORDS = ("may", "march")
"""Months that mean something else where they are written small."""

_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\b\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>(?:19|20)\d\d)\b"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        r"\b(?P<year>\d{4})-(?P<number>\d\d)-(?P<day>\d\d)(?!\d)",
        rf"\b{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s*{_YEAR})?",
        rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?:,?\s*{_YEAR})?",
        rf"\b{_MONTH},?\s+(?:of\s+)?{_YEAR}",
        rf"\b(?:by|during|early|in|last|late|mid|of|since|this|until)[\s-]+{_MONTH}",
        rf"\b(?:by|during|in|of|since|until)\s+{_YEAR}",
    )
)


@dataclass(frozen=True, slots=True)
class NamedDate:
    """A day, a month or a year in a text, and where it stands; None for what is not said of it."""

    start: int
    stop: int
    year: int | None
    month: int | None
    day: int | None

    def spans(self, years: Sequence[int]) -> Iterator[tuple[int, int]]:
        """First and last day that it may mean, as ordinals; `years` are those that it may be of."""
        for year in years if self.year is None else (self.year,):
            month = self.month or 1
            if not 1 <= month <= 12 or not date.min.year <= year <= date.max.year:
                continue
            last = calendar.monthrange(year, self.month or 12)[1]
            if self.day is None:
                stop = date(year, self.month or 12, last)
                yield date(year, month, 1).toordinal(), stop.toordinal()
            elif 1 <= self.day <= last:
                yield (day := date(year, month, self.day).toordinal()), day


def named_dates(text: str) -> tuple[NamedDate, ...]:
    """The dates in a text, the most exact forms first; none of them within another."""
    found: list[NamedDate] = []
    for form in _FORMS:
        for match in form.finditer(text):
            parts = match.groupdict()
            start, stop = match.span()
            if any(start < each.stop and each.start < stop for each in found):
                continue
            month, year, day = parts.get("month"), parts.get("year"), parts.get("day")
            if month in _ALSO_WORDS and year is None:
                continue
            number = _MONTHS[month.lower()] if month else int(parts.get("number") or 0) or None
            found.append(
                NamedDate(
                    start, stop, int(year) if year else None, number, int(day) if day else None
                )
            )
    return tuple(found)


def said_then(dates: Sequence[NamedDate], days: Days) -> Scores | None:
    """How well each row's day (an ordinal, 0 where none is known) fits the dates, 0 to 1, `[n_rows]`.

    None where no row fits, so that a date tells nothing.
    """
    if not dates or not days.any():
        return None
    first, last = (date.fromordinal(int(day)).year for day in (days[days > 0].min(), days.max()))
    fits = np.zeros(len(days), np.float32)
    for start, stop in {span for each in dates for span in each.spans(range(first, last + 1))}:
        fits[(days > stop) & (days <= stop + SOON) & (fits < TOLD_LATER)] = TOLD_LATER
        fits[(days >= start) & (days <= stop)] = 1
    return fits if fits.any() else None
