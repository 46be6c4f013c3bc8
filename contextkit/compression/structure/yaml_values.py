"""YAML in fewer tokens: entries leave whole, a comment stands for them, what is told still loads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from contextkit.compression.structure.eliding import NotThis, Parts, counted

_ENTRY = re.compile(r"^ *[^ \n#]", re.MULTILINE)
_KEY = re.compile(
    r"[ ]*(?:- +)*(?:[^\s#\"'{\[][^:#\n]*|\"[^\"\n]*\"|'[^'\n]*'):[ \t]*(?:#[^\n]*)?\n"
)


@dataclass(frozen=True, slots=True)
class Yaml:
    """Entries of mappings and items of sequences are the parts, found by indentation."""

    stub_is_part: bool = False

    def open(self, text: str, start: int, stop: int) -> Parts | None:
        """Raises `NotThis` for what has tabs, anchors, several documents, or no entries."""
        if start == 0 and stop == len(text):
            if re.search(r"^[ ]*\t|[&*]\w|^---.*\n(?:.*\n)*---|^%", text, re.MULTILINE):
                raise NotThis("tabs, anchors, directives or several documents")
            head = 4 if text.startswith("---\n") else 0
            return _entries(text, start, head, stop)
        line_end = text.find("\n", start, stop) + 1
        if not line_end or not _KEY.match(text, start):
            return None
        return _entries(text, start, line_end, stop)

    def stub(self, text: str, parts: Parts, low: int, high: int, alone: bool, where: str) -> str:
        """A comment; where nothing stays, an empty value of the kind that was there."""
        first = text[parts.starts[low] : parts.stops[low]]
        indent = re.match(r"[ ]*", first)
        blanks = indent.group() if indent else ""
        said = f"# … {counted(high - low, parts.what)} left out{where}\n"
        if not alone:
            return blanks + said
        empty = "[]" if parts.what == "items" else "{}"
        return f"{blanks} {empty}  {said}"

    def leaf(self, text: str, start: int, stop: int, room: int, where: str) -> str | None:
        """Scalars stay whole."""
        return None

    def finish(self, told: str) -> str:
        """Loaded again; raises `NotThis` where that fails."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            value = yaml.load(told, Loader=loader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise NotThis(str(error)) from None
        if not isinstance(value, dict | list):
            raise NotThis("no entries are left")
        return told


def _entries(text: str, start: int, head: int, stop: int) -> Parts | None:
    """Entries at the indentation of the first; deeper lines go with theirs."""
    first = _ENTRY.search(text, head, stop)
    if first is None:
        return None
    level = first.end() - first.start() - 1
    what = "items" if text.startswith(("- ", "-\n"), first.end() - 1) else "keys"
    starts: list[int] = []
    for match in _at_most(level).finditer(text, head, stop):
        if match.end() - match.start() - 1 < level:
            raise NotThis("an entry stands further left than the first")
        if (what == "items") == text.startswith(("- ", "-\n"), match.end() - 1):
            starts.append(match.start())
    if not starts:
        return None
    starts[0] = head
    return Parts(starts, [*starts[1:], stop], head, stop, skeleton=what == "keys", what=what)


@cache
def _at_most(level: int) -> re.Pattern[str]:
    """Lines indented by `level` or less that say something, up to their first letter."""
    return re.compile(rf"^ {{0,{level}}}[^ \n#]", re.MULTILINE)
