"""The dialect of each kind, and what to take a text for where its kind does not hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from contextkit.compression.kinds import delimiter_of
from contextkit.compression.structure.brace_code import Braces
from contextkit.compression.structure.diffs import Diff
from contextkit.compression.structure.eliding import Telling
from contextkit.compression.structure.json_values import Json
from contextkit.compression.structure.lines import Lines, cut
from contextkit.compression.structure.markup import Xml
from contextkit.compression.structure.parts import Dialect, NotThis
from contextkit.compression.structure.prose import Prose
from contextkit.compression.structure.python_code import Python
from contextkit.compression.structure.relevance import Hits, Relevance
from contextkit.compression.structure.sql_code import Sql
from contextkit.compression.structure.tables import Delimited, MarkdownTable
from contextkit.compression.structure.yaml_values import Yaml

Reader: TypeAlias = Callable[[str], Dialect]
FENCE = "fence"
"""The kind of what only marks where a block begins and ends; it is told as it is."""


class Section:
    """A section of a document that can be told at any size, by the first dialect that takes it."""

    def __init__(self, text: str, kind: str, relevance: Relevance, where: str) -> None:
        self.text, self._where = text, where
        self._hits: Hits = relevance.hits(text)
        self.score = self._hits.within(0, len(text))
        self._waiting = [] if kind == FENCE else _candidates(text, kind)
        self._telling: Telling | None = None
        self.kind = kind
        if kind != FENCE:
            self._next()

    def _next(self) -> None:
        """Go on to the next dialect that takes the text."""
        self._telling, self.kind = None, "text"
        while self._waiting:
            kind, reader = self._waiting.pop(0)
            try:
                telling = Telling(self.text, reader(self.text), self._hits, self._where)
            except NotThis:
                continue
            self._telling, self.kind = telling, kind
            return

    def tell(self, room: int) -> str:
        """The section in about `room` characters."""
        if room >= len(self.text) or self.kind == FENCE:
            return self.text
        while self._telling is not None:
            try:
                return self._telling.tell(room)
            except NotThis:
                self._next()
        return (
            cut(self.text, room, self._where)
            or f"… {len(self.text)} characters left out{self._where}"
        )

    def holds(self, told: str) -> bool:
        """Whether what was told is valid; if not, the next dialect tells from now on."""
        if self._telling is None or told == self.text:
            return True
        try:
            self._telling.check(told)
        except NotThis:
            self._next()
            return False
        return True


def _candidates(text: str, kind: str) -> list[tuple[str, Reader]]:
    lines: tuple[str, Reader] = ("lines", Lines)
    if kind == "table":
        delimiter = delimiter_of(text)
        found: list[tuple[str, Reader]] = [("table", MarkdownTable)]
        if delimiter is not None:
            found.append(("table", partial(Delimited, delimiter=delimiter)))
        return [*found, lines]
    reader = _READERS.get(kind)
    return [lines] if reader is None else [(kind, reader), lines]


_READERS: dict[str, Reader] = {
    "prose": Prose,
    "json": Json,
    "diff": Diff,
    "trace": partial(Lines, trace=True),
    "xml": Xml,
    "yaml": Yaml,
    "code:python": Python,
    "code:braces": Braces,
    "code:sql": Sql,
}
